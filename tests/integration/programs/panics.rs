//! Rust that panics in all the ways that are seen. Built by the tests as a shared library.

use std::panic::catch_unwind;

fn long() -> String {
    "x".repeat(3000)
}

/// Leaves a function that must not unwind: two panics are told, then the process aborts.
#[unsafe(no_mangle)]
pub extern "C" fn panic_across_the_border() {
    panic!("index {} of token=abc is wrong", 7);
}

#[unsafe(no_mangle)]
pub extern "C" fn panic_with_a_long_text() {
    panic!("{}", long());
}

#[unsafe(no_mangle)]
pub extern "C" fn panic_in_a_thread() {
    let thread = std::thread::Builder::new().name("worker".to_owned());
    thread.spawn(|| panic_across_the_border()).unwrap().join().unwrap();
}

#[unsafe(no_mangle)]
pub extern "C" fn panic_in_two_threads() {
    std::thread::scope(|scope| {
        scope.spawn(|| catch_unwind(|| panic!("caught in another thread")));
    });
    panic_across_the_border();
}

/// Panics, and goes on.
#[unsafe(no_mangle)]
pub extern "C" fn panic_and_catch() {
    let _ = catch_unwind(|| panic!("caught"));
}

#[unsafe(no_mangle)]
pub extern "C" fn trap() {
    std::process::abort();
}
