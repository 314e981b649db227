//! `_Py_DebugOffsets`, the offsets that CPython tells of itself at the start of `_PyRuntime`
//! since 3.13 (`Include/internal/pycore_debug_offsets.h`; 3.13: `pycore_runtime.h`).
//!
//! Little-endian; every member is a `u64`. Each minor version put members in between, so the
//! table has a shape per version, and nothing but the version tells which. The members that
//! the reader uses, by byte offset in 3.13.0, 3.14.10 and 3.15.2 (`-` = not there):
//!
//! | 3.13 | 3.14 | 3.15 | member | meaning |
//! |---|---|---|---|---|
//! | 0 | 0 | 0 | cookie | `xdebugpy` |
//! | 8 | 8 | 8 | version | `PY_VERSION_HEX` |
//! | 16 | 16 | 16 | free_threaded | 1 in a build without a GIL |
//! | 24 | 24 | 24 | runtime_state | size, finalizing, interpreters_head |
//! | 48 | 48 | 48 | interpreter_state | size, id, next, threads_head |
//! | 80 | 88 | 88 | interpreter_state.gc | gc, imports_modules, sysdict, builtins, ceval_gil, gil_runtime_state, gil_runtime_state_enabled, gil_runtime_state_locked, gil_runtime_state_holder |
//! | 152 | 176 | 176 | thread_state | size, prev, next, interp, current_frame |
//! | 192 | 216 | 240 | thread_state.thread_id | thread_id, native_thread_id |
//! | - | - | 288 | thread_state.current_exception | the exception being raised |
//! | 224 | 248 | 312 | interpreter_frame | size, previous, executable, instr_ptr, localsplus, owner |
//! | - | 304 | 368 | interpreter_frame.tlbc_index | 0 in a build with a GIL |
//! | 272 | 312 | 376 | code_object | size, filename, name, qualname, linetable, firstlineno, argcount, localsplusnames, localspluskinds, co_code_adaptive |
//! | - | 392 | 456 | code_object.co_tlbc | 0 in a build with a GIL |
//! | 352 | 400 | 464 | pyobject | size, ob_type |
//! | 368 | 416 | 480 | type_object | size, tp_name, tp_repr, tp_flags |
//! | 512 | 592 | 688 | bytes_object | size, ob_size, ob_sval |
//! | 536 | 616 | 712 | unicode_object | size, state, length, asciiobject_size |
//! | 568 | 648 | 752 | gc | size, collecting |
//! | 584 | 760 | 888 | | end of the table |
//!
//! What it does not tell is taken from the built-in table of the version. Of a version that
//! has none, those shapes are tried, newest first, and one is taken only when all that it tells
//! fits together; the fields that no shape tells stay unknown.

use super::shape::{Shape, Told};
use super::{Layout, v3_13, v3_14, v3_15, word};
use crate::Target;
use crate::error::{Error, SoftError};
use crate::source::{Fault, Source};

pub(super) const V3_13: Known = Known {
    name: "3.13",
    shape: Shape {
        gc: 80,
        thread_state: 152,
        thread_id: 192,
        current_exception: None,
        interpreter_frame: 224,
        tlbc_index: None,
        code_object: 272,
        co_tlbc: None,
        pyobject: 352,
        bytes_object: 512,
        gc_state: 568,
        end: 584,
    },
    layout: v3_13::LAYOUT,
    free_threaded: v3_13::FREE_THREADED,
};

pub(super) const V3_14: Known = Known {
    name: "3.14",
    shape: Shape {
        gc: 88,
        thread_state: 176,
        thread_id: 216,
        current_exception: None,
        interpreter_frame: 248,
        tlbc_index: Some(304),
        code_object: 312,
        co_tlbc: Some(392),
        pyobject: 400,
        bytes_object: 592,
        gc_state: 648,
        end: 760,
    },
    layout: v3_14::LAYOUT,
    free_threaded: v3_14::FREE_THREADED,
};

