//! What this process knows of its own interpreter, and what comes of comparing it with the
//! built-in layout of CPython's structures.
//!
//! Runs at `arm`, with the GIL held. The functions of CPython's stable ABI and Python itself tell the
//! truths; memory is read through the kernel, so that a wrong offset cannot crash the process.
//! Nothing that goes wrong here matters: then the built-in layout stands.

use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use lastwords_pyframes::calibrate::{
    BytesTruth, Calibration, CodeTruth, FrameTruth, MAX_TIME, StringTruth, Truths, TypeTruth,
    calibrate,
};
use lastwords_pyframes::{Memory, MemoryError};
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyType};
use pyo3::{ffi, intern};

/// Frames that are compared; the first ones are of `lastwords.sdk.native`.
const MOST_FRAMES: usize = 4;
/// Threads and interpreters that are compared.
const MOST_LISTED: usize = 64;
/// `CO_GENERATOR`.
const IS_GENERATOR: u32 = 0x20;
/// Strings of every kind that there is: ASCII, and of 1, 2 and 4 bytes a character.
const STRINGS: [&str; 4] =
    ["lastwords", "gr\u{f6}\u{df}e", "\u{8a08}\u{7b97} of it", "\u{1f600} more"];
const BYTES: [&[u8]; 2] = [b"bytes", b"eleven more"];

/// The calibration of the running interpreter as bytes (docs/formats/calibration.md); empty when
/// there is none.
pub(crate) fn of_this_interpreter(
    py: Python<'_>,
    runtime_address: u64,
    python_version: u32,
) -> Vec<u8> {
    let made = catch_unwind(AssertUnwindSafe(|| {
        let kept = Kept::new(py);
        let make = || {
            let truths = truths(py, &kept, runtime_address, python_version).ok()?;
            with_exception(py, truths, |truths| calibrate(&OwnMemory, truths, MAX_TIME)).ok()
        };
        // A thread of C may have come to the interpreter meanwhile, which needs no GIL.
        make().filter(Calibration::is_healthy).or_else(make)
    }));
    made.ok().flatten().map(|calibration| calibration.to_bytes()).unwrap_or_default()
}

/// Runs `look` while an exception is set.
fn with_exception<T>(py: Python<'_>, mut truths: Truths, look: impl FnOnce(&Truths) -> T) -> T {
    let kind = py.get_type::<PyLookupError>();
    // SAFETY: attached; no error is set, as always when a function is called, and none is after.
    unsafe { ffi::PyErr_SetNone(kind.as_ptr()) };
    truths.exception_type = address(kind.as_any());
    let result = look(&truths);
    // SAFETY: attached.
    unsafe { ffi::PyErr_Clear() };
    result
}

/// Objects whose content is known, alive as long as they are looked at.
struct Kept<'py> {
    strings: Vec<Bound<'py, PyString>>,
    bytes: Vec<Bound<'py, PyBytes>>,
}

impl<'py> Kept<'py> {
    fn new(py: Python<'py>) -> Self {
        Self {
            strings: STRINGS.iter().map(|text| PyString::new(py, text)).collect(),
            bytes: BYTES.iter().map(|content| PyBytes::new(py, content)).collect(),
        }
    }
}

fn address(object: &Bound<'_, PyAny>) -> u64 {
    number(object.as_ptr())
}

fn number<T>(pointer: *mut T) -> u64 {
    u64::try_from(pointer.expose_provenance()).unwrap_or(0)
}

