//! Which version of CPython a runtime is of, by what the process tells of it.
//!
//! In this order: `_Py_DebugOffsets` (3.13 and later, `Include/internal/pycore_runtime.h`), which
//! is the runtime's own word; the symbol `Py_Version` (3.11 and later, `Python/getversion.c`); the
//! text that `Py_GetVersion()` leaves in its buffer, such as `3.11.7 (main, Dec  4 2023, …) [GCC …]`;
//! `PY_VERSION` among the constants; names of files, which know the minor version only.

use super::file_symbols::Sections;
use super::modules::Module;
use super::reach::Reach;
use super::text::Needle;
use crate::memory::{Memory, read_available};

const COOKIE: &[u8; 8] = b"xdebugpy";
/// `PY_RELEASE_LEVEL_FINAL` in `PY_VERSION_HEX`.
const FINAL: u32 = 0xF0;
/// Longest version with build and compiler that is worth reading.
const MOST_TEXT: usize = 250;
/// What is searched for texts, of one module: data, and constants.
const MOST_BYTES: u64 = 32 * 1024 * 1024;
const STEP: u64 = 1024 * 1024;
/// SQLite, which many programs hold as well, calls itself 3.20 to 3.50.
const PLAUSIBLE_MINORS: std::ops::RangeInclusive<u32> = 6..=19;

/// The version that the runtime at an address tells itself; `None` before 3.13.
pub(super) fn of_debug_offsets(memory: &dyn Memory, runtime_address: u64) -> Option<u32> {
    let mut bytes = [0; 16];
    memory.read(runtime_address, &mut bytes).ok()?;
    let (cookie, version) = bytes.split_first_chunk::<8>()?;
    if cookie != COOKIE {
        return None;
    }
    plausible(u64::from_le_bytes(*version.first_chunk::<8>()?))
}

/// Every version that something of the module or the process speaks for, the best witness first.
pub(super) fn candidates(reach: &Reach<'_>, module: &Module<'_>, runtime_address: u64) -> Vec<u32> {
    if let Some(version) = of_debug_offsets(reach, runtime_address) {
        return vec![version];
    }
    let mut versions: Vec<u32> = of_symbol(reach, module).into_iter().collect();
    if versions.is_empty() {
        versions.extend(of_buffer(reach, module));
    }
    if versions.is_empty() {
        let named = version_of_name(&module.first.path);
        versions.extend(of_constants(reach, module, named).or(named));
        let others = reach.mappings.iter().filter(|m| m.is_file);
        versions.extend(others.filter_map(|m| version_of_name(&m.path)).next());
    }
    versions
}

/// `Py_Version`, exported or known to the file.
fn of_symbol(reach: &Reach<'_>, module: &Module<'_>) -> Option<u32> {
    let address = module.exported(reach, "Py_Version").or_else(|| {
        let sections = Sections::read(&reach.file(module.first)?, module.first.offset)?;
        Some(sections.symbol("Py_Version")?.wrapping_add(module.image.as_ref()?.bias()))
    });
    let mut value = [0; 8];
    reach.read(address?, &mut value).ok()?;
    plausible(u64::from_le_bytes(value))
}

fn of_buffer(reach: &Reach<'_>, module: &Module<'_>) -> Option<u32> {
    search(reach, module.data(reach), &|bytes, at| {
        let (version, rest) = parse(bytes.get(at..)?)?;
        let text = rest.get(..MOST_TEXT.min(rest.len()))?.split(|byte| *byte == 0).next()?;
        let is_built = text.starts_with(b" (") && text.ends_with(b"]");
        is_built.then_some(version)
    })
}

/// `PY_VERSION`; of the minor version that `named` has, where there is a name. Linkers put the text
/// at the end of another one that ends so.
fn of_constants(reach: &Reach<'_>, module: &Module<'_>, named: Option<u32>) -> Option<u32> {
    search(reach, module.constants(reach), &|bytes, at| {
        let (version, rest) = parse(bytes.get(at..)?)?;
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let is_whole = before.is_none_or(|byte| *byte == 0);
        let is_meant = match named {
            Some(named) => named >> 16 == version >> 16 && !before.is_some_and(u8::is_ascii_digit),
            None => is_whole && PLAUSIBLE_MINORS.contains(&(version >> 16 & 0xFF)),
        };
        (is_meant && rest.first() == Some(&0)).then_some(version)
    })
}

