//! `/proc/PID/maps` (proc_pid_maps(5)): `start-end perms offset dev inode path`.

use std::path::Path;

use lastwords_format::streams::memory_info_list::Region;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mapping {
    pub(crate) region: Region,
    /// Offset in the file.
    pub(crate) offset: u64,
    /// Device and inode; the inode is 0 for memory without a file.
    pub(crate) file: (String, u64),
    /// Path, `[stack]`, or empty.
    pub(crate) path: String,
}

impl Mapping {
    pub(crate) fn end(&self) -> u64 {
        self.region.start.saturating_add(self.region.size)
    }

    /// Whether it is private memory without a file: zero where it was never touched.
    pub(crate) fn is_anonymous(&self) -> bool {
        let is_plain = self.path.is_empty()
            || self.path == "[heap]"
            || ["[stack", "[anon:"].iter().any(|start| self.path.starts_with(start));
        is_plain && self.file.1 == 0 && !self.region.is_shared
    }

    /// Whether it is the kernel's own and cannot be read through another process.
    pub(crate) fn is_kernels(&self) -> bool {
        self.path.starts_with("[vvar") || self.path == "[vsyscall]"
    }

    /// The same for the search for the interpreter.
    pub(crate) fn to_find(&self) -> lastwords_pyframes::find::Mapping {
        lastwords_pyframes::find::Mapping {
            start: self.region.start,
            end: self.end(),
            offset: self.offset,
            path: self.path.clone(),
            is_readable: self.region.is_readable,
            is_writable: self.region.is_writable,
            is_executable: self.region.is_executable,
            is_file: self.file.1 != 0,
        }
    }

    pub(crate) fn contains(&self, address: u64) -> bool {
        address >= self.region.start && address < self.end()
    }
}

/// A stack that overflowed points below its mapping, at most this far.
const MOST_OVERFLOW: u64 = 1024 * 1024;

/// The stack that a stack pointer belongs to: the mapping that it points into, or, after an
/// overflow, the one above it. Its guard lies between, and a large frame steps over that too.
/// The gap below the main thread's stack is the kernel's, nobody else's stack is above it.
pub(crate) fn stack_of(mappings: &[Mapping], stack_pointer: u64) -> Option<&Mapping> {
    let mut above = mappings.iter().filter(|m| m.region.is_readable && m.end() > stack_pointer);
    let stack = above.next()?;
    let distance = stack.region.start.saturating_sub(stack_pointer);
    (distance <= MOST_OVERFLOW || stack.path == "[stack]").then_some(stack)
}

/// Parses the file; lines that it does not understand are left out.
pub(crate) fn parse(text: &str) -> Vec<Mapping> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let trimmed = rest.trim_start();
        let (word, tail) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        rest = tail;
        (!word.is_empty()).then_some(word)
    };
    let (start, end) = field()?.split_once('-')?;
    let permissions = field()?.as_bytes();
    let offset = u64::from_str_radix(field()?, 16).ok()?;
    let device = field()?.to_owned();
    let inode = field()?.parse().ok()?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let region = Region {
        start,
        size: u64::from_str_radix(end, 16).ok()?.checked_sub(start)?,
        is_readable: permissions.first() == Some(&b'r'),
        is_writable: permissions.get(1) == Some(&b'w'),
        is_executable: permissions.get(2) == Some(&b'x'),
        is_shared: permissions.get(3) == Some(&b's'),
    };
    let path = unescaped(rest.trim_start());
    Some(Mapping { region, offset, file: (device, inode), path })
}

/// The kernel writes a line break in a path as `\012`; nothing else is escaped there.
fn unescaped(path: &str) -> String {
    path.replace("\\012", "\n")
}

/// A path without the mark that the kernel puts behind deleted files.
pub(crate) fn without_deleted_mark(path: &str) -> &str {
    if Path::new(path).exists() { path } else { path.strip_suffix(" (deleted)").unwrap_or(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_found_from_below_its_guard() {
        let maps = parse(
            "7f0000000000-7f0000100000 rw-p 00000000 00:00 0 \n\
             7f0000200000-7f0000201000 ---p 00000000 00:00 0 \n\
             7f0000201000-7f0000a01000 rw-p 00000000 00:00 0 \n\
             7ffe00800000-7ffe00821000 rw-p 00000000 00:00 0 [stack]\n",
        );
        let start = |sp| stack_of(&maps, sp).map(|mapping| mapping.region.start);
        assert_eq!(start(0x7f00_0030_0000), Some(0x7f00_0020_1000), "in it");
        assert_eq!(start(0x7f00_0020_0800), Some(0x7f00_0020_1000), "in its guard");
        assert_eq!(start(0x7f00_001f_f000), Some(0x7f00_0020_1000), "below its guard");
        assert_eq!(start(0x7f00_0010_0800), None, "too far below");
        assert_eq!(start(0x7ffe_0000_0000), Some(0x7ffe_0080_0000), "the main thread's grows");
        assert_eq!(start(0x7fff_0000_0000), None, "above all");
    }

    #[test]
    fn what_has_a_file_or_is_shared_is_not_anonymous() {
        let is_anonymous = |line: &str| parse(line)[0].is_anonymous();
        assert!(is_anonymous("7f000000-7f001000 rw-p 00000000 00:00 0 \n"));
        assert!(is_anonymous("7f000000-7f001000 rw-p 00000000 00:00 0    [heap]\n"));
        assert!(is_anonymous("7f000000-7f001000 rw-p 00000000 00:00 0    [anon:glibc: malloc]\n"));
        assert!(!is_anonymous("7f000000-7f001000 rw-s 00000000 00:01 7   /dev/zero (deleted)\n"));
        assert!(!is_anonymous("7f000000-7f001000 r-xp 00000000 00:00 0    [vdso]\n"));
        assert!(!is_anonymous("7f000000-7f001000 rw-p 00001000 08:01 12   /a.so\n"));
        assert!(parse("7f000000-7f001000 r--p 00000000 00:00 0    [vvar]\n")[0].is_kernels());
    }

    #[test]
    fn a_line_is_taken_apart() {
        let text = "7f12a000-7f12c000 r-xp 00001000 08:01 1234   /usr/lib/a b.so\n\
                    7ffe0000-7fff0000 rw-p 00000000 00:00 0      [stack]\n\
                    7f000000-7f001000 ---p 00000000 00:00 0 \n\
                    nonsense\n";
        let mappings = parse(text);
        assert_eq!(mappings.len(), 3);
        assert_eq!(mappings[0].path, "/usr/lib/a b.so");
        assert_eq!(mappings[0].region.size, 0x2000);
        assert_eq!(mappings[0].offset, 0x1000);
        assert!(mappings[0].region.is_executable && !mappings[0].region.is_writable);
        assert_eq!(mappings[1].path, "[stack]");
        assert!(!mappings[2].region.is_readable && mappings[2].path.is_empty());
    }
}