fn truths(
    py: Python<'_>,
    kept: &Kept<'_>,
    runtime_address: u64,
    python_version: u32,
) -> PyResult<Truths> {
    let frames = frames(py)?;
    let codes: Vec<Bound<'_, PyAny>> =
        frames.iter().map(|frame| frame.getattr(intern!(py, "f_code"))).collect::<PyResult<_>>()?;
    let code_type = codes.first().map(Bound::get_type);
    let (string_type, bytes_type) = (py.get_type::<PyString>(), py.get_type::<PyBytes>());
    let exception_type = py.get_type::<PyLookupError>();
    let has_gil = has_gil(py);
    let types = [&string_type, &bytes_type, &exception_type].into_iter().chain(&code_type);
    let (thread, interpreter, interpreter_id) = states();
    let resume = codes.get(1).and_then(|plain| first_opcode(plain));
    Ok(Truths {
        python_version,
        runtime_address,
        thread,
        interpreter,
        interpreter_id,
        thread_id: thread_id(),
        native_thread_id: native_thread_id(),
        interpreters: if has_gil { interpreters() } else { Vec::new() },
        threads: if has_gil { threads(interpreter) } else { Vec::new() },
        // One that shares the GIL of the main interpreter does not count as its holder.
        holds_gil: has_gil && interpreter_id == 0,
        exception_type: 0,
        code_type: code_type.as_ref().map_or(0, |kind| address(kind.as_any())),
        string_type: address(string_type.as_any()),
        bytes_type: address(bytes_type.as_any()),
        types: types.map(type_truth).collect(),
        strings: kept
            .strings
            .iter()
            .zip(STRINGS)
            .map(|(string, text)| StringTruth { address: address(string), text: text.to_owned() })
            .collect(),
        bytes: kept
            .bytes
            .iter()
            .zip(BYTES)
            .map(|(bytes, content)| BytesTruth {
                address: address(bytes),
                content: content.to_vec(),
            })
            .collect(),
        codes: codes.iter().map(|code| code_truth(code, resume)).collect::<PyResult<_>>()?,
        frames: frames
            .iter()
            .zip(&codes)
            .map(|(frame, code)| frame_truth(frame, code))
            .collect::<PyResult<_>>()?,
    })
}

/// The newest frames of this thread.
fn frames(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyAny>>> {
    // SAFETY: attached to the interpreter; the reference is borrowed, or null without any frame.
    let newest = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast()) };
    let mut frames: Vec<Bound<'_, PyAny>> = newest.into_iter().collect();
    while let Some(frame) = frames.last()
        && frames.len() < MOST_FRAMES
    {
        let older = frame.getattr(intern!(py, "f_back"))?;
        if older.is_none() {
            break;
        }
        frames.push(older);
    }
    Ok(frames)
}

fn frame_truth(frame: &Bound<'_, PyAny>, code: &Bound<'_, PyAny>) -> PyResult<FrameTruth> {
    let py = frame.py();
    let flags: u32 = code.getattr(intern!(py, "co_flags"))?.extract()?;
    Ok(FrameTruth {
        code: address(code),
        lasti: frame.getattr(intern!(py, "f_lasti"))?.extract()?,
        line: frame.getattr(intern!(py, "f_lineno"))?.extract()?,
        is_generator: flags & IS_GENERATOR != 0,
    })
}

/// Number of the instruction with which a function begins that has no variables in cells: RESUME,
/// from 3.11 on.
fn first_opcode(code: &Bound<'_, PyAny>) -> Option<u8> {
    let bytecode = code.getattr(intern!(code.py(), "co_code")).ok()?;
    bytecode.cast::<PyBytes>().ok()?.as_bytes().first().copied()
}

fn code_truth(code: &Bound<'_, PyAny>, resume: Option<u8>) -> PyResult<CodeTruth> {
    let py = code.py();
    let member = |name| code.getattr(name).map(|value| address(&value));
    let qualname = member(intern!(py, "co_qualname")).ok();
    let bytecode = code.getattr(intern!(py, "co_code"))?;
    let first_traceable = qualname.and(resume).and_then(|resume| {
        let mut units = bytecode.cast::<PyBytes>().ok()?.as_bytes().chunks_exact(2);
        let index = units.position(|unit| unit.first() == Some(&resume))?;
        i32::try_from(index).ok()
    });
    Ok(CodeTruth {
        address: address(code),
        file: member(intern!(py, "co_filename"))?,
        name: member(intern!(py, "co_name"))?,
        qualname,
        line_table: member(intern!(py, "co_linetable"))?,
        first_line: code.getattr(intern!(py, "co_firstlineno"))?.extract()?,
        first_traceable,
    })
}

