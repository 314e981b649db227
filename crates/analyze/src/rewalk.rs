//! Walks that the anchors of Python frames show to be wrong, or cut short, and how they are mended.

use std::collections::HashSet;

use minidump::format::CONTEXT_AMD64;
use minidump::{
    CpuContext as _, MinidumpContext, MinidumpContextValidity, MinidumpRawContext, MinidumpThread,
    UnifiedMemory,
};
use minidump_unwind::{FrameTrust, StackFrame};

use crate::course::{address_of, is_one_stack};
use crate::interpreter;
use crate::merge::NativeSpan;
use crate::python::ByThread;
use crate::resync::{Verdict, check, distances, most_common};
use crate::stack::Stack;
use crate::stacks::{Stacks, range_of};

/// Restarts of one thread's walk; each must get further up the stack.
const MAX_RESTARTS: usize = 256;
/// Words of the stack that are looked at, and return addresses among them that are tried.
const MAX_SEARCHED_SLOTS: usize = 4_096;
const MAX_CANDIDATES: usize = 128;
/// Registers that a function gives back as it got them (System V ABI for x86-64, 3.2.1).
const PRESERVED: [&str; 6] = ["rbx", "rbp", "r12", "r13", "r14", "r15"];

impl<'a> Stacks<'a> {
    /// Begins walks anew that the anchors of Python frames show to be wrong or cut short.
    pub(crate) fn check_all(&mut self, stacks: &mut [Stack], python: &ByThread<'_>) {
        let anchors: Vec<Vec<Option<u64>>> = stacks
            .iter_mut()
            .zip(&python.threads)
            .zip(&self.threads.list)
            .map(|((stack, on_thread), thread)| {
                let anchors = on_thread.anchors();
                self.place(stack, thread, &anchors);
                if anchors.iter().any(Option::is_some) && !is_shifted(stack) {
                    return anchors;
                }
                stack.anchors = anchors_by_order(stack, anchors.len());
                stack.anchors.iter().map(|position| position.map(address_of)).collect()
            })
            .collect();
        let known = stacks.iter().flat_map(|stack| distances(&stack.spans, &stack.anchors));
        let distance = most_common(known.collect());
        let evaluation = stacks.iter().find_map(|stack| {
            let index = stack.spans.iter().position(|s| s.is_evaluation && s.is_exact)?;
            stack.frames.get(stack.frame_of(index)?).cloned()
        });
        let threads = &self.threads.list;
        for ((stack, thread), anchors) in stacks.iter_mut().zip(threads).zip(&anchors) {
            if !anchors.is_empty() {
                self.mend(stack, thread, anchors, (distance, evaluation.as_ref()));
            }
        }
    }

    /// Where the anchors of a thread's Python frames are, on the stacks that were walked and those
    /// behind them.
    fn place(&self, stack: &mut Stack, thread: &'a MinidumpThread<'a>, anchors: &[Option<u64>]) {
        let stack_at = |address: u64| {
            let range = range_of(self.memory_of(thread, address).as_ref());
            Some(range).filter(|range| range.contains(&address))
        };
        stack.anchors = stack.course.positions(anchors, &stack_at);
    }

    /// Mends one walk, anchor by anchor. What is known of all evaluation frames: the distance from
    /// an anchor to its frame's end, and one of them.
    fn mend(
        &mut self,
        stack: &mut Stack,
        thread: &'a MinidumpThread<'a>,
        anchors: &[Option<u64>],
        (distance, evaluation): (Option<u64>, Option<&StackFrame>),
    ) {
        // The anchor that was tried last, and whether by a search.
        let (mut last, mut is_searched) = (0, false);
        for _ in 0..MAX_RESTARTS {
            let (keep, anchor) = match check(&stack.spans, &stack.anchors, distance) {
                Verdict::Wrong { keep, anchor } => (keep, anchor),
                Verdict::Right { confirmed } => {
                    let oldest = stack.frames.last();
                    let is_ended = oldest.and_then(|frame| self.walker.is_outermost(frame));
                    let is_ended = is_ended == Some(true);
                    return stack.doubt(confirmed, is_ended);
                }
            };
            let cfa = distance.and_then(|distance| anchor.checked_add(distance));
            let place = cfa.zip(evaluation).map(|(cfa, evaluation)| Restart {
                keep,
                anchor,
                cfa,
                evaluation,
            });
            let is_new = anchor > last;
            let is_going_on = match place {
                Some(place) if is_new => {
                    is_searched = self.search(stack, thread, &place);
                    is_searched || self.restart(stack, thread, &place)
                }
                Some(place) if anchor == last && is_searched => {
                    is_searched = false;
                    self.restart(stack, thread, &place)
                }
                _ => false,
            };
            if !is_going_on {
                return stack.doubt(keep.saturating_sub(1), false);
            }
            self.place(stack, thread, anchors);
            last = anchor;
        }
    }

