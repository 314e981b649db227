//! Finding the interpreter in a process that did not tell where it is.
//!
//! `_PyRuntime` is looked up in the dynamic symbols of whatever may hold CPython; where it is not
//! exported, its section `.PyRuntime` (CPython 3.11, Python/pylifecycle.c) tells its place. The
//! version comes from `_Py_DebugOffsets` (3.13 and later), from the symbol `Py_Version` (3.11 and
//! later), or from the file's name, which knows the minor version only: then the text of
//! `PY_VERSION` is looked for among the constants.

use std::fs::File;
use std::os::unix::fs::FileExt;

use lastwords_format::Reader;
use lastwords_pyframes::Memory;

use super::elf::Image;
use super::elf_symbols;
use super::maps::{Mapping, without_deleted_mark};
use super::memory::read_available;
use crate::snapshot::PythonTarget;

const COOKIE: &[u8; 8] = b"xdebugpy";
const RUNTIME_SECTION: &[u8] = b".PyRuntime";
/// `PY_RELEASE_LEVEL_FINAL` in `PY_VERSION_HEX`.
const FINAL: u32 = 0xF0;
const MOST_SECTIONS: u16 = 4096;
const MOST_CANDIDATES: usize = 64;
const SECTION_HEADER_SIZE: u16 = 64;
/// Mappings of constants, and bytes of each, that are searched for the version's text.
const MOST_CONSTANTS: usize = 8;
const MOST_TEXT: usize = 256;
const MOST_CONSTANT_BYTES: u64 = 16 * 1024 * 1024;

/// Where the interpreter's state stands; `None` when the process is none of Python, or a kind of
/// it that cannot be found. `entry` is the program's entry point.
pub(crate) fn find(
    pid: i32,
    mappings: &[Mapping],
    memory: &dyn Memory,
    entry: Option<u64>,
) -> Option<PythonTarget> {
    let candidates = candidates(mappings, entry);
    candidates.into_iter().take(MOST_CANDIDATES).find_map(|mapping| {
        let base = mapping.region.start;
        let runtime_address = elf_symbols::find(memory, base, "_PyRuntime")
            .or_else(|| runtime_section(pid, mapping, memory))?;
        let version = version(mapping, mappings, memory, runtime_address)?;
        Some(PythonTarget { runtime_address, version })
    })
}

/// Images that may hold the interpreter: named after it, and the program itself.
fn candidates(mappings: &[Mapping], entry: Option<u64>) -> Vec<&Mapping> {
    let file_of_entry = entry.and_then(|at| mappings.iter().find(|m| m.contains(at)));
    let starts = mappings.iter().filter(|m| m.offset == 0 && m.file.1 != 0);
    let mut found: Vec<&Mapping> = starts
        .filter(|m| {
            let name = m.path.rsplit('/').next().unwrap_or("");
            let is_program = file_of_entry.is_some_and(|program| program.file == m.file);
            is_program || name.starts_with("libpython") || name.starts_with("python")
        })
        .collect();
    // A library before the program: that may be a few lines that call the library.
    found.sort_by_key(|m| !m.path.contains("libpython"));
    found.dedup_by_key(|m| m.file.clone());
    found
}

fn version(
    mapping: &Mapping,
    mappings: &[Mapping],
    memory: &dyn Memory,
    runtime_address: u64,
) -> Option<u32> {
    let mut offsets = [0; 16];
    if memory.read(runtime_address, &mut offsets).is_ok()
        && let Some((cookie, version)) = offsets.split_first_chunk::<8>()
        && cookie == COOKIE
    {
        return plausible(u64::from_le_bytes(*version.first_chunk::<8>()?));
    }
    let symbol = elf_symbols::find(memory, mapping.region.start, "Py_Version");
    let told = symbol.and_then(|at| {
        let mut value = [0; 8];
        memory.read(at, &mut value).ok()?;
        plausible(u64::from_le_bytes(value))
    });
    told.or_else(|| {
        let minor = version_of_name(without_deleted_mark(&mapping.path))?;
        let own = mappings.iter().filter(|m| m.file == mapping.file && is_constant(m));
        let micro = own.take(MOST_CONSTANTS).find_map(|m| {
            let size = m.region.size.min(MOST_CONSTANT_BYTES);
            micro_version(&read_available(memory, m.region.start, size), minor)
        });
        Some(minor | u32::from(micro.unwrap_or(0)) << 8)
    })
}

fn is_constant(mapping: &Mapping) -> bool {
    let region = &mapping.region;
    region.is_readable && !region.is_writable && !region.is_executable
}

