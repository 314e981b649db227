//! Stacks with the registers of each frame.

use std::rc::Rc;

use minidump::{MinidumpContext, MinidumpRawContext};
use minidump_unwind::StackFrame;
use serde_json::{Map, Value, json};

use super::debuggee::Debuggee;
use crate::Error;
use crate::interpreter::Interpreter;
use crate::merge::{Item, Placement};
use crate::panics::caught;
use crate::python::{ByThread, OnThread, frame_json};
use crate::soft_errors::{SoftError, SoftErrors};
use crate::stack::Stack;
use crate::stacks::Stacks;
use crate::state::Threads;
use crate::walk::Walker;

/// All threads' stacks, as the analysis walks them.
pub(super) struct Walks {
    stacks: Vec<Rc<Stack>>,
    soft_errors: Vec<SoftError>,
}

impl Debuggee<'_> {
    /// One thread's frames.
    pub(super) fn stack(&self, thread: usize, own_context: bool) -> Result<Value, Error> {
        let stack = self.walked(thread, own_context)?;
        let nobody = OnThread::default();
        let python = self.python.threads.get(thread).unwrap_or(&nobody);
        let frames: Vec<Value> =
            stack.merged().into_iter().filter_map(|item| self.item(item, &stack, python)).collect();
        let id = self.threads.list.get(thread).map_or(0, |thread| thread.raw.thread_id);
        let place = format!("thread {id}");
        let walks = self.caches.walks.get();
        let errors = walks.map(|walks| walks.soft_errors.as_slice()).unwrap_or_default();
        let errors: Vec<&SoftError> =
            errors.iter().filter(|error| error.r#where == place).collect();
        Ok(json!({
            "frames": frames,
            "omitted": stack.omitted.map(|(count, at)| json!({"count": count, "before": at})),
            "total": stack.total,
            "soft_errors": errors,
        }))
    }

    /// The native frames of a thread.
    pub(super) fn walked(&self, thread: usize, own_context: bool) -> Result<Rc<Stack>, Error> {
        let count = self.threads.list.len();
        let missing = || Error::Request {
            reason: format!("there is no thread {thread}; the dump has {count}"),
        };
        if thread >= count {
            return Err(missing());
        }
        if own_context && self.threads.requesting_thread() == Some(thread) {
            let mut known = self.caches.own_walk.borrow_mut();
            return Ok(known
                .entry(thread)
                .or_insert_with(|| Rc::new(self.walk_own(thread)))
                .clone());
        }
        let walks = self.caches.walks.get_or_init(|| self.walk_all());
        walks.stacks.get(thread).cloned().ok_or_else(missing)
    }

    fn walk_all(&self) -> Walks {
        let mut soft_errors = SoftErrors::default();
        let modules = &self.state.modules;
        let stacks = {
            let limit = self.options.max_frames;
            let walker = Walker::new(modules, &self.state.system_info, self.provider, limit);
            let mut stacks =
                Stacks::new(self.threads, walker, self.interpreter(), &mut soft_errors);
            stacks.walk_all(self.threads.list.len(), self.python)
        };
        Walks {
            stacks: stacks.into_iter().map(Rc::new).collect(),
            soft_errors: soft_errors.into_list(),
        }
    }

    /// The thread that crashed, from where it stood when the dump was written.
    fn walk_own(&self, thread: usize) -> Stack {
        let mut soft_errors = SoftErrors::default();
        let modules = &self.state.modules;
        let limit = self.options.max_frames;
        let walker = Walker::new(modules, &self.state.system_info, self.provider, limit);
        let mut stacks = Stacks::new(self.own, walker, self.interpreter(), &mut soft_errors);
        let mut list: Vec<Stack> = Vec::new();
        list.resize_with(self.own.list.len(), Stack::default);
        if let (Some(stack), Some(raw)) = (list.get_mut(thread), self.own.list.get(thread)) {
            stacks.walk_one(stack, raw, thread);
        }
        let mut only = ByThread::default();
        only.threads.resize_with(list.len(), OnThread::default);
        if let (Some(to), Some(from)) =
            (only.threads.get_mut(thread), self.python.threads.get(thread))
        {
            *to = OnThread {
                states: from.states.clone(),
                frames: from.frames.clone(),
                omitted: from.omitted,
            };
        }
        stacks.check_all(&mut list, &only);
        list.into_iter().nth(thread).unwrap_or_default()
    }

    fn interpreter(&self) -> Interpreter {
        let runtime = self.stream.map_or(0, |stream| stream.runtime_address);
        Interpreter::find(&self.state.modules, runtime)
    }

    /// A thread's registers, without the walk.
    pub(super) fn context_of(
        &self,
        threads: &Threads<'_>,
        index: usize,
    ) -> Option<MinidumpContext> {
        let thread = threads.list.get(index)?;
        let (system, misc) = (threads.system.as_ref()?, threads.misc.as_ref());
        caught(|| thread.context(system, misc).map(std::borrow::Cow::into_owned)).ok().flatten()
    }

    fn item(&self, item: Item, stack: &Stack, python: &OnThread<'_>) -> Option<Value> {
        let (mut frame, gap) = match item {
            Item::Native { index, gap } => {
                let index = stack.frame_of(index)?;
                (self.native(stack.frames.get(index)?, index), gap)
            }
            Item::Python { index, placement, gap, instead_of } => {
                let text = match placement {
                    Placement::Anchored => "anchored",
                    Placement::Unplaced => "unplaced",
                };
                let source = python.frames.get(index)?;
                let mut frame = frame_json(source, text);
                let native = instead_of.and_then(|span| stack.frame_of(span));
                let evaluation =
                    native.and_then(|index| Some(self.native(stack.frames.get(index)?, index)));
                let object = frame.as_object_mut()?;
                object.insert("anchor".into(), source.anchor.into());
                object.insert("frame".into(), source.frame.into());
                object.insert("evaluation".into(), evaluation.unwrap_or(Value::Null));
                (frame, gap)
            }
        };
        if let Some(gap) = gap {
            let gap = json!({"about": gap.about, "stack_bytes": gap.stack_bytes});
            frame.as_object_mut()?.insert("unknown_frames".into(), gap);
        }
        Some(frame)
    }

    fn native(&self, frame: &StackFrame, index: usize) -> Value {
        let module = frame.module.as_ref().and_then(|_| self.module_at(frame.instruction));
        let inlines: Vec<Value> = frame
            .inlines
            .iter()
            .map(|inline| {
                json!({
                    "function": inline.function_name,
                    "file": inline.source_file_name,
                    "line": inline.source_line,
                })
            })
            .collect();
        json!({
            "kind": "native",
            "index": index,
            "ip": frame.resume_address,
            "instruction": frame.instruction,
            "sp": frame.context.get_stack_pointer(),
            "trust": frame.trust.as_str(),
            "module": module.map(|(index, _)| index),
            "function": frame.function_name,
            "function_base": frame.function_base,
            "file": frame.source_file_name,
            "line": frame.source_line,
            "inlines": inlines,
            "unloaded": frame.unloaded_modules.iter().next().map(|(name, offsets)| json!({
                "name": name, "offset": offsets.iter().next(),
            })),
            "registers": registers(&frame.context),
        })
    }
}

