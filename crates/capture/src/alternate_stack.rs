//! Alternate signal stacks for threads: without one the kernel cannot call a handler when a stack
//! has overflowed, and the process dies without a word.
//!
//! Whoever calls `install()` gets one, and every thread that is made from then on by
//! `pthread_create` or `thrd_create`, which [`create_thread`] and [`create_c11_thread`] stand in
//! for. A thread that runs already keeps what it has: only the thread itself can set its
//! alternate stack, and making it do so would interrupt system calls of the host.
//!
//! Nobody's alternate stack is replaced, and ours is taken away at the end of the thread, however it
//! ends (return, `pthread_exit`, cancellation), only where it still stands.

mod entry;
mod pool;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use libc::{c_int, c_void};

use self::pool::Handle;
use crate::got::{self, Hook, Thunk, every_module};

/// Threads made so far.
static MADE: AtomicUsize = AtomicUsize::new(0);
/// Every 16th creation looks for modules that were loaded meanwhile: `dlsym`, which nearly every
/// loading calls, has its own look, and looking takes a lock.
const LOOK_MASK: usize = 15;
/// Whether new threads get alternate stacks.
static IS_ON: AtomicBool = AtomicBool::new(false);
/// Key of the thread's own stack, whose destructor takes it away; [`NO_KEY`] before `enable`.
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);
const NO_KEY: u32 = u32::MAX;
/// The functions that stand behind the hooks.
static PTHREAD_CREATE: AtomicUsize = AtomicUsize::new(0);
static THRD_CREATE: AtomicUsize = AtomicUsize::new(0);

static HOOKS: &[Hook] = &[
    Hook {
        symbol: c"pthread_create",
        thunks: &[Thunk {
            replacement: || (create_thread as *const ()).expose_provenance(),
            original: &PTHREAD_CREATE,
        }],
        wanted: every_module,
    },
    Hook {
        symbol: c"thrd_create",
        thunks: &[Thunk {
            replacement: || (create_c11_thread as *const ()).expose_provenance(),
            original: &THRD_CREATE,
        }],
        wanted: every_module,
    },
];

type StartRoutine = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
type CreateThread =
    unsafe extern "C" fn(*mut c_void, *const c_void, StartRoutine, *mut c_void) -> c_int;
type CreateC11Thread = unsafe extern "C" fn(*mut c_void, StartRoutine, *mut c_void) -> c_int;

/// What a new thread runs; comes back in two registers.
#[repr(C)]
pub(super) struct Start {
    routine: *mut c_void,
    argument: *mut c_void,
}

/// Whether new threads are to get alternate stacks; the calling one gets its own in any case.
/// Call under the arming lock.
pub(crate) fn enable(for_new_threads: bool) {
    if KEY.load(Ordering::Acquire) == NO_KEY {
        let mut key = NO_KEY;
        // SAFETY: `key` is a valid place; the destructor has the signature that is asked for.
        if unsafe { libc::pthread_key_create(&raw mut key, Some(release)) } != 0 {
            return;
        }
        KEY.store(key, Ordering::Release);
    }
    IS_ON.store(for_new_threads, Ordering::Release);
    give_to_this_thread();
    if for_new_threads {
        got::add(HOOKS);
    }
}

/// New threads go without again; the hooks are taken out by `got::uninstall`.
pub(crate) fn disable() {
    IS_ON.store(false, Ordering::Release);
}

/// `pthread_create` for a thread with an alternate stack. Where there is no memory for one, the
/// thread goes without.
///
/// # Safety
/// As for `pthread_create`.
pub(crate) unsafe extern "C" fn create_thread(
    thread: *mut c_void,
    attributes: *const c_void,
    routine: StartRoutine,
    argument: *mut c_void,
) -> c_int {
    let original = PTHREAD_CREATE.load(Ordering::Acquire);
    // SAFETY: set before this function was put anywhere, and of this type.
    let original = unsafe { std::mem::transmute::<usize, CreateThread>(original) };
    with_stack(routine, argument, |routine, argument| {
        // SAFETY: the caller's arguments, or our start routine with what it expects.
        unsafe { original(thread, attributes, routine, argument) }
    })
}

