//! CPython 3.10; offsets from 3.10.13.
//!
//! `PyFrameObject` (`Include/cpython/frameobject.h`): `f_lasti` counts code units; `f_gen` is
//! the generator that owns the frame. `CFrame` (`Include/cpython/pystate.h`) is a local
//! variable of `_PyEval_EvalFrameDefault`, linked from `tstate->cframe`.

use super::v3_9::LAYOUT as BEFORE;
use super::{Chain, CodeFields, FrameFields, Instruction, Layout, Owner, int, word};
use crate::lines::LineTableFormat;

/// What moved since 3.9.
pub(super) const LAYOUT: Layout = Layout {
    chain: Chain::FrameObjects {
        frame: word(24),
        cframe: word(48),
        root_cframe: 264,
        cframe_previous: word(8),
    },
    frame: FrameFields {
        instruction: Instruction::UnitIndex(int(96)),
        owner: Owner::GeneratorPointer(word(88)),
        ..BEFORE.frame
    },
    code: CodeFields { line_table_format: LineTableFormat::V3_10, ..BEFORE.code },
    ..BEFORE
};
