//! Faults that the C library or the kernel raises for us, and threads to raise them in.

use core::ptr;

/// Call `abort()`.
#[unsafe(no_mangle)]
pub extern "C" fn fault_abort() {
    // SAFETY: `abort` has no precondition.
    unsafe { libc::abort() }
}

/// Read a mapped file behind its end.
#[unsafe(no_mangle)]
pub extern "C" fn fault_bus_past_end() {
    const PAGE_BYTES: usize = 4096;
    // SAFETY: the arguments describe a new mapping of two pages over a memory file of one page; the
    // address read lies inside the mapping, so the only thing that can happen is SIGBUS.
    unsafe {
        let file = libc::memfd_create(c"one page".as_ptr(), libc::MFD_CLOEXEC);
        libc::ftruncate(file, 4096);
        let bytes = PAGE_BYTES.wrapping_mul(2);
        let at = libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        if file >= 0 && at != libc::MAP_FAILED {
            at.cast::<u8>().wrapping_add(PAGE_BYTES).read_volatile();
        }
    }
}

/// Send `signal` to the calling thread, as `pthread_kill` does; returns 0, or -1 if the kernel refuses.
#[unsafe(no_mangle)]
pub extern "C" fn faults_kill_thread(signal: libc::c_int) -> libc::c_long {
    // SAFETY: `tgkill` takes three integers; this process and thread exist.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal) }
}

/// Call `fault` in a new thread that no Python interpreter knows, and wait for the thread's end.
///
/// Returns 0, or the error number of `pthread_create`.
#[unsafe(no_mangle)]
pub extern "C" fn faults_in_native_thread(fault: extern "C" fn()) -> libc::c_int {
    extern "C" fn start(argument: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: `argument` points to the `fault` of the creating call, which waits for this thread.
        let fault = unsafe { *argument.cast::<extern "C" fn()>() };
        fault();
        ptr::null_mut()
    }
    let mut fault = fault;
    let mut thread: libc::pthread_t = 0;
    // SAFETY: `thread` and `fault` outlive the thread, because it is joined before they go.
    unsafe {
        let error =
            libc::pthread_create(&raw mut thread, ptr::null(), start, (&raw mut fault).cast());
        if error == 0 { libc::pthread_join(thread, ptr::null_mut()) } else { error }
    }
}
