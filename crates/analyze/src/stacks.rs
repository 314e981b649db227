//! The stack of every thread: native frames within limits, and the plan of the merge.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minidump::{MinidumpContext, MinidumpThread, UnifiedMemory};
use minidump_processor::ProcessState;
use minidump_unwind::{CallStack, CallStackInfo, FrameTrust, StackFrame};

use crate::interpreter::{Interpreter, is_exact};
use crate::panics::caught;
use crate::python::ByThread;
use crate::soft_errors::SoftErrors;
use crate::stack::Stack;
use crate::state::Threads;
use crate::walk::Walker;

/// Native frames kept, all threads together: 2 to 3 KB each.
const MAX_TOTAL_FRAMES: usize = 32_768;
/// A probe unwinds at most a chunk of frames, without their names.
const MAX_PROBES: usize = 8_192;
/// Stacks of one thread: its own, and those of signal handlers within handlers.
const MAX_STACKS: usize = 8;
/// Addresses below are no code (`vm.mmap_min_addr`); minidump-unwind takes them for the end.
const NO_CODE: u64 = 4096;

/// What all threads share.
pub(crate) struct Stacks<'a> {
    pub(crate) threads: &'a Threads<'a>,
    pub(crate) walker: Walker<'a>,
    interpreter: Interpreter,
    frames_left: usize,
    /// Return addresses that may still be tried in searches, all threads together.
    pub(crate) probes_left: usize,
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
        Self {
            threads,
            walker,
            interpreter,
            frames_left: MAX_TOTAL_FRAMES,
            probes_left: MAX_PROBES,
            soft_errors,
        }
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
        for stack in &mut stacks {
            stack.is_whole = stack.frames.last().and_then(|frame| self.walker.is_outermost(frame));
        }
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

    pub(crate) fn walk_one(
        &mut self,
        stack: &mut Stack,
        thread: &'a MinidumpThread<'a>,
        index: usize,
    ) {
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
        stack.enter(range_of(memory.as_ref()));
        self.walk_on(stack, thread, first, memory);
    }

    /// Walks from a frame on, also on other stacks.
    pub(crate) fn walk_on(
        &mut self,
        stack: &mut Stack,
        thread: &'a MinidumpThread<'a>,
        first: StackFrame,
        memory: Option<UnifiedMemory<'a, 'a>>,
    ) {
        let place = format!("thread {}", thread.raw.thread_id);
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
                // The walk would have gone on by itself on a stack above, but not from a call of
                // an address at which nothing can be.
                interrupted.filter(|first| {
                    first.context.get_stack_pointer() <= here || first.instruction < NO_CODE
                })
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
            }
            let range = range_of(memory.as_ref());
            if pointer < here || stack.course.current() != Some(&range) {
                stack.enter(range);
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
    pub(crate) fn memory_of(
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
}

/// The addresses of a stack; none where it is missing.
pub(crate) fn range_of(memory: Option<&UnifiedMemory<'_, '_>>) -> Range<u64> {
    let range = memory.and_then(UnifiedMemory::memory_range);
    range.map_or(0..0, |range| range.start..range.end.saturating_add(1))
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
