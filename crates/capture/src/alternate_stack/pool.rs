//! Memory of the alternate stacks: mapped in chunks, handed out and taken back without a lock.
//!
//! Never unmapped, because somebody may still hold the address of a stack that was ours (who
//! replaces an alternate stack puts the one before back). A chunk:
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 16 × 64 | [`Block`]s |
//! | 4096 + n × (4096 + stack) | 4096 | guard of stack n |
//! | 8192 + n × (4096 + stack) | stack | stack n, [`stack_bytes`] |
//!
//! So a stack that no signal ever used costs address space only, and a thread 64 bytes.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use libc::c_void;

use crate::sys;

const PAGE: usize = 4096;
const BLOCKS: u32 = 16;
const BLOCKS_BYTES: usize = PAGE;
/// With all of them the pool holds 16,384 stacks; threads beyond go without.
const CHUNKS: usize = 1024;
/// Least size of a stack: handlers of others run on it too.
const LEAST_BYTES: usize = 64 * 1024;
/// What a handler may use besides the kernel's signal frame.
const HANDLER_BYTES: usize = 48 * 1024;
/// `AT_MINSIGSTKSZ` (Linux, `include/uapi/linux/auxvec.h`): bytes of the signal frame with the
/// registers of this processor, 11 KiB and more with AMX.
const AT_MINSIGSTKSZ: libc::c_ulong = 51;
/// `MADV_GUARD_INSTALL` (Linux 6.13): a guard that does not split the mapping.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// A stack of the pool: its number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle(NonZeroU32);

impl Handle {
    /// As it travels through `void *`.
    pub(crate) fn to_pointer(self) -> *mut c_void {
        std::ptr::without_provenance_mut(usize::try_from(self.0.get()).unwrap_or(0))
    }

    /// Back from [`Handle::to_pointer`]; `None` for null.
    pub(crate) fn from_pointer(pointer: *mut c_void) -> Option<Self> {
        u32::try_from(pointer.addr()).ok().and_then(NonZeroU32::new).map(Self)
    }
}

/// What is kept of one stack.
#[repr(C, align(64))]
struct Block {
    /// Number of the next free one; 0 = none.
    next: AtomicU32,
    /// The process whose thread has it; 0 = free.
    owner: AtomicI32,
    /// What its thread is to run, and with what.
    start: AtomicPtr<c_void>,
    argument: AtomicPtr<c_void>,
}

static TABLE: [AtomicPtr<Block>; CHUNKS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS];
/// Low half: number of the first free stack, 0 = none. High half: counts changes, so that a thread
/// that was interrupted between reading and changing it notices.
static FREE: AtomicU64 = AtomicU64::new(0);
/// Bytes of a stack; 0 = not asked yet.
static STACK_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes of one stack, without its guard.
pub(crate) fn stack_bytes() -> usize {
    let known = STACK_BYTES.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    // SAFETY: reads the auxiliary vector.
    let least = unsafe { libc::getauxval(AT_MINSIGSTKSZ) };
    let wanted = usize::try_from(least).unwrap_or(0).saturating_add(HANDLER_BYTES);
    let bytes = wanted.max(LEAST_BYTES).next_multiple_of(PAGE);
    STACK_BYTES.store(bytes, Ordering::Relaxed);
    bytes
}

fn stride() -> usize {
    stack_bytes().saturating_add(PAGE)
}

fn chunk_bytes() -> usize {
    stride().saturating_mul(BLOCKS as usize).saturating_add(BLOCKS_BYTES)
}

/// The chunk that a number belongs to, and its place there.
fn place(number: u32) -> Option<(*mut Block, usize)> {
    let index = number.checked_sub(1)?;
    let chunk = TABLE.get(usize::try_from(index.checked_div(BLOCKS)?).ok()?)?;
    let chunk = chunk.load(Ordering::Acquire);
    (!chunk.is_null()).then_some((chunk, usize::try_from(index.checked_rem(BLOCKS)?).ok()?))
}

fn block(number: u32) -> Option<&'static Block> {
    let (chunk, place) = place(number)?;
    // SAFETY: a published chunk begins with `BLOCKS` blocks and is never unmapped.
    Some(unsafe { &*chunk.wrapping_add(place) })
}

/// Where the stack of a handle begins, above its guard.
pub(crate) fn stack_start(handle: Handle) -> *mut c_void {
    let Some((chunk, place)) = place(handle.0.get()) else { return std::ptr::null_mut() };
    let offset = BLOCKS_BYTES.saturating_add(PAGE).saturating_add(stride().saturating_mul(place));
    chunk.cast::<c_void>().wrapping_byte_add(offset)
}

/// Takes a stack; `None` when there is no memory, or no room in the table. Keeps `errno`.
pub(crate) fn take() -> Option<Handle> {
    let taken = pop().or_else(|| {
        let errno = sys::errno();
        let grown = grow();
        sys::set_errno(errno);
        grown.then(pop).flatten()
    })?;
    own(taken);
    Some(taken)
}

/// Notes that this process has the stack.
fn own(handle: Handle) {
    if let Some(block) = block(handle.0.get()) {
        block.owner.store(sys::getpid(), Ordering::Relaxed);
    }
}

fn pop() -> Option<Handle> {
    let mut head = FREE.load(Ordering::Acquire);
    loop {
        let number = NonZeroU32::new((head & 0xFFFF_FFFF) as u32)?;
        let next = block(number.get())?.next.load(Ordering::Relaxed);
        let new = changed(head, next);
        match FREE.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Some(Handle(number)),
            Err(now) => head = now,
        }
    }
}

