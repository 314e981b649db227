//! Tasks of asyncio of real, stopped interpreters, compared with what they say of themselves.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use std::sync::OnceLock;

use lastwords_pyframes::{ChainFrame, DetailsOptions, GeneratorKind, PythonDetails, Task};
use serde_json::{Value, json};
use support::details::start_everywhere;
use support::{Interpreter, Victim};

fn victims() -> &'static [(Interpreter, Victim)] {
    static VICTIMS: OnceLock<Vec<(Interpreter, Victim)>> = OnceLock::new();
    VICTIMS.get_or_init(|| start_everywhere("tasks_victim.py"))
}

/// Runs `check` on every interpreter with the details read of it.
fn for_each(check: impl Fn(&Interpreter, &Victim, &PythonDetails)) {
    for (interpreter, victim) in victims() {
        let outcome = victim.read_details(&DetailsOptions::default());
        assert_eq!(outcome.soft_errors, [], "{interpreter:?}");
        check(interpreter, victim, &outcome.details);
    }
}

fn task_at<'a>(details: &'a PythonDetails, truth: &Value) -> Option<&'a Task> {
    details.tasks.iter().find(|task| Some(task.address) == truth["address"].as_u64())
}

/// Name (qualified where there is one) and line, innermost first.
fn places(frames: &[ChainFrame]) -> Vec<Value> {
    let place = |frame: &ChainFrame| {
        let name = frame.qualname.as_ref().or(frame.name.as_ref());
        json!([name, frame.line])
    };
    frames.iter().map(place).collect()
}

fn expected_places(interpreter: &Interpreter, truth: &Value) -> Vec<Value> {
    let place = |frame: &Value| {
        let name = frame[0].as_str().expect("a name");
        let is_qualified = interpreter.minor() >= 11;
        let name = if is_qualified { name } else { name.rsplit('.').next().unwrap_or(name) };
        json!([name, frame[1]])
    };
    truth["chain"].as_array().expect("a list").iter().map(place).collect()
}

/// From 3.14 on tasks that have ended are on no list.
fn must_be_there(interpreter: &Interpreter, truth: &Value) -> bool {
    interpreter.minor() < 14 || truth["state"] == "pending"
}

#[test]
fn every_task_is_found_with_its_state_and_the_coroutines_that_it_waits_in() {
    for_each(|interpreter, victim, details| {
        let truths = victim.truth["tasks"].as_array().expect("a list");
        assert!(truths.len() > 20);
        for truth in truths.iter().chain([&victim.truth["other"]]) {
            let Some(task) = task_at(details, truth) else {
                assert!(!must_be_there(interpreter, truth), "{interpreter:?} {truth}");
                continue;
            };
            let place = format!("{interpreter:?} {}", truth["name"]);
            assert_eq!(json!(task.name), truth["name"], "{place}");
            assert_eq!(json!(task.state), truth["state"], "{place}");
            assert_eq!(json!(task.event_loop), truth["loop"], "{place}");
            assert_eq!(json!(task.coroutine), truth["coroutine"], "{place}");
            assert_eq!(places(&task.frames), expected_places(interpreter, truth), "{place}");
            let waits_for = task.waits_for.as_ref().map(|other| other.address);
            assert_eq!(json!(waits_for), truth["waits_for"], "{place}");
            let mut awaited_by = task.awaited_by.clone();
            awaited_by.sort_unstable();
            assert_eq!(json!(awaited_by), truth["awaited_by"], "{place}");
            assert_eq!((task.is_current, task.running_on), (false, None), "{place}");
            for (frame, truth) in task.frames.iter().zip(truth["chain"].as_array().expect("it")) {
                let object = truth[2].as_u64().filter(|object| *object != 0);
                assert!(object.is_none() || frame.object == object, "{place} {frame:?}");
            }
        }
    });
}

#[test]
fn no_task_is_told_that_is_none() {
    for_each(|interpreter, victim, details| {
        let known: Vec<u64> = victim.truth["tasks"]
            .as_array()
            .expect("a list")
            .iter()
            .chain([&victim.truth["other"], &victim.truth["current"]])
            .filter_map(|truth| truth["address"].as_u64())
            .collect();
        for task in &details.tasks {
            assert!(known.contains(&task.address), "{interpreter:?} {task:?}");
        }
        let addresses: std::collections::HashSet<u64> =
            details.tasks.iter().map(|task| task.address).collect();
        assert_eq!(addresses.len(), details.tasks.len(), "{interpreter:?}: each once");
    });
}

#[test]
fn the_running_task_is_known_with_its_thread_and_its_coroutines() {
    for_each(|interpreter, victim, details| {
        let truth = &victim.truth["current"];
        let task = task_at(details, truth).expect("it was read");
        assert_eq!(json!(task.running_on), truth["tstate"], "{interpreter:?}");
        assert!(task.is_current);
        assert_eq!(task.name.as_deref(), Some("current"), "{interpreter:?}");
        let names: Vec<_> = task.frames.iter().map(|frame| frame.name.as_deref()).collect();
        assert_eq!(names, [Some("hold"), Some("run_tasks")], "{interpreter:?}");
        assert!(task.frames.iter().all(|frame| frame.kind == Some(GeneratorKind::Coroutine)));
        assert_eq!(task.frames.last().and_then(|frame| frame.object), task.coroutine);
        let current = details.tasks.iter().filter(|task| task.is_current).count();
        assert_eq!(current, 1, "{interpreter:?}");
    });
}

#[test]
fn what_a_task_waits_for_is_named() {
    for_each(|interpreter, victim, details| {
        let awaited = |name: &str| {
            let task = details.tasks.iter().find(|task| task.name.as_deref() == Some(name));
            task.expect("it was read").waits_for.clone().expect("it waits")
        };
        let task = awaited("awaits 1");
        assert_eq!(task.type_name, "_asyncio.Task", "{interpreter:?}");
        assert_eq!(task.name.as_deref(), Some("awaited"));
        assert_eq!(awaited("branch").type_name, "_asyncio.Future");
        assert_eq!(awaited("gather").type_name, "asyncio.tasks._GatheringFuture");
        assert!(victim.truth["tasks"].is_array());
    });
}

#[test]
fn limits_of_tasks_hold_and_are_told() {
    for (interpreter, victim) in victims() {
        let options =
            DetailsOptions { max_tasks: 3, max_chain_frames: 2, ..DetailsOptions::default() };
        let details = victim.read_details(&options).details;
        // The current task is told whatever the limit.
        assert!((3..=4).contains(&details.tasks.len()), "{interpreter:?}");
        assert!(details.tasks.iter().all(|task| task.frames.len() <= 2));
        assert!(details.limits.contains(&"max_tasks".to_owned()), "{:?}", details.limits);
        let options = DetailsOptions { max_chain_frames: 2, ..DetailsOptions::default() };
        let details = victim.read_details(&options).details;
        let branch = details.tasks.iter().find(|task| task.name.as_deref() == Some("branch"));
        let branch = branch.expect("it was read");
        // The outermost are kept: they tell what the task is.
        let names: Vec<_> = branch.frames.iter().map(|frame| frame.name.as_deref()).collect();
        assert_eq!((names, branch.is_cut), (vec![Some("middle"), Some("branch")], true));
    }
}