/// Looks for the text of `PY_VERSION`, such as `3.10.13`, among the constants of the interpreter:
/// also at the end of another text, where linkers put it.
fn micro_version(constants: &[u8], version: u32) -> Option<u8> {
    let start = format!("3.{}.", version >> 16 & 0xFF);
    let mut texts = constants.split(|byte| *byte == 0).filter(|text| text.len() < MOST_TEXT);
    texts.find_map(|text| {
        let (_, micro) = std::str::from_utf8(text).ok()?.rsplit_once(start.as_str())?;
        micro.parse().ok()
    })
}

fn plausible(version: u64) -> Option<u32> {
    let version = u32::try_from(version).ok()?;
    (version >> 24 == 3).then_some(version)
}

/// `libpython3.10.so.1.0`, `/usr/bin/python3.10`, `…/lib/python3.10/…`.
fn version_of_name(path: &str) -> Option<u32> {
    let (_, tail) = path.rsplit_once("python3.")?;
    let digits: String = tail.chars().take_while(char::is_ascii_digit).collect();
    let minor: u32 = digits.parse().ok().filter(|minor| *minor < 256)?;
    Some(3 << 24 | minor << 16 | FINAL)
}

/// Address of the section `.PyRuntime`, from the section headers of the file: they are not loaded.
fn runtime_section(pid: i32, mapping: &Mapping, memory: &dyn Memory) -> Option<u64> {
    let bias = Image::read(memory, mapping.region.start)?.bias();
    let path = without_deleted_mark(&mapping.path);
    let file = File::open(format!("/proc/{pid}/root{path}")).ok()?;
    let read = |offset: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
    };
    let header = read(0, 64)?;
    let mut reader = Reader::new(header.get(40..)?);
    let table = reader.u64("e_shoff").ok()?;
    reader.take(10, "e_flags to e_phnum").ok()?;
    let (size, count) = (reader.u16("e_shentsize").ok()?, reader.u16("e_shnum").ok()?);
    let names = reader.u16("e_shstrndx").ok()?;
    if size != SECTION_HEADER_SIZE || count > MOST_SECTIONS {
        return None;
    }
    let headers = read(table, usize::from(size).checked_mul(usize::from(count))?)?;
    let mut sections = headers.chunks_exact(usize::from(size)).filter_map(section);
    let (_, _, names) = sections.clone().nth(usize::from(names))?;
    let (_, address, _) = sections.find(|(name, _, _)| {
        let text = names.checked_add(u64::from(*name)).and_then(|at| read(at, 11));
        text.is_some_and(|text| text.strip_suffix(&[0]) == Some(RUNTIME_SECTION))
    })?;
    Some(bias.wrapping_add(address))
}

/// Name's offset, address, offset in the file.
fn section(header: &[u8]) -> Option<(u32, u64, u64)> {
    let mut reader = Reader::new(header);
    let name = reader.u32("sh_name").ok()?;
    reader.take(12, "sh_type, sh_flags").ok()?;
    Some((name, reader.u64("sh_addr").ok()?, reader.u64("sh_offset").ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_tells_the_minor_version() {
        assert_eq!(version_of_name("/usr/lib/libpython3.10.so.1.0"), Some(0x030A_00F0));
        assert_eq!(version_of_name("/usr/bin/python3.9"), Some(0x0309_00F0));
        assert_eq!(version_of_name("/usr/bin/python3"), None);
        assert_eq!(version_of_name("/usr/bin/python3.999"), None);
    }

    #[test]
    fn the_text_of_the_version_stands_among_the_constants() {
        let constants = b"\x003.10\x003.10.x\x00/opt/python-3.10.13\x00";
        assert_eq!(micro_version(constants, 0x030A_00F0), Some(13));
        assert_eq!(micro_version(constants, 0x030B_00F0), None);
    }

    #[test]
    fn libraries_are_tried_before_the_program() {
        let mapping = |path: &str, start: u64, inode: u64| Mapping {
            path: path.to_owned(),
            file: ("08:01".to_owned(), inode),
            region: lastwords_format::streams::memory_info_list::Region {
                start,
                size: 0x1000,
                ..Default::default()
            },
            ..Mapping::default()
        };
        let mappings = [
            mapping("/opt/blender", 0x1000, 1),
            mapping("/usr/lib/libc.so.6", 0x3000, 2),
            mapping("/opt/libpython3.11.so.1.0", 0x5000, 3),
        ];
        let found: Vec<&str> =
            candidates(&mappings, Some(0x1800)).iter().map(|m| m.path.as_str()).collect();
        assert_eq!(found, ["/opt/libpython3.11.so.1.0", "/opt/blender"]);
    }
}
