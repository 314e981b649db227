//! Python frames stand where their native evaluation frames are.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use lastwords_synth::{PythonThread, Thread};
use serde_json::json;
use support::*;

#[test]
fn python_frames_replace_the_evaluation_frame_that_holds_their_anchor() {
    let stack = stack(&[STEP, GLUE, CFUNCTION, EVAL, VECTORCALL, THREAD_RUN, START_THREAD]);
    let anchor = stack.sp(3) + ANCHOR_IN_EVAL;
    let python = vec![frame("Grid.advance", anchor), frame("worker", anchor)];
    let dump = dump()
        .thread(Thread::new(7, &stack))
        .crash(7, 11, 1, 0x10)
        .python(&process(vec![on_thread(7, python)]));
    let document = analyze(&dump);
    assert_eq!(
        frames_of(&document, 0),
        [
            "heat::step(int)",
            "heat_glue",
            "cfunction_call",
            "py:Grid.advance",
            "py:worker",
            "_PyFunction_Vectorcall",
            "thread_run",
            "start_thread"
        ]
    );
    let thread = &document["threads"][0];
    assert_eq!(thread["native_frames"], 7);
    assert_eq!(thread["frame_count"], 8);
    assert_eq!(document["soft_errors"], json!([]));
}

#[test]
fn a_python_frame_has_the_keys_of_both_worlds_and_names_what_it_replaces() {
    let stack = stack(&[EVAL, START_THREAD]);
    let anchor = stack.sp(0) + ANCHOR_IN_EVAL;
    let python = vec![frame("a", anchor), frame("b", anchor)];
    let dump = dump()
        .thread(Thread::new(7, &stack).named("worker-1"))
        .crash(7, 11, 1, 0x10)
        .python(&process(vec![on_thread(7, python)]));
    let document = analyze(&dump);
    let newest = &document["threads"][0]["frames"][0];
    assert_eq!(newest["kind"], "python");
    assert_eq!(newest["trust"], "python");
    assert_eq!(newest["file"], "/app/model.py");
    assert_eq!(newest["line"], 7);
    assert_eq!(newest["python"]["placement"], "anchored");
    assert_eq!(newest["python"]["column"], 4);
    assert_eq!(newest["evaluation"]["function"], "_PyEval_EvalFrameDefault");
    assert_eq!(newest["evaluation"]["offset"], format!("{:#018x}", EVAL.0));
    assert!(document["threads"][0]["frames"][1].get("evaluation").is_none());
    let crashing = &document["crashing_thread"];
    assert_eq!(crashing["threads_index"], 0);
    assert_eq!(crashing["thread_name"], "worker-1");
    assert_eq!(crashing["frames"][0]["registers"]["rsp"], format!("{STACK:#018x}"));
    assert_eq!(crashing["frames"][1], document["threads"][0]["frames"][1]);
}

#[test]
fn each_native_activation_gets_its_own_group() {
    // Python called C, which called Python again: two evaluation frames, two anchors.
    let stack = stack(&[EVAL, VECTORCALL, GLUE, EVAL, VECTORCALL, THREAD_RUN, START_THREAD]);
    let (inner, outer) = (stack.sp(0) + ANCHOR_IN_EVAL, stack.sp(3) + ANCHOR_IN_EVAL);
    let python = vec![
        frame("key", inner),
        frame("compare", inner),
        frame("sort", outer),
        frame("generator", 0),
        frame("main", outer),
    ];
    let dump = dump().thread(Thread::new(7, &stack)).python(&process(vec![on_thread(7, python)]));
    assert_eq!(
        frames_of(&analyze(&dump), 0),
        [
            "py:key",
            "py:compare",
            "_PyFunction_Vectorcall",
            "heat_glue",
            "py:sort",
            "py:generator",
            "py:main",
            "_PyFunction_Vectorcall",
            "thread_run",
            "start_thread"
        ]
    );
}

#[test]
fn interpreter_plumbing_is_marked_and_nothing_else() {
    let stack = stack(&[LOOKALIKE, CFUNCTION, EVAL, VECTORCALL, THREAD_RUN, START_THREAD]);
    let anchor = stack.sp(2) + ANCHOR_IN_EVAL;
    let dump = dump()
        .thread(Thread::new(7, &stack))
        .python(&process(vec![on_thread(7, vec![frame("run", anchor)])]));
    let document = analyze(&dump);
    let frames = document["threads"][0]["frames"].as_array().unwrap();
    let plumbing: Vec<_> = frames
        .iter()
        .filter(|frame| frame["plumbing"] == true)
        .map(|frame| frame["function"].as_str().unwrap())
        .collect();
    assert_eq!(plumbing, ["cfunction_call", "_PyFunction_Vectorcall"]);
}

