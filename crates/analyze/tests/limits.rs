//! Stacks without end, and stacks that are merely long.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use std::time::{Duration, Instant};

use lastwords_synth::{Dump, Thread};
use serde_json::Value;
use support::*;

const DEPTH: usize = 1_000;

fn recursion() -> Dump {
    let mut frames = vec![STEP; DEPTH];
    frames.push(START_THREAD);
    dump().thread(Thread::new(7, &stack(&frames))).crash(7, 11, 1, 0x10)
}

fn frames(document: &Value) -> &Vec<Value> {
    document["threads"][0]["frames"].as_array().unwrap()
}

#[test]
fn a_long_stack_is_walked_as_if_in_one_go() {
    // Longer than several chunks of the walk; each frame is there once and in order.
    let document = analyze(&recursion());
    let frames = frames(&document);
    assert_eq!(frames.len(), DEPTH + 1);
    assert_eq!(frames[0]["trust"], "context");
    for frame in &frames[1..DEPTH] {
        assert_eq!(frame["function"], "heat::step(int)");
        assert_eq!(frame["trust"], "cfi");
    }
    assert_eq!(frames[DEPTH]["function"], "start_thread");
    assert_eq!(document["soft_errors"], Value::Array(Vec::new()));
}

#[test]
fn inline_frames_at_the_border_of_a_chunk_are_not_doubled() {
    let folder = tempfile::tempdir().unwrap();
    write_symbols(folder.path());
    let module = &modules()[1];
    let place = folder.path().join(module.leaf()).join(module.breakpad_id());
    let text = format!(
        "MODULE Linux x86_64 {} _heat.so\nFILE 0 heat.cpp\nINLINE_ORIGIN 0 cell\n\
         FUNC 1000 800 0 step\nINLINE 0 5 0 0 1000 800\n1000 800 9 0\n\
         STACK CFI INIT 1000 800 .cfa: $rsp 64 + .ra: .cfa 8 - ^\n",
        module.breakpad_id()
    );
    std::fs::write(place.join("_heat.so.sym"), text).unwrap();
    let document = analyze_with(recursion().build(), |options| {
        options.symbols = vec![folder.path().to_owned()];
    });
    for frame in &frames(&document)[..DEPTH] {
        assert_eq!(frame["inlines"].as_array().map(Vec::len), Some(1), "{frame}");
        assert_eq!(frame["inlines"][0]["function"], "cell");
    }
}

#[test]
fn a_stack_longer_than_the_limit_keeps_both_ends_and_counts_the_rest() {
    let document = analyze_with(recursion().build(), |options| options.max_frames = 10);
    let frames = frames(&document);
    assert_eq!(frames.len(), 10);
    assert_eq!(frames[0]["trust"], "context");
    assert_eq!(frames[9]["function"], "start_thread");
    assert_eq!(frames[5]["omitted_frames"], DEPTH + 1 - 10);
    assert!(frames.iter().filter(|frame| frame.get("omitted_frames").is_some()).count() == 1);
    assert_eq!(document["threads"][0]["native_frames"], DEPTH + 1);
    assert_eq!(document["soft_errors"][0]["code"], "frames_cut");
    assert_eq!(document["soft_errors"][0]["where"], "thread 7");
}

#[test]
fn an_evaluation_frame_among_the_left_out_ones_does_not_lose_its_python_frames() {
    // The frame before the gap is the interpreter's too, and must not be taken for it.
    let mut frames = vec![STEP, CFUNCTION];
    frames.extend(vec![STEP; 100]);
    frames.extend([EVAL, VECTORCALL, THREAD_RUN]);
    frames.extend(vec![GLUE; 100]);
    frames.push(START_THREAD);
    let stack = stack(&frames);
    let anchor = stack.sp(102) + ANCHOR_IN_EVAL;
    let dump = dump()
        .thread(Thread::new(7, &stack))
        .python(&process(vec![on_thread(7, vec![frame("run", anchor)])]));
    let document = analyze_with(dump.build(), |options| options.max_frames = 4);
    assert_eq!(
        frames_of(&document, 0),
        ["heat::step(int)", "cfunction_call", "?py:run", "heat_glue", "start_thread"]
    );
}

/// A chain of frame pointers through the whole stack, in no module at all: nobody but the
/// stack's own size ends it.
fn endless(stack_bytes: u64) -> Dump {
    let mut bytes = Vec::new();
    for at in (0..stack_bytes).step_by(16) {
        bytes.extend((STACK + at + 16).to_le_bytes());
        bytes.extend(0x1234_5678_u64.to_le_bytes());
    }
    Dump::new().thread(Thread::with_memory(7, 0x1234_5678, STACK - 16, STACK, {
        let mut all = vec![0; 16];
        all.extend(bytes);
        all
    }))
}

