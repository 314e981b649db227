//! The stack of every thread: native frames within limits, and the plan of the merge.

use std::collections::{BTreeMap, BTreeSet};

use minidump::format::CONTEXT_AMD64;
use minidump::{
    MinidumpContext, MinidumpContextValidity, MinidumpRawContext, MinidumpThread, UnifiedMemory,
};
use minidump_processor::ProcessState;
use minidump_unwind::{CallStack, CallStackInfo, FrameTrust, StackFrame, SymbolProvider};

use crate::interpreter::Interpreter;
use crate::merge::{Item, NativeSpan, evaluation_size, first_unmatched, merge};
use crate::panics::caught;
use crate::python::ByThread;
use crate::soft_errors::SoftErrors;
use crate::state::Threads;
use crate::walk::{Walked, Walker};

/// Native frames kept, all threads together: 2 to 3 KB each.
const MAX_TOTAL_FRAMES: usize = 32_768;
/// Restarts of one thread's walk; each must get further up the stack.
const MAX_RESTARTS: usize = 64;

/// One thread's frames.
#[derive(Default)]
pub(crate) struct Stack {
    /// Native frames, newest first.
    pub(crate) frames: Vec<StackFrame>,
    /// For each span of the merge, the native frame; `None` for a stand-in.
    frame_of_span: Vec<Option<usize>>,
    spans: Vec<NativeSpan>,
    /// Native frames walked, kept or not.
    pub(crate) total: usize,
    /// Frames left out, and the index in `frames` of the first frame behind them.
    pub(crate) omitted: Option<(usize, usize)>,
}

impl Stack {
    /// The merged stack; indices of native items point into `frames`.
    pub(crate) fn merged(&self, anchors: &[Option<u64>]) -> Vec<Item> {
        merge(&self.spans, anchors)
    }

    /// The native frame that span `index` stands for.
    pub(crate) fn frame_of(&self, index: usize) -> Option<usize> {
        self.frame_of_span.get(index).copied().flatten()
    }

    fn append(&mut self, walked: Walked, interpreter: Interpreter) {
        let base = self.frames.len();
        let gap = walked.omitted.map(|(_, index)| index);
        for (index, frame) in walked.frames.iter().enumerate() {
            let next = index.saturating_add(1);
            let caller = walked.frames.get(next);
            let is_before_gap = gap == Some(next);
            self.spans.push(NativeSpan {
                sp: frame.context.get_stack_pointer(),
                cfa: caller.map(|caller| caller.context.get_stack_pointer()),
                is_evaluation: !is_before_gap && interpreter.is_evaluation(frame, caller),
                follows_gap: false,
                is_stand_in: false,
            });
            self.frame_of_span.push(Some(base.saturating_add(index)));
        }
        if self.omitted.is_none() {
            self.omitted = walked.omitted.map(|(count, index)| (count, base.saturating_add(index)));
        }
        self.total = self.total.saturating_add(walked.total);
        self.frames.extend(walked.frames);
    }

    /// Drops what was found from address `cfa` on, and makes room for a walk from there.
    ///
    /// An evaluation frame at the end is known to end at `cfa` now; otherwise one that was
    /// not walked stands in for it.
    fn cut_at(&mut self, anchor: u64, cfa: u64) {
        let kept = self.spans.iter().take_while(|span| span.sp < cfa).count();
        self.spans.truncate(kept);
        self.frame_of_span.truncate(kept);
        let frames = self.frame_of_span.iter().flatten().max().map_or(0, |i| i.saturating_add(1));
        self.frames.truncate(frames);
        if let Some(last) = self.spans.last_mut() {
            if last.is_evaluation && last.sp <= anchor && last.cfa.is_none_or(|end| end > anchor) {
                last.cfa = Some(cfa);
                return;
            }
            last.cfa = Some(last.cfa.map_or(anchor, |end| end.min(anchor)));
        }
        self.spans.push(NativeSpan {
            sp: anchor,
            cfa: Some(cfa),
            is_evaluation: true,
            follows_gap: true,
            is_stand_in: true,
        });
        self.frame_of_span.push(None);
    }
}

/// What all threads share.
pub(crate) struct Stacks<'a, P> {
    threads: &'a Threads<'a>,
    walker: Walker<'a, P>,
    interpreter: Interpreter,
    frames_left: usize,
    soft_errors: &'a mut SoftErrors,
}

