//! One thread's native frames, and what the merge needs of them.

use std::ops::Range;

use minidump_unwind::{FrameTrust, StackFrame};

use crate::course::{Course, is_one_stack};
use crate::interpreter::{Interpreter, is_exact};
use crate::merge::{Gap, Item, NativeSpan, merge};
use crate::walk::Walked;

/// One thread's frames.
#[derive(Default)]
pub(crate) struct Stack {
    /// Native frames, newest first.
    pub(crate) frames: Vec<StackFrame>,
    /// For each span of the merge, the native frame; `None` for a stand-in.
    pub(crate) frame_of_span: Vec<Option<usize>>,
    pub(crate) spans: Vec<NativeSpan>,
    /// The stacks that they stand on; `sp` and `cfa` of spans are positions on them.
    pub(crate) course: Course,
    /// The position of each Python frame's anchor.
    pub(crate) anchors: Vec<Option<u64>>,
    /// Whether the oldest frame is the first function of the thread, by its own rule; `None` =
    /// there is no rule that could tell.
    pub(crate) is_whole: Option<bool>,
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

    pub(crate) fn append(&mut self, walked: Walked, interpreter: Interpreter) {
        let base = self.frames.len();
        let gap = walked.omitted.map(|(_, index)| index);
        for (index, frame) in walked.frames.iter().enumerate() {
            let next = index.saturating_add(1);
            let caller = walked.frames.get(next);
            let is_before_gap = gap == Some(next);
            let is_evaluation = !is_before_gap && interpreter.is_evaluation(frame, caller);
            let is_exact = is_exact(frame.trust);
            self.spans.push(NativeSpan {
                sp: self.course.position(frame.context.get_stack_pointer()),
                cfa: caller.map(|c| self.course.position(c.context.get_stack_pointer())),
                is_evaluation,
                is_exact,
                // It is not shown, so nobody would see that it is a guess.
                gap: (is_evaluation && !is_exact).then_some(Gap::PERHAPS),
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
    pub(crate) fn drop_last(&mut self) {
        self.frames.pop();
        self.spans.pop();
        self.frame_of_span.pop();
        self.total = self.total.saturating_sub(1);
    }

    /// The walk goes on on a stack. The frame that it left the last one from owns the rest of
    /// that.
    pub(crate) fn enter(&mut self, stack: Range<u64>) {
        let end = self.course.current().map(|left| self.course.position(left.end));
        if let Some(last) = self.spans.last_mut() {
            last.cfa = end;
        }
        self.course.enter(stack);
    }

    /// Keeps the newest `keep` spans, and their frames.
    pub(crate) fn truncate(&mut self, keep: usize) {
        self.spans.truncate(keep);
        self.frame_of_span.truncate(keep);
        let frames = self.frame_of_span.iter().flatten().max().map_or(0, |i| i.saturating_add(1));
        self.frames.truncate(frames);
    }

    /// Keeps `keep` frames, and makes room for a walk from the evaluation frame's end `cfa` on.
    ///
    /// An evaluation frame at the end is known to end at `cfa` now; otherwise one that was
    /// not walked stands in for it. The anchor may be on another stack, which is entered.
    pub(crate) fn cut(&mut self, keep: usize, anchor: u64, cfa: u64, stack: Range<u64>) {
        let dropped = self.spans.iter().skip(keep).take_while(|span| span.sp < anchor).count();
        self.truncate(keep);
        let mut end = None;
        if let Some(last) = self.spans.last_mut() {
            let has_room = last.cfa.is_none_or(|end| end > anchor);
            let is_here = last.sp <= anchor && is_one_stack(last.sp, anchor);
            if last.is_evaluation && last.is_exact && is_here && has_room {
                last.cfa = Some(cfa);
                self.course.go_back(anchor);
                return;
            }
            last.cfa = last.cfa.map(|end| end.min(anchor));
            end = last.cfa.or(Some(last.sp)).filter(|end| is_one_stack(*end, anchor));
        }
        self.course.leave_out(anchor);
        self.course.enter(stack);
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
    pub(crate) fn doubt(&mut self, confirmed: usize, is_ended: bool) {
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