/// The registers that are known of a frame; flags and segments in the newest one only.
pub(super) fn registers(context: &MinidumpContext) -> Value {
    let mut all: Map<String, Value> =
        context.valid_registers().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let is_whole = matches!(context.valid, minidump::MinidumpContextValidity::All);
    if !is_whole {
        return Value::Object(all);
    }
    let mut put = |name: &str, value: u64| all.insert(name.to_owned(), value.into());
    match &context.raw {
        MinidumpRawContext::Amd64(raw) => {
            let segments =
                [("cs", raw.cs), ("ds", raw.ds), ("es", raw.es), ("fs", raw.fs), ("gs", raw.gs)];
            for (name, value) in segments.into_iter().chain([("ss", raw.ss)]) {
                put(name, value.into());
            }
            put("efl", raw.eflags.into());
            vectors(&raw.float_save, |name, value| {
                put(name, value);
            });
        }
        MinidumpRawContext::X86(raw) => {
            let segments =
                [("cs", raw.cs), ("ds", raw.ds), ("es", raw.es), ("fs", raw.fs), ("gs", raw.gs)];
            for (name, value) in segments.into_iter().chain([("ss", raw.ss)]) {
                put(name, (value & 0xffff).into());
            }
            put("efl", raw.eflags.into());
        }
        MinidumpRawContext::Arm64(raw) => {
            put("cpsr", raw.cpsr.into());
        }
        MinidumpRawContext::OldArm64(raw) => {
            put("cpsr", raw.cpsr.into());
        }
        MinidumpRawContext::Arm(raw) => {
            put("cpsr", raw.cpsr.into());
        }
        _ => {}
    }
    Value::Object(all)
}

/// `XMM_SAVE_AREA32.XmmRegisters` at 160, 16 bytes each: the halves `xmm0` and `xmm0h`.
fn vectors(area: &[u8], mut put: impl FnMut(&str, u64)) {
    let registers = area.get(160..416).unwrap_or_default();
    for (number, bytes) in registers.chunks_exact(16).enumerate() {
        let half = |at: usize| {
            let bytes: Option<[u8; 8]> = bytes.get(at..at.checked_add(8)?)?.try_into().ok();
            bytes.map(u64::from_le_bytes)
        };
        if let (Some(low), Some(high)) = (half(0), half(8)) {
            put(&format!("xmm{number}"), low);
            put(&format!("xmm{number}h"), high);
        }
    }
}
