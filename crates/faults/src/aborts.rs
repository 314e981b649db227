//! Ends that the program itself decides on.

use core::mem::MaybeUninit;
use core::ptr;

/// Panic where nothing may unwind.
#[unsafe(no_mangle)]
#[allow(clippy::panic)] // it is what this function is for
pub extern "C" fn fault_panic() {
    panic!("the faults panicked on purpose");
}

/// Call `abort()` with SIGABRT blocked in this thread.
#[unsafe(no_mangle)]
pub extern "C" fn fault_abort_blocked() {
    // SAFETY: the set is local; `abort` has no precondition.
    unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGABRT);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
        libc::abort()
    }
}

/// Raise SIGABRT in another thread of this process while this one waits.
#[unsafe(no_mangle)]
pub extern "C" fn fault_abort_by_other_thread() {
    extern "C" fn start(argument: *mut libc::c_void) -> *mut libc::c_void {
        let tid = argument.addr();
        // SAFETY: takes integers; the thread waits below.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, libc::SIGABRT) };
        ptr::null_mut()
    }
    let mut thread: libc::pthread_t = 0;
    // SAFETY: `thread` is a valid place, and joined at once.
    unsafe {
        let tid = usize::try_from(libc::gettid()).unwrap_or(0);
        let argument = ptr::without_provenance_mut(tid);
        if libc::pthread_create(&raw mut thread, ptr::null(), start, argument) == 0 {
            libc::pthread_join(thread, ptr::null_mut());
            libc::pause();
        }
    }
}

/// Let another process send SIGBUS, as an administrator does.
#[unsafe(no_mangle)]
pub extern "C" fn fault_killed_by_process() {
    // SAFETY: the child of the fork makes two system calls only.
    unsafe {
        let (pid, tid) = (libc::getpid(), libc::gettid());
        let child = libc::fork();
        if child == 0 {
            libc::syscall(libc::SYS_tgkill, pid, tid, libc::SIGBUS);
            libc::_exit(0);
        }
        // A place of its own keeps this frame on the stack while it waits.
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
    }
}

/// `raise(signal)`; returns 0.
#[unsafe(no_mangle)]
pub extern "C" fn faults_raise(signal: libc::c_int) -> libc::c_int {
    // SAFETY: takes an integer.
    unsafe { libc::raise(signal) }
}

/// Queue `signal` to this process with the value 42, as `sigqueue` does; returns 0, or -1.
///
/// Any thread may get it: one that does not block it.
#[unsafe(no_mangle)]
pub extern "C" fn faults_queue(signal: libc::c_int) -> libc::c_int {
    let value = libc::sigval { sival_ptr: ptr::without_provenance_mut(42) };
    // SAFETY: takes numbers; the value is not dereferenced.
    unsafe { libc::sigqueue(libc::getpid(), signal, value) }
}
