//! The area that process and monitor share: a memory file, written by the process while it is
//! healthy, read by the monitor when it no longer is.
//!
//! Byte order is the machine's. Pages that are never written cost nothing.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | bytes | magic | `LWSHARED` |
//! | 8 | 4 | u32 | version | 1 |
//! | 12 | 4 | u32 | python_version | `PY_VERSION_HEX`; 0 = not known |
//! | 16 | 8 | u64 | runtime_address | of `_PyRuntime`; 0 = not known |
//! | 24 | 4 | u32 | config_sequence | odd while the configuration is being written |
//! | 28 | 4 | u32 | config_length | bytes of the configuration |
//! | 4096 | 262,144 | bytes | config | JSON: `{"spool_dir", "report", "attachments", "is_quiet"}` |
//! | 266,240 | 256 × 4096 | slots | annotations | below |
//!
//! Annotation slot:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | sequence | odd while the slot is being written |
//! | 4 | 1 | u8 | is_set | 0 = free |
//! | 5 | 1 | u8 | kind | 0 string, 1 int, 2 float, 3 bool |
//! | 6 | 2 | u16 | key_length | bytes |
//! | 8 | 2 | u16 | value_length | bytes |
//! | 10 | 1 | u8 | is_cut | 1 = the value was longer |
//! | 16 | 120 | bytes | key | UTF-8 |
//! | 136 | 3,900 | bytes | value | UTF-8: text, digits, `true` or `false` |

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering, fence};

const MAGIC: [u8; 8] = *b"LWSHARED";
const VERSION: u32 = 1;
const CONFIG_OFFSET: usize = 4096;
/// Most bytes of configuration.
pub const CONFIG_SIZE: usize = 262_144;
const SLOTS_OFFSET: usize = 266_240;
const SLOT_SIZE: usize = 4096;
/// Most annotations of one process.
pub const SLOT_COUNT: usize = 256;
const SLOT_KEY: usize = 16;
/// Most bytes of an annotation's key.
pub const KEY_SIZE: usize = 120;
const SLOT_VALUE: usize = 136;
/// Most bytes of an annotation's value.
pub const VALUE_SIZE: usize = 3_900;
/// Bytes of the whole area.
pub const AREA_SIZE: usize = 1_314_816;

/// How the text of an annotation is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// Decimal digits, perhaps with a sign.
    Int,
    /// A decimal fraction.
    Float,
    /// `true` or `false`.
    Bool,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::String => 0,
            Self::Int => 1,
            Self::Float => 2,
            Self::Bool => 3,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Int,
            2 => Self::Float,
            3 => Self::Bool,
            _ => Self::String,
        }
    }
}

/// One annotation as the monitor reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its name.
    pub key: String,
    /// Its value as text.
    pub value: String,
    /// How to read the text.
    pub kind: Kind,
    /// The value was longer than the slot.
    pub is_cut: bool,
    /// The process died while writing this slot: key or value may be mixed.
    pub is_torn: bool,
}

/// The area, mapped for writing in the observed process.
#[derive(Debug)]
pub(crate) struct Area {
    base: *mut u8,
    pub(crate) fd: c_int,
}

// SAFETY: the mapping lives as long as the process; writers hold the arming lock.
unsafe impl Send for Area {}

/// A new memory file with the area's bytes, for a process whose own one was closed by the host.
/// Async-signal-safe. `base` is where the area is mapped.
pub(crate) fn copy_of_area(base: *const u8) -> Option<c_int> {
    // SAFETY: the name is a valid string; the mapping at `base` is `AREA_SIZE` long and only
    // read, by the kernel.
    unsafe {
        let fd = libc::memfd_create(c"lastwords".as_ptr(), libc::MFD_CLOEXEC);
        let written = libc::write(fd, base.cast(), AREA_SIZE);
        let is_whole = usize::try_from(written) == Ok(AREA_SIZE);
        is_whole.then(|| crate::spawn::move_up(fd))
    }
}

fn last_error<T>() -> io::Result<T> {
    Err(io::Error::last_os_error())
}

/// An empty memory file that cannot shrink below its size (so reading it never faults).
fn memory_file() -> io::Result<c_int> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a valid string.
    let fd = unsafe { libc::memfd_create(c"lastwords".as_ptr(), flags) };
    if fd < 0 {
        return last_error();
    }
    let fd = crate::spawn::move_up(fd);
    let size = libc::off_t::try_from(AREA_SIZE).unwrap_or(0);
    // SAFETY: the descriptor is ours.
    let is_ready = unsafe {
        libc::ftruncate(fd, size) == 0
            && libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW) == 0
    };
    if is_ready { Ok(fd) } else { last_error() }
}

