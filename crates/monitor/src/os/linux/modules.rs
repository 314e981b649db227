//! The module list: from mappings and ELF headers.

use lastwords_format::streams::module_list::Module;
use lastwords_pyframes::Memory;
use lastwords_pyframes::find::Image;

use super::maps::{Mapping, without_deleted_mark};
use crate::soft_errors::SoftErrors;

/// Name that debuggers know the kernel's own module by.
const VDSO_NAME: &str = "linux-gate.so";

const MOST_MODULES: usize = 8192;
/// Mappings that one image can have.
const MOST_MAPPINGS: usize = 1024;

/// All ELF images mapped from their start, the one that holds `entry` (the program's entry
/// point) first.
pub(crate) fn read(
    mappings: &[Mapping],
    memory: &dyn Memory,
    entry: Option<u64>,
    soft_errors: &mut SoftErrors,
) -> Vec<Module> {
    let mut modules: Vec<Module> = mappings
        .iter()
        .enumerate()
        .filter(|(_, mapping)| can_start_image(mapping))
        .filter_map(|(index, mapping)| module(mappings, index, mapping, memory, soft_errors))
        .take(MOST_MODULES.saturating_add(1))
        .collect();
    if modules.len() > MOST_MODULES {
        modules.truncate(MOST_MODULES);
        soft_errors.add("modules_cut", "modules", format!("more than {MOST_MODULES}"));
    }
    let is_main = |module: &Module| {
        entry.is_some_and(|entry| entry.wrapping_sub(module.base) < u64::from(module.size))
    };
    match modules.iter().position(is_main) {
        Some(main) => {
            let module = modules.remove(main);
            modules.insert(0, module);
        }
        None => {
            soft_errors.add("main_module_unknown", "modules", "no module holds the entry point")
        }
    }
    modules
}

fn can_start_image(mapping: &Mapping) -> bool {
    let is_file = mapping.file.1 != 0 && !mapping.path.starts_with("/dev/");
    mapping.region.is_readable && mapping.offset == 0 && (is_file || mapping.path == "[vdso]")
}

fn module(
    mappings: &[Mapping],
    index: usize,
    first: &Mapping,
    memory: &dyn Memory,
    soft_errors: &mut SoftErrors,
) -> Option<Module> {
    let base = first.region.start;
    let image = Image::read(memory, base)?;
    // The file's own mappings say how much is really there; a file opened as data is mapped
    // once and without code.
    let behind = mappings.get(index..)?;
    let own = behind.iter().take(MOST_MAPPINGS).take_while(|m| m.file == first.file);
    let end = own.clone().map(Mapping::end).max()?;
    let is_code = own.clone().any(|m| m.region.is_executable);
    if !is_code {
        return None;
    }
    // The headers are the process's own memory and may claim anything: nothing reaches into
    // the next file.
    let is_other = |m: &&Mapping| m.file.1 != 0 && m.file != first.file;
    let limit = behind.iter().take(MOST_MAPPINGS).find(is_other).map(|m| m.region.start);
    let claimed = base.saturating_add(image.size(base)).min(limit.unwrap_or(u64::MAX));
    let size = claimed.max(end).saturating_sub(base);
    let path = if first.path == "[vdso]" { VDSO_NAME } else { without_deleted_mark(&first.path) };
    let build_id = image.build_id(memory).or_else(|| {
        soft_errors.add("module_without_build_id", path, "identified by a hash of its code");
        image.text_hash(memory)
    });
    Some(Module {
        base,
        size: u32::try_from(size).unwrap_or(u32::MAX),
        path: path.to_owned(),
        build_id: build_id.unwrap_or_default(),
    })
}
