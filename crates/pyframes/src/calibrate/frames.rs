//! Checks of the chain of frames, from the thread state on: known frames of known functions.

use super::known::{Known, Verdict};
use super::truths::FrameTruth;
use crate::Limits;
use crate::code::Codes;
use crate::frames::FrameReader;
use crate::layout::fields::FieldId;
use crate::layout::{Chain, Instruction, Layout, Owner};
use crate::objects::Objects;
use crate::soft_errors::SoftErrors;
use crate::source::Source;
use crate::walk::{root_fields, walk};

/// Shims that may stand between two frames of the program (3.12 and later: one).
const MOST_SHIMS: usize = 2;
/// Native activations of a thread that calibrates itself.
const MOST_CFRAMES: usize = 512;
/// Objects are aligned; a tagged reference uses the lowest bits (3.14 `_PyStackRef`).
const TAGS: u64 = 7;

/// Address of the newest frame.
fn newest(known: &Known<'_>, layout: &Layout) -> Option<u64> {
    let thread = known.truths.thread;
    match layout.chain {
        Chain::FrameObjects { .. } => known.word(thread, layout.offset(FieldId::ThreadFrame)),
        Chain::ShimFrames { .. } => known.word(thread, layout.offset(FieldId::ThreadCurrentFrame)),
        _ => {
            let cframe = known.word(thread, layout.offset(FieldId::ThreadCFrame))?;
            known.word(cframe, layout.offset(FieldId::CFrameCurrentFrame))
        }
    }
}

fn code_of(known: &Known<'_>, layout: &Layout, frame: u64) -> Option<u64> {
    known.word(frame, layout.offset(FieldId::FrameCode)).map(|code| code & !TAGS)
}

/// The known frames and where each lies, as far as the chain leads to them.
fn frames<'m>(known: &Known<'m>, layout: &Layout) -> Vec<(&'m FrameTruth, u64)> {
    let mut found = Vec::new();
    let mut address = newest(known, layout);
    let mut truths = known.truths.frames.iter().peekable();
    let mut shims = 0_usize;
    while let (Some(frame), Some(truth)) = (address, truths.peek()) {
        if code_of(known, layout, frame) == Some(truth.code) {
            found.push((*truth, frame));
            truths.next();
            shims = 0;
        } else {
            shims = shims.saturating_add(1);
            if shims > MOST_SHIMS || found.is_empty() {
                break;
            }
        }
        address = known.word(frame, layout.offset(FieldId::FramePrevious));
    }
    found
}

/// Whether the thread leads to the newest known frame, and each known frame to the next one.
pub(super) fn chain(known: &Known<'_>, layout: &Layout) -> Verdict {
    match known.truths.frames.len() {
        0 | 1 => Verdict::Untold,
        length => Verdict::from_bool(frames(known, layout).len() == length),
    }
}

/// Whether the chain of `CFrame` ends inside the thread state (3.10, 3.11).
pub(super) fn cframe_chain(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = |id| layout.offset(id);
    let (Some(root), previous @ Some(_)) =
        (offset(FieldId::ThreadRootCFrame), offset(FieldId::CFramePrevious))
    else {
        return Verdict::Untold;
    };
    let root = known.truths.thread.checked_add(root);
    let mut cframe = known.word(known.truths.thread, offset(FieldId::ThreadCFrame));
    for step in 0..MOST_CFRAMES {
        match cframe {
            Some(address) if Some(address) == root => return Verdict::from_bool(step > 0),
            Some(address) if address != 0 => cframe = known.word(address, previous),
            _ => return Verdict::Fails,
        }
    }
    Verdict::Untold
}

/// Whether every known frame tells its instruction. One frame alone fits too much, because two
/// offsets, this one and that of the bytecode, are added.
pub(super) fn instruction(known: &Known<'_>, layout: &Layout) -> Verdict {
    let frames = frames(known, layout);
    if frames.len() < 2 {
        return Verdict::Untold;
    }
    let offset = layout.offset(FieldId::FrameInstruction);
    let is_told = |(truth, frame): &(&FrameTruth, u64)| match layout.frame.instruction {
        Instruction::UnitIndex(_) => {
            known.int(*frame, offset).and_then(|unit| unit.checked_mul(2)) == Some(truth.lasti)
        }
        Instruction::ByteIndex(_) => known.int(*frame, offset) == Some(truth.lasti),
        Instruction::Address(_) => {
            let start =
                layout.offset(FieldId::CodeBytecode).map(|at| truth.code.saturating_add(at));
            let at = start.and_then(|start| start.checked_add_signed(truth.lasti.into()));
            at.is_some() && known.word(*frame, offset) == at
        }
    };
    Verdict::from_bool(frames.iter().all(is_told))
}

/// A generator's frame tells so; the frame of a function does not.
pub(super) fn owner(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::FrameOwner);
    let is_told = |(truth, frame): &(&FrameTruth, u64)| match layout.frame.owner {
        Owner::Enum(_) => known.byte(*frame, offset) == Some(u8::from(truth.is_generator)),
        Owner::GeneratorPointer(_) => {
            known.word(*frame, offset).map(|generator| generator != 0) == Some(truth.is_generator)
        }
    };
    told_by_generator(known, layout, &is_told)
}

/// A frame that C code resumed is an entry frame (3.11); others may be.
pub(super) fn is_entry(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::FrameIsEntry);
    let is_told = |(truth, frame): &(&FrameTruth, u64)| match known.byte(*frame, offset) {
        Some(1) => true,
        Some(0) => !truth.is_generator,
        _ => false,
    };
    let flags = frames(known, layout).into_iter().map(|(_, frame)| known.byte(frame, offset));
    match told_by_generator(known, layout, &is_told) {
        // Where all of them are, a byte that is always 1 would do as well.
        Verdict::Fits if flags.into_iter().all(|flag| flag == Some(1)) => Verdict::Untold,
        verdict => verdict,
    }
}

/// Asks every known frame, of which one must be a generator's.
fn told_by_generator(
    known: &Known<'_>,
    layout: &Layout,
    is_told: &dyn Fn(&(&FrameTruth, u64)) -> bool,
) -> Verdict {
    let frames = frames(known, layout);
    if !frames.iter().any(|(truth, _)| truth.is_generator) || frames.len() < 2 {
        return Verdict::Untold;
    }
    Verdict::from_bool(frames.iter().all(is_told))
}

/// Reads the known frames as a dump would have them; whether their functions, instructions and
/// lines are right.
pub(super) fn whole_reading(known: &Known<'_>, layout: &Layout) -> Verdict {
    let truths = &known.truths.frames;
    if truths.is_empty() {
        return Verdict::Untold;
    }
    let limits = Limits::default();
    let objects = Objects::new(Source::new(&known.memory, &limits), *layout, &limits);
    let soft_errors = SoftErrors::new(limits.max_soft_errors);
    let mut reader = FrameReader { objects, codes: Codes::default(), soft_errors };
    let fields = root_fields(&layout.chain);
    let Ok(thread) = reader.objects.source.record(known.truths.thread, &fields) else {
        return Verdict::Fails;
    };
    let walked = walk(&mut reader, &thread, truths.len());
    let is_it = |(read, truth): (&lastwords_format::streams::python::PythonFrame, &FrameTruth)| {
        (read.code, read.lasti, read.line) == (truth.code, truth.lasti, truth.line)
    };
    let is_complete = walked.frames.len() == truths.len();
    Verdict::from_bool(is_complete && walked.frames.iter().zip(truths).all(is_it))
}
