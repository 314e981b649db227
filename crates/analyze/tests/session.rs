//! An open dump answers, and goes on answering.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use std::path::PathBuf;

use lastwords_analyze::{Error, Session};
use lastwords_synth::Thread;
use serde_json::{Value, json};
use support::*;

struct Open {
    _folder: tempfile::TempDir,
    session: Session,
}

impl Open {
    fn ask(&self, request: &Value) -> Value {
        let answer = self.session.ask(request.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

fn opened(bytes: &[u8]) -> Open {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.dmp");
    std::fs::write(&path, bytes).unwrap();
    write_symbols(folder.path());
    let options = json!({"symbols": [folder.path()], "local_modules": false});
    let session = Session::open(&path, options.to_string().as_bytes()).unwrap();
    Open { _folder: folder, session }
}

/// A thread in `step`, called by a Python frame.
fn crashed() -> Vec<u8> {
    let stack = stack(&[STEP, GLUE, EVAL, START_THREAD]);
    let frames = vec![frame("advance", stack.sp(2) + ANCHOR_IN_EVAL)];
    dump()
        .thread(Thread::new(7, &stack))
        .crash(7, 11, 1, 0x10)
        .python(&process(vec![on_thread(7, frames)]))
        .build()
}

#[test]
fn frames_have_registers_and_python_stands_between_them() {
    let open = opened(&crashed());
    let answer = open.ask(&json!({"ask": "stack", "thread": 0}));
    let frames = answer["frames"].as_array().unwrap();
    let names: Vec<&str> = frames.iter().filter_map(|frame| frame["function"].as_str()).collect();
    assert_eq!(names[..3], ["heat::step(int)", "heat_glue", "advance"]);
    assert_eq!(frames[0]["ip"], STEP.0);
    assert_eq!(frames[0]["registers"]["rip"], STEP.0);
    assert_eq!(frames[1]["registers"]["rip"], GLUE.0);
    assert_eq!(frames[1]["registers"].get("rax"), None, "a caller's scratch register is not known");
    assert_eq!(frames[2]["evaluation"]["function"], "_PyEval_EvalFrameDefault");
    assert_eq!(frames[2]["evaluation"]["index"], 2);
}

#[test]
fn symbols_are_opened_when_they_are_needed_and_closed_on_demand() {
    let open = opened(&crashed());
    let states = |answer: &Value| -> Vec<String> {
        let modules = answer["modules"].as_array().unwrap();
        modules.iter().map(|module| module["status"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(states(&open.ask(&json!({"ask": "modules"}))), ["not_requested"; 3]);
    let loaded = open.ask(&json!({"ask": "load", "modules": [1]}));
    assert_eq!(states(&loaded), ["not_requested", "loaded", "not_requested"]);
    open.ask(&json!({"ask": "reopen", "symbols": Vec::<PathBuf>::new(), "local_modules": false}));
    let all = open.ask(&json!({"ask": "load", "modules": null}));
    assert_eq!(states(&all), ["missing"; 3]);
}

#[test]
fn symbols_are_found_in_both_directions() {
    let open = opened(&crashed());
    let names = open.ask(&json!({"ask": "names", "module": 1, "pattern": "heat*", "max": 9}));
    assert_eq!(names["names"][0]["name"], "heat::step(int)");
    assert_eq!(names["names"][0]["address"], STEP.0 - 0x10);
    let found = open.ask(&json!({"ask": "find", "module": 1, "name": "heat::step"}));
    assert_eq!(found[0]["address"], STEP.0 - 0x10, "parameters need not be told");
    let place = open.ask(&json!({"ask": "at", "address": STEP.0}));
    assert_eq!(place["before"]["name"], "heat::step(int)");
    assert_eq!(place["function_base"], STEP.0 - 0x10);
    assert_eq!(open.ask(&json!({"ask": "at", "address": 1})), Value::Null);
}

#[test]
fn memory_is_told_in_pieces_and_what_is_not_there_is_left_out() {
    let open = opened(&crashed());
    let stack = open.ask(&json!({"ask": "threads"}))[0]["stack"][0].as_u64().unwrap();
    let answer = open.ask(&json!({"ask": "memory", "address": stack - 16, "size": 32}));
    let pieces = answer["pieces"].as_array().unwrap();
    assert_eq!((pieces.len(), pieces[0][0].as_u64()), (1, Some(stack)));
    assert_eq!(pieces[0][1].as_str().unwrap().len(), 32);
    let nothing = open.ask(&json!({"ask": "memory", "address": u64::MAX - 4, "size": 64}));
    assert_eq!(nothing["pieces"], json!([]));
    let word = &pieces[0][1].as_str().unwrap()[..16];
    let search =
        json!({"ask": "search", "address": stack, "size": 4096, "pattern": word, "max": 1});
    assert_eq!(open.ask(&search)["hits"], json!([stack]));
}

#[test]
fn what_is_no_request_is_an_error_and_the_session_goes_on() {
    let open = opened(&crashed());
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"ask": "nothing"}"#,
        r#"{"ask": "stack"}"#,
        "\u{0}",
        r#"{"ask": "stack", "thread": 99}"#,
        r#"{"ask": "memory", "address": -1, "size": 1}"#,
        r#"{"ask": "names", "module": 77, "pattern": "*", "max": 1}"#,
        r#"{"ask": "search", "address": 1, "size": 1, "pattern": "zz", "max": 1}"#,
        r#"{"ask": "variables", "thread": 0, "frame": 4000}"#,
        r#"{"ask": "about", "x": 1}"#,
    ] {
        let error = open.session.ask(bad.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Request { .. }), "{bad}: {error}");
    }
    assert_eq!(open.ask(&json!({"ask": "about"}))["thread_count"], 1);
}

#[test]
fn the_document_is_the_analysis_of_the_same_dump() {
    let open = opened(&crashed());
    let document = open.ask(&json!({"ask": "document"}));
    assert_eq!(document["threads"][0]["frames"][0]["function"], "heat::step(int)");
    assert_eq!(document["lastwords"]["schema"], 1);
}

#[test]
fn what_cannot_be_opened_is_told_by_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.dmp");
    std::fs::write(&path, b"MDMPnothing").unwrap();
    assert!(matches!(Session::open(&path, b""), Err(Error::Malformed { .. })));
    let missing = folder.path().join("nothing");
    assert!(matches!(Session::open(&missing, b""), Err(Error::NotFound { .. })));
    assert!(matches!(Session::open(&path, b"{"), Err(Error::Options { .. })));
}

#[test]
fn damaged_dumps_answer_every_request_or_refuse_it() {
    let whole = crashed();
    let requests: Vec<Value> = [
        "about",
        "threads",
        "exception",
        "modules",
        "streams",
        "handles",
        "document",
        "python_details",
    ]
    .iter()
    .map(|name| json!({"ask": name}))
    .chain([
        json!({"ask": "stack", "thread": 0}),
        json!({"ask": "stack", "thread": 0, "own_context": true}),
        json!({"ask": "load", "modules": null}),
        json!({"ask": "regions", "address": null}),
        json!({"ask": "memory", "address": STACK, "size": 64}),
        json!({"ask": "code", "address": STEP.0, "max": 4}),
        json!({"ask": "variables", "thread": 0, "frame": 0}),
    ])
    .collect();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..48 {
        let mut bytes = whole.clone();
        for _ in 0..8 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = 32 + usize::try_from(seed >> 33).unwrap() % (bytes.len() - 32);
            bytes[at] = u8::try_from(seed >> 56).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.dmp");
        std::fs::write(&path, &bytes).unwrap();
        let Ok(session) = Session::open(&path, br#"{"local_modules": false}"#) else { continue };
        for request in &requests {
            match session.ask(request.to_string().as_bytes()) {
                Ok(answer) => drop(serde_json::from_slice::<Value>(&answer).unwrap()),
                Err(error) => {
                    assert!(!error.to_string().contains("has ended"), "{request}: {error}")
                }
            }
        }
    }
}