/// `thrd_create`, in the same way.
///
/// # Safety
/// As for `thrd_create`, whose start routine returns an `int`; here it is passed on only.
pub(crate) unsafe extern "C" fn create_c11_thread(
    thread: *mut c_void,
    routine: StartRoutine,
    argument: *mut c_void,
) -> c_int {
    let original = THRD_CREATE.load(Ordering::Acquire);
    // SAFETY: as above.
    let original = unsafe { std::mem::transmute::<usize, CreateC11Thread>(original) };
    with_stack(routine, argument, |routine, argument| {
        // SAFETY: as above.
        unsafe { original(thread, routine, argument) }
    })
}

/// Both functions give 0 when the thread was made.
fn with_stack(
    routine: StartRoutine,
    argument: *mut c_void,
    create: impl FnOnce(StartRoutine, *mut c_void) -> c_int,
) -> c_int {
    if MADE.fetch_add(1, Ordering::Relaxed) & LOOK_MASK == 0 {
        got::rescan_if_changed();
    }
    let is_on = IS_ON.load(Ordering::Acquire);
    let Some(handle) = is_on.then(pool::take).flatten() else {
        return create(routine, argument);
    };
    pool::set_start(handle, routine as *mut c_void, argument);
    let result = create(entry::begin, handle.to_pointer());
    if result != 0 {
        pool::give(handle);
    }
    result
}

/// Runs in the new thread, before its start routine.
pub(super) extern "C" fn prepare(handle: *mut c_void) -> Start {
    let Some(handle) = Handle::from_pointer(handle) else {
        return Start { routine: std::ptr::null_mut(), argument: std::ptr::null_mut() };
    };
    let (routine, argument) = pool::start(handle);
    register(handle);
    Start { routine, argument }
}

fn give_to_this_thread() {
    // SAFETY: zero is a valid `stack_t`, which the call fills.
    let has_none = unsafe {
        let mut current: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(std::ptr::null(), &raw mut current) == 0
            && current.ss_flags & libc::SS_DISABLE != 0
    };
    if has_none && let Some(handle) = pool::take() {
        register(handle);
    }
}

fn stack_of(handle: Handle) -> libc::stack_t {
    libc::stack_t { ss_sp: pool::stack_start(handle), ss_flags: 0, ss_size: pool::stack_bytes() }
}

/// Makes a stack this thread's alternate one, unless it has one; gives it back then.
fn register(handle: Handle) {
    let ours = stack_of(handle);
    // SAFETY: zero is a valid `stack_t`; the stack is mapped for ever; the key exists.
    unsafe {
        let mut before: libc::stack_t = std::mem::zeroed();
        if libc::sigaltstack(&raw const ours, &raw mut before) != 0 {
            pool::give(handle);
            return;
        }
        let key = KEY.load(Ordering::Acquire);
        let is_free = before.ss_flags & libc::SS_DISABLE != 0;
        if !is_free || libc::pthread_setspecific(key, handle.to_pointer()) != 0 {
            libc::sigaltstack(&raw const before, std::ptr::null_mut());
            pool::give(handle);
        }
    }
}

/// Destructor of the key: the thread ends.
unsafe extern "C" fn release(handle: *mut c_void) {
    let Some(handle) = Handle::from_pointer(handle) else { return };
    // SAFETY: zero is a valid `stack_t`; only this thread's alternate stack changes.
    unsafe {
        let mut none: libc::stack_t = std::mem::zeroed();
        none.ss_flags = libc::SS_DISABLE;
        let mut before: libc::stack_t = std::mem::zeroed();
        if libc::sigaltstack(&raw const none, &raw mut before) != 0 {
            return; // we are on it: a handler ends the thread, and the stack is lost
        }
        if before.ss_sp != pool::stack_start(handle) {
            libc::sigaltstack(&raw const before, std::ptr::null_mut());
        }
    }
    pool::give(handle);
}

/// In a forked child: the stacks of the threads that it does not have are free again.
pub(crate) fn after_fork_in_child() {
    let key = KEY.load(Ordering::Acquire);
    if key != NO_KEY {
        // SAFETY: the key exists.
        let own = unsafe { libc::pthread_getspecific(key) };
        pool::take_back_all_but(Handle::from_pointer(own));
    }
}

#[cfg(test)]
mod tests;
