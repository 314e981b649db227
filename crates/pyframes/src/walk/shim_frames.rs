//! CPython 3.12 and later: a shim frame on the C stack is the `previous` of the oldest frame
//! of each native activation. Shims are no frames of the program; their address is the anchor.
//!
//! From 3.15 on the last frame of the chain is a shim in the thread state, behind the oldest one
//! on the stack (`_PyThreadStateImpl.base_frame`): it runs no frame, so it is nobody's anchor.

use lastwords_format::streams::python::FrameOwner;

use super::Walk;
use crate::source::Fault;

/// A recursion in Python alone is one activation, so the shim may lie far behind the last
/// frame that the limit lets in. So many times as many frames are passed to find it.
const LOOK_AHEAD: usize = 16;

impl Walk<'_, '_> {
    /// Walks a chain, which ends in a shim: a frame that is being entered or left may have no link
    /// to the older ones of its activation.
    pub(super) fn shim_frames(&mut self, newest: u64) -> Result<(), Fault> {
        let mut last = None;
        let mut address = newest;
        let mut group_start = self.walked.frames.len();
        // Whether the frame visited last was added: only then can it be the entry frame.
        let mut is_last_added = false;
        while address != 0 {
            let raw = self.visit(address)?;
            last = (raw.owner != FrameOwner::CStack).then_some(address);
            if raw.owner == FrameOwner::CStack {
                self.close_group(group_start, raw.address, is_last_added);
                group_start = self.walked.frames.len();
                is_last_added = false;
            } else {
                match self.push(&raw, None) {
                    Ok(is_added) => is_last_added = is_added,
                    Err(fault @ Fault::Limit("max_frames")) => {
                        self.close_cut_group(group_start, raw.previous);
                        return Err(fault);
                    }
                    Err(fault) => return Err(fault),
                }
            }
            address = raw.previous;
        }
        match last {
            Some(address) => Err(Fault::Implausible {
                what: "previous of the oldest frame",
                address,
                found: 0,
                expected: "the shim of its activation",
            }),
            None => Ok(()),
        }
    }

    fn close_group(&mut self, start: usize, anchor: u64, has_entry: bool) {
        let group = self.walked.frames.get_mut(start..).unwrap_or_default();
        for frame in group.iter_mut() {
            frame.anchor = Some(anchor);
        }
        if let Some(entry) = group.last_mut().filter(|_| has_entry) {
            entry.is_entry = true;
        }
    }

    /// Looks for the shim of a group that the limit has cut.
    fn close_cut_group(&mut self, start: usize, next: u64) {
        let mut address = next;
        for _ in 0..self.max_frames.saturating_mul(LOOK_AHEAD) {
            match self.visit(address) {
                Ok(raw) if raw.owner == FrameOwner::CStack => {
                    return self.close_group(start, raw.address, false);
                }
                Ok(raw) => address = raw.previous,
                Err(_) => break,
            }
        }
        self.note_anchor_unknown("the shim of the last frames is too far away".to_owned());
    }
}
