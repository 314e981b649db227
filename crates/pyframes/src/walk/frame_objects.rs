//! CPython 3.9: frame objects linked by `f_back`. Each `_PyEval_EvalFrameDefault` runs one, but
//! nothing ties it to the C stack.
//!
//! CPython 3.10: frame objects linked by `f_back`, and as many `CFrame` objects on the C
//! stack: each `_PyEval_EvalFrameDefault` runs one frame.
//!
//! It links its `CFrame` before its frame and unlinks it before the frame (`Python/ceval.c`,
//! 3.10.13), so at the newest end one of the chains may be longer. From the oldest end they
//! agree.

use super::Walk;
use crate::layout::Field;
use crate::source::Fault;

/// Where the chain of `CFrame` begins, ends and how it is linked.
pub(super) struct Links {
    pub cframe: u64,
    /// The `CFrame` inside the thread state: no native frame owns it.
    pub root: u64,
    pub cframe_previous: Field,
}

impl Walk<'_, '_> {
    pub(super) fn frame_objects(&mut self, newest: u64, links: &Links) -> Result<(), Fault> {
        // 3.9 has a flag there, and 4 bytes that mean nothing.
        let (found, flag) = (links.cframe, links.cframe & u64::from(u32::MAX));
        if flag <= 1 {
            let (what, expected) = ("cframe of a thread", "an address, as in 3.10");
            return Err(Fault::Implausible { what, address: newest, found, expected });
        }
        let walked = self.frame_chain(newest);
        match self.anchors(links) {
            Ok(anchors) => self.set_anchors(&anchors, walked.is_ok()),
            Err(fault) => self.note_anchor_unknown(format!("the chain of CFrame ends: {fault}")),
        }
        walked
    }

    pub(super) fn unanchored_frame_objects(
        &mut self,
        newest: u64,
        use_tracing: u64,
    ) -> Result<(), Fault> {
        if use_tracing > 1 {
            let (what, expected) = ("use_tracing of a thread", "0 or 1, as in 3.9");
            return Err(Fault::Implausible { what, address: newest, found: use_tracing, expected });
        }
        let walked = self.frame_chain(newest);
        for frame in &mut self.walked.frames {
            frame.is_entry = true;
        }
        walked
    }

    fn frame_chain(&mut self, newest: u64) -> Result<(), Fault> {
        let mut address = newest;
        while address != 0 {
            let raw = self.visit(address)?;
            self.push(&raw, None)?;
            address = raw.previous;
        }
        Ok(())
    }

    /// The addresses of all `CFrame`, newest first; as many as frames, and one more.
    fn anchors(&mut self, links: &Links) -> Result<Vec<u64>, Fault> {
        let mut anchors = Vec::new();
        let mut address = links.cframe;
        while address != links.root && anchors.len() <= self.max_frames {
            let record = self.reader.objects.source.record(address, &[links.cframe_previous])?;
            anchors.push(address);
            address = record.get(links.cframe_previous)?;
        }
        Ok(anchors)
    }

    fn set_anchors(&mut self, anchors: &[u64], is_whole: bool) {
        let frames = &mut self.walked.frames;
        let is_aligned = anchors.len().abs_diff(frames.len()) <= 1;
        if is_whole && is_aligned {
            for (frame, anchor) in frames.iter_mut().rev().zip(anchors.iter().rev()) {
                frame.anchor = Some(*anchor);
                frame.is_entry = true;
            }
            return;
        }
        let (frames, anchors) = (frames.len(), anchors.len());
        self.note_anchor_unknown(format!("{frames} frames were read, and {anchors} CFrame"));
    }
}