    /// Looks for the return address from which rules alone lead to the evaluation frame's end,
    /// and goes on there. It stays a guess, as it may be an old one that nobody has overwritten.
    fn search(
        &mut self,
        stack: &mut Stack,
        thread: &'a MinidumpThread<'a>,
        place: &Restart<'_>,
    ) -> bool {
        let last = place.keep.checked_sub(1).and_then(|index| stack.frame_of(index));
        let last = last.and_then(|index| stack.frames.get(index)).cloned();
        let is_there = |last: &NativeSpan| is_one_stack(last.sp, place.anchor);
        let span = place.keep.checked_sub(1).and_then(|index| stack.spans.get(index));
        let memory = self.memory_of(thread, address_of(place.anchor));
        let memory = memory.filter(|_| span.is_some_and(is_there));
        let Some((last, memory)) = last.zip(memory) else { return false };
        let start = last.context.get_stack_pointer();
        let cfa = address_of(place.cfa);
        let slots = (start..cfa).step_by(8).take(MAX_SEARCHED_SLOTS);
        let mut candidates = slots.filter_map(|slot| {
            let resume: u64 = memory.get_memory_at_address(slot)?;
            self.walker.module_at(resume.checked_sub(1)?)?;
            candidate(&last, resume, slot.checked_add(8)?)
        });
        let leads = |first: &StackFrame| self.walker.leads_to(first, memory, cfa);
        let mut tried = 0_usize;
        let most = MAX_CANDIDATES.min(self.probes_left);
        let mut candidates = candidates.by_ref().take(most).inspect(|_| {
            tried = tried.saturating_add(1);
        });
        let found = candidates.find(leads);
        drop(candidates);
        self.probes_left = self.probes_left.saturating_sub(tried);
        let Some(first) = found else { return false };
        stack.truncate(place.keep);
        stack.course.go_back(place.anchor);
        if let Some(last) = stack.spans.last_mut() {
            last.cfa = Some(stack.course.position(first.context.get_stack_pointer()));
        }
        self.walk_on(stack, thread, first, Some(memory));
        true
    }

    fn restart(
        &mut self,
        stack: &mut Stack,
        thread: &'a MinidumpThread<'a>,
        place: &Restart<'_>,
    ) -> bool {
        let memory = self.memory_of(thread, address_of(place.anchor));
        let Some(first) = memory.and_then(|memory| self.caller_behind(place, &memory)) else {
            return false;
        };
        stack.cut(place.keep, place.anchor, place.cfa, range_of(memory.as_ref()));
        self.walk_on(stack, thread, first, memory);
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
        let cfa = address_of(place.cfa);
        let resume = read(cfa.checked_sub(8)?)?;
        let call = resume.checked_sub(1)?;
        self.walker.module_at(call)?;
        let mut raw = CONTEXT_AMD64 { rip: resume, rsp: cfa, ..CONTEXT_AMD64::default() };
        let mut known: HashSet<&'static str> = ["rip", "rsp"].into();
        for (name, value) in self.walker.saved_registers(place.evaluation, cfa, &read) {
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
    /// A position, as the next one.
    anchor: u64,
    /// End of the evaluation frame that owns the anchor.
    cfa: u64,
    /// Any frame of the evaluation function: how it saves registers.
    evaluation: &'f StackFrame,
}

/// Whether anchors lie in frames that evaluate nothing. On CPython 3.10, greenlets begin with a
/// `CFrame` that runs no frame, so each Python frame got its neighbour's anchor.
fn is_shifted(stack: &Stack) -> bool {
    // What is left out may be the evaluation frames.
    if stack.omitted.is_some() {
        return false;
    }
    let exact = stack.spans.iter().zip(stack.spans.iter().skip(1));
    let exact = exact.take_while(|(span, caller)| span.is_exact && caller.is_exact);
    let others = exact.filter(|(span, _)| !span.is_evaluation).map(|(span, _)| span);
    let holds = |span: &NativeSpan, anchor: u64| {
        span.sp <= anchor && span.cfa.is_some_and(|cfa| anchor < cfa)
    };
    others.into_iter().any(|span| stack.anchors.iter().flatten().any(|a| holds(span, *a)))
}

/// Anchors for an interpreter that has none (CPython 3.9), or wrong ones (3.10): there every
/// evaluation frame runs one Python frame, so they belong together in their order, if there are as
/// many of the one as of the other. Otherwise no place is known.
fn anchors_by_order(stack: &Stack, python_frames: usize) -> Vec<Option<u64>> {
    let named = stack.spans.iter().zip(&stack.frame_of_span).filter(|(_, frame)| {
        let frame = frame.and_then(|index| stack.frames.get(index));
        frame.is_some_and(interpreter::is_evaluation_by_name)
    });
    let found: Vec<Option<u64>> = named.map(|(span, _)| Some(span.sp)).collect();
    let is_sure = stack.omitted.is_none() && stack.spans.iter().all(|span| span.is_exact);
    if is_sure && found.len() == python_frames { found } else { vec![None; python_frames] }
}

/// A caller that resumes at `resume`; registers that the ABI preserves are those of `callee`.
fn candidate(callee: &StackFrame, resume: u64, stack_pointer: u64) -> Option<StackFrame> {
    let MinidumpRawContext::Amd64(_) = callee.context.raw else { return None };
    let mut raw = CONTEXT_AMD64 { rip: resume, rsp: stack_pointer, ..CONTEXT_AMD64::default() };
    let mut known: HashSet<&'static str> = ["rip", "rsp"].into();
    for name in PRESERVED {
        let value = callee.context.get_register(name);
        if value.is_some_and(|value| raw.set_register(name, value).is_some()) {
            known.insert(name);
        }
    }
    let context = MinidumpContext {
        raw: MinidumpRawContext::Amd64(raw),
        valid: MinidumpContextValidity::Some(known),
    };
    let mut frame = StackFrame::from_context(context, FrameTrust::Scan);
    frame.instruction = resume.checked_sub(1)?;
    Some(frame)
}