#[test]
fn a_stack_without_end_is_bounded_in_time_and_frames() {
    let bytes = endless(32 << 20).build();
    let started = Instant::now();
    let document = analyze_with(bytes, |_| {});
    let elapsed = started.elapsed();
    let frames = frames(&document);
    assert_eq!(frames.len(), lastwords_analyze::DEFAULT_MAX_FRAMES);
    assert_eq!(frames[1]["trust"], "frame_pointer");
    assert!(document["threads"][0]["native_frames"].as_u64().unwrap() > 10_000);
    assert_eq!(document["soft_errors"][0]["code"], "frames_cut");
    // Without optimisation and on a busy machine; the budget of the walk is one second.
    assert!(elapsed < Duration::from_secs(60), "took {elapsed:?}");
}

#[test]
fn many_endless_threads_share_one_limit() {
    let mut dump = dump();
    let mut frames = vec![STEP; 5_000];
    frames.push(START_THREAD);
    for id in 0..12_u32 {
        let base = STACK + u64::from(id) * 0x100_0000;
        dump = dump.thread(Thread::new(100 + id, &stack_at(base, &frames)));
    }
    let document = analyze(&dump.crash(111, 11, 1, 0));
    let threads = document["threads"].as_array().unwrap();
    let count = |index: usize| threads[index]["frames"].as_array().unwrap().len();
    assert_eq!(count(11), 4_096, "the thread that crashed is complete");
    assert_eq!((0..12).map(count).sum::<usize>(), 32_768);
    assert_eq!(count(10), 0);
    let codes: Vec<_> = document["soft_errors"].as_array().unwrap().iter().collect();
    assert!(codes.iter().all(|error| error["code"] == "frames_cut"), "{codes:?}");
}

#[test]
fn a_flood_of_threads_is_cut() {
    let stack = stack(&[START_THREAD]);
    let dump = (0..9_000).fold(dump(), |dump, id| dump.thread(Thread::new(id, &stack)));
    let document = analyze(&dump);
    assert_eq!(document["threads"].as_array().unwrap().len(), 8_192);
    assert_eq!(document["soft_errors"][0]["code"], "threads_cut");
    assert_eq!(document["soft_errors"][0]["message"], "808 threads were left out");
}

#[test]
fn a_deep_python_recursion_keeps_both_ends_and_counts_the_rest() {
    let stack = stack(&[STEP, EVAL, THREAD_RUN, START_THREAD]);
    let anchor = stack.sp(1) + ANCHOR_IN_EVAL;
    let mut python = vec![frame("fib", anchor); 500];
    python.push(frame("main", anchor));
    let dump = dump().thread(Thread::new(7, &stack)).python(&process(vec![on_thread(7, python)]));
    let document = analyze_with(dump.build(), |options| options.max_frames = 4);
    assert_eq!(
        frames_of(&document, 0),
        ["heat::step(int)", "py:fib", "py:fib", "py:fib", "py:main", "thread_run", "start_thread"]
    );
    assert_eq!(frames(&document)[3]["omitted_frames"], 497);
    assert_eq!(document["soft_errors"][0]["code"], "frames_cut");
}

#[test]
fn a_flood_of_python_frames_is_bounded() {
    let stack = stack(&[EVAL, THREAD_RUN, START_THREAD]);
    // Each has an anchor of its own, none of which has a native frame.
    let lost = |id: u64| {
        let frames = (0..50_000).map(|n| frame("lost", 0x1000 + n * 8)).collect();
        on_thread(id, frames)
    };
    let dump = dump()
        .thread(Thread::new(7, &stack))
        .thread(Thread::new(8, &stack))
        .python(&process(vec![lost(7), lost(8), lost(99)]));
    let bytes = dump.build();
    let started = Instant::now();
    let document = analyze_with(bytes, |options| options.max_frames = 20_000);
    let elapsed = started.elapsed();
    let count = |index: usize| document["threads"][index]["frames"].as_array().unwrap().len();
    assert_eq!(count(0), 20_000 + 3);
    assert_eq!(count(1), 32_768 - 20_000 + 3);
    assert_eq!(document["python"]["unmatched_threads"][0]["frame_count"], 50_000);
    assert!(elapsed < Duration::from_secs(60), "took {elapsed:?}");
}
