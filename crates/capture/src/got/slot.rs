//! Writing one slot, and leaving its page protected as it was.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use libc::c_int;

use crate::sys;

/// Bytes of a page of memory.
pub(crate) fn page_size() -> usize {
    // SAFETY: asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// The slot as the dynamic linker and the running code see it.
///
/// # Safety
/// The address is that of an aligned word in a readable segment of a module that stays loaded.
pub(crate) unsafe fn load(slot: usize) -> usize {
    // SAFETY: as promised by the caller.
    unsafe { AtomicUsize::from_ptr(std::ptr::with_exposed_provenance_mut(slot)) }
        .load(Ordering::Acquire)
}

/// Whether the running code may write to the slot, as the kernel tells: `FUTEX_WAKE_OP` adds zero
/// there, in one step (futex(2)), which costs a hundredth of reading `/proc/self/maps`.
///
/// # Safety
/// As for [`load`].
pub(super) unsafe fn is_writable(slot: usize) -> bool {
    const OPERATION: c_int = libc::FUTEX_OP_ADD << 28;
    static NOBODY: AtomicU32 = AtomicU32::new(0);
    let word = std::ptr::with_exposed_provenance_mut::<u32>(slot);
    let command = libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: nobody waits at either word; the second stays as it is.
    let result = unsafe {
        libc::syscall(libc::SYS_futex, NOBODY.as_ptr(), command, 0, 0_usize, word, OPERATION)
    };
    result >= 0
}

/// Stores `new` if the slot still holds `old`. The page is made writable for that moment if it is
/// not (`protection`), and gets its protection back.
///
/// # Safety
/// As for [`load`]; `protection` is the page's.
pub(super) unsafe fn exchange(slot: usize, old: usize, new: usize, protection: c_int) -> bool {
    let size = page_size();
    let page = std::ptr::with_exposed_provenance_mut(slot & !size.saturating_sub(1));
    let is_writable = protection & libc::PROT_WRITE != 0;
    if !is_writable {
        // SAFETY: the page belongs to a module that stays loaded; what others may do with it grows.
        let opened = unsafe { libc::mprotect(page, size, protection | libc::PROT_WRITE) };
        if opened != 0 {
            return false;
        }
    }
    // SAFETY: as promised by the caller, and writable now.
    let is_stored = unsafe { AtomicUsize::from_ptr(std::ptr::with_exposed_provenance_mut(slot)) }
        .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok();
    if !is_writable {
        // SAFETY: puts back what stood there.
        unsafe { libc::mprotect(page, size, protection) };
    }
    is_stored
}

/// The protection of the page at an address, as the kernel tells (`/proc/self/maps`, proc(5)).
/// `None` where it cannot be had. No allocation.
pub(super) fn protection(address: usize) -> Option<c_int> {
    // SAFETY: the path is a valid string.
    let fd = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    let found = find_in_maps(fd, address);
    sys::close(fd);
    found
}

/// Where in a line `START-END rwxp …` the reader stands.
enum Column {
    Start,
    End,
    Flags(usize),
    Rest,
}

fn find_in_maps(fd: c_int, address: usize) -> Option<c_int> {
    let mut buffer = [0_u8; 4096];
    let (mut column, mut start, mut end, mut protection) = (Column::Start, 0_usize, 0_usize, 0);
    loop {
        // SAFETY: the buffer is valid for its length.
        let got = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        if got < 0 && sys::errno() == libc::EINTR {
            continue;
        }
        let got = usize::try_from(got).ok().filter(|got| *got > 0)?;
        for byte in buffer.get(..got)? {
            match (&column, byte) {
                (_, b'\n') => (column, start, end, protection) = (Column::Start, 0, 0, 0),
                (Column::Start, b'-') => column = Column::End,
                (Column::Start, digit) => start = with_digit(start, *digit),
                (Column::End, b' ') => column = Column::Flags(0),
                (Column::End, digit) => end = with_digit(end, *digit),
                (Column::Flags(3), _) if (start..end).contains(&address) => {
                    return Some(protection);
                }
                (Column::Flags(3), _) => column = Column::Rest,
                (Column::Flags(at), flag) => {
                    protection |= flag_bit(*flag);
                    column = Column::Flags(at.saturating_add(1));
                }
                (Column::Rest, _) => {}
            }
        }
    }
}

fn with_digit(number: usize, digit: u8) -> usize {
    let value = char::from(digit).to_digit(16).and_then(|value| usize::try_from(value).ok());
    (number << 4) | value.unwrap_or(0)
}

fn flag_bit(flag: u8) -> c_int {
    match flag {
        b'r' => libc::PROT_READ,
        b'w' => libc::PROT_WRITE,
        b'x' => libc::PROT_EXEC,
        _ => 0,
    }
}
