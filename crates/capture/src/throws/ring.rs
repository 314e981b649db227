//! The rings of throws: one per thread, found by a thread-specific key, kept in one table.
//!
//! Nothing here allocates, takes a lock, or knows thread locals of Rust, whose first use in a
//! thread may do both.

use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use libc::c_void;

use super::layout::{
    MOST_PCS, RECORDS, REGION_SIZE, RING_MAGIC, TABLE_MAGIC, TABLE_PLACES, TYPE_SIZE, WHAT_SIZE,
};
use super::trail::Trail;
use crate::sys;

/// See `layout.rs`.
#[repr(C)]
pub(super) struct Record {
    pub(super) sequence: AtomicU32,
    pub(super) class: u8,
    pub(super) is_rethrow: u8,
    pub(super) pc_count: u16,
    pub(super) time_ns: u64,
    pub(super) exception: u64,
    pub(super) object: u64,
    pub(super) type_info: u64,
    pub(super) type_length: u16,
    pub(super) what_length: u16,
    pub(super) has_what: u8,
    reserved: [u8; 3],
    pub(super) type_name: [u8; TYPE_SIZE],
    pub(super) what: [u8; WHAT_SIZE],
    pub(super) pcs: [u64; MOST_PCS],
}

/// See `layout.rs`; what is private of the writer from `stack_low` on.
#[repr(C)]
pub(super) struct Ring {
    magic: [u8; 4],
    tid: AtomicI32,
    written: AtomicU64,
    pub(super) skipped: AtomicU64,
    is_free: AtomicU32,
    pub(super) is_terminating: AtomicU32,
    /// Bounds of the thread's stack; 0 = not asked for yet.
    pub(super) stack: [usize; 2],
    /// The last type, and how its text is to be read.
    pub(super) last_type: super::text::KnownType,
    /// The exception whose handler is being searched, and where the search stands on the stack.
    pub(super) searching: [usize; 2],
    pub(super) pace: super::pace::Pace,
    pub(super) is_busy: u32,
    reserved: [u8; 12],
    records: [Record; RECORDS],
    /// Behind what the monitor reads.
    pub(super) trail: Trail,
}

#[repr(C)]
struct Table {
    magic: [u8; 4],
    count: u32,
    lost: AtomicU64,
    rings: [AtomicPtr<Ring>; TABLE_PLACES],
}

const _: () = assert!(std::mem::offset_of!(Ring, trail) == REGION_SIZE);
const _: () = assert!(size_of::<Table>() == REGION_SIZE);
const _: () = assert!(size_of::<Record>() == super::layout::RECORD_SIZE);
const _: () = assert!(std::mem::offset_of!(Ring, records) == super::layout::RING_RECORDS);

/// Rings that are made before those of threads that ended are used again.
const FRESH_RINGS: usize = 32;

static TABLE: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());
/// The thread-specific key plus one; 0 = none.
static KEY: AtomicUsize = AtomicUsize::new(0);

/// Maps the table, once; gives its address, 0 when there is no memory or no key for it.
pub(super) fn prepare() -> u64 {
    let known = TABLE.load(Ordering::Acquire);
    if known.is_null() {
        let mut key = 0;
        // SAFETY: the destructor stays loaded as long as this module.
        if unsafe { libc::pthread_key_create(&raw mut key, Some(on_thread_end)) } != 0 {
            return 0;
        }
        let Some(table) = map_region::<Table>() else { return 0 };
        // SAFETY: fresh memory of our own, all zero.
        unsafe {
            (*table).magic = TABLE_MAGIC;
            (*table).count = u32::try_from(TABLE_PLACES).unwrap_or(0);
        }
        KEY.store(usize::try_from(key).map_or(0, |key| key.saturating_add(1)), Ordering::Release);
        TABLE.store(table, Ordering::Release);
    }
    u64::try_from(TABLE.load(Ordering::Acquire).expose_provenance()).unwrap_or(0)
}

