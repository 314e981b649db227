//! Which part of the stack may be read.

use std::sync::atomic::{AtomicBool, Ordering};

use libc::c_void;

use super::ring::Ring;
use super::walk::Stack;
use crate::sys;

/// How much of a stack that is not the thread's own (a fiber's, an alternate one) is looked at.
const MOST_COPIED: usize = 32 * 1024;

/// Aligned as the words of a stack are.
#[repr(align(16))]
struct Copy(std::cell::UnsafeCell<[u8; MOST_COPIED]>);

// SAFETY: used by whoever holds `IS_COPY_TAKEN`.
unsafe impl Sync for Copy {}

static COPY: Copy = Copy(std::cell::UnsafeCell::new([0; MOST_COPIED]));
static IS_COPY_TAKEN: AtomicBool = AtomicBool::new(false);

/// Calls `then` with the readable stack from `rsp` on.
///
/// # Safety
/// `ring` is this thread's; `rsp` its stack pointer, now or in a caller.
pub(super) unsafe fn with_stack<T>(
    ring: *mut Ring,
    rsp: usize,
    then: impl FnOnce(&Stack) -> T,
) -> Option<T> {
    // SAFETY: as promised by the caller.
    let bounds = unsafe { &mut (*ring).stack };
    if *bounds == [0, 0] {
        *bounds = own_bounds().unwrap_or([1, 1]);
    }
    let [low, high] = *bounds;
    if (low..high).contains(&rsp) {
        // From the stack pointer up, a thread's own stack is mapped to its end.
        return Some(then(&Stack { low: rsp, high, distance: 0 }));
    }
    with_copy(rsp, then)
}

/// Bounds of the thread's own stack.
#[cold]
fn own_bounds() -> Option<[usize; 2]> {
    // SAFETY: zero is a valid attribute object to be filled; the calls get valid places.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) != 0 {
            return None;
        }
        let (mut start, mut size) = (std::ptr::null_mut::<c_void>(), 0_usize);
        let result =
            libc::pthread_attr_getstack(&raw const attributes, &raw mut start, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
        let low = start.expose_provenance();
        (result == 0).then_some([low, low.checked_add(size)?])
    }
}

/// The kernel copies what is there: how far a foreign stack reaches, nobody else can tell.
#[cold]
fn with_copy<T>(rsp: usize, then: impl FnOnce(&Stack) -> T) -> Option<T> {
    if IS_COPY_TAKEN.swap(true, Ordering::Acquire) {
        return None;
    }
    let copy = COPY.0.get().cast::<u8>();
    let rsp = rsp & !7;
    let copied = read_own(rsp, copy, MOST_COPIED);
    let result = copied.filter(|length| *length > 0).map(|length| {
        then(&Stack {
            low: rsp,
            high: rsp.saturating_add(length),
            distance: copy.expose_provenance().wrapping_sub(rsp),
        })
    });
    IS_COPY_TAKEN.store(false, Ordering::Release);
    result
}

/// Copies memory of our own that may not be there, up to the first page that is not
/// (process_vm_readv(2)). `None` when nothing could be read.
pub(super) fn read_own(address: usize, to: *mut u8, length: usize) -> Option<usize> {
    let local = libc::iovec { iov_base: to.cast(), iov_len: length };
    // A part that ends at a page border is copied even if the next one is not there.
    let first = length.min(4096_usize.wrapping_sub(address % 4096));
    let part = |start: usize, length| libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(start),
        iov_len: length,
    };
    let mut parts = [const { libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 } }; 9];
    let (mut start, mut left, mut size, mut count) = (address, length, first, 0_usize);
    for place in &mut parts {
        if left == 0 {
            break;
        }
        *place = part(start, size);
        start = start.checked_add(size)?;
        left = left.saturating_sub(size);
        size = left.min(4096);
        count = count.saturating_add(1);
    }
    // SAFETY: the kernel writes at most `length` bytes to `to`, which the caller owns; what is not
    // mapped at the other end gives a short count or EFAULT.
    let got = unsafe {
        libc::process_vm_readv(
            sys::getpid(),
            &raw const local,
            1,
            parts.as_ptr(),
            libc::c_ulong::try_from(count).unwrap_or(0),
            0,
        )
    };
    usize::try_from(got).ok()
}
