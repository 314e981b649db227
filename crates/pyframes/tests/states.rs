//! States of real interpreters that the stream tells of: who waits for the GIL, and what is
//! shutting down.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use lastwords_format::streams::python::{GIL_SIZE, PythonStream, PythonThread};
use support::{Interpreter, Victim, interpreters, start_all};

/// Runs `check` on a stopped process of every interpreter in the given state.
fn for_each_process(state: &str, check: impl Fn(&Interpreter, &Victim, &PythonStream)) {
    for (interpreter, victim) in start_all("states.py", &[state]) {
        check(&interpreter, &victim, &victim.read().stream);
    }
}

fn newest_name(thread: &PythonThread) -> Option<&str> {
    thread.frames.first().and_then(|frame| frame.name.as_deref())
}

/// Whether the waiter waits on an address inside the GIL that is told, which the main thread holds.
fn check_gil(interpreter: &Interpreter, victim: &Victim, stream: &PythonStream) {
    assert_eq!(stream.gil_holder, victim.truth["main"].as_u64(), "{interpreter:?}");
    let gil = stream.gil_address.expect("there is a GIL");
    let waiter = victim.truth["waiter"].as_u64().expect("an id");
    let address = victim.futex_address(waiter).expect("it waits");
    assert!((gil..gil + GIL_SIZE).contains(&address), "{interpreter:?} {gil:#x} {address:#x}");
}

#[test]
fn a_thread_that_waits_for_the_gil_waits_on_an_address_inside_it() {
    for_each_process("waiting", |interpreter, victim, stream| {
        if interpreter.is_free_threaded {
            assert_eq!((stream.gil_address, stream.gil_holder), (None, None));
        } else {
            check_gil(interpreter, victim, stream);
        }
    });
}

#[test]
fn a_build_without_a_gil_can_have_one() {
    for interpreter in interpreters().into_iter().filter(|known| known.is_free_threaded) {
        let victim = Victim::start_with_gil(&interpreter, "states.py", &["waiting"]);
        let stream = victim.read().stream;
        assert!(stream.is_free_threaded);
        check_gil(&interpreter, &victim, &stream);
    }
}

#[test]
fn a_process_that_shuts_down_is_told() {
    for_each_process("finalizing", |interpreter, victim, stream| {
        let main = |thread: &&PythonThread| Some(thread.tstate) == victim.truth["main"].as_u64();
        let main = stream.threads.iter().find(main).expect("the main thread");
        assert_eq!(newest_name(main), Some("__del__"), "{interpreter:?}");
        assert!(stream.is_finalizing, "{interpreter:?}");
        assert_eq!(main.is_interpreter_finalizing, interpreter.minor() >= 12, "{interpreter:?}");
    });
}

#[test]
fn an_interpreter_that_ends_is_told_and_the_others_are_not() {
    for_each_process("ending", |interpreter, _, stream| {
        assert!(!stream.is_finalizing);
        let states: Vec<_> = stream
            .threads
            .iter()
            .map(|thread| {
                (thread.interpreter_id, newest_name(thread), thread.is_interpreter_finalizing)
            })
            .collect();
        let expected = [(1, Some("__del__"), true), (0, Some("ending"), false)];
        assert_eq!(states, expected, "{interpreter:?}");
    });
}