/// What `look` says first of a place where `3.` stands, in at most 32 MiB.
fn search(
    reach: &Reach<'_>,
    parts: Vec<std::ops::Range<u64>>,
    look: &dyn Fn(&[u8], usize) -> Option<u32>,
) -> Option<u32> {
    let needle = Needle::new(b"3.");
    let mut left = MOST_BYTES;
    for part in parts {
        let mut start = part.start;
        while start < part.end && left > 0 {
            let size = part.end.saturating_sub(start).min(STEP);
            // A text may go on in the next piece.
            let with_tail = part.end.saturating_sub(start).min(STEP.saturating_add(512));
            let bytes = read_available(reach, start, with_tail);
            let found = needle.find_all(&bytes).find_map(|at| look(&bytes, at));
            if found.is_some() {
                return found;
            }
            start = start.saturating_add(size);
            left = left.saturating_sub(size);
        }
    }
    None
}

/// The version at the start of a text, such as `3.13.0rc2+`, and what follows it.
fn parse(text: &[u8]) -> Option<(u32, &[u8])> {
    let (minor, rest) = number(text.strip_prefix(b"3.")?)?;
    let (micro, rest) = number(rest.strip_prefix(b".")?)?;
    let levels: [(&[u8], u32); 3] = [(b"a", 0xA), (b"b", 0xB), (b"rc", 0xC)];
    let level = levels.iter().find_map(|(name, level)| Some((rest.strip_prefix(*name)?, *level)));
    let (level, rest) = match level {
        Some((rest, level)) => {
            let (serial, rest) = number(rest).filter(|(serial, _)| *serial < 16)?;
            (level << 4 | serial, rest)
        }
        None => (FINAL, rest),
    };
    let rest = rest.strip_prefix(b"+").unwrap_or(rest);
    Some((3 << 24 | minor << 16 | micro << 8 | level, rest))
}

/// A number below 256 of at most three digits.
fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    let value: u8 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((value.into(), rest))
}

fn plausible(version: u64) -> Option<u32> {
    let version = u32::try_from(version).ok()?;
    (version >> 24 == 3).then_some(version)
}

/// `libpython3.10.so.1.0`, `/usr/bin/python3.10`, `…/lib/python3.10/…`,
/// `_ssl.cpython-310-x86_64-linux-gnu.so`.
pub(super) fn version_of_name(path: &str) -> Option<u32> {
    let tail = |mark: &str| path.rsplit_once(mark).map(|(_, tail)| tail);
    let tail = tail("python3.").or_else(|| tail("cpython-3"))?;
    let digits: String = tail.chars().take_while(char::is_ascii_digit).collect();
    let minor: u32 = digits.parse().ok().filter(|minor| *minor < 256)?;
    Some(3 << 24 | minor << 16 | FINAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_tells_the_minor_version() {
        assert_eq!(version_of_name("/usr/lib/libpython3.10.so.1.0"), Some(0x030A_00F0));
        assert_eq!(version_of_name("/usr/bin/python3.9"), Some(0x0309_00F0));
        assert_eq!(version_of_name("/x/_ssl.cpython-313-x86_64-linux-gnu.so"), Some(0x030D_00F0));
        assert_eq!(version_of_name("/usr/bin/python3"), None);
        assert_eq!(version_of_name("/usr/bin/python3.999"), None);
    }

    #[test]
    fn a_version_is_parsed_with_its_level() {
        let parsed = |text: &'static str| {
            parse(text.as_bytes())
                .map(|(version, rest)| (version, std::str::from_utf8(rest).unwrap()))
        };
        assert_eq!(parsed("3.10.13"), Some((0x030A_0DF0, "")));
        assert_eq!(parsed("3.14.0rc2+ (heads"), Some((0x030E_00C2, " (heads")));
        assert_eq!(parsed("3.13.0a1"), Some((0x030D_00A1, "")));
        assert_eq!(parsed("3.13.0a99"), None);
        assert_eq!(parsed("3.1000.0"), None);
        assert_eq!(parsed("3.x"), None);
        assert_eq!(parsed("3.10."), None);
    }
}