#[test]
fn threads_are_matched_by_their_native_id() {
    let one = stack_at(STACK, &[EVAL, THREAD_RUN, START_THREAD]);
    let two = stack_at(STACK + 0x10_0000, &[STEP, EVAL, THREAD_RUN, START_THREAD]);
    let python = vec![
        on_thread(9, vec![frame("second", two.sp(1) + ANCHOR_IN_EVAL)]),
        on_thread(8, vec![frame("first", one.sp(0) + ANCHOR_IN_EVAL)]),
    ];
    let dump =
        dump().thread(Thread::new(8, &one)).thread(Thread::new(9, &two)).python(&process(python));
    let document = analyze(&dump);
    assert_eq!(frames_of(&document, 0), ["py:first", "thread_run", "start_thread"]);
    assert_eq!(
        frames_of(&document, 1),
        ["heat::step(int)", "py:second", "thread_run", "start_thread"]
    );
    assert_eq!(document["python"]["version"], "3.11.7");
    assert_eq!(document["python"]["threads"], 2);
}

#[test]
fn a_thread_without_an_id_is_found_by_the_stack_of_its_anchors() {
    let stack = stack(&[EVAL, THREAD_RUN, START_THREAD]);
    let anchor = stack.sp(0) + ANCHOR_IN_EVAL;
    let dump = dump()
        .thread(Thread::new(8, &stack))
        .python(&process(vec![on_thread(0, vec![frame("run", anchor)])]));
    assert_eq!(frames_of(&analyze(&dump), 0), ["py:run", "thread_run", "start_thread"]);
}

#[test]
fn a_thread_without_an_id_is_found_by_its_thread_pointer() {
    let (one, two) = (stack_at(STACK, &[STEP]), stack_at(STACK + 0x10_0000, &[STEP]));
    let run = PythonThread { thread_id: 0x7700, ..on_thread(0, vec![frame("run", 0x10)]) };
    let dump = dump()
        .thread(Thread::new(8, &one).with_thread_pointer(0x6600))
        .thread(Thread::new(9, &two).with_thread_pointer(0x7700))
        .python(&process(vec![run]));
    let document = analyze(&dump);
    assert_eq!(frames_of(&document, 0), ["heat::step(int)"]);
    assert!(frames_of(&document, 1).iter().any(|frame| frame.ends_with(":run")));
}

#[test]
fn a_python_thread_without_a_native_one_is_kept() {
    let stack = stack(&[START_THREAD]);
    let dump = dump()
        .thread(Thread::new(8, &stack))
        .python(&process(vec![on_thread(99, vec![frame("lost", 0x10)])]));
    let document = analyze(&dump);
    assert_eq!(frames_of(&document, 0), ["start_thread"]);
    let unmatched = &document["python"]["unmatched_threads"][0];
    assert_eq!(unmatched["thread_id"], 99);
    assert_eq!(unmatched["frames"][0]["function"], "lost");
    assert_eq!(unmatched["frames"][0]["python"]["placement"], "unplaced");
}

#[test]
fn frames_without_a_place_are_shown_and_marked() {
    // The first anchor lies below the stack pointer, where no frame can be.
    let stack = stack(&[EVAL, THREAD_RUN, START_THREAD]);
    let anchor = stack.sp(0) + ANCHOR_IN_EVAL;
    let python =
        vec![frame("odd", STACK - 0x100), frame("run", anchor), frame("older", anchor - 8)];
    let dump = dump().thread(Thread::new(8, &stack)).python(&process(vec![on_thread(8, python)]));
    assert_eq!(
        frames_of(&analyze(&dump), 0),
        ["!py:odd", "py:run", "!py:older", "thread_run", "start_thread"]
    );
}

#[test]
fn a_walk_that_broke_is_restarted_at_the_next_anchor() {
    // The second thread's walk ends in a frame without call frame information; the first one
    // tells how far an anchor lies below the end of its evaluation frame.
    let whole = stack_at(STACK, &[EVAL, THREAD_RUN, START_THREAD]);
    let broken =
        stack_at(STACK + 0x10_0000, &[STEP, UNKNOWN, EVAL, VECTORCALL, THREAD_RUN, START_THREAD]);
    let python = vec![
        on_thread(8, vec![frame("first", whole.sp(0) + ANCHOR_IN_EVAL)]),
        on_thread(9, vec![frame("second", broken.sp(2) + ANCHOR_IN_EVAL)]),
    ];
    let dump = dump()
        .thread(Thread::new(8, &whole))
        .thread(Thread::new(9, &broken))
        .python(&process(python));
    let document = analyze(&dump);
    assert_eq!(
        frames_of(&document, 1),
        [
            "heat::step(int)",
            "no_cfi",
            "?py:second",
            "_PyFunction_Vectorcall",
            "thread_run",
            "start_thread"
        ]
    );
    // The return address into the evaluation frame was searched for, so it is a guess.
    let evaluation = &document["threads"][1]["frames"][2]["evaluation"];
    assert_eq!(evaluation["trust"], "scan");
    assert_eq!(document["threads"][1]["frames"][2]["unknown_frames"]["about"], 0);
    assert_eq!(document["threads"][1]["frames"][3]["trust"], "cfi");
}

