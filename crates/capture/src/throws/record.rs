//! From a throw to its record.

use std::sync::atomic::{AtomicBool, Ordering};

use super::cxa;
use super::layout::Class;
use super::ring::{self, Record, Ring};
use super::stack::with_stack;
use super::text;
use super::walk::{Start, walk};
use crate::sys;

/// Whether throws are recorded at all.
pub(super) static IS_ON: AtomicBool = AtomicBool::new(false);

/// `struct _Unwind_Exception` (Itanium C++ ABI, 1.2.1): 32 bytes, aligned to 16.
#[repr(C)]
pub(super) struct UnwindException {
    class: u64,
    cleanup: usize,
    private: [u64; 2],
}

/// Records a throw of this thread.
///
/// # Safety
/// `exception` is about to be thrown from `start`.
pub(super) unsafe fn on_throw(exception: *const UnwindException, start: Start, is_rethrow: bool) {
    if !IS_ON.load(Ordering::Relaxed) {
        return;
    }
    let Some(ring) = ring::own_or_new() else { return };
    // SAFETY: the ring is this thread's; a signal handler that throws meanwhile finds it busy.
    unsafe {
        if (*ring).is_busy != 0 {
            return;
        }
        (*ring).is_busy = 1;
        let errno = sys::errno();
        (*ring).searching = [exception.expose_provenance(), start.rsp];
        let now_ns = sys::clock_ns(libc::CLOCK_REALTIME_COARSE);
        if (*ring).pace.is_recorded(now_ns) {
            record(ring, exception, start, is_rethrow, now_ns);
        } else {
            ring::skip(ring, address(exception));
        }
        sys::set_errno(errno);
        (*ring).is_busy = 0;
    }
}

fn address(exception: *const UnwindException) -> u64 {
    u64::try_from(exception.expose_provenance()).unwrap_or(0)
}

/// # Safety
/// As for [`on_throw`]; `ring` is this thread's.
unsafe fn record(
    ring: *mut Ring,
    exception: *const UnwindException,
    start: Start,
    is_rethrow: bool,
    now_ns: u64,
) {
    // SAFETY: as promised by the caller; nobody else writes to the record that `begin` gives.
    unsafe {
        let record = ring::begin(ring);
        let class = Class::of((*exception).class);
        (*record).class = class.code();
        // Seen from a personality function, a rethrow is told by the handlers that had it.
        let is_rethrow = is_rethrow || class == Class::Cpp && handler_count(exception) != 0;
        (*record).is_rethrow = u8::from(is_rethrow);
        (*record).time_ns = now_ns;
        (*record).exception = address(exception);
        describe(ring, &mut *record, exception, class);
        let pcs = &mut (*record).pcs;
        pcs[0] = u64::try_from(start.return_address).unwrap_or(0);
        let trail = &mut (*ring).trail;
        let walked = with_stack(ring, start.rsp, |stack| walk(start, stack, trail, pcs));
        let count = walked.unwrap_or(1);
        (*record).pc_count = u16::try_from(count).unwrap_or(0);
        ring::finish(ring, record);
    }
}

/// Object, type and text.
///
/// # Safety
/// As for [`record`].
unsafe fn describe(
    ring: *mut Ring,
    record: &mut Record,
    exception: *const UnwindException,
    class: Class,
) {
    record.object = 0;
    record.type_info = 0;
    record.type_length = 0;
    record.what_length = 0;
    record.has_what = 0;
    let header = address(exception);
    match class {
        Class::Rust | Class::Foreign => {}
        Class::CppDependent => {
            // SAFETY: a dependent exception's header precedes its `_Unwind_Exception`.
            record.object = unsafe { primary_of(exception) };
        }
        Class::Cpp => {
            record.object = header.wrapping_add(cxa::UNWIND_SIZE);
            // SAFETY: an exception's header precedes its `_Unwind_Exception`.
            record.type_info = unsafe { field(header, cxa::TYPE) };
            // SAFETY: type and object are those of an exception that is being thrown.
            unsafe { describe_object(ring, record) };
        }
    }
}

/// # Safety
/// The record's type and object are those of an exception that is being thrown.
unsafe fn describe_object(ring: *mut Ring, record: &mut Record) {
    let Ok(type_info) = usize::try_from(record.type_info) else { return };
    let Ok(object) = usize::try_from(record.object) else { return };
    if type_info == 0 {
        return;
    }
    // SAFETY: as promised by the caller.
    unsafe {
        record.type_length = text::copy_name(type_info, &mut record.type_name);
        let known = &mut (*ring).last_type;
        if let Some(length) = text::copy_what(known, type_info, object, &mut record.what) {
            record.what_length = length;
            record.has_what = 1;
        }
    }
}

/// A word of an exception's header, counted back from its `_Unwind_Exception`.
///
/// # Safety
/// It is a C++ exception's.
unsafe fn field(header: u64, back: u64) -> u64 {
    let at = usize::try_from(header.wrapping_sub(back)).unwrap_or(0);
    // SAFETY: as promised by the caller.
    unsafe { std::ptr::with_exposed_provenance::<u64>(at).read() }
}

/// # Safety
/// `exception` is a C++ exception.
unsafe fn handler_count(exception: *const UnwindException) -> u32 {
    // SAFETY: as promised by the caller; the count is the lower half of the word.
    let word = unsafe { field(address(exception), cxa::HANDLER_COUNT) };
    (word & 0xffff_ffff) as u32
}

/// The object that a dependent exception stands for.
///
/// # Safety
/// `exception` is a dependent one.
unsafe fn primary_of(exception: *const UnwindException) -> u64 {
    // SAFETY: as promised by the caller.
    unsafe {
        let is_libcxx = (*exception).class >> 32 == u64::from(u32::from_be_bytes(*b"CLNG"));
        let back = if is_libcxx { cxa::LIBCXX_PRIMARY } else { cxa::TYPE };
        field(address(exception), back)
    }
}
