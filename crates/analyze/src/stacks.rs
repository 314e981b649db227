//! The stack of every thread: native frames within limits, and the plan of the merge.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use minidump::format::CONTEXT_AMD64;
use minidump::{
    CpuContext as _, MinidumpContext, MinidumpContextValidity, MinidumpRawContext, MinidumpThread,
    UnifiedMemory,
};
use minidump_processor::ProcessState;
use minidump_unwind::{CallStack, CallStackInfo, FrameTrust, StackFrame};

use crate::interpreter::{self, Interpreter, is_exact};
use crate::merge::{Gap, Item, NativeSpan, merge};
use crate::panics::caught;
use crate::python::ByThread;
use crate::resync::{Verdict, check, distances, most_common};
use crate::soft_errors::SoftErrors;
use crate::state::Threads;
use crate::walk::{Walked, Walker};

/// Native frames kept, all threads together: 2 to 3 KB each.
const MAX_TOTAL_FRAMES: usize = 32_768;
/// Restarts of one thread's walk; each must get further up the stack.
const MAX_RESTARTS: usize = 64;
/// Stacks of one thread: its own, and those of signal handlers within handlers.
const MAX_STACKS: usize = 8;

/// One thread's frames.
#[derive(Default)]
pub(crate) struct Stack {
    /// Native frames, newest first.
    pub(crate) frames: Vec<StackFrame>,
    /// For each span of the merge, the native frame; `None` for a stand-in.
    frame_of_span: Vec<Option<usize>>,
    spans: Vec<NativeSpan>,
    /// The anchor of each Python frame.
    anchors: Vec<Option<u64>>,
    /// Native frames walked, kept or not.
    pub(crate) total: usize,
    /// Frames left out, and the index in `frames` of the first frame behind them.
    pub(crate) omitted: Option<(usize, usize)>,
}

impl Stack {
    /// The merged stack; indices of native items point into `frames`.
    pub(crate) fn merged(&self) -> Vec<Item> {
        merge(&self.spans, &self.anchors)
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
                is_exact: is_exact(frame.trust),
                gap: None,
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

    /// Takes the oldest frame back.
    fn drop_last(&mut self) {
        self.frames.pop();
        self.spans.pop();
        self.frame_of_span.pop();
        self.total = self.total.saturating_sub(1);
    }

    /// The walk goes on at lower addresses: what it has met owns nothing of the stack that is to
    /// come, on which the anchors are.
    fn leave(&mut self) {
        for span in &mut self.spans {
            (span.sp, span.cfa, span.is_evaluation) = (0, Some(0), false);
        }
    }

    /// Keeps `keep` frames, and makes room for a walk from the evaluation frame's end `cfa` on.
    ///
    /// An evaluation frame at the end is known to end at `cfa` now; otherwise one that was
    /// not walked stands in for it.
    fn cut(&mut self, keep: usize, anchor: u64, cfa: u64) {
        let dropped = self.spans.iter().skip(keep).take_while(|span| span.sp < anchor).count();
        self.spans.truncate(keep);
        self.frame_of_span.truncate(keep);
        let frames = self.frame_of_span.iter().flatten().max().map_or(0, |i| i.saturating_add(1));
        self.frames.truncate(frames);
        let mut end = None;
        if let Some(last) = self.spans.last_mut() {
            let has_room = last.cfa.is_none_or(|end| end > anchor);
            if last.is_evaluation && last.is_exact && last.sp <= anchor && has_room {
                last.cfa = Some(cfa);
                return;
            }
            last.cfa = last.cfa.map(|end| end.min(anchor));
            end = last.cfa.or(Some(last.sp));
        }
        self.spans.push(NativeSpan {
            sp: anchor,
            cfa: Some(cfa),
            is_evaluation: true,
            is_exact: true,
            gap: Some(Gap {
                about: dropped.max(1),
                stack_bytes: end.and_then(|end| anchor.checked_sub(end)),
            }),
            is_stand_in: true,
        });
        self.frame_of_span.push(None);
    }

    /// Marks what hangs on a guess that no anchor has confirmed.
    fn doubt(&mut self, confirmed: usize, is_ended: bool) {
        let next = confirmed.saturating_add(1);
        let guess = self.spans.iter().skip(next).position(|span| !span.is_exact);
        let Some(guess) = guess.map(|index| next.saturating_add(index)) else { return };
        if is_ended {
            return;
        }
        for index in self.frame_of_span.iter().skip(guess).flatten() {
            if let Some(frame) = self.frames.get_mut(*index)
                && is_exact(frame.trust)
            {
                frame.trust = FrameTrust::CfiScan;
            }
        }
    }
}

/// What all threads share.
pub(crate) struct Stacks<'a> {
    threads: &'a Threads<'a>,
    walker: Walker<'a>,
    interpreter: Interpreter,
    frames_left: usize,
    soft_errors: &'a mut SoftErrors,
}

