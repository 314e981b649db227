//! Generators that own frames on a thread's stack.

use lastwords_format::streams::python::{FrameOwner, PythonFrame};

use super::Reader;
use crate::details::GeneratorOfFrame;
use crate::layout::Owner;
use crate::layout::values::GeneratorFrame;

impl Reader<'_> {
    /// The generator of each frame that has one.
    pub(super) fn generators_of(&mut self, frames: &[PythonFrame]) -> Vec<GeneratorOfFrame> {
        let owned = frames.iter().filter(|frame| frame.owner == FrameOwner::Generator);
        owned.filter_map(|frame| self.generator_of(frame.frame)).collect()
    }

    /// The generator that owns the frame at `frame`.
    pub(super) fn generator_of(&mut self, frame: u64) -> Option<GeneratorOfFrame> {
        let object = match self.layout.generator.frame {
            GeneratorFrame::Inside { offset, .. } => frame.checked_sub(offset)?,
            GeneratorFrame::Pointer(_) => match self.frames.objects.layout.frame.owner {
                Owner::GeneratorPointer(field) => self.field(frame, field).ok()?,
                Owner::Enum(_) => return None,
            },
        };
        let kind = self.generator_kind(object)?;
        Some(GeneratorOfFrame { frame, object, kind })
    }
}
