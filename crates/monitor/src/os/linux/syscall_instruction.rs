//! Where in a process a `syscall` instruction stands (`0F 05`, Intel SDM volume 2).

use lastwords_pyframes::Memory;

use super::maps::Mapping;
use super::memory::read_available;

const SYSCALL: [u8; 2] = [0x0F, 0x05];
/// `syscall; ret`: what runs on behind the call without a stack faults at once.
const SYSCALL_AND_RETURN: [u8; 3] = [0x0F, 0x05, 0xC3];
/// Most code looked through: the C library has about 1.5 MiB.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
const PIECE: u64 = 64 * 1024;

/// The address of one; best `syscall; ret` of the C library, then any of the kernel's own module.
pub(crate) fn find(memory: &dyn Memory, mappings: &[Mapping]) -> Option<u64> {
    let code = |names: fn(&str) -> bool| {
        let is_code = |m: &&Mapping| m.region.is_executable && m.region.is_readable;
        mappings.iter().filter(is_code).filter(move |m| names(file_name(&m.path)))
    };
    let is_c_library = |name: &str| name.starts_with("libc.so") || name.starts_with("libc-");
    let is_linker = |name: &str| name.starts_with("ld-");
    let is_vdso = |name: &str| name == "[vdso]";
    code(is_vdso)
        .chain(code(is_c_library))
        .chain(code(is_linker))
        .find_map(|mapping| look(memory, mapping, &SYSCALL_AND_RETURN))
        .or_else(|| code(is_vdso).find_map(|mapping| look(memory, mapping, &SYSCALL)))
        .or_else(|| code(|_| true).find_map(|mapping| look(memory, mapping, &SYSCALL_AND_RETURN)))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn look(memory: &dyn Memory, mapping: &Mapping, wanted: &[u8]) -> Option<u64> {
    let length = mapping.region.size.min(MOST_BYTES);
    let end = mapping.region.start.saturating_add(length);
    let mut at = mapping.region.start;
    while at < end {
        // Pieces overlap, so that none is missed between two.
        let piece = PIECE.min(end.saturating_sub(at));
        let bytes = read_available(memory, at, piece.saturating_add(2));
        let bytes = if bytes.is_empty() { read_available(memory, at, piece) } else { bytes };
        if let Some(offset) = bytes.windows(wanted.len()).position(|window| window == wanted) {
            return at.checked_add(u64::try_from(offset).ok()?);
        }
        at = at.saturating_add(piece);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::linux::maps;
    use crate::os::linux::memory::ProcessMemory;

    #[test]
    fn this_process_has_one() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let memory = ProcessMemory::open(pid, 0, None);
        let mappings = maps::parse(&std::fs::read_to_string("/proc/self/maps").unwrap());
        let at = find(&memory, &mappings).unwrap();
        assert_eq!(read_available(&memory, at, 2), SYSCALL);
        assert!(mappings.iter().any(|m| m.contains(at) && m.region.is_executable));
        assert_eq!(find(&memory, &[]), None);
    }
}
