//! Frames of real, stopped interpreters, compared with what they say of themselves.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use std::collections::HashSet;

use lastwords_format::streams::python::{FrameOwner, PythonFrame, PythonStream, PythonThread};
use lastwords_pyframes::{Limits, Memory, MemoryError, RecordingMemory, read_python};
use serde_json::{Value, json};
use support::counting::Counting;
use support::{Interpreter, Victim, victims};

/// Runs `check` on the stopped victim of every interpreter.
fn for_each_victim(check: impl Fn(&Interpreter, &Victim)) {
    for (interpreter, victim) in victims() {
        check(interpreter, victim);
    }
}

fn thread_of<'a>(stream: &'a PythonStream, truth: &Value) -> &'a PythonThread {
    let is_meant = |thread: &&PythonThread| Some(thread.tstate) == truth["tstate"].as_u64();
    stream.threads.iter().find(is_meant).unwrap_or_else(|| panic!("no thread {truth}"))
}

fn truths(victim: &Victim) -> impl Iterator<Item = &Value> {
    victim.truth["threads"].as_array().expect("a list").iter()
}

fn truth_named<'a>(victim: &'a Victim, scenario: &str) -> &'a Value {
    truths(victim).find(|truth| truth["scenario"] == scenario).expect("the scenario ran")
}

/// A frame in the form of the truth.
fn as_truth(frame: &PythonFrame, minor: u32) -> Value {
    let positions =
        (minor >= 11).then(|| json!([frame.line, frame.end_line, frame.column, frame.end_column]));
    json!({
        "code": frame.code,
        "name": frame.name,
        "qualname": frame.qualname,
        "file": frame.file,
        "lasti": frame.lasti,
        "line": frame.line,
        "positions": positions,
    })
}

#[test]
fn every_frame_of_every_thread_is_what_the_interpreter_says() {
    for_each_victim(|interpreter, victim| {
        let outcome = victim.read();
        assert_eq!(outcome.soft_errors, [], "{interpreter:?}");
        for truth in truths(victim) {
            let thread = thread_of(&outcome.stream, truth);
            let read: Vec<Value> =
                thread.frames.iter().map(|frame| as_truth(frame, interpreter.minor())).collect();
            let expected = truth["frames"].as_array().expect("a list");
            for (read, expected) in read.iter().zip(expected) {
                assert_eq!(read, expected, "{interpreter:?} {}", truth["scenario"]);
            }
            assert_eq!(read.len(), expected.len(), "{interpreter:?} {}", truth["scenario"]);
            assert_eq!(Some(thread.thread_id), truth["thread_id"].as_u64());
            let native_id = truth["native_id"].as_u64().filter(|_| interpreter.minor() >= 11);
            assert_eq!(thread.native_thread_id, native_id);
            assert!(!thread.is_cut && !thread.is_broken);
        }
    });
}

#[test]
fn the_holder_of_the_gil_is_found() {
    for_each_victim(|interpreter, victim| {
        let stream = victim.read().stream;
        let main = victim.truth["main"].as_u64();
        let holder = main.filter(|_| !interpreter.is_free_threaded);
        assert_eq!(stream.gil_holder, holder, "{interpreter:?}");
        assert_eq!(stream.gil_address.is_some(), !interpreter.is_free_threaded);
        let holders: Vec<Option<u64>> = stream
            .threads
            .iter()
            .filter(|thread| thread.holds_gil)
            .map(|thread| Some(thread.tstate))
            .collect();
        let expected = if interpreter.is_free_threaded { vec![] } else { vec![main] };
        assert_eq!(holders, expected, "{interpreter:?}");
        let is_main = |thread: &&PythonThread| Some(thread.tstate) == main;
        let main = stream.threads.iter().find(is_main).expect("the main thread");
        let names: Vec<_> = main.frames.iter().map(|frame| frame.name.as_deref()).collect();
        assert_eq!(names, [Some("hold_gil"), Some("main"), Some("<module>")]);
        assert!(!stream.is_finalizing && !stream.is_cut);
    });
}

#[test]
fn the_kind_of_build_is_told() {
    for_each_victim(|interpreter, victim| {
        let stream = victim.read().stream;
        assert_eq!(stream.is_debug_build, interpreter.is_debug, "{interpreter:?}");
        assert_eq!(stream.is_free_threaded, interpreter.is_free_threaded, "{interpreter:?}");
    });
}

