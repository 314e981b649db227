//! The page, from a document.

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::*;

fn python(name: &str, line: u32) -> Value {
    json!({
        "kind": "python", "trust": "python", "function": name,
        "python": {"qualname": name, "file": "/app/jobs.py", "line": line, "placement": "anchored"},
    })
}

fn native(function: &str) -> Value {
    json!({
        "kind": "native", "trust": "cfi", "function": function, "module": "libx.so",
        "file": "/build/src/very/deep/x.c", "line": 7,
    })
}

fn page_of(document: &Value, look: &Look) -> Vec<String> {
    let document = Document::deserialize(document).unwrap();
    page(&document, "worker (7)", look).lines().map(str::to_owned).collect()
}

fn with_frames(frames: &[Value]) -> Value {
    json!({
        "python": {"version": "3.11.7"},
        "threads": [{"thread_id": 7, "thread_name": "worker", "frames": frames}],
    })
}

#[test]
fn the_newest_frame_stands_last_unless_asked_otherwise() {
    let document = with_frames(&[native("leaf"), python("Job.run", 3), python("main", 9)]);
    let shown = page_of(&document, &Look::plain(false, false));
    assert_eq!(
        shown,
        [
            "worker (7), CPython 3.11.7, 1 thread",
            "",
            "Thread 7 (worker)",
            "  File \"/app/jobs.py\", line 9, in main",
            "  File \"/app/jobs.py\", line 3, in Job.run",
            "  C leaf at …/very/deep/x.c:7 (libx.so)",
        ]
    );
    let mut backwards = page_of(&document, &Look::plain(false, true));
    backwards[3..].reverse();
    assert_eq!(backwards, shown);
}

#[test]
fn inlined_calls_stand_inside_their_frame() {
    let mut outer = native("outer");
    outer["inlines"] = json!([
        {"function": "inner<int>()", "file": "/b/x.hpp", "line": 3},
        {"function": "middle", "file": "/b/x.rs", "line": 4},
    ]);
    let shown = page_of(&with_frames(&[outer]), &Look::plain(false, false));
    assert_eq!(
        shown[3..],
        [
            "  C outer at …/very/deep/x.c:7 (libx.so)",
            "  Rust middle at /b/x.rs:4 (inlined)",
            "  C++ inner<int>() at /b/x.hpp:3 (inlined)",
        ]
    );
}

#[test]
fn what_is_not_sure_says_so() {
    let mut guess = native("guess");
    guess["trust"] = json!("scan");
    let mut behind_gap = python("main", 9);
    behind_gap["unknown_frames"] = json!({"about": 2, "stack_bytes": 96});
    let mut perhaps = python("run", 8);
    perhaps["unknown_frames"] = json!({"about": 0});
    let mut unplaced = python("odd", 1);
    unplaced["python"]["placement"] = json!("unplaced");
    unplaced["python"]["is_partial"] = json!(true);
    let nameless =
        json!({"kind": "native", "trust": "cfi", "module": "a.so", "module_offset": "0x12f"});
    let nowhere = json!({"kind": "native", "trust": "frame_pointer", "offset": "0x7f00"});
    let frames = [unplaced, guess, behind_gap, perhaps, nameless, nowhere];
    let shown = page_of(&with_frames(&frames), &Look::plain(false, true));
    assert_eq!(
        shown[3..],
        [
            "  File \"/app/jobs.py\", line 1, in odd [its place among the native frames is not \
             known; partly read]",
            "  C guess at …/very/deep/x.c:7 (libx.so) [a guess: found by scanning the stack]",
            "  … about 2 unknown native frames, 96 bytes of stack",
            "  File \"/app/jobs.py\", line 9, in main",
            "  … perhaps unknown native frames",
            "  File \"/app/jobs.py\", line 8, in run",
            "  Binary a.so+0x12f",
            "  Binary code at 0x7f00 [found by frame pointer]",
        ]
    );
}

#[test]
fn a_stack_that_was_cut_says_so_at_its_oldest_end() {
    let mut document = with_frames(&[native("leaf")]);
    for (is_whole, lines) in [(json!(true), 1), (json!(null), 1), (json!(false), 2)] {
        document["threads"][0]["is_whole"] = is_whole;
        let shown = page_of(&document, &Look::plain(false, false));
        assert_eq!(shown[3..].len(), lines, "{shown:?}");
    }
    let shown = page_of(&document, &Look::plain(false, false));
    assert_eq!(shown[3], "  … older native frames are not known");
}