fn map(fd: c_int, at: *mut u8) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | if at.is_null() { 0 } else { libc::MAP_FIXED };
    // SAFETY: a new mapping, or one that replaces our own area of the same size.
    let base = unsafe { libc::mmap(at.cast(), AREA_SIZE, protection, flags, fd, 0) };
    if base == libc::MAP_FAILED { last_error() } else { Ok(base.cast()) }
}

impl Area {
    /// Makes and maps a new area.
    pub(crate) fn new() -> io::Result<Self> {
        let fd = memory_file()?;
        let area = Self { base: map(fd, std::ptr::null_mut())?, fd };
        area.write(0, &MAGIC);
        area.write(8, &VERSION.to_ne_bytes());
        Ok(area)
    }

    /// Where the area is mapped: for as long as the process lives.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    /// Gives a forked child its own copy, at the same address.
    pub(crate) fn detach(&mut self) -> io::Result<()> {
        let fd = memory_file()?;
        self.copy_to(fd, 0, CONFIG_OFFSET.saturating_add(self.config_length()))?;
        for slot in (0..SLOT_COUNT).filter(|slot| self.slot_key(*slot).is_some()) {
            self.copy_to(fd, slot_offset(slot), SLOT_SIZE)?;
        }
        map(fd, self.base)?;
        crate::sys::close(std::mem::replace(&mut self.fd, fd));
        Ok(())
    }

    /// Copies a part of the area to the same offset of another memory file.
    fn copy_to(&self, fd: c_int, offset: usize, length: usize) -> io::Result<()> {
        let part = self.read(offset, length);
        let at = libc::off_t::try_from(offset).unwrap_or(0);
        // SAFETY: the slice is valid for its length; the kernel only reads it.
        let copied = unsafe { libc::pwrite(fd, part.as_ptr().cast(), part.len(), at) };
        if usize::try_from(copied) == Ok(part.len()) { Ok(()) } else { last_error() }
    }

    fn config_length(&self) -> usize {
        let length =
            self.read(28, 4).first_chunk::<4>().map_or(0, |four| u32::from_ne_bytes(*four));
        usize::try_from(length).unwrap_or(0).min(CONFIG_SIZE)
    }

    /// Copies bytes to an offset; what would reach beyond the area is left out.
    fn write(&self, offset: usize, bytes: &[u8]) {
        let room = AREA_SIZE.saturating_sub(offset);
        let length = bytes.len().min(room);
        // SAFETY: `offset + length` is within the mapping, checked above.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.wrapping_add(offset), length);
        };
    }

    fn read(&self, offset: usize, length: usize) -> &[u8] {
        let length = length.min(AREA_SIZE.saturating_sub(offset));
        // SAFETY: within the mapping, checked above; only this process writes, under the lock.
        unsafe { std::slice::from_raw_parts(self.base.wrapping_add(offset), length) }
    }

    fn sequence(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: callers pass multiples of 4 within the mapping.
        unsafe { &*self.base.wrapping_add(offset).cast::<AtomicU32>() }
    }

    /// Writes between an odd and an even sequence number, so that a reader sees torn data.
    fn guarded(&self, sequence_offset: usize, write: impl FnOnce()) {
        let sequence = self.sequence(sequence_offset);
        let even = sequence.load(Ordering::Relaxed) & !1;
        sequence.store(even | 1, Ordering::Release);
        fence(Ordering::SeqCst);
        write();
        fence(Ordering::SeqCst);
        sequence.store(even.wrapping_add(2), Ordering::Release);
    }

    pub(crate) fn set_python(&self, runtime_address: u64, python_version: u32) {
        self.write(12, &python_version.to_ne_bytes());
        self.write(16, &runtime_address.to_ne_bytes());
    }

    /// Stores the configuration; false when it is too long.
    pub(crate) fn set_config(&self, config: &[u8]) -> bool {
        let Ok(length) = u32::try_from(config.len()) else { return false };
        if config.len() > CONFIG_SIZE {
            return false;
        }
        self.guarded(24, || {
            self.write(28, &length.to_ne_bytes());
            self.write(CONFIG_OFFSET, config);
        });
        true
    }

    fn slot_key(&self, slot: usize) -> Option<&[u8]> {
        let offset = slot_offset(slot);
        if self.read(offset.wrapping_add(4), 1) != [1] {
            return None;
        }
        let length = self.read(offset.wrapping_add(6), 2).first_chunk::<2>()?;
        Some(self.read(
            offset.wrapping_add(SLOT_KEY),
            usize::from(u16::from_ne_bytes(*length)).min(KEY_SIZE),
        ))
    }

    /// Sets or removes (`None`) an annotation; false when all slots are taken.
    pub(crate) fn set_annotation(&self, key: &str, value: Option<(&str, Kind)>) -> bool {
        let key = cut(key, KEY_SIZE).0.as_bytes();
        let mut slots = 0..SLOT_COUNT;
        let own = slots.find(|slot| self.slot_key(*slot) == Some(key));
        let free = || (0..SLOT_COUNT).find(|slot| self.slot_key(*slot).is_none());
        let Some((text, kind)) = value else {
            if let Some(slot) = own {
                let offset = slot_offset(slot);
                self.guarded(offset, || self.write(offset.wrapping_add(4), &[0]));
            }
            return true;
        };
        let Some(slot) = own.or_else(free) else { return false };
        self.fill_slot(slot_offset(slot), key, text, kind);
        true
    }

    fn fill_slot(&self, offset: usize, key: &[u8], text: &str, kind: Kind) {
        let (text, is_cut) = cut(text, VALUE_SIZE);
        let key_length = u16::try_from(key.len()).unwrap_or(0);
        let value_length = u16::try_from(text.len()).unwrap_or(0);
        self.guarded(offset, || {
            self.write(offset.wrapping_add(4), &[1, kind.code()]);
            self.write(offset.wrapping_add(6), &key_length.to_ne_bytes());
            self.write(offset.wrapping_add(8), &value_length.to_ne_bytes());
            self.write(offset.wrapping_add(10), &[u8::from(is_cut)]);
            self.write(offset.wrapping_add(SLOT_KEY), key);
            self.write(offset.wrapping_add(SLOT_VALUE), text.as_bytes());
        });
    }
}