/// Zeroed memory of our own; never given back.
fn map_region<T>() -> Option<*mut T> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: maps new memory.
    let region =
        unsafe { libc::mmap(std::ptr::null_mut(), size_of::<T>(), protection, flags, -1, 0) };
    (region != libc::MAP_FAILED).then(|| region.cast())
}

fn table() -> Option<&'static Table> {
    // SAFETY: null, or the table, which is never unmapped.
    unsafe { TABLE.load(Ordering::Acquire).as_ref() }
}

/// The ring of this thread; `None` without one, or before [`prepare`].
#[inline]
pub(super) fn own() -> Option<*mut Ring> {
    let key = libc::pthread_key_t::try_from(KEY.load(Ordering::Acquire).checked_sub(1)?).ok()?;
    // SAFETY: the key exists, and is never deleted.
    let ring = unsafe { libc::pthread_getspecific(key) };
    (!ring.is_null()).then(|| ring.cast())
}

/// The ring of this thread, taken now if it has none.
#[inline]
pub(super) fn own_or_new() -> Option<*mut Ring> {
    own().or_else(take)
}

#[cold]
fn take() -> Option<*mut Ring> {
    let key = libc::pthread_key_t::try_from(KEY.load(Ordering::Acquire).checked_sub(1)?).ok()?;
    let table = table()?;
    let unused = |place: &&AtomicPtr<Ring>| place.load(Ordering::Acquire).is_null();
    // What threads that ended have thrown is kept as long as it costs little.
    let fresh = table.rings.iter().take(FRESH_RINGS).filter(unused);
    let Some(ring) = fresh.chain(&table.rings).find_map(take_place) else {
        table.lost.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    // SAFETY: the ring is this thread's alone now; the key exists.
    unsafe {
        (*ring).tid.store(sys::gettid(), Ordering::Release);
        libc::pthread_setspecific(key, ring.cast());
    }
    Some(ring)
}

/// Takes the ring of a thread that has ended, or a place without one.
fn take_place(place: &AtomicPtr<Ring>) -> Option<*mut Ring> {
    let known = place.load(Ordering::Acquire);
    if let Some(ring) = std::ptr::NonNull::new(known) {
        // SAFETY: rings are never unmapped.
        let free = unsafe { &(*known).is_free };
        free.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        // SAFETY: the ring is ours since the exchange.
        unsafe { empty(ring.as_ptr()) };
        return Some(known);
    }
    let ring = map_region::<Ring>()?;
    // SAFETY: fresh memory of our own, all zero, which is a valid ring.
    unsafe { (*ring).magic = RING_MAGIC };
    let placed =
        place.compare_exchange(std::ptr::null_mut(), ring, Ordering::AcqRel, Ordering::Relaxed);
    if placed.is_err() {
        // SAFETY: nobody else has seen it.
        unsafe { libc::munmap(ring.cast(), size_of::<Ring>()) };
        return None;
    }
    Some(ring)
}

/// Forgets what another thread has left.
///
/// # Safety
/// Nobody else uses the ring.
unsafe fn empty(ring: *mut Ring) {
    // SAFETY: as promised by the caller; zero is valid for all that is cleared.
    unsafe {
        (*ring).tid.store(0, Ordering::Release);
        (*ring).written.store(0, Ordering::Release);
        let start = std::mem::offset_of!(Ring, stack);
        let private = super::layout::RING_RECORDS.saturating_sub(start);
        ring.cast::<u8>().add(start).write_bytes(0, private);
        (*ring).trail = Trail::new();
        (*ring).skipped.store(0, Ordering::Relaxed);
        (*ring).is_terminating.store(0, Ordering::Relaxed);
        for record in &mut (*ring).records {
            record.sequence.store(0, Ordering::Release);
        }
    }
}

unsafe extern "C" fn on_thread_end(ring: *mut c_void) {
    // SAFETY: the value of the key is this thread's ring.
    unsafe { (*ring.cast::<Ring>()).is_free.store(1, Ordering::Release) };
}

/// Whether this process has a thread of that number.
fn is_here(tid: i32) -> bool {
    // SAFETY: takes numbers only; no signal is sent.
    tid > 0 && unsafe { libc::syscall(libc::SYS_tgkill, sys::getpid(), tid, 0) } == 0
}

/// In a forked child: the other threads are not there, and this one has a new number. Threads
/// that the child has made already (`pthread_atfork`) keep their rings.
pub(super) fn after_fork_in_child() {
    let Some(table) = table() else { return };
    let own = own();
    for place in &table.rings {
        let ring = place.load(Ordering::Acquire);
        if ring.is_null() {
            return;
        }
        // SAFETY: rings are never unmapped, and no other thread is there.
        unsafe {
            if Some(ring) == own {
                (*ring).tid.store(sys::gettid(), Ordering::Release);
            } else if !is_here((*ring).tid.load(Ordering::Acquire)) {
                empty(ring);
                (*ring).is_free.store(1, Ordering::Release);
            }
        }
    }
}

/// The record that the thread writes next, open for writing.
///
/// # Safety
/// `ring` is this thread's.
#[inline]
pub(super) unsafe fn begin(ring: *mut Ring) -> *mut Record {
    // SAFETY: as promised by the caller; the index is within the records.
    unsafe {
        let number = (*ring).written.load(Ordering::Relaxed);
        let index = usize::try_from(number).unwrap_or(0) % RECORDS;
        let record = (&raw mut (*ring).records).cast::<Record>().add(index);
        let sequence = (*record).sequence.load(Ordering::Relaxed);
        (*record).sequence.store(sequence.wrapping_add(1) | 1, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::Release);
        record
    }
}

/// Closes the record that [`begin`] gave.
///
/// # Safety
/// `ring` is this thread's, `record` the one that `begin` gave.
#[inline]
pub(super) unsafe fn finish(ring: *mut Ring, record: *mut Record) {
    // SAFETY: as promised by the caller.
    unsafe {
        let sequence = (*record).sequence.load(Ordering::Relaxed).wrapping_add(1).max(2);
        (*record).sequence.store(sequence, Ordering::Release);
        let written = (*ring).written.load(Ordering::Relaxed);
        (*ring).written.store(written.wrapping_add(1), Ordering::Release);
    }
}

/// Notes that a throw is not recorded: what was recorded at its address is another exception.
///
/// # Safety
/// `ring` is this thread's.
pub(super) unsafe fn skip(ring: *mut Ring, exception: u64) {
    // SAFETY: as promised by the caller.
    unsafe {
        (*ring).skipped.fetch_add(1, Ordering::Relaxed);
        for record in &mut (*ring).records {
            if record.exception == exception {
                record.exception = 0;
            }
        }
    }
}

/// The records of a ring, the newest first; those being written are left out. A ring of another
/// thread may change meanwhile: check [`Record::sequence`] after copying.
///
/// # Safety
/// `ring` is a ring.
pub(super) unsafe fn newest_first(ring: *mut Ring) -> impl Iterator<Item = &'static Record> {
    // SAFETY: rings are never unmapped.
    let ring = unsafe { &*ring };
    let written = usize::try_from(ring.written.load(Ordering::Acquire)).unwrap_or(0);
    let count = written.min(RECORDS);
    (1..=count).filter_map(move |back| {
        let record = ring.records.get(written.wrapping_sub(back) % RECORDS)?;
        let sequence = record.sequence.load(Ordering::Acquire);
        (sequence != 0 && sequence.is_multiple_of(2)).then_some(record)
    })
}

/// All rings that were ever taken.
pub(super) fn all() -> impl Iterator<Item = *mut Ring> {
    let rings = table().map(|table| table.rings.iter()).into_iter().flatten();
    rings.map(|place| place.load(Ordering::Acquire)).take_while(|ring| !ring.is_null())
}
