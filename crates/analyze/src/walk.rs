//! Native unwinding of one thread, within limits of frames, memory and time.
//!
//! `minidump_unwind::walk_stack` has no limit: it walks to the end and keeps every frame
//! (2 KB each). It calls back for every frame and continues from the two newest frames that it
//! is given, so it is run in chunks: the callback ends a chunk by unwinding
//! ([`std::panic::resume_unwind`], which no panic hook sees), the frames are moved into a
//! buffer that keeps both ends of the stack, and the next chunk starts at the last two. The
//! result is the same as that of one long walk (`tests/limits.rs`).

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lastwords_unwind::Provider;
use minidump::format::CONTEXT_AMD64;
use minidump::{
    CpuContext as _, MinidumpContext, MinidumpContextValidity, MinidumpModule, MinidumpModuleList,
    MinidumpRawContext, Module, UnifiedMemory,
};
use minidump_unwind::{
    CallStack, FileError, FileKind, FillSymbolError, FrameSymbolizer, FrameTrust, FrameWalker,
    StackFrame, SymbolProvider, SystemInfo, walk_stack,
};

use crate::block_on::block_on;
use crate::panics::message_of;

const CHUNK_FRAMES: usize = 256;
/// Frames walked for one thread, kept or not.
const MAX_WALKED: usize = 1 << 20;
/// Time for the frames behind the first `max_frames`, all threads together.
const LONG_STACK_BUDGET: Duration = Duration::from_millis(1_000);

/// What the walks of all threads share.
pub(crate) struct Walker<'a> {
    modules: &'a MinidumpModuleList,
    system: &'a SystemInfo,
    provider: &'a Provider,
    max_frames: usize,
    budget: Duration,
}

/// A provider that names nothing: names cost more than rules.
struct RulesOnly<'a>(&'a Provider);

#[async_trait]
impl SymbolProvider for RulesOnly<'_> {
    async fn fill_symbol(
        &self,
        _: &(dyn Module + Sync),
        _: &mut (dyn FrameSymbolizer + Send),
    ) -> Result<(), FillSymbolError> {
        Err(FillSymbolError {})
    }

    async fn walk_frame(
        &self,
        module: &(dyn Module + Sync),
        walker: &mut (dyn FrameWalker + Send),
    ) -> Option<()> {
        self.0.walk_frame(module, walker).await
    }

    async fn get_file_path(
        &self,
        _: &(dyn Module + Sync),
        _: FileKind,
    ) -> Result<PathBuf, FileError> {
        Err(FileError::NotFound)
    }
}

/// The native frames of one thread.
#[derive(Default)]
pub(crate) struct Walked {
    /// Newest first.
    pub(crate) frames: Vec<StackFrame>,
    /// Frames left out, and the index in `frames` of the first frame behind them.
    pub(crate) omitted: Option<(usize, usize)>,
    /// Frames walked.
    pub(crate) total: usize,
    /// The time budget ended the walk; the oldest frames are not the stack's end.
    pub(crate) is_cut: bool,
    /// The walk ended in a panic of the unwinder.
    pub(crate) panic: Option<String>,
}

/// Ends a chunk; never seen outside of this file.
struct EndOfChunk;

enum Chunk {
    EndOfStack,
    Full,
    Panicked(String),
}

impl<'a> Walker<'a> {
    /// A walker that keeps `max_frames` frames of a thread.
    pub(crate) fn new(
        modules: &'a MinidumpModuleList,
        system: &'a SystemInfo,
        provider: &'a Provider,
        max_frames: usize,
    ) -> Self {
        Self { modules, system, provider, max_frames, budget: LONG_STACK_BUDGET }
    }

    /// The module that holds `address`.
    pub(crate) fn module_at(&self, address: u64) -> Option<&MinidumpModule> {
        self.modules.module_at_address(address)
    }

    /// The registers that the function of `frame` has saved in its frame, which ends at `cfa`.
    pub(crate) fn saved_registers(
        &self,
        frame: &StackFrame,
        cfa: u64,
        read: &dyn Fn(u64) -> Option<u64>,
    ) -> Vec<(&'static str, u64)> {
        let module = self.module_at(frame.instruction);
        module.map_or_else(Vec::new, |module| {
            self.provider.saved_registers(module, frame.instruction, cfa, read)
        })
    }

    /// The frame that a signal interrupted, if `frame` is the signal's trampoline; x86-64 only.
    pub(crate) fn interrupted(
        &self,
        frame: &StackFrame,
        memory: &UnifiedMemory<'_, '_>,
    ) -> Option<StackFrame> {
        let MinidumpRawContext::Amd64(_) = frame.context.raw else { return None };
        let module = self.module_at(frame.instruction)?;
        let register = |name: &str| frame.context.get_register(name);
        let read = |address: u64| memory.get_memory_at_address::<u64>(address);
        let found = self.provider.interrupted(module, frame.instruction, &register, &read)?;
        let mut raw = CONTEXT_AMD64 { rip: found.instruction, ..CONTEXT_AMD64::default() };
        let mut known: HashSet<&'static str> = ["rip"].into();
        for (name, value) in found.registers {
            if raw.set_register(name, value).is_some() {
                known.insert(name);
            }
        }
        let context = MinidumpContext {
            raw: MinidumpRawContext::Amd64(raw),
            valid: MinidumpContextValidity::Some(known),
        };
        Some(StackFrame::from_context(context, FrameTrust::CallFrameInfo))
    }

