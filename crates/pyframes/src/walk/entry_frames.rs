//! CPython 3.11: `_PyCFrame` objects on the C stack, one per native activation, each naming
//! the newest of its frames; `is_entry` marks the oldest.
//!
//! `_PyEval_EvalFrameDefault` (`Python/ceval.c`, 3.11.7) links its `cframe` into
//! `tstate->cframe` and sets `frame->previous` of its entry frame to the `current_frame` of
//! the `_PyCFrame` before. So there are two chains that must agree, and where one is broken
//! the other leads on.

use std::collections::HashSet;

use super::Walk;
use crate::layout::Field;
use crate::source::Fault;

/// Where the links of a `_PyCFrame` lie.
pub(super) struct Links {
    /// The `_PyCFrame` inside the thread state: no native frame owns it.
    pub root: u64,
    pub current_frame: Field,
    pub cframe_previous: Field,
}

struct CFrame {
    current_frame: u64,
    previous: u64,
}

impl Walk<'_, '_> {
    pub(super) fn entry_frames(&mut self, newest_cframe: u64, links: &Links) {
        let mut cframe = newest_cframe;
        // Where the frames of the activation before led to; `None` = nowhere, they broke.
        let mut led_to = None;
        let mut met = HashSet::new();
        while !self.walked.is_cut {
            // Every activation runs a frame, so there are no more of them than frames.
            if met.len() > self.max_frames {
                return self.end(&Fault::Limit("max_frames"));
            }
            let link = if met.insert(cframe) { self.cframe(cframe, links) } else { None };
            let first = self.first_frame(link.as_ref(), led_to);
            if let Some((first, is_named)) = first {
                let anchor = (is_named && cframe != links.root).then_some(cframe);
                led_to = self.activation(first, anchor);
            }
            cframe = link.map_or(0, |link| link.previous);
            let has_ended = first.is_none() || led_to.is_none();
            if cframe == 0 && has_ended {
                break;
            }
        }
    }

    fn cframe(&mut self, address: u64, links: &Links) -> Option<CFrame> {
        if address == 0 {
            return None;
        }
        let fields = [links.current_frame, links.cframe_previous];
        let read = self.reader.objects.source.record(address, &fields).and_then(|record| {
            let current_frame = record.get(links.current_frame)?;
            Ok(CFrame { current_frame, previous: record.get(links.cframe_previous)? })
        });
        read.map_err(|fault| {
            self.note_anchor_unknown(format!("the chain of _PyCFrame ends: {fault}"));
        })
        .ok()
    }

    /// Where the next activation's frames begin, and whether its `_PyCFrame` names it; `None` =
    /// there is none.
    fn first_frame(&mut self, cframe: Option<&CFrame>, led_to: Option<u64>) -> Option<(u64, bool)> {
        let named = cframe.map(|cframe| cframe.current_frame);
        if let (Some(named), Some(led_to)) = (named, led_to)
            && named != led_to
        {
            self.note_anchor_unknown(format!(
                "the frames lead to {led_to:#x}, the next _PyCFrame to {named:#x}"
            ));
        }
        let is_frame = |address: &u64| *address != 0;
        let named = named.filter(is_frame).map(|address| (address, true));
        named.or(led_to.filter(is_frame).map(|address| (address, false)))
    }

    /// Walks the frames of one native activation; gives the frame before its entry frame.
    fn activation(&mut self, first: u64, anchor: Option<u64>) -> Option<u64> {
        self.frames_to_entry(first, anchor).map_err(|fault| self.end(&fault)).ok()
    }

    fn frames_to_entry(&mut self, first: u64, anchor: Option<u64>) -> Result<u64, Fault> {
        let mut address = first;
        loop {
            let raw = self.visit(address)?;
            self.push(&raw, anchor)?;
            if raw.is_entry || raw.previous == 0 {
                return Ok(raw.previous);
            }
            address = raw.previous;
        }
    }
}
