//! The analysis document: the processor's JSON, with ours added (docs/formats/analysis.md).

use minidump::{Minidump, MinidumpAnnotation, MinidumpCrashpadInfo};
use minidump_processor::ProcessState;
use minidump_unwind::{CallStack, CallStackInfo, StackFrame};
use serde_json::{Map, Value, json};

use crate::assertion;
use crate::merge::{Gap, Item, Placement};
use crate::panics::caught;
use crate::python::{OnThread, frame_json};
use crate::soft_errors::SoftErrors;
use crate::stack::Stack;

/// Version of the document's own keys.
pub(crate) const SCHEMA: u32 = 1;

/// The processor's own document; without frames when it cannot be written with them.
pub(crate) fn base(state: &mut ProcessState, soft_errors: &mut SoftErrors) -> Map<String, Value> {
    if let Some(document) = print(state) {
        return document;
    }
    let message = "writing the frames failed; they are left out";
    soft_errors.push("document_failed", "threads", message);
    for thread in &mut state.threads {
        thread.frames.clear();
    }
    print(state).unwrap_or_default()
}

/// What the processor writes of each frame, for stacks that are no threads' own.
pub(crate) fn frames_json(
    state: &mut ProcessState,
    stacks: Vec<Vec<StackFrame>>,
) -> Vec<Vec<Value>> {
    if stacks.is_empty() {
        return Vec::new();
    }
    let count = stacks.len();
    let as_thread = |frames| CallStack { frames, ..CallStack::with_info(0, CallStackInfo::Ok) };
    let threads =
        std::mem::replace(&mut state.threads, stacks.into_iter().map(as_thread).collect());
    let requesting_thread = state.requesting_thread.take();
    let printed = print(state).unwrap_or_default().remove("threads");
    state.threads = threads;
    state.requesting_thread = requesting_thread;
    let mut stacks: Vec<Vec<Value>> = match printed {
        Some(Value::Array(threads)) => threads.into_iter().map(frames_of).collect(),
        _ => Vec::new(),
    };
    stacks.resize(count, Vec::new());
    stacks
}

fn frames_of(mut thread: Value) -> Vec<Value> {
    let mut frames = match thread.get_mut("frames").map(Value::take) {
        Some(Value::Array(frames)) => frames,
        _ => Vec::new(),
    };
    for frame in frames.iter_mut().filter_map(Value::as_object_mut) {
        frame.insert("kind".into(), "native".into());
    }
    frames
}

fn print(state: &ProcessState) -> Option<Map<String, Value>> {
    let bytes = caught(|| {
        let mut out = Vec::new();
        state.print_json(&mut out, false).ok().map(|()| out)
    });
    let document = serde_json::from_slice(&bytes.ok().flatten()?).ok()?;
    match document {
        Value::Object(document) => Some(document),
        _ => None,
    }
}

/// Which native frames are plumbing, thread by thread.
pub(crate) type Plumbing = Vec<Vec<bool>>;