    /// Whether rules alone lead from `first` to a frame whose stack pointer is `end`.
    pub(crate) fn leads_to(
        &self,
        first: &StackFrame,
        memory: UnifiedMemory<'_, '_>,
        end: u64,
    ) -> bool {
        let mut stack = CallStack::with_context(first.context.clone());
        stack.frames = vec![first.clone()];
        let mut is_met = false;
        let on_frame = |index: usize, frame: &StackFrame| {
            let is_by_rule = index == 0 || frame.trust == FrameTrust::CallFrameInfo;
            let here = frame.context.get_stack_pointer();
            is_met |= index > 0 && is_by_rule && here == end;
            if !is_by_rule || here >= end || index >= CHUNK_FRAMES {
                resume_unwind(Box::new(EndOfChunk));
            }
        };
        let (modules, system) = (self.modules, self.system);
        let rules = RulesOnly(self.provider);
        let walk = walk_stack(0, on_frame, &mut stack, Some(memory), modules, system, &rules);
        catch_unwind(AssertUnwindSafe(|| block_on(walk))).ok();
        is_met
    }

    /// Whether a frame is the oldest of its stack, by its own rule; `None` when none is known.
    pub(crate) fn is_outermost(&self, frame: &StackFrame) -> Option<bool> {
        self.provider.is_outermost(self.module_at(frame.instruction)?, frame.instruction)
    }

    /// Walks from `first`, whose context holds at least the instruction and stack pointers.
    pub(crate) fn walk(
        &mut self,
        first: StackFrame,
        memory: Option<UnifiedMemory<'_, '_>>,
        max_frames: usize,
    ) -> Walked {
        let mut both_ends = BothEnds::new(max_frames.min(self.max_frames));
        let mut stack = CallStack::with_context(first.context.clone());
        stack.frames = vec![first];
        let mut known = 0;
        loop {
            let started = Instant::now();
            let chunk = self.walk_chunk(&mut stack, memory);
            let seed = (matches!(chunk, Chunk::Full)).then(|| seed_of(&stack.frames));
            for frame in stack.frames.drain(..).skip(known) {
                both_ends.push(frame);
            }
            if both_ends.is_full() {
                self.budget = self.budget.saturating_sub(started.elapsed());
            }
            match (chunk, seed) {
                (Chunk::Full, Some(seed)) if self.may_continue(&both_ends) => {
                    known = seed.len();
                    stack.frames = seed;
                }
                (Chunk::Panicked(message), _) => return both_ends.finish(false, Some(message)),
                (Chunk::Full, _) => return both_ends.finish(true, None),
                (Chunk::EndOfStack, _) => return both_ends.finish(false, None),
            }
        }
    }

    fn may_continue(&self, both_ends: &BothEnds) -> bool {
        both_ends.total < MAX_WALKED && !self.budget.is_zero()
    }

    fn walk_chunk(&self, stack: &mut CallStack, memory: Option<UnifiedMemory<'_, '_>>) -> Chunk {
        let on_frame = |index: usize, _: &StackFrame| {
            if index >= CHUNK_FRAMES {
                resume_unwind(Box::new(EndOfChunk));
            }
        };
        let (modules, system, provider) = (self.modules, self.system, self.provider);
        let walk = walk_stack(0, on_frame, stack, memory, modules, system, provider);
        match catch_unwind(AssertUnwindSafe(|| block_on(walk))) {
            Ok(()) => Chunk::EndOfStack,
            Err(payload) if payload.is::<EndOfChunk>() => Chunk::Full,
            Err(payload) => Chunk::Panicked(message_of(&*payload)),
        }
    }
}

/// The frames that the next chunk needs: the caller's rules may ask for the callee's callee.
///
/// The last one is symbolicated again there, and its inline frames are added a second time;
/// the copy that is kept is the first chunk's.
fn seed_of(frames: &[StackFrame]) -> Vec<StackFrame> {
    let start = frames.len().saturating_sub(2);
    frames.get(start..).unwrap_or_default().to_vec()
}

/// Keeps the newest and the oldest frames of a stack, half of the limit each.
struct BothEnds {
    head: Vec<StackFrame>,
    tail: VecDeque<StackFrame>,
    max_head: usize,
    max_tail: usize,
    total: usize,
}

impl BothEnds {
    fn new(max: usize) -> Self {
        let max_tail = max / 2;
        let max_head = max.saturating_sub(max_tail);
        Self { head: Vec::new(), tail: VecDeque::new(), max_head, max_tail, total: 0 }
    }

    fn push(&mut self, frame: StackFrame) {
        self.total = self.total.saturating_add(1);
        if self.head.len() < self.max_head {
            self.head.push(frame);
            return;
        }
        self.tail.push_back(frame);
        if self.tail.len() > self.max_tail {
            self.tail.pop_front();
        }
    }

    fn is_full(&self) -> bool {
        self.total > self.max_head.saturating_add(self.max_tail)
    }

    fn finish(self, is_cut: bool, panic: Option<String>) -> Walked {
        let kept = self.head.len().saturating_add(self.tail.len());
        let left_out = self.total.saturating_sub(kept);
        let omitted = (left_out > 0).then_some((left_out, self.head.len()));
        let mut frames = self.head;
        frames.extend(self.tail);
        Walked { frames, omitted, total: self.total, is_cut, panic }
    }
}
