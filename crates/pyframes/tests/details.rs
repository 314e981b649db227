//! Names, exceptions, generators and variables of real, stopped interpreters, compared with
//! what they say of themselves.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "support/packages.rs"]
mod packages;
mod support;

use std::sync::OnceLock;

use lastwords_pyframes::{
    DetailsOptions, FrameLocals, Limits, LocalsLimits, Memory, Outcome, PythonDetails,
    RecordingMemory, ThreadDetails, read_python_with_details,
};
use serde_json::{Value, json};
use support::counting::Counting;
use support::details::start_everywhere;
use support::{Interpreter, Victim};

fn victims() -> &'static [(Interpreter, Victim)] {
    static VICTIMS: OnceLock<Vec<(Interpreter, Victim)>> = OnceLock::new();
    VICTIMS.get_or_init(|| start_everywhere("details_victim.py"))
}

fn with_locals() -> DetailsOptions {
    DetailsOptions { locals: Some(LocalsLimits::default()), ..DetailsOptions::default() }
}

/// Runs `check` on every interpreter with what was read of it.
fn for_each(options: &DetailsOptions, check: impl Fn(&Interpreter, &Victim, &Outcome)) {
    for (interpreter, victim) in victims() {
        let outcome = victim.read_details(options);
        assert_eq!(outcome.soft_errors, [], "{interpreter:?}");
        check(interpreter, victim, &outcome);
    }
}

fn thread<'a>(victim: &Victim, details: &'a PythonDetails, scenario: &str) -> &'a ThreadDetails {
    let tstate = victim.truth["states"][scenario].as_u64().expect("the scenario ran");
    let found = details.threads.iter().find(|thread| thread.tstate == tstate);
    found.unwrap_or_else(|| panic!("nothing of {scenario}"))
}

/// The variables of the function `name` in the thread of `scenario`.
fn locals<'a>(
    victim: &Victim,
    outcome: &'a Outcome,
    scenario: &str,
    name: &str,
) -> &'a FrameLocals {
    let tstate = victim.truth["states"][scenario].as_u64().expect("the scenario ran");
    let thread = outcome.stream.threads.iter().find(|thread| thread.tstate == tstate);
    let frames = &thread.expect("it was read").frames;
    let frame = frames.iter().find(|frame| frame.name.as_deref() == Some(name));
    let frame = frame.expect("the function runs").frame;
    outcome.details.locals.iter().find(|locals| locals.frame == frame).expect("it has variables")
}

#[test]
fn threads_have_the_names_that_threading_gives_them() {
    for_each(&DetailsOptions::default(), |interpreter, victim, outcome| {
        let states = victim.truth["states"].as_object().expect("an object");
        assert!(states.len() > 10);
        for scenario in states.keys() {
            let name = thread(victim, &outcome.details, scenario).name.clone();
            assert_eq!(name, Some(format!("größe {scenario}")), "{interpreter:?}");
        }
        let main = victim.truth["main"].as_u64();
        let main = outcome.details.threads.iter().find(|thread| Some(thread.tstate) == main);
        assert_eq!(main.expect("it has a name").name.as_deref(), Some("MainThread"));
    });
}

#[test]
fn exceptions_are_told_with_their_texts_and_what_led_to_them() {
    for_each(&DetailsOptions::default(), |interpreter, victim, outcome| {
        let told = |found: &Option<lastwords_pyframes::ExceptionDetails>| {
            let mut found = serde_json::to_value(found).expect("JSON");
            if let Some(found) = found.as_object_mut() {
                assert!(found.remove("address").is_some());
            }
            found
        };
        let exceptions = victim.truth["exceptions"].as_object().expect("an object");
        for (scenario, expected) in exceptions {
            let thread = thread(victim, &outcome.details, scenario);
            assert_eq!(&told(&thread.handled), expected, "{interpreter:?} {scenario}");
            assert_eq!(thread.pending, None, "{interpreter:?} {scenario}");
        }
        let thread = thread(victim, &outcome.details, "pending");
        assert_eq!(told(&thread.pending), victim.truth["pending"], "{interpreter:?}");
        assert_eq!(thread.handled, None, "{interpreter:?}");
    });
}

#[test]
fn frames_of_generators_have_their_generators() {
    for_each(&DetailsOptions::default(), |interpreter, victim, outcome| {
        let details = thread(victim, &outcome.details, "generators");
        let thread = outcome.stream.threads.iter().find(|t| t.tstate == details.tstate);
        let thread = thread.expect("it was read");
        let owned: Vec<(&str, String)> = details
            .generators
            .iter()
            .map(|generator| {
                let frame = thread.frames.iter().find(|frame| frame.frame == generator.frame);
                let name = frame.and_then(|frame| frame.name.as_deref()).expect("its frame");
                (name, serde_json::to_string(&generator.kind).expect("JSON"))
            })
            .collect();
        let expected = [
            ("numbers_of", "\"generator\""),
            ("coroutine_of", "\"coroutine\""),
            ("coroutine_of_of", "\"coroutine\""),
            ("async_generator_of", "\"async_generator\""),
        ];
        let expected = expected.map(|(name, kind)| (name, kind.to_owned()));
        assert_eq!(owned, expected, "{interpreter:?}");
        for (index, name) in [(0, "numbers_of"), (3, "async_generator_of")] {
            let object = Some(details.generators[index].object);
            assert_eq!(object, victim.truth["generators"][name].as_u64(), "{interpreter:?}");
        }
    });
}