pub(super) const V3_15: Known = Known {
    name: "3.15",
    shape: Shape {
        gc: 88,
        thread_state: 176,
        thread_id: 240,
        current_exception: Some(288),
        interpreter_frame: 312,
        tlbc_index: Some(368),
        code_object: 376,
        co_tlbc: Some(456),
        pyobject: 464,
        bytes_object: 688,
        gc_state: 752,
        end: 888,
    },
    layout: v3_15::LAYOUT,
    free_threaded: v3_15::FREE_THREADED,
};

const NEWEST_FIRST: [&Known; 3] = [&V3_15, &V3_14, &V3_13];
const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");

/// A version whose table has a known shape, and what is known of its builds beside it.
pub(super) struct Known {
    name: &'static str,
    pub(super) shape: Shape,
    layout: Layout,
    free_threaded: Layout,
}

impl Known {
    /// Reads the table; tells whether it is one of the target's version.
    fn read(&self, source: &mut Source<'_>, target: &Target) -> Result<(Told, bool), Fault> {
        let last = self.shape.end.saturating_sub(8);
        let record = source.record(target.runtime_address, &[word(0), word(last)])?;
        let told = Told { record, shape: self.shape };
        let version = told.value(8)?;
        let is_meant =
            told.value(0)? == COOKIE && version >> 16 == u64::from(target.python_version >> 16);
        Ok((told, is_meant))
    }

    /// The built-in layout for the kind of build that the table tells of.
    fn built_in(&self, told: &Told) -> Result<Layout, Fault> {
        Ok(if told.is_free_threaded()? { self.free_threaded } else { self.layout })
    }
}

/// The layout of a known version, by the offsets that the target tells.
///
/// # Errors
/// [`Error`] when the memory cannot be read. Offsets that cannot be right are ignored as a
/// whole: the built-in ones come back, with a soft error.
pub(super) fn refine(
    source: &mut Source<'_>,
    target: &Target,
    known: &Known,
) -> Result<(Layout, Option<SoftError>), Error> {
    let ignored = |layout, why: &str| {
        let message = format!("{why}; the built-in offsets of {} were used", known.name);
        Ok((layout, Some(assumed(target, message))))
    };
    let (told, is_meant) = known.read(source, target)?;
    if !is_meant {
        return ignored(known.layout, "the cookie or the version of _Py_DebugOffsets is wrong");
    }
    let built_in = known.built_in(&told)?;
    match told.layout(built_in) {
        Ok(layout) => Ok((layout, None)),
        Err(fault) => ignored(built_in, &fault.to_string()),
    }
}

/// The layout of a version without a built-in table, when its offsets have a known shape.
///
/// # Errors
/// [`Error`] when the memory cannot be read, or no shape fits.
pub(super) fn assume(
    source: &mut Source<'_>,
    target: &Target,
) -> Result<(Layout, Option<SoftError>), Error> {
    let unsupported = Error::UnsupportedVersion { version: target.python_version };
    let head = source.record(target.runtime_address, &[word(0)]).map_err(Error::from)?;
    if head.get(word(0))? != COOKIE {
        return Err(unsupported);
    }
    for known in NEWEST_FIRST {
        // A longer table than the target's may end in memory that is not there.
        let Ok((told, true)) = known.read(source, target) else { continue };
        let Ok(layout) = told.layout(known.built_in(&told)?.without_what_no_table_tells()) else {
            continue;
        };
        let message = format!(
            "no layout is known for this version; its _Py_DebugOffsets has the shape of {}",
            known.name
        );
        return Ok((layout, Some(assumed(target, message))));
    }
    Err(unsupported)
}

fn assumed(target: &Target, message: String) -> SoftError {
    let where_ = format!("_PyRuntime at {:#x}", target.runtime_address);
    SoftError { code: "python_layout_assumed", where_, message }
}

impl Layout {
    /// The fields that only a built-in table knows are not known of another version.
    fn without_what_no_table_tells(mut self) -> Self {
        self.interpreter.finalizing = None;
        self.thread.exception = None;
        self.code.first_traceable = None;
        self
    }
}