/// Replaces the native frames of every thread by the merged ones.
pub(crate) fn merge_threads(
    document: &mut Map<String, Value>,
    stacks: &[Stack],
    python: &[OnThread<'_>],
    plumbing: &Plumbing,
) {
    let Some(Value::Array(threads)) = document.get_mut("threads") else { return };
    let nobody = OnThread::default();
    for (index, thread) in threads.iter_mut().enumerate() {
        let Some(thread) = thread.as_object_mut() else { continue };
        let Some(stack) = stacks.get(index) else { continue };
        let on_thread = python.get(index).unwrap_or(&nobody);
        let is_plumbing = plumbing.get(index).map(Vec::as_slice).unwrap_or_default();
        let native = match thread.remove("frames") {
            Some(Value::Array(frames)) => frames,
            _ => Vec::new(),
        };
        let frames = merged_frames(native, stack, on_thread, is_plumbing);
        thread.insert("native_frames".into(), stack.total.into());
        thread.insert("is_whole".into(), stack.is_whole.into());
        thread.insert("frame_count".into(), frames.len().into());
        thread.insert("frames".into(), Value::Array(frames));
        thread.insert("python".into(), on_thread.to_json());
    }
}

/// Adds `waits_for_gil` to the Python side of each thread.
pub(crate) fn tell_who_waits(document: &mut Map<String, Value>, waiting: &[bool]) {
    let Some(Value::Array(threads)) = document.get_mut("threads") else { return };
    for (thread, waits) in threads.iter_mut().zip(waiting) {
        if let Some(Value::Object(python)) = thread.get_mut("python") {
            python.insert("waits_for_gil".into(), (*waits).into());
        }
    }
}

fn merged_frames(
    mut native: Vec<Value>,
    stack: &Stack,
    python: &OnThread<'_>,
    is_plumbing: &[bool],
) -> Vec<Value> {
    for (index, frame) in native.iter_mut().enumerate() {
        let Some(frame) = frame.as_object_mut() else { continue };
        frame.insert("kind".into(), "native".into());
        if is_plumbing.get(index) == Some(&true) {
            frame.insert("plumbing".into(), true.into());
        }
        if let Some((count, _)) = stack.omitted.filter(|(_, at)| *at == index) {
            frame.insert("omitted_frames".into(), count.into());
        }
    }
    let mut out = Vec::with_capacity(native.len().saturating_add(python.frames.len()));
    let mut native = NativeFrames { stack, frames: native, told: None };
    for item in stack.merged() {
        if let Some(frame) = frame_of_item(item, &mut native, python) {
            out.push(frame);
        }
    }
    for (number, frame) in out.iter_mut().enumerate() {
        if let Some(frame) = frame.as_object_mut() {
            frame.insert("frame".into(), number.into());
        }
    }
    out
}

fn frame_of_item(
    item: Item,
    native: &mut NativeFrames<'_>,
    python: &OnThread<'_>,
) -> Option<Value> {
    let (mut frame, gap) = match item {
        Item::Native { index, gap } => (native.take(index)?, gap),
        Item::Python { index, placement, gap, instead_of } => {
            let text = match placement {
                Placement::Anchored => "anchored",
                Placement::Unplaced => "unplaced",
            };
            let mut frame = frame_json(python.frames.get(index)?, text);
            if let Some((count, _)) = python.omitted.filter(|(_, at)| *at == index) {
                frame.as_object_mut()?.insert("omitted_frames".into(), count.into());
            }
            if let Some(evaluation) = instead_of.and_then(|span| native.take_replaced(span)) {
                frame.as_object_mut()?.insert("evaluation".into(), evaluation);
            }
            (frame, gap)
        }
    };
    if let Some(Gap { about, stack_bytes }) = gap {
        let gap = json!({"about": about, "stack_bytes": stack_bytes});
        frame.as_object_mut()?.insert("unknown_frames".into(), gap);
    }
    Some(frame)
}

/// What is kept of a native frame that Python frames stand for.
const EVALUATION_KEYS: &[&str] = &[
    "module",
    "module_offset",
    "offset",
    "function",
    "function_offset",
    "file",
    "line",
    "inlines",
    "trust",
];

/// The native frames, each of which is shown, or replaced by Python frames: it moves out once.
struct NativeFrames<'a> {
    stack: &'a Stack,
    frames: Vec<Value>,
    /// The evaluation frame that was told last.
    told: Option<usize>,
}

impl NativeFrames<'_> {
    fn take(&mut self, span: usize) -> Option<Value> {
        self.frames.get_mut(self.stack.frame_of(span)?).map(Value::take)
    }

    /// What is kept of an evaluation frame that Python frames stand for; the first of them tells it.
    fn take_replaced(&mut self, span: usize) -> Option<Value> {
        if self.told == Some(span) {
            return None;
        }
        self.told = Some(span);
        let mut frame = self.take(span)?;
        let mut kept = |key: &&str| frame.get_mut(*key).map_or(Value::Null, Value::take);
        Some(EVALUATION_KEYS.iter().map(|key| ((*key).to_owned(), kept(key))).collect())
    }
}