#[test]
fn only_the_interpreter_that_collects_garbage_is_said_to() {
    for_each_victim(|interpreter, victim| {
        for thread in victim.read().stream.threads {
            // The scenario `incomplete` is in a callback of the collector.
            assert_eq!(thread.is_collecting, thread.interpreter_id == 0, "{interpreter:?}");
            assert!(!thread.is_interpreter_finalizing);
        }
    });
}

#[test]
fn a_pending_exception_is_named_and_a_handled_one_is_not() {
    for_each_victim(|interpreter, victim| {
        let stream = victim.read().stream;
        for truth in truths(victim) {
            let expected = (truth["scenario"] == "pending").then_some("KeyError");
            let thread = thread_of(&stream, truth);
            assert_eq!(thread.exception_type.as_deref(), expected, "{interpreter:?}");
        }
    });
}

#[test]
fn anchors_lie_on_the_stack_of_their_thread_and_age_with_the_frames() {
    for_each_victim(|interpreter, victim| {
        let stream = victim.read().stream;
        for truth in truths(victim) {
            let thread = thread_of(&stream, truth);
            let stack_pointer = victim.stack_pointer(truth["native_id"].as_u64().expect("an id"));
            let stack = victim.mapping(stack_pointer).expect("the stack is mapped");
            let anchors: Vec<u64> = thread.frames.iter().filter_map(|frame| frame.anchor).collect();
            let anchored = if interpreter.minor() == 9 { 0 } else { thread.frames.len() };
            assert_eq!(anchors.len(), anchored, "{interpreter:?}: every frame has an anchor");
            for anchor in &anchors {
                assert!((stack_pointer..stack.end).contains(anchor), "{interpreter:?} {truth}");
            }
            assert!(anchors.is_sorted(), "older frames lie at higher addresses");
        }
    });
}

#[test]
fn entry_frames_are_those_that_c_code_calls() {
    for_each_victim(|interpreter, victim| {
        for thread in victim.read().stream.threads {
            for (index, frame) in thread.frames.iter().enumerate() {
                let name = frame.name.as_deref().unwrap_or_default();
                let older = thread.frames.get(index + 1);
                let is_same = |older: &PythonFrame| older.anchor == frame.anchor;
                let shares_anchor = frame.anchor.is_some() && older.is_some_and(is_same);
                assert_eq!(frame.is_entry, !shares_anchor, "{interpreter:?} {name}");
                if name.starts_with("entry_") || name == "_bootstrap" || name == "__eq__" {
                    assert!(frame.is_entry, "{interpreter:?} {name}");
                }
                if name.starts_with("plain_") && interpreter.minor() >= 11 {
                    assert!(!frame.is_entry, "{interpreter:?} {name}");
                }
            }
        }
    });
}

#[test]
fn owners_are_told() {
    for_each_victim(|interpreter, victim| {
        let stream = victim.read().stream;
        let thread = thread_of(&stream, truth_named(victim, "generator"));
        for frame in &thread.frames {
            let name = frame.name.as_deref().unwrap_or_default();
            let expected = match name {
                "numbers" | "outer" => FrameOwner::Generator,
                _ if interpreter.minor() <= 10 => FrameOwner::FrameObject,
                _ => FrameOwner::Thread,
            };
            assert_eq!(frame.owner, expected, "{interpreter:?} {name}");
        }
    });
}

#[test]
fn limits_cut_and_say_so() {
    for_each_victim(|interpreter, victim| {
        let limits = Limits { max_frames: 100, max_string: 64, ..Limits::default() };
        let outcome = victim.read_with(&limits);
        let thread = thread_of(&outcome.stream, truth_named(victim, "recursion"));
        assert_eq!((thread.frames.len(), thread.is_cut, thread.is_broken), (100, true, false));
        let has_anchor = thread.frames.iter().all(|frame| frame.anchor.is_some());
        assert_eq!(has_anchor, interpreter.minor() >= 11, "{interpreter:?}");
        let long = thread_of(&outcome.stream, truth_named(victim, "long_name"));
        assert_eq!(long.frames[1].name, Some("n".repeat(64)));
        assert!(outcome.soft_errors.iter().any(|error| error.code == "python_limit"));

        let limits = Limits { max_threads: 3, ..Limits::default() };
        let outcome = victim.read_with(&limits);
        assert_eq!((outcome.stream.threads.len(), outcome.stream.is_cut), (3, true));

        let limits = Limits { max_total_frames: 50, ..Limits::default() };
        let frames: usize =
            victim.read_with(&limits).stream.threads.iter().map(|t| t.frames.len()).sum();
        assert_eq!(frames, 50);
    });
}

