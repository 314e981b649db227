//! Details of Python: names, exceptions, variables, tasks, greenlets.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use lastwords_synth::{Dump, Thread};
use serde_json::{Value, json};
use support::*;

const DETAILS: u32 = 0x4C57_0008;

/// Two threads; the first runs `advance` (line 3) and `worker` (line 4), of the second there is
/// no native thread.
fn with_details(details: &[u8]) -> Dump {
    let stack = stack(&[STEP, GLUE, EVAL, START_THREAD]);
    let line = |name, line| lastwords_synth::PythonFrame {
        line,
        ..frame(name, stack.sp(2) + ANCHOR_IN_EVAL)
    };
    let mut first = on_thread(7, vec![line("advance", 3), line("worker", 4)]);
    first.tstate = 0x7100;
    let mut lost = on_thread(99, vec![frame("lost", 0x10)]);
    lost.tstate = 0x7200;
    dump()
        .thread(Thread::new(7, &stack))
        .python(&process(vec![first, lost]))
        .raw_stream(DETAILS, details.to_vec())
}

fn analyzed(details: &Value) -> Value {
    analyze(&with_details(details.to_string().as_bytes()))
}

fn codes(document: &Value) -> Vec<&str> {
    let errors = document["soft_errors"].as_array().unwrap();
    errors.iter().map(|error| error["code"].as_str().unwrap()).collect()
}

#[test]
fn names_and_exceptions_stand_with_their_threads() {
    let chain = json!([{"link": "cause", "type": "OSError", "text": "[Errno 2] x"}]);
    let document = analyzed(&json!({"threads": [
        {"tstate": "0x0000000000007100", "name": "worker 1",
         "pending": {"address": "0x1", "type": "app.Oops", "text": "no", "chain": chain},
         "handled": {"type": "KeyError"}},
        {"tstate": "0x7200", "name": "gone"},
        {"tstate": "0x7300", "name": "nobody"},
    ]}));
    let python = &document["threads"][0]["python"];
    assert_eq!(python["name"], "worker 1");
    let expected = json!({"type": "app.Oops", "text": "no", "chain": chain});
    assert_eq!(python["pending_exception"], expected);
    let handled = json!({"type": "KeyError", "text": null, "chain": []});
    assert_eq!(python["handled_exception"], handled);
    assert_eq!(python["tstate"], "0x0000000000007100", "the other keys stay");
    let lost = &document["python"]["unmatched_threads"][0];
    assert_eq!((&lost["name"], &lost["frame_count"]), (&json!("gone"), &json!(1)));
    assert_eq!(codes(&document), [""; 0]);
}

#[test]
fn variables_stand_with_their_frames() {
    let variable = |name: &str| json!({"name": name, "kind": "argument", "value": "1"});
    let document = analyzed(&json!({"locals": [
        {"frame": "0x1400", "variables": [variable("a"), variable("b")]},
        {"frame": "0x9999", "variables": [variable("c")]},
    ]}));
    let frames = document["threads"][0]["frames"].as_array().unwrap();
    let frame = |name: &str| &frames.iter().find(|f| f["function"] == name).unwrap()["python"];
    assert_eq!(frame("advance").get("locals"), None);
    let told = |name| json!({"name": name, "kind": "argument", "value": "1", "is_redacted": false});
    assert_eq!(frame("worker")["locals"], json!([told("a"), told("b")]));
    assert!(!document.to_string().contains("\"c\""), "it belongs to no frame");
}

