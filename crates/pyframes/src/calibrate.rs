//! Checking a layout against what is known of a living process, and setting it right.
//!
//! CPython promises nothing for its structures: a vendor's patch, another compiler, a later patch
//! version may move a field. In the process itself, while one of its threads holds the GIL, much is
//! known beyond doubt ([`Truths`]). Every field whose value is known is read through its offset and
//! compared; where that fails, the structure is searched for a place that fits, and where exactly
//! one does, that is the field's offset from then on. So the reader of a crash knows which of its
//! offsets are proven, and says so.
//!
//! Owns: the checks, what they result in ([`Calibration`]), and its form as bytes (`block.rs`).
//! Does not own: how truths are collected (`crates/py`), how the bytes come to the monitor
//! (`crates/capture`).

mod block;
mod frames;
mod known;
mod objects;
mod threads;
mod truths;

use std::time::{Duration, Instant};

pub use truths::{BytesTruth, CodeTruth, FrameTruth, StringTruth, Truths, TypeTruth};

use self::known::{Known, Verdict};
use crate::error::{Error, SoftError};
use crate::layout::fields::{ALL, FieldId, NAMES, built_in, number};
use crate::layout::{self, Layout};
use crate::memory::Memory;
use crate::paged_memory::PagedMemory;
use crate::source::Source;
use crate::{Limits, Target};

/// How many fields a calibration has.
pub const FIELD_COUNT: usize = NAMES.len();
/// The offset of a field that a version does not have.
pub const ABSENT: u32 = u32::MAX;
/// How long the searches may take in a process that is waiting for us.
pub const MAX_TIME: Duration = Duration::from_millis(1);
/// No structure reaches so far.
const NOWHERE: u64 = u64::MAX;
/// What one field's new place can change for others is seen after so many rounds.
const ROUNDS: usize = 3;

/// What is known of a field's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldState {
    /// What is read there is what is known.
    Verified,
    /// The built-in offset was wrong, this one is verified.
    Corrected,
    /// Nothing was known to compare.
    Assumed,
    /// What is read there is wrong, and no single other place fits.
    Contradicted,
}

/// Where one interpreter has the fields of its structures, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    /// `PY_VERSION_HEX`.
    python_version: u32,
    /// By the numbers of the fields; [`ABSENT`] = this version has none.
    offsets: [u32; FIELD_COUNT],
    verified: u64,
    corrected: u64,
    contradicted: u64,
}