#[test]
fn plumbing_and_recursion_are_folded_and_all_unfolds_them() {
    let mut plumbing = native("cfunction_call");
    plumbing["plumbing"] = json!(true);
    let mut frames = vec![native("leaf"), plumbing];
    frames.extend((0..5).map(|_| python("again", 4)));
    let document = with_frames(&frames);
    let shown = page_of(&document, &Look::plain(false, false));
    assert_eq!(
        shown[3..],
        [
            "  File \"/app/jobs.py\", line 4, in again",
            "  [this frame repeated 4 more times: --all]",
            "  C leaf at …/very/deep/x.c:7 (libx.so)",
            "  (1 frame of the interpreter's call plumbing: --all)",
        ]
    );
    assert_eq!(page_of(&document, &Look::plain(true, false)).len(), 3 + 7);
}

#[test]
fn the_state_of_a_thread_is_told_in_its_title() {
    let mut document = with_frames(&[python("main", 9)]);
    document["threads"][0]["python"] = json!({
        "name": "the worker", "interpreter_id": 2, "waits_for_gil": true, "collects_garbage": true,
        "pending_exception": {"type": "KeyError", "text": "'x'"},
        "handled_exception": {"type": "OSError", "text": null},
    });
    document["crash_info"] = json!({"type": "SIGSEGV / SEGV_MAPERR", "crashing_thread": 0});
    document["python"]["finalizing"] = json!(true);
    document["lastwords"] = json!({"stacks": {"stopped_us": 1234}});
    let shown = page_of(&document, &Look::plain(false, false));
    assert_eq!(
        shown[0],
        "worker (7), CPython 3.11.7, 1 thread, SIGSEGV / SEGV_MAPERR, stood still for 1.2 ms, \
         the interpreter is shutting down"
    );
    assert_eq!(
        shown[2],
        "Thread 7 \"the worker\" (worker), crashed here, interpreter 2, waits for the GIL, \
         collects garbage, raising KeyError: 'x', handling OSError"
    );
}

#[test]
fn threads_without_python_are_counted_where_native_frames_are_not_wanted() {
    let mut document = with_frames(&[python("main", 9)]);
    document["threads"].as_array_mut().unwrap().push(json!({"thread_id": 8, "frames": []}));
    let look = Look { is_native: false, ..Look::plain(false, false) };
    let shown = page_of(&document, &look);
    assert_eq!(shown.last().unwrap(), "1 thread without Python frames: --native shows them");
    assert!(!shown.iter().any(|line| line.starts_with("Thread 8")));
}

#[test]
fn tasks_and_greenlets_are_counted_or_shown() {
    let mut document = with_frames(&[python("main", 9)]);
    let frame = json!({"qualname": "wait", "file": "/app/a.py", "line": 3});
    document["python"]["tasks"] = json!([
        {"name": "Task-1", "state": "pending", "is_current": true, "frames": []},
        {"name": "Task-2", "state": "pending", "frames": [frame],
         "waits_for": {"type": "_asyncio.Task", "name": "reader"}},
    ]);
    document["python"]["greenlets"] = json!([
        {"address": "0x10", "is_suspended": true, "frames": [frame]},
        {"address": "0x20", "is_suspended": false, "frames": []},
    ]);
    let folded = page_of(&document, &Look::plain(false, false));
    assert!(folded.contains(&"1 asyncio task: --all shows their stacks".to_owned()));
    let shown = page_of(&document, &Look::plain(true, false));
    let at = shown.iter().position(|line| line.starts_with("Task")).unwrap();
    assert_eq!(shown[at], "Task \"Task-2\", pending, waits for _asyncio.Task \"reader\"");
    assert_eq!(shown[at + 1], "  File \"/app/a.py\", line 3, in wait");
    assert!(shown.contains(&"Greenlet 0x10".to_owned()));
    assert!(!shown.contains(&"Greenlet 0x20".to_owned()), "it runs");
}

#[test]
fn foreign_text_does_not_reach_the_terminal_as_it_is() {
    let mut document = with_frames(&[python("a\u{1b}[2Jb", 1)]);
    document["threads"][0]["thread_name"] = json!("x\u{7}\n");
    document["soft_errors"] = json!([{"code": "c", "where": "\u{1b}", "message": "m"}]);
    let shown = page_of(&document, &Look::plain(false, false)).join("\n");
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown:?}");
    assert!(shown.contains("Thread 7 (x\u{fffd}\u{fffd})"), "{shown:?}");
}