/// Makes `crashing_thread` the merged copy; its first frame keeps the registers.
pub(crate) fn copy_crashing_thread(document: &mut Map<String, Value>) {
    let Some(old) = document.remove("crashing_thread") else { return };
    let index = old.get("threads_index").and_then(Value::as_u64);
    let index = index.and_then(|index| usize::try_from(index).ok());
    let threads = document.get("threads").and_then(Value::as_array);
    let merged = index.zip(threads).and_then(|(index, threads)| threads.get(index));
    let Some(mut thread) = merged.cloned() else { return };
    let registers = old.pointer("/frames/0/registers").cloned();
    if let Some(frame) = thread.pointer_mut("/frames/0").and_then(Value::as_object_mut) {
        frame.insert("registers".into(), registers.unwrap_or(Value::Null));
    }
    if let Some(thread) = thread.as_object_mut() {
        thread.insert("threads_index".into(), index.into());
    }
    document.insert("crashing_thread".into(), thread);
}

/// Adds what stands beside the threads.
pub(crate) fn add_own_keys(
    document: &mut Map<String, Value>,
    dump: &Minidump<'_, &[u8]>,
    python: Value,
) {
    let crashpad = caught(|| dump.get_stream::<MinidumpCrashpadInfo>());
    let crashpad = crashpad.ok().and_then(Result::ok);
    document.insert("python".into(), python);
    assertion::complete(document, dump);
    document.insert("annotations".into(), annotations(crashpad.as_ref()));
    document.insert("crashpad".into(), crashpad.as_ref().map_or(Value::Null, crashpad_json));
}

/// Adds what could not be had, as the last thing.
pub(crate) fn add_soft_errors(document: &mut Map<String, Value>, soft_errors: SoftErrors) {
    let of_writer = document.remove("soft_errors").unwrap_or(Value::Null);
    document.insert("soft_errors".into(), merge_soft_errors(of_writer, soft_errors));
}

/// What the dump's writer could not have (MozSoftErrors), then what we could not.
///
/// Other writers put any JSON there; what has not our keys is kept as `detail`.
fn merge_soft_errors(of_writer: Value, own: SoftErrors) -> Value {
    let entries = match of_writer {
        Value::Null => Vec::new(),
        Value::Array(entries) => entries,
        other => vec![other],
    };
    let mut all: Vec<Value> = entries.into_iter().map(as_soft_error).collect();
    all.extend(own.into_list().into_iter().map(|error| json!(error)));
    Value::Array(all)
}

fn as_soft_error(entry: Value) -> Value {
    let is_ours = ["code", "where", "message"]
        .iter()
        .all(|key| entry.get(*key).is_some_and(Value::is_string));
    if is_ours {
        return entry;
    }
    let message = entry.as_str().map_or_else(|| entry.to_string(), ToOwned::to_owned);
    json!({
        "code": "writer_soft_error",
        "where": "stream MozSoftErrors",
        "message": message,
        "detail": entry,
    })
}

/// The process's annotations first; those of modules fill in what is not there.
fn annotations(crashpad: Option<&MinidumpCrashpadInfo>) -> Value {
    let mut all = Map::new();
    let Some(crashpad) = crashpad else { return Value::Object(all) };
    for (key, value) in &crashpad.simple_annotations {
        all.insert(key.clone(), value.as_str().into());
    }
    for module in &crashpad.module_list {
        for (key, value) in &module.simple_annotations {
            all.entry(key.clone()).or_insert_with(|| value.as_str().into());
        }
        for (key, value) in &module.annotation_objects {
            if let MinidumpAnnotation::String(value) = value {
                all.entry(key.clone()).or_insert_with(|| value.as_str().into());
            }
        }
    }
    Value::Object(all)
}

fn crashpad_json(crashpad: &MinidumpCrashpadInfo) -> Value {
    let modules = crashpad.module_list.iter().map(|module| {
        json!({
            "module_index": module.module_index,
            "list_annotations": module.list_annotations,
        })
    });
    json!({
        "report_id": crashpad.raw.report_id.to_string().to_lowercase(),
        "client_id": crashpad.raw.client_id.to_string().to_lowercase(),
        "modules": modules.collect::<Vec<_>>(),
    })
}