impl<'a, P: SymbolProvider + Sync> Stacks<'a, P> {
    /// Nothing is walked yet.
    pub(crate) fn new(
        threads: &'a Threads<'a>,
        walker: Walker<'a, P>,
        interpreter: Interpreter,
        soft_errors: &'a mut SoftErrors,
    ) -> Self {
        Self { threads, walker, interpreter, frames_left: MAX_TOTAL_FRAMES, soft_errors }
    }

    /// Walks the first `count` threads; the one that crashed is walked first, so that it is
    /// complete whatever the limits do to the others.
    pub(crate) fn walk_all(&mut self, count: usize, python: &ByThread<'_>) -> Vec<Stack> {
        let mut stacks: Vec<Stack> = Vec::new();
        stacks.resize_with(count, Stack::default);
        let crashed = self.threads.requesting_thread();
        let others = (0..count).filter(|index| Some(*index) != crashed);
        for index in crashed.into_iter().chain(others) {
            if let (Some(stack), Some(thread)) =
                (stacks.get_mut(index), self.threads.list.get(index))
            {
                self.walk_one(stack, thread, index);
            }
        }
        self.restart_all(&mut stacks, python);
        stacks
    }

    fn walk_one(&mut self, stack: &mut Stack, thread: &'a MinidumpThread<'a>, index: usize) {
        let id = thread.raw.thread_id;
        if self.threads.dump_thread_id == Some(id) {
            return;
        }
        let place = format!("thread {id}");
        let context = caught(|| self.context_of(thread, index)).ok().flatten();
        let Some(context) = context else {
            let message = "its registers are not in the dump, or cannot be read";
            self.soft_errors.push("thread_context_missing", place, message);
            return;
        };
        let memory = self.memory_of(thread, context.get_stack_pointer());
        if memory.is_none() {
            let message = "its stack is not in the dump; only the newest frame is known";
            self.soft_errors.push("thread_stack_missing", place.as_str(), message);
        }
        let first = StackFrame::from_context(context, FrameTrust::Context);
        self.walk_into(stack, first, memory, &place);
    }

    fn walk_into(
        &mut self,
        stack: &mut Stack,
        first: StackFrame,
        memory: Option<UnifiedMemory<'_, '_>>,
        place: &str,
    ) {
        if self.frames_left == 0 {
            let message = "not walked: the frames of the other threads fill the limit";
            self.soft_errors.push("frames_cut", place, message);
            return;
        }
        let walked = self.walker.walk(first, memory, self.frames_left);
        self.frames_left = self.frames_left.saturating_sub(walked.frames.len());
        if let Some(message) = &walked.panic {
            self.soft_errors.push(
                "unwind_failed",
                place,
                format!("the unwinder failed: {message}"),
            );
        }
        if let Some((count, _)) = walked.omitted {
            let end =
                if walked.is_cut { "; the walk was ended before the oldest frame" } else { "" };
            let message = format!("{count} frames in the middle of the stack are left out{end}");
            self.soft_errors.push("frames_cut", place, message);
        }
        stack.append(walked, self.interpreter);
    }

    /// The thread that crashed has the registers of the exception: those of the thread may be
    /// those of the handler that wrote the dump.
    fn context_of(&self, thread: &MinidumpThread<'_>, index: usize) -> Option<MinidumpContext> {
        let system = self.threads.system.as_ref()?;
        let misc = self.threads.misc.as_ref();
        let own = || thread.context(system, misc).map(std::borrow::Cow::into_owned);
        if self.threads.requesting_thread() != Some(index) {
            return own();
        }
        let exception = self.threads.exception.as_ref();
        let of_exception = exception.and_then(|exception| exception.context(system, misc));
        of_exception.map(std::borrow::Cow::into_owned).or_else(own)
    }

    /// The thread's stack; where the stack pointer points elsewhere (an alternate signal
    /// stack), or the list of memory holds more of the stack, the memory that it points into.
    fn memory_of(
        &self,
        thread: &'a MinidumpThread<'a>,
        stack_pointer: u64,
    ) -> Option<UnifiedMemory<'a, 'a>> {
        let own = thread.stack_memory(&self.threads.memory);
        let listed = self.threads.memory.memory_at_address(stack_pointer);
        let end = |memory: &UnifiedMemory<'_, '_>| {
            memory.get_memory_at_address::<u64>(stack_pointer)?;
            memory.memory_range().map(|range| range.end)
        };
        let (own_end, listed_end) = (own.as_ref().and_then(end), listed.as_ref().and_then(end));
        if own_end.is_some() && own_end >= listed_end { own } else { listed.or(own) }
    }

