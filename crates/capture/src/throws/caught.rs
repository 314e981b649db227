//! The exception that a handler of this thread is at work on, for whoever turns it into something
//! else.

use super::cxa;
use super::layout::{Class, MOST_PCS, TYPE_SIZE, WHAT_SIZE};
use super::ring::{self, Record};
use super::stack::read_own;

/// A throw: what was thrown, and from where.
pub struct CaughtThrow {
    type_name: [u8; TYPE_SIZE],
    type_length: usize,
    what: Option<[u8; WHAT_SIZE]>,
    what_length: usize,
    pcs: [u64; MOST_PCS],
    pc_count: usize,
}

impl CaughtThrow {
    /// The type's mangled name (Itanium C++ ABI); empty when it is not known.
    #[must_use]
    pub fn type_name(&self) -> &[u8] {
        self.type_name.get(..self.type_length).unwrap_or(&[])
    }

    /// What `what()` said; `None` when only code of the application could tell.
    #[must_use]
    pub fn what(&self) -> Option<&[u8]> {
        self.what.as_ref().and_then(|what| what.get(..self.what_length))
    }

    /// Return addresses, the innermost first.
    #[must_use]
    pub fn pcs(&self) -> &[u64] {
        self.pcs.get(..self.pc_count).unwrap_or(&[])
    }

    /// A copy of a record; `None` if it was written to meanwhile.
    fn copy(record: &Record) -> Option<Self> {
        use std::sync::atomic::{Ordering, fence};
        let before = record.sequence.load(Ordering::Acquire);
        let copy = Self {
            type_name: record.type_name,
            type_length: record.type_length.into(),
            what: (record.has_what != 0).then_some(record.what),
            what_length: record.what_length.into(),
            pcs: record.pcs,
            pc_count: record.pc_count.into(),
        };
        fence(Ordering::Acquire);
        (record.sequence.load(Ordering::Relaxed) == before).then_some(copy)
    }
}

/// The newest throw that a handler of this thread has caught and not finished with; the stack is
/// that of the first throw, also after `throw;` and `std::rethrow_exception`.
pub(super) fn caught() -> Option<CaughtThrow> {
    let own = ring::own()?;
    // SAFETY: the ring is this thread's.
    let newest = unsafe { ring::newest_first(own) }.find(|record| is_being_handled(record))?;
    let first = first_throw(own, newest).unwrap_or(newest);
    CaughtThrow::copy(first)
}

/// The record of the throw that the exception of `newest` began with.
fn first_throw(own: *mut ring::Ring, newest: &Record) -> Option<&'static Record> {
    let object = newest.object;
    let is_first = |record: &&Record| {
        record.class == Class::Cpp.code() && record.is_rethrow == 0 && record.object == object
    };
    // SAFETY: rings are never unmapped.
    let mut in_own = unsafe { ring::newest_first(own) };
    if object == 0 {
        return None;
    }
    in_own.find(is_first).or_else(|| {
        // Thrown in another thread, and brought here as a `std::exception_ptr`.
        // SAFETY: as above.
        ring::all().find_map(|ring| unsafe { ring::newest_first(ring) }.find(is_first))
    })
}

/// Whether the exception is alive, and a handler is at work on it. Its memory may have been given
/// back to the system: it is read by way of the kernel.
fn is_being_handled(record: &Record) -> bool {
    let Some(class) = Class::from_code(record.class) else { return false };
    let Ok(start) = usize::try_from(record.exception.wrapping_sub(cxa::BEFORE)) else {
        return false;
    };
    let mut header = cxa::Header([0; cxa::SIZE]);
    record.exception != 0
        && read_own(start, header.0.as_mut_ptr(), cxa::SIZE) == Some(cxa::SIZE)
        && header.is_handled(class, record.object, record.type_info)
}
