//! From a thread state to its frames, newest first, and to the anchors that tie them to the
//! native frames: one way of walking per way in which CPython links them.
//!
//! A native activation is one call of `_PyEval_EvalFrameDefault`; it may run many frames.
//! Its anchor is the address of a local variable of that call which CPython links, so it lies
//! inside exactly one native frame.

mod entry_frames;
mod frame_objects;
mod shim_frames;

use std::collections::HashSet;

use lastwords_format::streams::python::PythonFrame;

use crate::frames::{FrameReader, RawFrame};
use crate::layout::{Chain, Field};
use crate::source::{Fault, Record};

/// So many frames in a row without a readable code object are a walk gone astray.
const MAX_UNREADABLE_RUN: usize = 3;

/// The frames of one thread, and how the walk ended.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub frames: Vec<PythonFrame>,
    pub is_cut: bool,
    pub is_broken: bool,
}

/// The fields of a thread state that its walk starts from.
pub(crate) fn root_fields(chain: &Chain) -> [Field; 2] {
    match chain {
        Chain::UnanchoredFrameObjects { frame, use_tracing } => [*frame, *use_tracing],
        Chain::FrameObjects { frame, cframe, .. } => [*frame, *cframe],
        Chain::EntryFrames { cframe, .. } | Chain::ShimFramesBehindCFrame { cframe, .. } => {
            [*cframe, *cframe]
        }
        Chain::ShimFrames { current_frame } => [*current_frame, *current_frame],
    }
}

/// Walks the frames of the thread state in `thread`, which holds its [`root_fields`].
pub(crate) fn walk(reader: &mut FrameReader<'_>, thread: &Record, max_frames: usize) -> Walked {
    let chain = reader.objects.layout.chain;
    let mut walk = Walk {
        place: format!("thread state at {:#x}", thread.base()),
        reader,
        max_frames,
        visited: HashSet::new(),
        unreadable_run: 0,
        walked: Walked::default(),
    };
    if let Err(fault) = walk.start(thread, &chain) {
        walk.end(&fault);
    }
    walk.walked
}

struct Walk<'r, 'm> {
    reader: &'r mut FrameReader<'m>,
    place: String,
    max_frames: usize,
    visited: HashSet<u64>,
    unreadable_run: usize,
    walked: Walked,
}

impl Walk<'_, '_> {
    fn start(&mut self, thread: &Record, chain: &Chain) -> Result<(), Fault> {
        match *chain {
            Chain::UnanchoredFrameObjects { frame, use_tracing } => {
                let flag = thread.get(use_tracing)?;
                self.unanchored_frame_objects(thread.get(frame)?, flag)
            }
            Chain::FrameObjects { frame, cframe, root_cframe, cframe_previous } => {
                let root = thread.base().saturating_add(root_cframe);
                let (frame, cframe) = (thread.get(frame)?, thread.get(cframe)?);
                let link = frame_objects::Links { cframe, root, cframe_previous };
                self.frame_objects(frame, &link)
            }
            Chain::EntryFrames { cframe, root_cframe, current_frame, cframe_previous, .. } => {
                let root = thread.base().saturating_add(root_cframe);
                let links = entry_frames::Links { root, current_frame, cframe_previous };
                self.entry_frames(thread.get(cframe)?, &links);
                Ok(())
            }
            Chain::ShimFramesBehindCFrame { cframe, current_frame } => {
                let cframe = thread.get(cframe)?;
                let (newest, before) = self.linked_frames(cframe, current_frame)?;
                match self.shim_frames(newest) {
                    // What stands there may be left from an earlier call, or not be linked yet.
                    Err(fault @ Fault::Implausible { .. } | fault @ Fault::Memory(_))
                        if before != 0 =>
                    {
                        self.end(&fault);
                        self.anchor_last_frames(cframe);
                        self.shim_frames(before)
                    }
                    walked => walked,
                }
            }
            Chain::ShimFrames { current_frame } => self.shim_frames(thread.get(current_frame)?),
        }
    }