#[test]
fn values_of_every_type_are_shown_as_python_shows_them() {
    let options = DetailsOptions {
        locals: Some(LocalsLimits { max_frame_bytes: 64 * 1024, ..LocalsLimits::default() }),
        ..DetailsOptions::default()
    };
    for_each(&options, |interpreter, victim, outcome| {
        let found = locals(victim, outcome, "call_values", "values");
        let mut expected = victim.truth["values"].as_object().expect("an object").clone();
        for variable in &found.variables {
            let expected = expected.remove(&variable.name).unwrap_or_else(|| {
                panic!("{interpreter:?}: {variable:?} is unknown, or comes twice")
            });
            let kind = serde_json::to_value(variable.kind).expect("JSON");
            assert_eq!(kind, expected[0], "{interpreter:?} {variable:?}");
            if let Some(text) = expected[1].as_str() {
                assert_eq!(variable.value, text, "{interpreter:?} {}", variable.name);
            }
            assert!(!variable.is_redacted);
        }
        assert_eq!(expected, serde_json::Map::new(), "{interpreter:?}: missing");
        assert!(!found.is_cut);

        let inner = locals(victim, outcome, "call_values", "inner");
        let inner: Vec<Value> = inner
            .variables
            .iter()
            .map(|variable| json!([variable.name, variable.kind, variable.value]))
            .collect();
        let shown = "[{'c': 1}, {'c': 1}]";
        assert_eq!(inner.len(), 3, "{interpreter:?} {inner:?}");
        assert!(inner.contains(&json!(["local", "local", shown])), "{inner:?}");
        assert!(inner.contains(&json!(["free_variable", "free", shown])), "{inner:?}");
        assert!(inner.contains(&json!(["captured", "free", "{'c': 1}"])), "{inner:?}");
    });
}

#[test]
fn secrets_are_left_out_wherever_they_stand() {
    let options = DetailsOptions { secret_names: vec!["Patient".to_owned()], ..with_locals() };
    for_each(&options, |interpreter, victim, outcome| {
        let found = locals(victim, outcome, "call_secrets", "secrets");
        let values: serde_json::Map<String, Value> = found
            .variables
            .iter()
            .map(|variable| (variable.name.clone(), json!(variable.value)))
            .collect();
        assert_eq!(Value::Object(values), victim.truth["secrets"], "{interpreter:?}");
        for variable in &found.variables {
            let is_redacted = variable.value.contains("[redacted]");
            assert_eq!(variable.is_redacted, is_redacted, "{variable:?}");
        }
        let text = serde_json::to_string(&outcome.details).expect("JSON");
        let leaked = text.match_indices("hunter2").map(|(at, _)| &text[at - 60..at + 20]);
        assert_eq!(leaked.collect::<Vec<_>>(), [""; 0], "{interpreter:?}");
    });
}

#[test]
fn nothing_that_the_program_computes_with_becomes_evidence() {
    for (interpreter, victim) in victims() {
        let memory = victim.memory();
        let recording = RecordingMemory::new(&memory, 64 << 20, 100_000);
        let (limits, options) = (Limits::default(), with_locals());
        read_python_with_details(&recording, &victim.target, &limits, &options).expect("readable");
        assert!(!recording.is_cut() && recording.total_bytes() > 10_000);
        let mut evidence = Vec::new();
        for range in recording.ranges() {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("it fits")];
            memory.read(range.start, &mut bytes).expect("it was read before");
            evidence.extend(bytes);
        }
        let holds = |text: &str| evidence.windows(text.len()).any(|at| at == text.as_bytes());
        // Secrets; a variable; the text of an exception. Names of code stay.
        for text in ["hunter2", "it's \"so\"", "/nonexistent/gr"] {
            assert!(!holds(text), "{interpreter:?} {text}");
        }
        assert!(holds("call_secrets"), "{interpreter:?}");
    }
}

