//! Modules out of the mapped files of a core, or out of the images in its memory.

use lastwords_format::core_notes::{MappedFile, Numbers};
use lastwords_format::streams::module_list::Module;

use super::elf_core::{ElfCore, Segment};
use super::images::{self, Memory};

/// Entries of the auxiliary vector (Linux, `include/uapi/linux/auxvec.h`).
const AT_ENTRY: u64 = 9;
const AT_EXECFN: u64 = 31;
const MAX_MODULES: usize = 16_384;
const MAX_PATH_BYTES: u64 = 4_096;

/// One per file that is an image or has code, by address.
///
/// Debuggers leave code out of a core, and its mapping too; the first page of an image they keep.
pub(super) fn of_files(files: &[MappedFile], core: &ElfCore, memory: Memory<'_>) -> Vec<Module> {
    let mut modules: Vec<(Module, bool)> = Vec::new();
    for file in files {
        let has_code = core.segment_at(file.start).is_some_and(|one| one.flags & 1 != 0);
        let is_full = modules.len() >= MAX_MODULES;
        match modules.last_mut().filter(|(module, _)| module.path == file.path) {
            Some((module, is_code)) => {
                module.size = size(module.base, file.end);
                *is_code |= has_code;
            }
            None if is_full => break,
            None => {
                let base = file.start.saturating_sub(file.offset);
                let image = images::read(base, memory);
                let is_code = has_code || image.is_some();
                let (size, path) = (size(base, file.end), file.path.clone());
                let build_id = image.unwrap_or_default().build_id;
                modules.push((Module { base, size, path, build_id }, is_code));
            }
        }
    }
    modules.into_iter().filter_map(|(module, has_code)| has_code.then_some(module)).collect()
}

/// Of a core that lists no files: what stands at the begin of its mappings; the program by the name
/// that it was started with, libraries by the one that they give themselves.
pub(super) fn of_memory(
    segments: &[Segment],
    auxv: &[u8],
    is_64_bit: bool,
    memory: Memory<'_>,
) -> Vec<Module> {
    let vector: Vec<u64> = Numbers::new(auxv, is_64_bit).collect();
    let value = |kind: u64| {
        let pairs = vector.chunks_exact(2);
        pairs.filter(|pair| pair.first() == Some(&kind)).find_map(|pair| pair.get(1).copied())
    };
    let program = value(AT_EXECFN).and_then(|at| images::string(at, MAX_PATH_BYTES, memory));
    let modules = segments.iter().filter_map(|segment| {
        let image = images::read(segment.start, memory)?;
        let is_program =
            value(AT_ENTRY).is_some_and(|entry| entry.wrapping_sub(segment.start) < image.size);
        let path = if is_program { program.clone().or(image.name) } else { image.name };
        Some(Module {
            base: segment.start,
            size: u32::try_from(image.size).unwrap_or(u32::MAX),
            path: path?,
            build_id: image.build_id,
        })
    });
    modules.take(MAX_MODULES).collect()
}

fn size(base: u64, end: u64) -> u32 {
    u32::try_from(end.saturating_sub(base)).unwrap_or(u32::MAX)
}