fn slot_offset(slot: usize) -> usize {
    SLOTS_OFFSET.saturating_add(slot.saturating_mul(SLOT_SIZE))
}

/// Cuts text to at most `limit` bytes, at a character; tells whether anything was cut.
fn cut(text: &str, limit: usize) -> (&str, bool) {
    if text.len() <= limit {
        return (text, false);
    }
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    (text.get(..end).unwrap_or(""), true)
}

/// The area as the monitor reads it. Reads the file instead of mapping it: no unsafe code, and
/// the process may write or die meanwhile.
#[derive(Debug)]
pub struct AreaReader {
    file: File,
}

impl AreaReader {
    /// Checks magic and version.
    ///
    /// # Errors
    /// When the file is none of ours, or of another version.
    pub fn new(file: File) -> io::Result<Self> {
        let mut start = [0; 12];
        file.read_exact_at(&mut start, 0)?;
        let (magic, version) = start.split_at(8);
        if magic == MAGIC && version == VERSION.to_ne_bytes() {
            return Ok(Self { file });
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the shared area is of another version"))
    }

    fn read<const N: usize>(&self, offset: usize) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, u64::try_from(offset).unwrap_or(u64::MAX))?;
        Ok(bytes)
    }

    /// Address of `_PyRuntime` and `PY_VERSION_HEX`; `None` when the SDK did not know them.
    #[must_use]
    pub fn python(&self) -> Option<(u64, u32)> {
        let version = u32::from_ne_bytes(self.read(12).ok()?);
        let address = u64::from_ne_bytes(self.read(16).ok()?);
        (version != 0 && address != 0).then_some((address, version))
    }

    /// The configuration, JSON.
    ///
    /// # Errors
    /// When it could not be read, or was being written all the time.
    pub fn config(&self) -> io::Result<Vec<u8>> {
        for _ in 0..100 {
            let before = u32::from_ne_bytes(self.read(24)?);
            let length = usize::try_from(u32::from_ne_bytes(self.read(28)?)).unwrap_or(0);
            let mut config = vec![0; length.min(CONFIG_SIZE)];
            self.file.read_exact_at(&mut config, CONFIG_OFFSET.try_into().unwrap_or(0))?;
            if before.is_multiple_of(2) && before == u32::from_ne_bytes(self.read(24)?) {
                return Ok(config);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "the settings were being changed"))
    }

    /// All annotations, in the order of their slots.
    #[must_use]
    pub fn annotations(&self) -> Vec<Annotation> {
        (0..SLOT_COUNT).filter_map(|slot| self.annotation(slot).ok().flatten()).collect()
    }

    fn annotation(&self, slot: usize) -> io::Result<Option<Annotation>> {
        let offset = slot_offset(slot);
        let header = self.read::<SLOT_KEY>(offset)?;
        let [s0, s1, s2, s3, is_set, kind, k0, k1, v0, v1, is_cut, ..] = header;
        if is_set == 0 {
            return Ok(None);
        }
        let key = self.read::<KEY_SIZE>(offset.saturating_add(SLOT_KEY))?;
        let value = self.read::<VALUE_SIZE>(offset.saturating_add(SLOT_VALUE))?;
        let sequence = u32::from_ne_bytes([s0, s1, s2, s3]);
        let after = u32::from_ne_bytes(self.read(offset)?);
        let text = |bytes: &[u8], length: [u8; 2]| {
            let end = usize::from(u16::from_ne_bytes(length)).min(bytes.len());
            String::from_utf8_lossy(bytes.get(..end).unwrap_or(&[])).into_owned()
        };
        Ok(Some(Annotation {
            key: text(&key, [k0, k1]),
            value: text(&value, [v0, v1]),
            kind: Kind::from_code(kind),
            is_cut: is_cut != 0,
            is_torn: !sequence.is_multiple_of(2) || sequence != after,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::FromRawFd;

    fn reader(area: &Area) -> AreaReader {
        // SAFETY: a fresh duplicate, owned by the file.
        let file = unsafe { File::from_raw_fd(libc::dup(area.fd)) };
        AreaReader::new(file).unwrap()
    }

    #[test]
    fn the_last_slot_ends_with_the_area() {
        assert_eq!(slot_offset(SLOT_COUNT), AREA_SIZE);
        const { assert!(SLOT_VALUE + VALUE_SIZE <= SLOT_SIZE) };
    }

    #[test]
    fn what_the_process_sets_the_monitor_reads() {
        let area = Area::new().unwrap();
        area.set_python(0x1234, 0x030B_07F0);
        assert!(area.set_config(b"{\"spool_dir\":\"/x\"}"));
        assert!(area.set_annotation("level", Some(("7", Kind::Int))));
        assert!(area.set_annotation("map", Some(("h\u{f6}hle", Kind::String))));
        let reader = reader(&area);
        assert_eq!(reader.python(), Some((0x1234, 0x030B_07F0)));
        assert_eq!(reader.config().unwrap(), b"{\"spool_dir\":\"/x\"}");
        let annotations = reader.annotations();
        assert_eq!((annotations[0].key.as_str(), annotations[0].value.as_str()), ("level", "7"));
        assert_eq!(annotations[0].kind, Kind::Int);
        assert_eq!(annotations[1].value, "h\u{f6}hle");
    }

    #[test]
    fn an_annotation_is_replaced_and_removed() {
        let area = Area::new().unwrap();
        area.set_annotation("a", Some(("1", Kind::String)));
        area.set_annotation("a", Some(("2", Kind::String)));
        assert_eq!(reader(&area).annotations().len(), 1);
        assert_eq!(reader(&area).annotations()[0].value, "2");
        area.set_annotation("a", None);
        assert!(reader(&area).annotations().is_empty());
    }

    #[test]
    fn a_value_that_is_too_long_is_cut_at_a_character() {
        let area = Area::new().unwrap();
        area.set_annotation("a", Some(("\u{20ac}".repeat(2000).as_str(), Kind::String)));
        let annotation = reader(&area).annotations().remove(0);
        assert!(annotation.is_cut);
        assert_eq!(annotation.value, "\u{20ac}".repeat(1300));
    }

    #[test]
    fn slots_run_out_with_an_answer_not_a_panic() {
        let area = Area::new().unwrap();
        for number in 0..SLOT_COUNT {
            assert!(area.set_annotation(&format!("k{number}"), Some(("", Kind::String))));
        }
        assert!(!area.set_annotation("one more", Some(("", Kind::String))));
    }

    #[test]
    fn a_slot_cut_by_death_is_marked_torn() {
        let area = Area::new().unwrap();
        area.set_annotation("a", Some(("1", Kind::String)));
        area.sequence(slot_offset(0)).fetch_or(1, Ordering::SeqCst);
        assert!(reader(&area).annotations()[0].is_torn);
    }

    #[test]
    fn a_detached_copy_no_longer_changes_the_original() {
        let mut area = Area::new().unwrap();
        area.set_annotation("a", Some(("1", Kind::String)));
        let parents = reader(&area);
        area.detach().unwrap();
        area.set_annotation("a", Some(("2", Kind::String)));
        assert_eq!(parents.annotations()[0].value, "1");
        assert_eq!(reader(&area).annotations()[0].value, "2");
    }
}
