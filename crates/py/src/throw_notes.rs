//! A C++ exception that becomes a Python exception takes the stack of its throw along, as a note
//! (PEP 678) that a traceback prints.
//!
//! Called by the hooks of `lastwords_capture::throws` right after the binding has set the error.
//! Only C of Python runs here: a signal handler or a trace function of the application gets no turn
//! between the error and its report.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock};

use lastwords_capture::throws::{self, CaughtThrow, Place};
use lastwords_symbols::demangle;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Frames that a note shows: up to the interpreter, which the traceback shows better.
const MOST_SHOWN: usize = 32;
/// Addresses whose names are remembered.
const MOST_NAMES: usize = 4096;

static NOTE_TYPE: OnceLock<Py<PyAny>> = OnceLock::new();

/// Sets the type of the notes, once: called with a text, it gets an attribute `throw`.
pub(crate) fn register(note_type: Py<PyAny>) {
    if NOTE_TYPE.set(note_type).is_ok() {
        throws::on_python_error(|throw| {
            // A defect of ours must not unwind into the binding.
            let _ = catch_unwind(AssertUnwindSafe(|| attach(throw)));
        });
    }
}

/// Adds the note to the error that is set; leaves everything as it was if that fails.
fn attach(throw: &CaughtThrow) {
    // SAFETY: whoever sets an error is attached to the interpreter.
    let py = unsafe { Python::assume_attached() };
    let (mut kind, mut value, mut traceback) = (NULL, NULL, NULL);
    // SAFETY: attached; the references that the calls give are handed back by the last one.
    unsafe {
        ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut traceback);
        if kind.is_null() {
            return;
        }
        ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut traceback);
        if let Some(value) = Bound::from_borrowed_ptr_or_opt(py, value)
            && add_note(&value, throw).is_err()
        {
            ffi::PyErr_Clear();
        }
        ffi::PyErr_Restore(kind, value, traceback);
    }
}

const NULL: *mut ffi::PyObject = std::ptr::null_mut();

fn add_note(error: &Bound<'_, PyAny>, throw: &CaughtThrow) -> PyResult<()> {
    let py = error.py();
    let Some(note_type) = NOTE_TYPE.get() else { return Ok(()) };
    let type_name = type_name(throw.type_name());
    let what = throw.what().map(|what| String::from_utf8_lossy(what).into_owned());
    let frames: Vec<String> = names(throw.pcs());
    let text = note_text(type_name.as_deref(), what.as_deref(), &frames);
    let note = note_type.bind(py).call1((text,))?;
    let details = PyDict::new(py);
    details.set_item("type", type_name)?;
    details.set_item("what", what)?;
    details.set_item("frames", frames)?;
    note.setattr("throw", details)?;
    if error.hasattr("add_note")? {
        error.call_method1("add_note", (note,))?; // Python 3.11
        return Ok(());
    }
    error.setattr("__notes__", PyList::new(py, [note])?)
}

/// The source name of a mangled type; `None` when there is none.
fn type_name(mangled: &[u8]) -> Option<String> {
    let mangled = String::from_utf8_lossy(mangled);
    let demangled = demangle(&format!("_ZTI{mangled}")).into_owned();
    let name = demangled.strip_prefix("typeinfo for ").map_or(mangled.into_owned(), str::to_owned);
    (!name.is_empty()).then_some(name)
}

fn note_text(type_name: Option<&str>, what: Option<&str>, frames: &[String]) -> String {
    let mut text = format!("C++ exception {}", type_name.unwrap_or("of unknown type"));
    if let Some(what) = what {
        text.push_str(": ");
        text.push_str(what);
    }
    text.push_str("\n  thrown at (innermost first):");
    let is_native = |frame: &&String| !is_interpreter(frame);
    for frame in frames.iter().take_while(is_native).take(MOST_SHOWN) {
        text.push_str("\n    ");
        text.push_str(frame);
    }
    text
}

/// Whether a frame is one of the interpreter's functions.
fn is_interpreter(frame: &str) -> bool {
    let function = frame.split_once('!').map_or("", |(_, function)| function);
    function.starts_with("_PyEval")
        || function.starts_with("PyEval")
        || function.starts_with("_PyObject_")
        || function.starts_with("PyObject_")
}

/// `module!function+0xoff`, or `module+0xoff` where no exported function holds the address.
fn names(pcs: &[u64]) -> Vec<String> {
    static KNOWN: Mutex<Option<(u64, HashMap<u64, String>)>> = Mutex::new(None);
    let Ok(mut known) = KNOWN.try_lock() else { return pcs.iter().map(|pc| name(*pc)).collect() };
    let unloads = throws::unloads_seen();
    let is_good = |(of, names): &(u64, HashMap<_, _>)| *of == unloads && names.len() < MOST_NAMES;
    if !known.as_ref().is_some_and(is_good) {
        *known = Some((unloads, HashMap::new()));
    }
    let Some((_, known)) = known.as_mut() else { return Vec::new() };
    pcs.iter().map(|pc| known.entry(*pc).or_insert_with(|| name(*pc)).clone()).collect()
}

fn name(pc: u64) -> String {
    let Some(Place { module, module_offset, function }) = throws::place_of(pc) else {
        return format!("{pc:#x}");
    };
    let module = if module.is_empty() { "main program".to_owned() } else { module };
    match function {
        Some((function, offset)) => format!("{module}!{}+{offset:#x}", demangle(&function)),
        None => format!("{module}+{module_offset:#x}"),
    }
}