fn changed(head: u64, number: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | u64::from(number)
}

/// Gives a stack back.
pub(crate) fn give(handle: Handle) {
    let Some(block) = block(handle.0.get()) else { return };
    block.owner.store(0, Ordering::Relaxed);
    let mut head = FREE.load(Ordering::Acquire);
    loop {
        block.next.store((head & 0xFFFF_FFFF) as u32, Ordering::Relaxed);
        let new = changed(head, handle.0.get());
        match FREE.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
}

/// Notes what the thread of a stack is to run.
pub(crate) fn set_start(handle: Handle, start: *mut c_void, argument: *mut c_void) {
    if let Some(block) = block(handle.0.get()) {
        block.start.store(start, Ordering::Relaxed);
        block.argument.store(argument, Ordering::Release);
    }
}

/// What [`set_start`] noted.
pub(crate) fn start(handle: Handle) -> (*mut c_void, *mut c_void) {
    block(handle.0.get()).map_or((std::ptr::null_mut(), std::ptr::null_mut()), |block| {
        let argument = block.argument.load(Ordering::Acquire);
        (block.start.load(Ordering::Relaxed), argument)
    })
}

/// In a forked child: takes back the stacks of threads that only its parent has. The thread that
/// forked keeps its `kept`; so do threads that the child has made already (`pthread_atfork`).
pub(crate) fn take_back_all_but(kept: Option<Handle>) {
    kept.into_iter().for_each(own);
    let process = sys::getpid();
    for number in (1..=u32::try_from(CHUNKS).unwrap_or(0).saturating_mul(BLOCKS)).rev() {
        let owner = block(number).map_or(0, |block| block.owner.load(Ordering::Relaxed));
        if owner != 0 && owner != process {
            NonZeroU32::new(number).map(Handle).into_iter().for_each(give);
        }
    }
}

/// Maps one more chunk.
fn grow() -> bool {
    let Some(chunk) = map_chunk() else { return false };
    let publish = |slot: &AtomicPtr<Block>| {
        let null = std::ptr::null_mut();
        slot.compare_exchange(null, chunk, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let Some(index) = TABLE.iter().position(publish) else {
        // SAFETY: the chunk was mapped above, and nobody knows of it.
        unsafe { libc::munmap(chunk.cast(), chunk_bytes()) };
        return false;
    };
    let first = u32::try_from(index).unwrap_or(0).saturating_mul(BLOCKS).saturating_add(1);
    for number in (first..first.saturating_add(BLOCKS)).rev() {
        NonZeroU32::new(number).map(Handle).into_iter().for_each(give);
    }
    true
}

fn map_chunk() -> Option<*mut Block> {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK,
    );
    // SAFETY: a new mapping; the guards lie within it.
    unsafe {
        let chunk = libc::mmap(std::ptr::null_mut(), chunk_bytes(), protection, flags, -1, 0);
        if chunk == libc::MAP_FAILED {
            return None;
        }
        // A huge page would turn one touched stack into 2 MiB.
        libc::madvise(chunk, chunk_bytes(), libc::MADV_NOHUGEPAGE);
        for place in 0..BLOCKS as usize {
            let guard = chunk
                .wrapping_byte_add(BLOCKS_BYTES.saturating_add(stride().saturating_mul(place)));
            if libc::madvise(guard, PAGE, MADV_GUARD_INSTALL) != 0 {
                libc::mprotect(guard, PAGE, libc::PROT_NONE);
            }
        }
        Some(chunk.cast())
    }
}

/// Stacks that are free now.
#[cfg(test)]
pub(super) fn free_count() -> usize {
    let next = |number: &u32| block(*number).map(|block| block.next.load(Ordering::Acquire));
    let first = (FREE.load(Ordering::Acquire) & 0xFFFF_FFFF) as u32;
    std::iter::successors(Some(first), next).take_while(|number| *number != 0).count()
}

#[cfg(test)]
mod tests {
    use std::sync::{MutexGuard, PoisonError};

    use super::super::tests::TURN;
    use super::*;

    fn turn() -> MutexGuard<'static, ()> {
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn stacks_do_not_overlap_and_come_back() {
        let _turn = turn();
        let handles: Vec<Handle> = (0..40).map(|_| take().unwrap()).collect();
        let mut starts: Vec<usize> = handles.iter().map(|h| stack_start(*h).addr()).collect();
        starts.sort_unstable();
        assert!(starts.windows(2).all(|two| two[1] - two[0] >= stack_bytes() + PAGE));
        handles.iter().for_each(|handle| give(*handle));
        assert_eq!(take(), handles.last().copied(), "the last one given is the first one taken");
        give(handles[39]);
    }

    #[test]
    fn every_stack_can_be_written_to_its_last_byte() {
        let _turn = turn();
        let handle = take().unwrap();
        let start = stack_start(handle).cast::<u8>();
        // SAFETY: the stack is ours.
        unsafe { std::slice::from_raw_parts_mut(start, stack_bytes()).fill(7) };
        give(handle);
    }

    #[test]
    fn threads_that_take_and_give_at_once_never_share_one() {
        let _turn = turn();
        let work = || {
            for round in 0..2000_usize {
                let handle = take().unwrap();
                let own = std::ptr::without_provenance_mut(round + 1);
                set_start(handle, own, own);
                std::hint::spin_loop();
                assert_eq!(start(handle), (own, own));
                give(handle);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(work);
            }
        });
    }
}