#[test]
fn what_was_recorded_is_enough_to_read_again() {
    for_each_victim(|_, victim| {
        let memory = victim.memory();
        let recording = RecordingMemory::new(&memory, 16 << 20, 100_000);
        let limits = Limits::default();
        let first = read_python(&recording, &victim.target, &limits).expect("readable");
        assert!(!recording.is_cut());
        let recorded = support::Recorded::take(&memory, &recording.ranges());
        let again = read_python(&recorded, &victim.target, &limits).expect("readable");
        assert_eq!(again, first);
    });
}

#[test]
fn the_stream_survives_its_encoding() {
    for_each_victim(|_, victim| {
        let stream = victim.read().stream;
        assert_eq!(PythonStream::decode(&stream.encode()), Ok(stream));
    });
}

/// Threads of other interpreters that run in the OS thread of `outer`, outermost first.
fn inner_threads<'a>(stream: &'a PythonStream, outer: &PythonThread) -> Vec<&'a PythonThread> {
    let is_inner =
        |thread: &&PythonThread| thread.interpreter_id != 0 && thread.thread_id == outer.thread_id;
    let mut inner: Vec<_> = stream.threads.iter().filter(is_inner).collect();
    inner.sort_by_key(|thread| thread.interpreter_id);
    inner
}

/// A process in whose memory some words are others, also where nothing is mapped.
struct Patched<'m> {
    memory: &'m dyn Memory,
    words: Vec<(u64, u64)>,
}

/// Where nothing is mapped.
const NEW_CFRAME: u64 = 0x10;

impl Memory for Patched<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        if address != NEW_CFRAME {
            self.memory.read(address, buffer)?;
        }
        let bytes = self.words.iter().flat_map(|(at, word)| (*at..).zip(word.to_le_bytes()));
        for (at, byte) in bytes {
            let place = at.checked_sub(address).and_then(|at| usize::try_from(at).ok());
            if let Some(place) = place.and_then(|place| buffer.get_mut(place)) {
                *place = byte;
            }
        }
        Ok(())
    }
}

/// What is read of one thread of a victim of which some words are others.
fn patched(victim: &Victim, tstate: u64, words: Vec<(u64, u64)>) -> PythonThread {
    let memory = victim.memory();
    let memory = Patched { memory: &memory, words };
    let read = read_python(&memory, &victim.target, &Limits::default());
    let threads = read.expect("readable").stream.threads;
    threads.into_iter().find(|thread| thread.tstate == tstate).expect("the thread is there")
}

/// Where a thread state of 3.12 links the newest `_PyCFrame`.
const CFRAME: u64 = 56;

fn cframe_of(victim: &Victim, tstate: u64) -> u64 {
    let mut word = [0; 8];
    victim.memory().read(tstate + CFRAME, &mut word).expect("the thread state is there");
    u64::from_le_bytes(word)
}

#[test]
fn an_activation_of_3_12_that_is_being_entered_hides_nothing() {
    for (interpreter, victim) in victims().iter().filter(|(known, _)| known.minor() == 12) {
        let whole = victim.read().stream;
        for thread in whole.threads.iter().filter(|thread| !thread.frames.is_empty()) {
            let link = thread.tstate + CFRAME;
            let before = cframe_of(victim, thread.tstate);
            // None yet, or what an earlier call left.
            for frame in [0, 8, 0xdead_0001] {
                let cframe = [(NEW_CFRAME, frame), (NEW_CFRAME + 8, before)];
                let words = [(link, NEW_CFRAME)].into_iter().chain(cframe).collect();
                let found = patched(victim, thread.tstate, words);
                assert_eq!(found.frames, thread.frames, "{interpreter:?} {frame:#x}");
                // Only a null pointer tells that nothing is missing.
                assert_eq!(found.is_broken, frame != 0, "{interpreter:?} {frame:#x}");
            }
        }
    }
}