/// One check: a test, and the fields that it needs; where one of them may lie else.
struct Check {
    test: fn(&Known<'_>, &Layout) -> Verdict,
    fields: &'static [Search],
}

/// Where a field is looked for: in so many bytes of its structure, at this alignment.
struct Search {
    id: FieldId,
    reach: u64,
    step: usize,
}

const fn search(id: FieldId, reach: u64, step: usize) -> Search {
    Search { id, reach, step }
}

/// Declares the check of one field.
macro_rules! check {
    ($test:path, $($id:ident: $reach:expr, $step:expr);+) => {
        Check { test: $test, fields: &[$(search(FieldId::$id, $reach, $step)),+] }
    };
}

/// Bytes that are searched of each structure; more than it has in any known version, as far as the
/// field can lie.
const RUNTIME: u64 = 4096;
const INTERPRETER: u64 = 16_384;
const THREAD: u64 = 1024;
/// Behind it stand the function's variables.
const FRAME: u64 = 112;
/// Behind it another code object may follow.
const CODE: u64 = 256;
const SMALL: u64 = 128;
const TYPE: u64 = 512;

/// In an order in which a check needs only fields of checks before it, beside its own.
const CHECKS: &[Check] = &[
    check!(objects::object_type, ObjectType: SMALL, 8),
    check!(objects::type_name, TypeName: TYPE, 8),
    check!(objects::type_flags, TypeFlags: TYPE, 8),
    check!(objects::size, VarSize: SMALL, 8),
    check!(objects::bytes_data, BytesData: SMALL, 1),
    check!(objects::string_length, StringLength: SMALL, 8),
    check!(objects::ascii_data, StringAsciiData: SMALL, 1),
    check!(objects::compact_data, StringCompactData: SMALL, 1),
    check!(objects::string_state, StringState: SMALL, 4),
    check!(objects::code_file, CodeFile: CODE, 8),
    check!(objects::code_name, CodeName: CODE, 8),
    check!(objects::code_qualname, CodeQualname: CODE, 8),
    check!(objects::code_line_table, CodeLineTable: CODE, 8),
    check!(objects::code_first_line, CodeFirstLine: CODE, 4),
    check!(objects::code_first_traceable, CodeFirstTraceable: CODE, 4),
    check!(threads::thread_interpreter, ThreadInterpreter: THREAD, 8),
    check!(threads::thread_id, ThreadId: THREAD, 8),
    check!(threads::native_thread_id, NativeThreadId: THREAD, 8),
    check!(threads::thread_exception, ThreadException: THREAD, 8),
    check!(threads::next_thread, NextThread: THREAD, 8),
    check!(threads::threads_head, ThreadsHead: INTERPRETER, 8),
    check!(threads::next_interpreter, NextInterpreter: INTERPRETER, 8),
    check!(threads::interpreter_id, InterpreterId: INTERPRETER, 8),
    check!(threads::interpreters_head, InterpretersHead: RUNTIME, 8),
    check!(threads::finalizing, Finalizing: RUNTIME, 8),
    check!(threads::current_thread, CurrentThread: RUNTIME, 8),
    check!(threads::gil, InterpreterGil: INTERPRETER, 8; GilHolder: SMALL, 8; GilLocked: SMALL, 4),
    check!(
        frames::chain,
        ThreadFrame: THREAD, 8;
        ThreadCurrentFrame: THREAD, 8;
        ThreadCFrame: THREAD, 8;
        CFrameCurrentFrame: SMALL, 8;
        FrameCode: FRAME, 8;
        FramePrevious: FRAME, 8
    ),
    check!(
        frames::cframe_chain,
        CFramePrevious: SMALL, 8;
        ThreadRootCFrame: THREAD, 8;
        ThreadCFrame: THREAD, 8
    ),
    check!(frames::instruction, FrameInstruction: FRAME, 4; CodeBytecode: CODE, 2),
    check!(frames::owner, FrameOwner: FRAME, 1),
    check!(frames::is_entry, FrameIsEntry: FRAME, 1),
];

/// Checks the layout of the version against the truths, and sets it right where it is wrong and one
/// place alone fits. `memory` is the process's own; it must not change meanwhile in what is known.
///
/// Reads some tens of pages. Searches of wrong fields end after `max_time`.
///
/// # Errors
/// [`Error`] when no layout of the version is known at all, or the memory cannot be read.
pub fn calibrate(
    memory: &dyn Memory,
    truths: &Truths,
    max_time: Duration,
) -> Result<Calibration, Error> {
    // Where nothing can be read, nothing is contradicted.
    memory.read(truths.thread, &mut [0; 8])?;
    let limits = Limits::default();
    let mut source = Source::new(memory, &limits);
    let version = truths.python_version;
    let base =
        match (layout::choose(&mut source, truths.runtime_address, version), built_in(version)) {
            (Ok((layout, _)), _) => layout,
            (Err(Error::Memory(_) | Error::Implausible { .. }), Some(layout)) => layout,
            (Err(error), _) => return Err(error),
        };
    Ok(calibrate_from(memory, truths, base, max_time))
}

fn calibrate_from(
    memory: &dyn Memory,
    truths: &Truths,
    base: Layout,
    max_time: Duration,
) -> Calibration {
    let known = Known { memory: PagedMemory::new(memory), truths };
    let mut work = Work {
        known: &known,
        base,
        layout: base,
        states: [FieldState::Assumed; FIELD_COUNT],
        before: [FieldState::Assumed; FIELD_COUNT],
        deadline: Instant::now().checked_add(max_time),
    };
    for round in 0..ROUNDS {
        let before = work.offsets();
        work.before = std::mem::replace(&mut work.states, [FieldState::Assumed; FIELD_COUNT]);
        CHECKS.iter().for_each(|check| work.run(check));
        let is_healthy = !work.states.contains(&FieldState::Contradicted);
        if work.offsets() == before && (is_healthy || round > 0) {
            break;
        }
    }
    work.finish()
}

struct Work<'m> {
    known: &'m Known<'m>,
    base: Layout,
    layout: Layout,
    states: [FieldState; FIELD_COUNT],
    /// Those of the round before.
    before: [FieldState; FIELD_COUNT],
    deadline: Option<Instant>,
}

