//! The area in the observed process, mapped for writing.

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::{
    ABORT_MESSAGE_OFFSET, AREA_SIZE, CONFIG_OFFSET, CONFIG_SIZE, KEY_SIZE, Kind, MAGIC,
    PRIVATE_OFFSET, SLOT_COUNT, SLOT_KEY, SLOT_SIZE, SLOT_VALUE, THROW_TABLE_OFFSET, VALUE_SIZE,
    VERSION, slot_offset,
};

/// The area, mapped for writing in the observed process.
#[derive(Debug)]
pub(crate) struct Area {
    base: *mut u8,
    pub(crate) fd: c_int,
    /// How many there were.
    pub(super) breadcrumbs: AtomicU64,
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
        if usize::try_from(written) == Ok(AREA_SIZE) {
            return Some(crate::spawn::move_up(fd));
        }
        libc::close(fd);
        None
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
    if is_ready {
        return Ok(fd);
    }
    let error = last_error();
    crate::sys::close(fd);
    error
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
        let base = map(fd, std::ptr::null_mut())?;
        let area = Self { base, fd, breadcrumbs: AtomicU64::new(0) };
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
        self.copy_breadcrumbs_to(fd)?;
        self.copy_additions_to(fd)?;
        map(fd, self.base)?;
        crate::sys::close(std::mem::replace(&mut self.fd, fd));
        Ok(())
    }

    /// Copies a part of the area to the same offset of another memory file.
    pub(super) fn copy_to(&self, fd: c_int, offset: usize, length: usize) -> io::Result<()> {
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
    pub(super) fn write(&self, offset: usize, bytes: &[u8]) {
        let room = AREA_SIZE.saturating_sub(offset);
        let length = bytes.len().min(room);
        // SAFETY: `offset + length` is within the mapping, checked above.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.wrapping_add(offset), length);
        };
    }

    /// Says where the table of throw rings is; 0 = nowhere.
    pub(crate) fn set_throw_table(&self, address: u64) {
        self.write(THROW_TABLE_OFFSET, &address.to_ne_bytes());
    }

    pub(super) fn read(&self, offset: usize, length: usize) -> &[u8] {
        let length = length.min(AREA_SIZE.saturating_sub(offset));
        // SAFETY: within the mapping, checked above; only this process writes, under the lock.
        unsafe { std::slice::from_raw_parts(self.base.wrapping_add(offset), length) }
    }

    pub(super) fn sequence(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: callers pass multiples of 4 within the mapping.
        unsafe { &*self.base.wrapping_add(offset).cast::<AtomicU32>() }
    }

    /// Writes between an odd and an even sequence number, so that a reader sees torn data.
    pub(super) fn guarded(&self, sequence_offset: usize, write: impl FnOnce()) {
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

    pub(crate) fn set_abort_message(&self, address: u64) {
        self.write(ABORT_MESSAGE_OFFSET, &address.to_ne_bytes());
    }

    /// Stores where arguments and environment stand: start, end, start, end.
    pub(crate) fn set_private(&self, bounds: [u64; 4]) {
        for (index, bound) in bounds.iter().enumerate() {
            let offset = PRIVATE_OFFSET.wrapping_add(index.wrapping_mul(8));
            self.write(offset, &bound.to_ne_bytes());
        }
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

/// Cuts text to at most `limit` bytes, at a character; tells whether anything was cut.
pub(super) fn cut(text: &str, limit: usize) -> (&str, bool) {
    if text.len() <= limit {
        return (text, false);
    }
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    (text.get(..end).unwrap_or(""), true)
}