    /// The frame that a `_PyCFrame` of 3.12 names, and that of the one before it, which comes first
    /// while it names none yet.
    ///
    /// `_PyEval_EvalFrameDefault` (`Python/ceval.c`, 3.12.1) links its own into `tstate->cframe`
    /// and sets the frame, and the frame's link to older ones, later. `previous` follows
    /// `current_frame` (`Include/cpython/pystate.h`).
    fn linked_frames(&mut self, cframe: u64, current_frame: Field) -> Result<(u64, u64), Fault> {
        let behind = current_frame.offset.saturating_add(current_frame.width);
        let previous = Field { offset: behind, width: current_frame.width };
        let source = &mut self.reader.objects.source;
        let record = source.record(cframe, &[current_frame, previous])?;
        let (named, before) = (record.get(current_frame)?, record.get(previous)?);
        if before == 0 {
            return Ok((named, 0));
        }
        let before = source.record(before, &[current_frame])?.get(current_frame)?;
        Ok(if named == 0 { (before, 0) } else { (named, before) })
    }

    /// The frame at `address`, unless the walk has met it: chains end, they do not loop.
    fn visit(&mut self, address: u64) -> Result<RawFrame, Fault> {
        if !self.visited.insert(address) {
            return Err(Fault::Implausible {
                what: "the chain of frames",
                address,
                found: address,
                expected: "a frame that it has not met before",
            });
        }
        self.reader.raw_frame(address)
    }

    /// Adds the frame, unless it is incomplete; tells whether it did.
    fn push(&mut self, raw: &RawFrame, anchor: Option<u64>) -> Result<bool, Fault> {
        if self.walked.frames.len() >= self.max_frames {
            return Err(Fault::Limit("max_frames"));
        }
        match self.reader.frame(raw, anchor) {
            Ok(frame) => {
                self.unreadable_run = 0;
                let is_complete = frame.is_some();
                self.walked.frames.extend(frame);
                Ok(is_complete)
            }
            Err(fault) => self.push_unreadable(raw, anchor, fault),
        }
    }

    /// A frame without its code object still holds its place, unless there are so many that
    /// none of them is likely to be one.
    fn push_unreadable(
        &mut self,
        raw: &RawFrame,
        anchor: Option<u64>,
        fault: Fault,
    ) -> Result<bool, Fault> {
        self.unreadable_run = self.unreadable_run.saturating_add(1);
        if self.unreadable_run >= MAX_UNREADABLE_RUN {
            let frames = &mut self.walked.frames;
            frames.truncate(frames.len().saturating_sub(MAX_UNREADABLE_RUN.saturating_sub(1)));
            return Err(fault);
        }
        let place = format!("frame at {:#x}", raw.address);
        self.reader.soft_errors.push(
            "python_frame_partial",
            place,
            format!("code object: {fault}"),
        );
        self.walked.frames.push(PythonFrame {
            frame: raw.address,
            code: raw.code,
            anchor,
            lasti: -1,
            owner: raw.owner,
            is_entry: raw.is_entry,
            is_partial: true,
            ..PythonFrame::default()
        });
        Ok(true)
    }

    /// Notes why the walk, or a part of it, ended early.
    fn end(&mut self, fault: &Fault) {
        let is_limit = matches!(fault, Fault::Limit(_));
        self.walked.is_cut |= is_limit;
        self.walked.is_broken |= !is_limit;
        let code = if is_limit { "python_limit" } else { "python_frames_broken" };
        let after = self.walked.frames.len();
        let message = format!("the walk ended after {after} frames: {fault}");
        self.reader.soft_errors.push(code, self.place.clone(), message);
    }

    /// Anchors the frames that were walked last and have no anchor yet.
    fn anchor_last_frames(&mut self, anchor: u64) {
        let frames = self.walked.frames.iter_mut().rev();
        for frame in frames.take_while(|frame| frame.anchor.is_none()) {
            frame.anchor = Some(anchor);
        }
    }

    fn note_anchor_unknown(&mut self, message: String) {
        self.reader.soft_errors.push("python_anchor_unknown", self.place.clone(), message);
    }
}