#[test]
fn a_stale_return_address_that_misses_the_evaluation_frame_is_passed_over() {
    // A stale return address stands where the scan looks first; from there the rules do not lead
    // to the evaluation frame's end, but from another word they do.
    let whole = stack_at(STACK, &[EVAL, THREAD_RUN, START_THREAD]);
    let small_unknown = (UNKNOWN.0, 96);
    let broken =
        stack_at(STACK + 0x10_0000, &[STEP, small_unknown, EVAL, THREAD_RUN, START_THREAD])
            .with_word(1, 16, CFUNCTION.0);
    let python = vec![
        on_thread(8, vec![frame("first", whole.sp(0) + ANCHOR_IN_EVAL)]),
        on_thread(9, vec![frame("second", broken.sp(2) + ANCHOR_IN_EVAL)]),
    ];
    let dump = dump()
        .thread(Thread::new(8, &whole))
        .thread(Thread::new(9, &broken))
        .python(&process(python));
    assert_eq!(
        frames_of(&analyze(&dump), 1),
        ["heat::step(int)", "no_cfi", "?py:second", "thread_run", "start_thread"]
    );
}

#[test]
fn without_a_way_to_restart_python_frames_follow_the_gap_in_address_order() {
    let broken = stack(&[STEP, UNKNOWN, EVAL, VECTORCALL, EVAL, THREAD_RUN, START_THREAD]);
    let python = vec![
        frame("inner", broken.sp(2) + ANCHOR_IN_EVAL),
        frame("outer", broken.sp(4) + ANCHOR_IN_EVAL),
    ];
    let dump = dump().thread(Thread::new(9, &broken)).python(&process(vec![on_thread(9, python)]));
    assert_eq!(
        frames_of(&analyze(&dump), 0),
        ["heat::step(int)", "no_cfi", "?py:inner", "?py:outer"]
    );
}

#[test]
fn two_interpreters_on_one_thread_are_interleaved() {
    let stack = stack(&[EVAL, GLUE, EVAL, START_THREAD]);
    let (inner, outer) = (stack.sp(0) + ANCHOR_IN_EVAL, stack.sp(2) + ANCHOR_IN_EVAL);
    let sub = PythonThread { interpreter_id: 1, ..on_thread(7, vec![frame("sub", inner)]) };
    let main = on_thread(7, vec![frame("main", outer)]);
    let dump = dump().thread(Thread::new(7, &stack)).python(&process(vec![main, sub]));
    assert_eq!(frames_of(&analyze(&dump), 0), ["py:sub", "heat_glue", "py:main", "start_thread"]);
}

#[test]
fn what_stands_beside_the_threads_is_there() {
    let stack = stack(&[EVAL, START_THREAD]);
    let python = PythonThread {
        holds_gil: true,
        exception_type: Some("KeyError"),
        ..on_thread(7, vec![frame("run", stack.sp(0) + ANCHOR_IN_EVAL)])
    };
    let dump = dump()
        .thread(Thread::new(7, &stack))
        .crash(7, 11, 1, 0x10)
        .pid(4242)
        .proc_status("Pid:\t7\n")
        .annotation("level", "tundra")
        .soft_errors(r#"[{"code":"memory_unreadable","where":"thread 9","message":"EIO"}, 5]"#)
        .python(&process(vec![python]));
    let document = analyze(&dump);
    assert_eq!(document["pid"], 4242, "MiscInfo knows the process, /proc/TID/status the thread");
    assert_eq!(document["crash_info"]["type"], "SIGSEGV / SEGV_MAPERR");
    assert_eq!(document["annotations"], json!({ "level": "tundra" }));
    assert_eq!(document["python"]["gil_holder_thread"], 0);
    assert_eq!(document["python"]["exception"], "KeyError");
    assert_eq!(document["lastwords"]["schema"], 1);
    assert_eq!(
        document["soft_errors"],
        json!([
            { "code": "memory_unreadable", "where": "thread 9", "message": "EIO" },
            {
                "code": "writer_soft_error",
                "where": "stream MozSoftErrors",
                "message": "5",
                "detail": 5
            }
        ])
    );
    assert_eq!(document["modules"][0]["symbols"]["status"], "loaded");
    assert_eq!(document["modules"][1]["symbols"]["status"], "not_requested");
    assert_eq!(document["modules"][0]["code_file"], "/usr/lib/libpython3.11.so.1.0");
}
