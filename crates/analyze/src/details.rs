//! Details of Python beside threads and frames: the stream `LastwordsPythonDetails` (0x4C570008),
//! which `docs/formats/python-details.md` describes.
//!
//! Keys that are not known are left out, and so is what has another type than it should. Each
//! piece goes into the document once, so nothing grows: frames that claim the same address do
//! not share their variables.

use std::collections::HashMap;

use lastwords_pyframes::PythonDetails;
use minidump::Minidump;
use serde_json::{Map, Value, json};

use crate::private;
use crate::python::{ByThread, OnThread, hex};
use crate::soft_errors::SoftErrors;

/// Entries of the lists that are read, and tasks that wait for one.
const MAX_THREADS: usize = 8_192;
const MAX_LOCALS: usize = 32_768;
const MAX_TASKS: usize = 4_096;
const MAX_GREENLETS: usize = 4_096;
const MAX_FRAMES: usize = 1_024;
const MAX_CHAIN: usize = 64;
const MAX_VARIABLES: usize = 1_024;
const MAX_WAITING: usize = 256;

const TASK_STATES: [&str; 3] = ["pending", "cancelled", "finished"];
const GENERATORS: [&str; 3] = ["generator", "coroutine", "async_generator"];
const VARIABLES: [&str; 4] = ["argument", "local", "cell", "free"];

/// What the stream says.
#[derive(Debug, Default)]
pub(crate) struct Details {
    is_there: bool,
    threads: HashMap<u64, Map<String, Value>>,
    locals: HashMap<u64, Value>,
    tasks: Vec<Value>,
    greenlets: Vec<Value>,
    limits: Vec<Value>,
}

/// Reads the stream; where it says nothing, or nothing of variables, what the memory in the dump
/// says counts.
pub(crate) fn read(
    dump: &Minidump<'_, &[u8]>,
    evidence: &PythonDetails,
    soft_errors: &mut SoftErrors,
) -> Details {
    let stream = private::read(dump, private::PYTHON_DETAILS, soft_errors);
    let evidence = || match evidence.is_empty() {
        true => Value::Null,
        false => serde_json::to_value(evidence).unwrap_or_default(),
    };
    let Some(stream) = stream else {
        return Details::of(&evidence());
    };
    if !stream.is_object() {
        let message = "it holds no object".to_owned();
        soft_errors.push("stream_malformed", "stream LastwordsPythonDetails", message);
        return Details::of(&evidence());
    }
    let mut details = Details::of(&stream);
    if details.locals.is_empty() {
        details.locals = Details::of(&evidence()).locals;
    }
    details
}

impl Details {
    fn of(told: &Value) -> Self {
        Self {
            is_there: told.is_object(),
            threads: list(told, "threads", MAX_THREADS)
                .filter_map(|thread| Some((address(thread, "tstate")?, thread_json(thread))))
                .collect(),
            locals: list(told, "locals", MAX_LOCALS)
                .filter_map(|frame| Some((address(frame, "frame")?, locals_json(frame))))
                .collect(),
            tasks: list(told, "tasks", MAX_TASKS).cloned().collect(),
            greenlets: list(told, "greenlets", MAX_GREENLETS).map(greenlet_json).collect(),
            limits: list(told, "limits", MAX_CHAIN).filter(|l| l.is_string()).cloned().collect(),
        }
    }

    /// Fills `threads[].python` and `threads[].frames[].python`. The Python frames of a thread
    /// stand in the document in the order of `by_thread`.
    pub(crate) fn complete(&mut self, document: &mut Map<String, Value>, by_thread: &ByThread<'_>) {
        let Some(Value::Array(threads)) = document.get_mut("threads") else { return };
        for (thread, on_thread) in threads.iter_mut().zip(&by_thread.threads) {
            let told = on_thread.states.iter().find_map(|s| self.threads.remove(&s.tstate));
            if let Some(python) = thread.get_mut("python").and_then(Value::as_object_mut) {
                python.extend(told.unwrap_or_default());
            }
            let Some(Value::Array(frames)) = thread.get_mut("frames") else { continue };
            let shown = frames.iter_mut().filter_map(|frame| frame.get_mut("python"));
            for (python, frame) in shown.filter_map(Value::as_object_mut).zip(&on_thread.frames) {
                if let Some(locals) = self.locals.remove(&frame.frame) {
                    python.insert("locals".into(), locals);
                }
            }
        }
    }

    /// Fills the key `python` of the document; it stays as it is without a stream.
    pub(crate) fn complete_summary(&mut self, summary: &mut Value, by_thread: &ByThread<'_>) {
        let Some(summary) = summary.as_object_mut().filter(|_| self.is_there) else { return };
        if let Some(Value::Array(unmatched)) = summary.get_mut("unmatched_threads") {
            for thread in unmatched.iter_mut().filter_map(Value::as_object_mut) {
                let tstate = thread.get("tstate").and_then(Value::as_str).and_then(parse);
                let told = tstate.and_then(|tstate| self.threads.remove(&tstate));
                thread.extend(told.unwrap_or_default());
            }
        }
        let tasks = self.tasks_json(by_thread);
        summary.insert("tasks".into(), tasks);
        summary.insert("greenlets".into(), Value::Array(std::mem::take(&mut self.greenlets)));
        summary.insert("limits".into(), Value::Array(std::mem::take(&mut self.limits)));
    }

