//! What each mapping is made of, and whether its owner wants it in dumps.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use super::maps::Mapping;
use crate::snapshot::{Area, AreaKind};
use crate::soft_errors::SoftErrors;

/// Most bytes of `smaps`: about 700 for each mapping.
const MOST_SMAPS_BYTES: u64 = 256 * 1024 * 1024;

/// One area for each mapping, in their order.
pub(crate) fn read(tid: i32, mappings: &[Mapping], soft_errors: &mut SoftErrors) -> Vec<Area> {
    of_mappings(mappings, &excluded(tid, soft_errors))
}

/// As [`read`], without asking the system; `excluded`: start of an area, and why it is left out.
pub(crate) fn of_mappings(
    mappings: &[Mapping],
    excluded: &HashMap<u64, &'static str>,
) -> Vec<Area> {
    let code = mappings.iter().filter(|m| m.region.is_executable && m.file.1 != 0);
    let images: HashSet<_> = code.map(|mapping| &mapping.file).collect();
    mappings
        .iter()
        .map(|mapping| Area {
            region: mapping.region,
            kind: kind(mapping, images.contains(&mapping.file)),
            name: mapping.path.clone(),
            excluded: excluded.get(&mapping.region.start).copied(),
        })
        .collect()
}

fn kind(mapping: &Mapping, is_image: bool) -> AreaKind {
    let is_special = matches!(mapping.path.as_str(), "[vvar]" | "[vvar_vclock]" | "[vsyscall]");
    match (is_special, mapping.file.1 != 0, mapping.region.is_shared) {
        (true, _, _) => AreaKind::Kernel,
        (_, true, false) if is_image => AreaKind::Image,
        (_, false, false) => AreaKind::Private,
        _ => AreaKind::Mapped,
    }
}

/// Start addresses of areas that the process (`MADV_DONTDUMP`, flag `dd`) or a driver (device
/// memory, flags `io` and `pf`) keeps out of dumps: `VmFlags` of proc_pid_smaps(5).
fn excluded(tid: i32, soft_errors: &mut SoftErrors) -> HashMap<u64, &'static str> {
    let path = format!("/proc/{tid}/smaps");
    let file = soft_errors.keep(File::open(&path), "file_not_read", &path);
    let mut found = HashMap::new();
    let mut start = None;
    let lines =
        file.into_iter().flat_map(|f| BufReader::new(f.take(MOST_SMAPS_BYTES)).split(b'\n'));
    for line in lines.map_while(Result::ok) {
        if let Some(flags) = line.strip_prefix(b"VmFlags:") {
            if let (Some(start), Some(reason)) = (start, reason(flags)) {
                found.insert(start, reason);
            }
        } else if line
            .first()
            .is_some_and(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
        {
            let address = line.split(|byte| *byte == b'-').next().unwrap_or(&[]);
            let text = std::str::from_utf8(address).unwrap_or("");
            start = u64::from_str_radix(text, 16).ok();
        }
    }
    found
}

fn reason(flags: &[u8]) -> Option<&'static str> {
    let has = |flag: &[u8]| flags.split(|byte| *byte == b' ').any(|word| word == flag);
    if has(b"io") || has(b"pf") {
        Some("device memory")
    } else if has(b"dd") {
        Some("MADV_DONTDUMP")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::maps;
    use super::*;

    #[test]
    fn flags_say_what_stays_out() {
        assert_eq!(reason(b" rd wr mr mw me ac sd"), None);
        assert_eq!(reason(b" rd wr mr mw me dd ac"), Some("MADV_DONTDUMP"));
        assert_eq!(reason(b" rd mr pf io de dd sd"), Some("device memory"));
        assert_eq!(reason(b" rd ddx"), None);
    }

    #[test]
    fn own_memory_is_told_apart() {
        let size = 64 * 4096;
        // SAFETY: a new mapping of our own, advised and never used otherwise.
        let secret = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let at = libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            );
            assert_eq!(libc::madvise(at, size, libc::MADV_DONTDUMP), 0);
            u64::try_from(at.addr()).unwrap()
        };
        let pid = i32::try_from(std::process::id()).unwrap();
        let text = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut soft_errors = SoftErrors::default();
        let areas = read(pid, &maps::parse(&text), &mut soft_errors);
        let of = |at: u64| areas.iter().find(|a| at.wrapping_sub(a.region.start) < a.region.size);
        assert_eq!(of(secret).unwrap().excluded, Some("MADV_DONTDUMP"));
        let code = u64::try_from((own_memory_is_told_apart as fn() as *const ()).addr()).unwrap();
        assert_eq!(of(code).unwrap().kind, AreaKind::Image);
        let stack = u64::try_from((&raw const size).addr()).unwrap();
        assert_eq!(
            (of(stack).unwrap().kind, of(stack).unwrap().excluded),
            (AreaKind::Private, None)
        );
        let kernel = areas.iter().find(|area| area.name == "[vvar]");
        assert!(kernel.is_none_or(|area| area.kind == AreaKind::Kernel));
    }
}