    /// Restarts walks that ended below a Python frame's anchor, where it is known how far the
    /// anchor lies below the end of its evaluation frame.
    fn restart_all(&mut self, stacks: &mut [Stack], python: &ByThread<'_>) {
        let anchors: Vec<_> = python.threads.iter().map(|on| on.anchors()).collect();
        let pairs = || stacks.iter().zip(&anchors);
        let Some(size) = pairs().find_map(|(s, a)| evaluation_size(&s.spans, a)) else { return };
        for ((stack, anchors), thread) in stacks.iter_mut().zip(&anchors).zip(&self.threads.list) {
            for _ in 0..MAX_RESTARTS {
                let before = first_unmatched(&stack.spans, anchors);
                let Some(anchor) = before else { break };
                if !self.restart(stack, thread, anchor, size) {
                    break;
                }
                if first_unmatched(&stack.spans, anchors).is_some_and(|next| next <= anchor) {
                    break;
                }
            }
        }
    }

    fn restart(
        &mut self,
        stack: &mut Stack,
        thread: &'a MinidumpThread<'a>,
        anchor: u64,
        size: u64,
    ) -> bool {
        let Some(cfa) = anchor.checked_add(size) else { return false };
        let memory = self.memory_of(thread, anchor);
        let slot = cfa.checked_sub(8);
        let resume = slot.zip(memory).and_then(|(slot, memory)| memory.get_memory_at_address(slot));
        let Some(first) = resume.and_then(|resume: u64| self.caller_at(stack, resume, cfa)) else {
            return false;
        };
        stack.cut_at(anchor, cfa);
        let place = format!("thread {}", thread.raw.thread_id);
        self.walk_into(stack, first, memory, &place);
        true
    }

    /// The caller of an evaluation frame that ends at `cfa`; x86-64 only.
    fn caller_at(&self, stack: &Stack, resume: u64, cfa: u64) -> Option<StackFrame> {
        let is_amd64 =
            |frame: &StackFrame| matches!(frame.context.raw, MinidumpRawContext::Amd64(_));
        let is_known = stack.frames.first().is_some_and(is_amd64);
        let call = resume.checked_sub(1).filter(|_| is_known)?;
        self.walker.module_at(call)?;
        let raw = CONTEXT_AMD64 { rip: resume, rsp: cfa, ..CONTEXT_AMD64::default() };
        let context = MinidumpContext {
            raw: MinidumpRawContext::Amd64(raw),
            valid: MinidumpContextValidity::Some(["rip", "rsp"].into()),
        };
        let mut frame = StackFrame::from_context(context, FrameTrust::PreWalked);
        frame.instruction = call;
        Some(frame)
    }
}

/// Puts the frames where `print_json` looks for them.
pub(crate) fn into_state(state: &mut ProcessState, threads: &Threads<'_>, stacks: &mut [Stack]) {
    let cpu = state.system_info.cpu;
    let unloaded = &state.unloaded_modules;
    let filled = threads.list.iter().zip(stacks).map(|(thread, stack)| {
        let id = thread.raw.thread_id;
        for frame in &mut stack.frames {
            if frame.module.is_none() {
                frame.unloaded_modules = unloaded_offsets(unloaded, frame.instruction);
            }
        }
        CallStack {
            frames: std::mem::take(&mut stack.frames),
            info: CallStackInfo::Ok,
            thread_id: id,
            thread_name: threads.names.get_name(id).map(std::borrow::Cow::into_owned),
            last_error_value: caught(|| thread.last_error(cpu, &threads.memory)).ok().flatten(),
        }
    });
    state.threads = filled.collect();
    state.requesting_thread =
        threads.requesting_thread().filter(|index| *index < state.threads.len());
}

fn unloaded_offsets(
    modules: &minidump::MinidumpUnloadedModuleList,
    address: u64,
) -> BTreeMap<String, BTreeSet<u64>> {
    let mut offsets: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for module in modules.modules_at_address(address) {
        if let Some(offset) = address.checked_sub(module.raw.base_of_image) {
            offsets.entry(module.name.clone()).or_default().insert(offset);
        }
    }
    offsets
}
