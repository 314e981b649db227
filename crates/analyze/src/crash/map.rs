//! The memory map: MemoryInfoList, else the text of LinuxMaps, line by line.
//!
//! Folklore: `linux_executable_stack.dmp` of Breakpad's tests ends in the middle of its last line;
//! a reader that wants the whole text sees none of it. Windows lists free memory too, which is no
//! mapping.

use minidump::{Minidump, MinidumpMemoryInfoList};

use super::access::Use;

const LINUX_MAPS: u32 = 0x4767_0009;
/// As minidump-stackwalk has it.
const MAX_GUARD_BYTES: u64 = 2 << 14;

/// A mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) start: u64,
    /// The last address.
    pub(crate) last: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
}

impl Region {
    pub(crate) fn is_accessible(&self) -> bool {
        self.readable || self.writable || self.executable
    }

    pub(crate) fn allows(&self, wanted: Use) -> bool {
        match wanted {
            Use::Read => self.readable,
            Use::Write => self.writable,
            Use::Execute => self.executable,
        }
    }

    pub(crate) fn holds(&self, address: u64) -> bool {
        self.start <= address && address <= self.last
    }

    /// `0x1000-0x1fff rw-`.
    pub(crate) fn words(&self) -> String {
        let letter = |has: bool, letter: char| if has { letter } else { '-' };
        let (r, w) = (letter(self.readable, 'r'), letter(self.writable, 'w'));
        let x = letter(self.executable, 'x');
        format!("{:#x}-{:#x} {r}{w}{x}", self.start, self.last)
    }
}

/// The mappings in the order of their addresses.
#[derive(Debug, Default)]
pub(crate) struct MemoryMap(Vec<Region>);

impl MemoryMap {
    pub(crate) fn read(dump: &Minidump<'_, &[u8]>) -> Self {
        let mut regions = match dump.get_stream::<MinidumpMemoryInfoList<'_>>() {
            Ok(list) => of_windows(&list),
            Err(_) => of_linux(dump.get_raw_stream(LINUX_MAPS).unwrap_or_default()),
        };
        regions.sort_by_key(|region| (region.start, region.last));
        Self(regions)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Region> {
        self.0.iter()
    }

    /// The mapping that holds `address`.
    pub(crate) fn at(&self, address: u64) -> Option<Region> {
        self.before(address.checked_add(1)?).filter(|region| region.holds(address))
    }

    /// The last mapping that begins below `address`.
    pub(crate) fn before(&self, address: u64) -> Option<Region> {
        let at = self.0.partition_point(|region| region.start < address);
        self.0.get(at.checked_sub(1)?).copied()
    }

    /// The mapping that holds `address`, when it is a guard page: small, without rights, beside
    /// memory that has them.
    pub(crate) fn guard_page(&self, address: u64) -> Option<Region> {
        let guard = self.at(address).filter(|guard| !guard.is_accessible())?;
        let is_small = guard.last.wrapping_sub(guard.start) < MAX_GUARD_BYTES;
        let below = guard.start.checked_sub(1).and_then(|address| self.at(address));
        let above = guard.last.checked_add(1).and_then(|address| self.at(address));
        let is_beside = [below, above].iter().flatten().any(Region::is_accessible);
        (is_small && is_beside).then_some(guard)
    }
}

fn of_windows(list: &MinidumpMemoryInfoList<'_>) -> Vec<Region> {
    let is_mapped = |state| state != minidump::format::MemoryState::MEM_FREE;
    let mapped = list.by_addr().filter(|info| is_mapped(info.state));
    let region = |info: &minidump::MinidumpMemoryInfo<'_>| {
        let range = info.memory_range()?;
        Some(Region {
            start: range.start,
            last: range.end,
            readable: info.is_readable(),
            writable: info.is_writable(),
            executable: info.is_executable(),
        })
    };
    mapped.filter_map(region).collect()
}

fn of_linux(text: &[u8]) -> Vec<Region> {
    text.split(|byte| *byte == b'\n').filter_map(of_line).collect()
}

/// `7fffbf0b9000-7fffbf0da000 rwxp 00000000 00:00 0 [stack]`.
fn of_line(line: &[u8]) -> Option<Region> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let rights = words.next()?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    let last = end.checked_sub(1).filter(|last| *last >= start)?;
    let has = |letter| rights.contains(letter);
    let (readable, writable, executable) = (has('r'), has('w'), has('x'));
    Some(Region { start, last, readable, writable, executable })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> MemoryMap {
        let text = b"1000-2000 r-xp 00000000 00:00 0 /bin/app\n2000-3000 ---p 0 0:0 0\n\
            3000-5000 rw-p 0 0:0 0 [stack]\nnonsense\n9000-8000 rw-p 0\na000-b000 rw";
        MemoryMap(of_linux(text))
    }

    #[test]
    fn each_line_stands_for_itself() {
        let words: Vec<_> = map().iter().map(Region::words).collect();
        assert_eq!(
            words,
            ["0x1000-0x1fff r-x", "0x2000-0x2fff ---", "0x3000-0x4fff rw-", "0xa000-0xafff rw-"]
        );
    }

    #[test]
    fn addresses_are_found_with_their_ends() {
        let map = map();
        assert_eq!(map.at(0xfff), None);
        assert_eq!(map.at(0x1000).unwrap().start, 0x1000);
        assert_eq!(map.at(0x4fff).unwrap().start, 0x3000);
        assert_eq!(map.at(0x5000), None);
        assert_eq!(map.before(0x6000).unwrap().start, 0x3000);
        assert_eq!(map.at(u64::MAX), None);
    }

    #[test]
    fn a_guard_page_is_small_and_beside_memory() {
        assert_eq!(map().guard_page(0x2800).unwrap().start, 0x2000);
        assert_eq!(map().guard_page(0x1800), None, "it has rights");
        let lonely = MemoryMap(of_linux(b"2000-3000 ---p 0 0:0 0\n"));
        assert_eq!(lonely.guard_page(0x2800), None, "nothing is beside it");
        let large = MemoryMap(of_linux(b"0-100000 ---p 0\n100000-101000 rw-p 0\n"));
        assert_eq!(large.guard_page(0x2800), None, "it is reserved memory");
    }
}