#[test]
fn tasks_name_each_other_by_index_and_their_thread() {
    let frame = json!({"frame": "0x1", "object": "0x2", "kind": "coroutine", "name": "f",
        "qualname": "A.f", "file": "/a.py", "line": 3, "column": 4});
    let document = analyzed(&json!({"tasks": [
        {"address": "0x10", "name": "one", "state": "pending", "loop": "0x5", "frames": [frame],
         "waits_for": {"address": "0x20", "type": "_asyncio.Task", "name": "two"}},
        {"address": "0x20", "name": "two", "state": "pending", "loop": "0x5", "is_current": true,
         "running_on": "0x7100", "awaited_by": ["0x10", "0x99"]},
    ], "limits": ["max_tasks"]}));
    let tasks = &document["python"]["tasks"];
    assert_eq!(tasks[0]["waits_for"]["task"], 1);
    assert_eq!(tasks[0]["thread"], Value::Null);
    let frame = &tasks[0]["frames"][0];
    assert_eq!((&frame["function"], &frame["line"]), (&json!("A.f"), &json!(3)));
    assert_eq!((&frame["kind"], &frame["end_line"]), (&json!("coroutine"), &Value::Null));
    assert_eq!(tasks[1]["awaited_by"], json!([0]));
    assert_eq!((&tasks[1]["thread"], &tasks[1]["is_current"]), (&json!(0), &json!(true)));
    assert_eq!(document["python"]["limits"], json!(["max_tasks"]));
    assert_eq!(document["python"]["greenlets"], json!([]));
}

#[test]
fn greenlets_are_told() {
    let document = analyzed(&json!({"greenlets": [
        {"address": "0x10", "type": "greenlet.greenlet", "is_suspended": true,
         "frames": [{"name": "f", "line": 3}]},
    ]}));
    let greenlet = &document["python"]["greenlets"][0];
    assert_eq!(greenlet["is_suspended"], true);
    assert_eq!(greenlet["frames"][0]["function"], "f");
}

#[test]
fn without_the_stream_the_keys_are_not_there() {
    let stack = stack(&[STEP, EVAL]);
    let on_thread = on_thread(7, vec![frame("run", stack.sp(1) + ANCHOR_IN_EVAL)]);
    let dump = dump().thread(Thread::new(7, &stack)).python(&process(vec![on_thread]));
    let document = analyze(&dump);
    assert_eq!(document["python"].get("tasks"), None);
    assert_eq!(document["threads"][0]["python"].get("name"), None);
}

#[test]
fn what_has_another_form_is_left_out() {
    let document = analyzed(&json!({
        "threads": [7, {"tstate": 3}, {"tstate": "0x7100", "name": 5, "pending": {"type": []}}],
        "locals": [{"frame": "0x1400", "variables": [{"name": "a"}, {"value": "1"}, 3]}],
        "tasks": ["x", {"state": "odd", "awaited_by": [1, {}], "frames": {"a": 1}}],
        "greenlets": {"0": 1}, "limits": [3],
    }));
    let python = &document["threads"][0]["python"];
    assert_eq!((&python["name"], &python["pending_exception"]), (&Value::Null, &Value::Null));
    assert_eq!(document["python"]["tasks"][1]["state"], Value::Null);
    assert_eq!(document["python"]["greenlets"], json!([]));
    for wrong in ["[]", "{", "7", "{\"threads\": [\u{0}"] {
        let document = analyze(&with_details(wrong.as_bytes()));
        assert_eq!(codes(&document), ["stream_malformed"], "{wrong}");
    }
}

#[test]
fn frames_that_claim_one_address_do_not_multiply_its_variables() {
    let stack = stack(&[STEP, EVAL]);
    let anchor = stack.sp(1) + ANCHOR_IN_EVAL;
    let frames = vec![frame("run", anchor); 4_000];
    let address = format!("{:#x}", 0x1000 + 0x100 * frames[0].line);
    let variable = json!({"name": "x", "kind": "local", "value": "v".repeat(1 << 20)});
    let details = json!({"locals": [{"frame": address, "variables": [variable]}]});
    let dump = dump()
        .thread(Thread::new(7, &stack))
        .python(&process(vec![on_thread(7, frames)]))
        .raw_stream(DETAILS, details.to_string().into_bytes());
    let document = analyze(&dump).to_string();
    assert!(document.len() < 32 << 20, "{} bytes", document.len());
    assert!(document.contains(&"v".repeat(1 << 20)));
}