impl Work<'_> {
    fn run(&mut self, check: &Check) {
        let is_there = |search: &&Search| self.layout.offset(search.id).is_some();
        let fields: Vec<&Search> = check.fields.iter().filter(is_there).collect();
        if fields.is_empty() {
            return;
        }
        let mut verdict = (check.test)(self.known, &self.layout);
        if verdict == Verdict::Fails
            && let Some(layout) = self.only_way(check, &fields)
        {
            self.layout = layout;
            verdict = Verdict::Fits;
        }
        for Search { id, .. } in fields {
            let is_base = self.base.offset(*id) == self.layout.offset(*id);
            // What fits wherever the field is says nothing of it.
            let elsewhere = self.layout.with(*id, NOWHERE);
            if verdict == Verdict::Fits && (check.test)(self.known, &elsewhere) == Verdict::Fits {
                continue;
            }
            let state = match verdict {
                Verdict::Fits if is_base => FieldState::Verified,
                Verdict::Fits => FieldState::Corrected,
                Verdict::Untold => FieldState::Assumed,
                Verdict::Fails => FieldState::Contradicted,
            };
            self.note(*id, state);
        }
    }

    /// Of several checks of one field, those that tell something count, the last one most.
    fn note(&mut self, id: FieldId, state: FieldState) {
        if let Some(place) = self.states.get_mut(number(id))
            && state != FieldState::Assumed
        {
            *place = state;
        }
    }

    /// The one way to move one of the fields by which the test fits; `None` where there is none, or
    /// several, so that nobody knows which field was wrong.
    fn only_way(&self, check: &Check, fields: &[&Search]) -> Option<Layout> {
        let mut fitting = None;
        for Search { id, reach, step } in fields {
            for offset in (0..*reach).step_by(*step) {
                if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return None;
                }
                let layout = self.layout.with(*id, offset);
                let fits = !self.is_taken(*id, offset)
                    && (check.test)(self.known, &layout) == Verdict::Fits
                    && threads::is_among_its_like(self.known, &layout, *id);
                if fits && fitting.replace(layout).is_some() {
                    return None;
                }
            }
        }
        fitting
    }

    /// Whether another field of the same structure is known to lie there.
    fn is_taken(&self, id: FieldId, offset: u64) -> bool {
        let structure = |id: FieldId| NAMES.get(number(id)).and_then(|name| name.split('.').next());
        let is_proven = |state| matches!(state, FieldState::Verified | FieldState::Corrected);
        let states = self.states.iter().zip(self.before);
        ALL.iter().zip(states).any(|(other, (now, before))| {
            (is_proven(*now) || is_proven(before))
                && *other != id
                && structure(*other) == structure(id)
                && self.layout.offset(*other) == Some(offset)
        })
    }

    fn offsets(&self) -> Vec<Option<u64>> {
        ALL.iter().map(|id| self.layout.offset(*id)).collect()
    }

    /// Takes all corrections back if the known frames cannot be read by them, and tells the result.
    fn finish(mut self) -> Calibration {
        if frames::whole_reading(self.known, &self.layout) == Verdict::Fails {
            self.layout = self.base;
            let corrected = self.states.iter_mut().filter(|s| **s == FieldState::Corrected);
            corrected.for_each(|state| *state = FieldState::Contradicted);
        }
        let offset = |id: &FieldId| {
            self.layout.offset(*id).and_then(|offset| u32::try_from(offset).ok()).unwrap_or(ABSENT)
        };
        let mut offsets = [ABSENT; FIELD_COUNT];
        for (place, id) in offsets.iter_mut().zip(ALL) {
            *place = offset(id);
        }
        let bits = |wanted: FieldState| {
            let states = self.states.iter().zip(&offsets).enumerate();
            states
                .filter(|(_, (state, offset))| **state == wanted && **offset != ABSENT)
                .fold(0, |bits, (index, _)| bits | bit(index))
        };
        Calibration {
            python_version: self.known.truths.python_version,
            verified: bits(FieldState::Verified) | bits(FieldState::Corrected),
            corrected: bits(FieldState::Corrected),
            contradicted: bits(FieldState::Contradicted),
            offsets,
        }
    }
}