impl<'a> Stacks<'a> {
    /// Nothing is walked yet.
    pub(crate) fn new(
        threads: &'a Threads<'a>,
        walker: Walker<'a>,
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
        self.check_all(&mut stacks, python);
        stacks
    }

    /// No native frame at all.
    pub(crate) fn python_only(&self, count: usize, python: &ByThread<'_>) -> Vec<Stack> {
        let mut stacks: Vec<Stack> = python
            .threads
            .iter()
            .map(|on_thread| Stack { anchors: on_thread.anchors(), ..Stack::default() })
            .collect();
        stacks.resize_with(count, Stack::default);
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
        self.follow_other_stacks(stack, thread, memory, &place);
    }

    /// Goes on where a walk ended because the thread had changed its stack: signal handlers run
    /// on a stack of their own.
    fn follow_other_stacks(
        &mut self,
        stack: &mut Stack,
        thread: &'a MinidumpThread<'a>,
        mut memory: Option<UnifiedMemory<'a, 'a>>,
        place: &str,
    ) {
        for _ in 0..MAX_STACKS {
            let Some(last) = stack.frames.last() else { return };
            let here = last.context.get_stack_pointer();
            let holds = |memory: &UnifiedMemory<'_, '_>| {
                memory.memory_range().is_some_and(|range| range.contains(here))
            };
            let next = if memory.as_ref().is_some_and(holds) {
                let interrupted = memory.as_ref().and_then(|m| self.walker.interrupted(last, m));
                // The same stack, or one above: the walk would have gone on by itself.
                interrupted.filter(|first| first.context.get_stack_pointer() <= here)
            } else {
                Some(last.clone()).filter(|last| is_exact(last.trust))
            };
            let Some(first) = next else { return };
            let pointer = first.context.get_stack_pointer();
            memory = self.memory_of(thread, pointer);
            if !memory
                .as_ref()
                .is_some_and(|m| m.memory_range().is_some_and(|r| r.contains(pointer)))
            {
                return;
            }
            if pointer == here {
                stack.drop_last();
            } else {
                stack.leave();
            }
            self.walk_into(stack, first, memory, place);
        }
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

    /// Begins walks anew that the anchors of Python frames show to be wrong or cut short.
    fn check_all(&mut self, stacks: &mut [Stack], python: &ByThread<'_>) {
        for (stack, on_thread) in stacks.iter_mut().zip(&python.threads) {
            stack.anchors = on_thread.anchors();
            if stack.anchors.iter().all(Option::is_none) {
                stack.anchors = anchors_by_order(stack, stack.anchors.len());
            }
        }
        let known = stacks.iter().flat_map(|stack| distances(&stack.spans, &stack.anchors));
        let distance = most_common(known.collect());
        let evaluation = stacks.iter().find_map(|stack| {
            let index = stack.spans.iter().position(|s| s.is_evaluation && s.is_exact)?;
            stack.frames.get(stack.frame_of(index)?).cloned()
        });
        for (stack, thread) in stacks.iter_mut().zip(&self.threads.list) {
            let mut last = 0;
            for _ in 0..MAX_RESTARTS {
                match check(&stack.spans, &stack.anchors, distance) {
                    Verdict::Right { confirmed } => {
                        let is_ended =
                            stack.frames.last().is_some_and(|f| self.walker.is_outermost(f));
                        if !stack.anchors.is_empty() {
                            stack.doubt(confirmed, is_ended);
                        }
                        break;
                    }
                    Verdict::Wrong { keep, anchor } if anchor > last => {
                        last = anchor;
                        let evaluation = evaluation.as_ref();
                        let cfa = distance.and_then(|distance| anchor.checked_add(distance));
                        let place = cfa.zip(evaluation).map(|(cfa, evaluation)| Restart {
                            keep,
                            anchor,
                            cfa,
                            evaluation,
                        });
                        if !place.is_some_and(|place| self.restart(stack, thread, &place)) {
                            stack.doubt(keep.saturating_sub(1), false);
                            break;
                        }
                    }
                    Verdict::Wrong { keep, .. } => {
                        stack.doubt(keep.saturating_sub(1), false);
                        break;
                    }
                }
            }
        }
    }

    fn restart(
        &mut self,
        stack: &mut Stack,
        thread: &'a MinidumpThread<'a>,
        place: &Restart<'_>,
    ) -> bool {
        let memory = self.memory_of(thread, place.anchor);
        let Some(first) = memory.and_then(|memory| self.caller_behind(place, &memory)) else {
            return false;
        };
        stack.cut(place.keep, place.anchor, place.cfa);
        let name = format!("thread {}", thread.raw.thread_id);
        self.walk_into(stack, first, memory, &name);
        true
    }

    /// The caller of an evaluation frame that ends at a known place; x86-64 only.
    fn caller_behind(
        &self,
        place: &Restart<'_>,
        memory: &UnifiedMemory<'_, '_>,
    ) -> Option<StackFrame> {
        let MinidumpRawContext::Amd64(_) = place.evaluation.context.raw else { return None };
        let read = |address: u64| memory.get_memory_at_address::<u64>(address);
        let resume = read(place.cfa.checked_sub(8)?)?;
        let call = resume.checked_sub(1)?;
        self.walker.module_at(call)?;
        let mut raw = CONTEXT_AMD64 { rip: resume, rsp: place.cfa, ..CONTEXT_AMD64::default() };
        let mut known: HashSet<&'static str> = ["rip", "rsp"].into();
        for (name, value) in self.walker.saved_registers(place.evaluation, place.cfa, &read) {
            if !known.contains(name) && raw.set_register(name, value).is_some() {
                known.insert(name);
            }
        }
        let context = MinidumpContext {
            raw: MinidumpRawContext::Amd64(raw),
            valid: MinidumpContextValidity::Some(known),
        };
        let mut frame = StackFrame::from_context(context, FrameTrust::PreWalked);
        frame.instruction = call;
        Some(frame)
    }
}

/// Where a walk begins anew.
struct Restart<'f> {
    /// Frames that stay.
    keep: usize,
    anchor: u64,
    /// End of the evaluation frame that owns the anchor.
    cfa: u64,
    /// Any frame of the evaluation function: how it saves registers.
    evaluation: &'f StackFrame,
}

/// Anchors for an interpreter that has none (CPython 3.9): there every evaluation frame runs one
/// Python frame, so they belong together in their order, if there are as many of the one as of the
/// other.
fn anchors_by_order(stack: &Stack, python_frames: usize) -> Vec<Option<u64>> {
    let named = stack.spans.iter().zip(&stack.frame_of_span).filter(|(_, frame)| {
        let frame = frame.and_then(|index| stack.frames.get(index));
        frame.is_some_and(interpreter::is_evaluation_by_name)
    });
    let found: Vec<Option<u64>> = named.map(|(span, _)| Some(span.sp)).collect();
    let is_sure = stack.omitted.is_none() && stack.spans.iter().all(|span| span.is_exact);
    if is_sure && found.len() == python_frames { found } else { vec![None; python_frames] }
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