    fn tasks_json(&mut self, by_thread: &ByThread<'_>) -> Value {
        let indices: HashMap<u64, usize> = self
            .tasks
            .iter()
            .enumerate()
            .filter_map(|(index, task)| Some((address(task, "address")?, index)))
            .collect();
        let thread_of = |task: &Value| {
            let tstate = address(task, "running_on")?;
            let runs_it = |thread: &OnThread<'_>| thread.states.iter().any(|s| s.tstate == tstate);
            by_thread.threads.iter().position(runs_it)
        };
        let tasks = std::mem::take(&mut self.tasks);
        let told = tasks.iter().map(|task| task_json(task, thread_of(task), &indices));
        Value::Array(told.collect())
    }
}

fn task_json(task: &Value, thread: Option<usize>, indices: &HashMap<u64, usize>) -> Value {
    let waits_for = task.get("waits_for").filter(|other| other.is_object()).map(|other| {
        json!({
            "address": hex_of(other, "address"),
            "type": text(other, "type"),
            "name": text(other, "name"),
            "task": address(other, "address").and_then(|at| indices.get(&at)),
        })
    });
    let awaited_by: Vec<usize> = list(task, "awaited_by", MAX_WAITING)
        .filter_map(|other| indices.get(&parse(other.as_str()?)?).copied())
        .collect();
    json!({
        "address": hex_of(task, "address"),
        "name": text(task, "name"),
        "state": one_of(task, "state", &TASK_STATES),
        "loop": hex_of(task, "loop"),
        "is_current": flag(task, "is_current"),
        "thread": thread,
        "coroutine": hex_of(task, "coroutine"),
        "frames": frames_json(task),
        "is_cut": flag(task, "is_cut"),
        "waits_for": waits_for,
        "awaited_by": awaited_by,
    })
}

fn greenlet_json(greenlet: &Value) -> Value {
    json!({
        "address": hex_of(greenlet, "address"),
        "type": text(greenlet, "type"),
        "is_suspended": flag(greenlet, "is_suspended"),
        "frames": frames_json(greenlet),
        "is_cut": flag(greenlet, "is_cut"),
    })
}

fn frames_json(of: &Value) -> Vec<Value> {
    list(of, "frames", MAX_FRAMES).map(frame_json).collect()
}

fn frame_json(frame: &Value) -> Value {
    json!({
        "function": text(frame, "qualname").or(text(frame, "name")),
        "name": text(frame, "name"),
        "qualname": text(frame, "qualname"),
        "file": text(frame, "file"),
        "line": number(frame, "line"),
        "end_line": number(frame, "end_line"),
        "column": number(frame, "column"),
        "end_column": number(frame, "end_column"),
        "kind": one_of(frame, "kind", &GENERATORS),
        "object": hex_of(frame, "object"),
        "is_partial": flag(frame, "is_partial"),
    })
}

/// The keys that `threads[].python` gets.
fn thread_json(thread: &Value) -> Map<String, Value> {
    let exception = |key: &str| thread.get(key).and_then(exception_json);
    let mut told = Map::new();
    told.insert("name".into(), json!(text(thread, "name")));
    told.insert("pending_exception".into(), json!(exception("pending")));
    told.insert("handled_exception".into(), json!(exception("handled")));
    told
}

fn exception_json(exception: &Value) -> Option<Value> {
    let type_name = text(exception, "type")?;
    let chain: Vec<Value> = list(exception, "chain", MAX_CHAIN)
        .filter_map(|link| {
            let type_name = text(link, "type")?;
            let how = one_of(link, "link", &["cause", "context"]);
            Some(json!({"link": how, "type": type_name, "text": text(link, "text")}))
        })
        .collect();
    Some(json!({"type": type_name, "text": text(exception, "text"), "chain": chain}))
}

fn locals_json(frame: &Value) -> Value {
    let variables = list(frame, "variables", MAX_VARIABLES).filter_map(|variable| {
        Some(json!({
            "name": text(variable, "name")?,
            "kind": one_of(variable, "kind", &VARIABLES),
            "value": text(variable, "value")?,
            "is_redacted": flag(variable, "is_redacted"),
        }))
    });
    Value::Array(variables.collect())
}

fn list<'a>(value: &'a Value, key: &str, max: usize) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().take(max)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn number(value: &Value, key: &str) -> Option<u32> {
    value.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
}

fn one_of(value: &Value, key: &str, known: &[&'static str]) -> Option<&'static str> {
    let found = text(value, key)?;
    known.iter().copied().find(|known| *known == found)
}

fn address(value: &Value, key: &str) -> Option<u64> {
    text(value, key).and_then(parse)
}

fn hex_of(value: &Value, key: &str) -> Option<String> {
    address(value, key).map(hex)
}

fn parse(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