/// A resumed generator is named before it is linked to its caller, which nobody finds then.
/// The `_PyCFrame` that names it is a variable of the activation that runs it, as a shim is.
#[test]
fn a_frame_that_is_not_linked_yet_is_told_and_hides_no_older_activation_of_3_12() {
    let mut checked = 0;
    for (interpreter, victim) in victims().iter().filter(|(known, _)| known.minor() >= 12) {
        let whole = victim.read().stream;
        for thread in &whole.threads {
            let Some(newest) = thread.frames.first() else { continue };
            let older = thread.frames.iter().skip_while(|frame| frame.anchor == newest.anchor);
            let is_found = interpreter.minor() == 12;
            let older: Vec<_> = older.filter(|_| is_found).cloned().collect();
            let found = patched(victim, thread.tstate, vec![(newest.frame + 8, 0)]);
            assert!(found.is_broken, "{interpreter:?}");
            assert_eq!(found.frames[0].code, newest.code);
            let anchor = (!older.is_empty()).then(|| cframe_of(victim, thread.tstate));
            assert_eq!(found.frames[0].anchor, anchor, "what names it is in its activation");
            assert!(anchor.is_none_or(|anchor| Some(anchor) < older[0].anchor), "{interpreter:?}");
            assert_eq!(found.frames[1..], older, "{interpreter:?}");
            checked += usize::from(!older.is_empty());
        }
    }
    let is_there = victims().iter().any(|(known, _)| known.minor() == 12);
    assert!(checked > 0 || !is_there, "a thread with two activations");
}

#[test]
fn interpreters_beside_and_inside_each_other_are_read() {
    for_each_victim(|interpreter, victim| {
        let stream = victim.read().stream;
        let outers = victim.truth["subinterpreters"].as_array().expect("a list");
        for (depth, outer) in outers.iter().enumerate() {
            let is_outer = |thread: &&PythonThread| Some(thread.tstate) == outer.as_u64();
            let outer = stream.threads.iter().find(is_outer).expect("the thread that called it");
            assert_eq!(outer.frames[0].name.as_deref(), Some("run_subinterpreter"));
            let inner = inner_threads(&stream, outer);
            assert_eq!(inner.len(), depth + 1, "{interpreter:?}");
            let mut newest_outer = outer.frames[0].anchor;
            for (level, thread) in inner.iter().enumerate() {
                let places: Vec<_> =
                    thread.frames.iter().map(|frame| (frame.name.as_deref(), frame.line)).collect();
                let line = if level < depth { 10 } else { 12 };
                let expected = [(Some("inside"), Some(line)), (Some("<module>"), Some(13))];
                assert_eq!(places, expected, "{interpreter:?}");
                for frame in thread.frames.iter().filter(|_| interpreter.minor() >= 10) {
                    assert!(frame.anchor.expect("an anchor") < newest_outer.expect("an anchor"));
                }
                newest_outer = thread.frames[0].anchor;
            }
        }
    });
}

#[test]
fn interpreters_have_gils_of_their_own_since_3_12() {
    for_each_victim(|interpreter, victim| {
        let stream = victim.read().stream;
        let gils: HashSet<_> = stream
            .threads
            .iter()
            .map(|thread| (thread.interpreter_id, thread.gil_address))
            .collect();
        assert_eq!(gils.len(), 4, "{interpreter:?}");
        let distinct: HashSet<_> = gils.iter().map(|(_, address)| address).collect();
        let own = interpreter.minor() >= 12 && !interpreter.is_free_threaded;
        assert_eq!(distinct.len(), if own { 4 } else { 1 }, "{interpreter:?}");
        assert!(gils.contains(&(0, stream.gil_address)), "{interpreter:?}");
    });
}

#[test]
fn reads_are_one_per_structure() {
    for_each_victim(|interpreter, victim| {
        let memory = victim.memory();
        let counting = Counting::new(&memory);
        let started = support::thread_time();
        let outcome = read_python(&counting, &victim.target, &Limits::default());
        let taken = support::thread_time() - started;
        let threads = outcome.expect("readable").stream.threads;
        let frames = || threads.iter().flat_map(|thread| &thread.frames);
        let codes = frames().map(|frame| frame.code).collect::<HashSet<_>>().len();
        let anchors = frames().map(|frame| frame.anchor).collect::<HashSet<_>>().len();
        let (threads, frames, reads) = (threads.len(), frames().count(), counting.reads.get());
        println!("{interpreter:?}: {threads} threads, {frames} frames, {reads} reads, {taken:?}");
        // A code object has two names, a file and a table; two reads each at the worst.
        // Some 100 names of `sys` are looked at for the kind of build.
        let most = frames + anchors + 9 * codes + 6 * threads + 150;
        assert!(reads <= most, "{reads} reads; {most} are enough");
    });
}
