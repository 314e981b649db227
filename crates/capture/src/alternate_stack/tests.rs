use std::sync::PoisonError;
use std::sync::atomic::AtomicPtr;

use super::*;

/// What a thread finds when it starts.
static SEEN: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
/// One test at a time uses the pool.
pub(super) static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn set_original(pthread_create: usize) {
    PTHREAD_CREATE.store(pthread_create, Ordering::Release);
}

fn own_stack() -> libc::stack_t {
    // SAFETY: a query.
    unsafe {
        let mut current: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(std::ptr::null(), &raw mut current);
        current
    }
}

unsafe extern "C" fn look(argument: *mut c_void) -> *mut c_void {
    let stack = own_stack();
    let found = if stack.ss_flags & libc::SS_DISABLE == 0 { stack.ss_sp } else { argument };
    SEEN.store(found, Ordering::SeqCst);
    argument
}

unsafe extern "C" fn look_and_exit(argument: *mut c_void) -> *mut c_void {
    // SAFETY: as for any start routine.
    unsafe { libc::pthread_exit(look(argument)) }
}

unsafe extern "C" fn look_and_be_cancelled(argument: *mut c_void) -> *mut c_void {
    // SAFETY: the thread cancels itself at the next cancellation point.
    unsafe {
        look(argument);
        libc::pthread_cancel(libc::pthread_self());
        libc::sleep(60);
        argument
    }
}

/// Runs a routine in a thread with the hook, gives what it returned.
fn run(routine: StartRoutine, argument: usize) -> *mut c_void {
    set_original(libc::pthread_create as *const () as usize);
    enable(true);
    let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
    let mut result = std::ptr::null_mut();
    // SAFETY: all places are valid; the thread is joined.
    unsafe {
        let place = thread.as_mut_ptr().cast();
        let argument = std::ptr::without_provenance_mut(argument);
        assert_eq!(create_thread(place, std::ptr::null(), routine, argument), 0);
        libc::pthread_join(thread.assume_init(), &raw mut result);
    }
    result
}

#[test]
fn a_thread_has_an_alternate_stack_from_its_first_instruction_on() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for routine in [look as StartRoutine, look_and_exit, look_and_be_cancelled] {
        let before = pool::free_count();
        let result = run(routine, 77);
        assert!(
            result.addr() == 77 || routine as usize == look_and_be_cancelled as *const () as usize
        );
        let seen = SEEN.load(Ordering::SeqCst);
        assert!(seen.addr() > 4096, "no alternate stack");
        assert!(pool::free_count() >= before, "it did not come back");
    }
}

#[test]
fn a_switched_off_hook_gives_none() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    set_original(libc::pthread_create as *const () as usize);
    run(look, 5);
    disable();
    let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: as in `run`.
    unsafe {
        let argument = std::ptr::without_provenance_mut(5);
        create_thread(thread.as_mut_ptr().cast(), std::ptr::null(), look, argument);
        libc::pthread_join(thread.assume_init(), std::ptr::null_mut());
    }
    assert_eq!(SEEN.load(Ordering::SeqCst).addr(), 5);
}

unsafe extern "C" fn replace(argument: *mut c_void) -> *mut c_void {
    let theirs = libc::stack_t { ss_sp: argument, ss_flags: 0, ss_size: 65_536 };
    // SAFETY: the stack outlives the thread.
    unsafe { libc::sigaltstack(&raw const theirs, std::ptr::null_mut()) };
    // Runs after our destructor, because its key is younger.
    // SAFETY: the key was made by the test.
    unsafe { libc::pthread_setspecific(AFTER_US.load(Ordering::SeqCst), argument) };
    argument
}

static AFTER_US: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn note_at_end(_: *mut c_void) {
    SEEN.store(own_stack().ss_sp, Ordering::SeqCst);
}

#[test]
fn a_stack_that_the_thread_set_itself_stays() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    run(look, 1);
    let mut key = 0;
    // SAFETY: the place is valid.
    unsafe { libc::pthread_key_create(&raw mut key, Some(note_at_end)) };
    AFTER_US.store(key, Ordering::SeqCst);
    let mut theirs = vec![0_u8; 65_536];
    let start = theirs.as_mut_ptr().expose_provenance();
    run(replace, start);
    assert_eq!(SEEN.load(Ordering::SeqCst).addr(), start);
}

#[test]
fn the_stack_of_a_thread_that_cannot_be_made_comes_back() {
    unsafe extern "C" fn refuse(
        _: *mut c_void,
        _: *const c_void,
        _: StartRoutine,
        _: *mut c_void,
    ) -> c_int {
        libc::EAGAIN
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    run(look, 1);
    set_original(refuse as *const () as usize);
    let before = pool::free_count();
    // SAFETY: the function above uses none of its arguments.
    let result = unsafe {
        create_thread(std::ptr::null_mut(), std::ptr::null(), look, std::ptr::null_mut())
    };
    assert_eq!((result, pool::free_count()), (libc::EAGAIN, before));
}