fn type_truth(kind: &Bound<'_, PyType>) -> TypeTruth {
    // SAFETY: a type, alive and attached.
    let flags = unsafe { ffi::PyType_GetFlags(kind.as_ptr().cast()) };
    let name = kind.name().map(|name| name.to_string()).unwrap_or_default();
    TypeTruth { address: address(kind.as_any()), name, flags }
}

/// Thread state, interpreter state and its id.
fn states() -> (u64, u64, u64) {
    // SAFETY: attached to the interpreter.
    unsafe {
        let interpreter = ffi::PyInterpreterState_Get();
        let id = ffi::PyInterpreterState_GetID(interpreter);
        (number(ffi::PyThreadState_Get()), number(interpreter), u64::try_from(id).unwrap_or(0))
    }
}

fn has_gil(py: Python<'_>) -> bool {
    let is_enabled = py.import("sys").and_then(|sys| sys.getattr("_is_gil_enabled"));
    let told = is_enabled.and_then(|is_enabled| is_enabled.call0()?.extract());
    told.unwrap_or(true) // before 3.13
}

type First = unsafe extern "C" fn() -> *mut c_void;
type Next = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

/// A function of CPython that is not in the stable ABI, but exported by every version.
fn function(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: looks up a name.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

fn next_function(name: &CStr) -> Option<Next> {
    // SAFETY: callers name functions of this signature (`Include/cpython/pystate.h`).
    function(name).map(|found| unsafe { std::mem::transmute::<NonNull<c_void>, Next>(found) })
}

/// All interpreters, 0 behind the last.
fn interpreters() -> Vec<u64> {
    let first = function(c"PyInterpreterState_Head");
    let next = next_function(c"PyInterpreterState_Next");
    let (Some(first), Some(next)) = (first, next) else { return Vec::new() };
    // SAFETY: `PyInterpreterState *PyInterpreterState_Head(void)`.
    let first = unsafe { std::mem::transmute::<NonNull<c_void>, First>(first)() };
    list(first, next)
}

/// All thread states of an interpreter, 0 behind the last.
fn threads(interpreter: u64) -> Vec<u64> {
    let first = next_function(c"PyInterpreterState_ThreadHead");
    let next = next_function(c"PyThreadState_Next");
    let (Some(first), Some(next)) = (first, next) else { return Vec::new() };
    let interpreter = usize::try_from(interpreter).unwrap_or(0);
    // SAFETY: the interpreter of this thread.
    list(unsafe { first(std::ptr::with_exposed_provenance_mut(interpreter)) }, next)
}

/// The first ones of a list, and the 0 at its end if it is so short.
fn list(first: *mut c_void, next: Next) -> Vec<u64> {
    let mut found = vec![number(first)];
    let mut last = first;
    while !last.is_null() && found.len() < MOST_LISTED {
        // SAFETY: the GIL is held, without which nobody takes a state out of the list.
        last = unsafe { next(last) };
        found.push(number(last));
    }
    found
}

/// `pthread_self()`.
fn thread_id() -> u64 {
    // SAFETY: always succeeds.
    unsafe { libc::pthread_self() }
}

fn native_thread_id() -> u64 {
    // SAFETY: always succeeds.
    u64::try_from(unsafe { libc::gettid() }).unwrap_or(0)
}

/// This process's memory, as the kernel reads it: what is not there is an error.
struct OwnMemory;

impl Memory for OwnMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let start = usize::try_from(address).unwrap_or(usize::MAX);
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let remote = libc::iovec {
            iov_base: std::ptr::with_exposed_provenance_mut(start),
            iov_len: buffer.len(),
        };
        // SAFETY: `local` is the caller's buffer; the kernel checks `remote`.
        let read = unsafe {
            libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
        };
        if usize::try_from(read) == Ok(buffer.len()) {
            return Ok(());
        }
        let reason = std::io::Error::last_os_error().to_string();
        Err(MemoryError::new(address, buffer.len(), reason))
    }
}