/// The layout of a target: calibrated if it was, by the process itself and for this very version.
pub(crate) fn choose(
    source: &mut Source<'_>,
    target: &Target,
) -> Result<(Layout, Vec<SoftError>), Error> {
    let version = target.python_version;
    let chosen = layout::choose(source, target.runtime_address, version);
    let calibration = target.calibration.filter(|known| known.python_version == version);
    let Some(calibration) = calibration else {
        return chosen.map(|(layout, assumed)| (layout, assumed.into_iter().collect()));
    };
    let layout = match (chosen, built_in(version)) {
        (Ok((layout, _)), _) => layout,
        // What the runtime told of itself was read when the process was healthy.
        (Err(Error::Memory(_)), Some(layout)) => layout,
        (Err(error), _) => return Err(error),
    };
    Ok((calibration.apply(layout), calibration.soft_errors(target.runtime_address)))
}

fn bit(index: usize) -> u64 {
    u32::try_from(index).ok().and_then(|index| 1_u64.checked_shl(index)).unwrap_or(0)
}

impl Calibration {
    /// `PY_VERSION_HEX` of the interpreter that was calibrated.
    #[must_use]
    pub fn python_version(&self) -> u32 {
        self.python_version
    }

    /// Whether nothing had to be corrected, and nothing is wrong.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.corrected == 0 && self.contradicted == 0
    }

    /// Name, offset in bytes and state of every field that the version has.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, u32, FieldState)> {
        let offsets = self.offsets.into_iter().enumerate().zip(NAMES);
        offsets.filter(|((_, offset), _)| *offset != ABSENT).map(|((index, offset), name)| {
            let has = |bits: u64| bits & bit(index) != 0;
            let state = if has(self.contradicted) {
                FieldState::Contradicted
            } else if has(self.corrected) {
                FieldState::Corrected
            } else if has(self.verified) {
                FieldState::Verified
            } else {
                FieldState::Assumed
            };
            (*name, offset, state)
        })
    }

    /// Names of the fields in a state.
    #[must_use]
    pub fn names(&self, wanted: FieldState) -> Vec<&'static str> {
        self.fields().filter(|(_, _, state)| *state == wanted).map(|(name, ..)| name).collect()
    }

    fn soft_errors(&self, runtime_address: u64) -> Vec<SoftError> {
        let told = [
            (FieldState::Corrected, "python_layout_corrected", "others were found, and are used"),
            (FieldState::Contradicted, "python_layout_contradicted", "no others were found"),
        ];
        let error = |(state, code, then): (FieldState, &'static str, &str)| {
            let names = self.names(state);
            (!names.is_empty()).then(|| SoftError {
                code,
                where_: format!("_PyRuntime at {runtime_address:#x}"),
                message: format!("the built-in offsets of {} are wrong; {then}", names.join(", ")),
            })
        };
        told.into_iter().filter_map(error).collect()
    }

    /// The layout with the calibrated offsets.
    pub(crate) fn apply(&self, layout: Layout) -> Layout {
        let offsets = ALL.iter().zip(self.offsets).filter(|(_, offset)| *offset != ABSENT);
        offsets.fold(layout, |layout, (id, offset)| layout.with(*id, offset.into()))
    }
}

#[cfg(test)]
mod tests;