#[test]
fn arrays_are_shown_by_shape_and_type() {
    for interpreter in support::details::known_interpreters() {
        // numpy 1 and 2 differ inside; they are large, so one of each is enough.
        let versions: &[&str] = match interpreter.minor() {
            11 => &["numpy==1.26.4"],
            13 => &["numpy"],
            _ => &[],
        };
        for version in versions {
            let Some(packages) = packages::install(&interpreter, &[version]) else { continue };
            let script = "details_victim.py";
            let victim = Victim::start_script(&interpreter, script, Some(&packages));
            let outcome = victim.read_details(&with_locals());
            let found = locals(&victim, &outcome, "arrays", "arrays");
            let values: serde_json::Map<String, Value> = found
                .variables
                .iter()
                .filter(|variable| variable.name != "numpy")
                .map(|variable| (variable.name.clone(), json!(variable.value)))
                .collect();
            let place = format!("{interpreter:?} {version}");
            assert_eq!(Value::Object(values), victim.truth["arrays"], "{place}");
        }
    }
}

#[test]
fn limits_of_variables_hold_and_are_told() {
    let limits = LocalsLimits { max_total_bytes: 2_000, ..LocalsLimits::default() };
    let options = DetailsOptions { locals: Some(limits), ..DetailsOptions::default() };
    for_each(&options, |interpreter, _, outcome| {
        let size = |locals: &FrameLocals| -> usize {
            locals.variables.iter().map(|v| v.name.len() + v.value.len()).sum()
        };
        // A mark of three bytes for what was cut.
        let sizes: Vec<usize> = outcome.details.locals.iter().map(size).collect();
        let cuts = outcome.details.locals.iter().flat_map(|locals| &locals.variables).count();
        assert!(sizes.iter().sum::<usize>() <= 2_000 + 3 * cuts, "{interpreter:?} {sizes:?}");
        assert!(outcome.details.limits.contains(&"max_total_bytes".to_owned()));
    });
    let limits = LocalsLimits { max_frame_bytes: 1_000, ..LocalsLimits::default() };
    let options = DetailsOptions { locals: Some(limits), ..DetailsOptions::default() };
    for_each(&options, |interpreter, victim, outcome| {
        let found = locals(victim, outcome, "call_values", "values");
        assert!(found.is_cut, "{interpreter:?}");
        let size: usize = found.variables.iter().map(|v| v.name.len() + v.value.len()).sum();
        assert!((900..=1_003).contains(&size), "{interpreter:?} {size}");
        assert!(outcome.details.limits.contains(&"max_frame_bytes".to_owned()));
    });
}

#[test]
fn the_thread_that_is_named_is_read_first() {
    for (_, victim) in victims() {
        let stream = victim.read().stream;
        let state = victim.truth["states"]["call_secrets"].as_u64();
        let wanted = stream.threads.iter().find(|thread| Some(thread.tstate) == state);
        let wanted = wanted.expect("it was read");
        for id in [Some(wanted.thread_id), wanted.native_thread_id].into_iter().flatten() {
            let options = DetailsOptions { first_thread: Some(id), ..with_locals() };
            let first = victim.read_details(&options).details.locals[0].frame;
            assert!(wanted.frames.iter().any(|frame| frame.frame == first));
        }
    }
}

#[test]
fn without_being_asked_nothing_is_read() {
    for (_, victim) in victims() {
        assert!(victim.read().details.is_empty());
        let details = victim.read_details(&DetailsOptions::default()).details;
        assert_eq!(details.locals, []);
        assert!(!details.is_empty());
    }
}

#[test]
fn details_survive_json() {
    for_each(&with_locals(), |_, _, outcome| {
        let text = serde_json::to_string(&outcome.details).expect("JSON");
        let read: PythonDetails = serde_json::from_str(&text).expect("it was written so");
        assert_eq!(read, outcome.details);
        let empty: PythonDetails = serde_json::from_str("{}").expect("all may be missing");
        assert!(empty.is_empty());
        assert_eq!(serde_json::to_string(&empty).expect("JSON"), "{}");
    });
}

#[test]
fn details_cost_a_few_reads_for_each_thing() {
    for (interpreter, victim) in victims() {
        let memory = victim.memory();
        for options in [DetailsOptions::default(), with_locals()] {
            let counting = Counting::new(&memory);
            let started = support::thread_time();
            let limits = Limits::default();
            let outcome = read_python_with_details(&counting, &victim.target, &limits, &options)
                .expect("readable");
            let taken = support::thread_time() - started;
            let frames = outcome.stream.threads.iter().map(|t| t.frames.len()).sum::<usize>();
            let details = outcome.details;
            let variables = details.locals.iter().map(|f| f.variables.len()).sum::<usize>();
            let (reads, bytes) = (counting.reads.get(), counting.bytes.get());
            println!(
                "3.{}: {} threads, {frames} frames, {variables} variables: {reads} reads, \
                 {bytes} bytes, {taken:?}",
                interpreter.minor(),
                outcome.stream.threads.len(),
            );
            // Frames by themselves, the rest by pages.
            assert!(reads < 700 + 6 * frames + variables, "{reads} reads");
        }
    }
}
