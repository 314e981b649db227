//! The Rust core as seen from Python: `lastwords._native`.
//!
//! No logic here: arguments in, errors mapped, the GIL released while the core works. The
//! stub `src/lastwords/_native.pyi` is checked against this module.

// pyo3's macros write code that these lints look at.
#![allow(clippy::arithmetic_side_effects, missing_docs)]

mod calibration;
mod convert;
mod options;
mod symbols;
mod throw_notes;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lastwords_capture::shared::{Additions, Breadcrumb, Kind, Level};
use lastwords_capture::{ArmError, Arming};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::Value;

pyo3::create_exception!(
    _native,
    CoreError,
    PyException,
    "Raised by the core. `args` = (code, message, hint or None)."
);

const CORE_FAILED: &str = "core_failed";

fn core_error(code: &str, message: &str, hint: Option<&str>) -> PyErr {
    CoreError::new_err((code.to_owned(), message.to_owned(), hint.map(str::to_owned)))
}

fn analysis_error(error: &lastwords_analyze::Error) -> PyErr {
    core_error(error.code(), &error.message(), error.hint().as_deref())
}

fn arm_error(error: &ArmError) -> PyErr {
    core_error(error.code, &error.message, Some(error.hint))
}

/// Runs a part of the core; a panic becomes an error, never an unwind into Python.
fn guarded<T>(what: &str, run: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(core_error(
            CORE_FAILED,
            &format!("{what} ended in a panic of the core"),
            Some("please report it, with the dump if you may share it"),
        ))
    })
}

/// Version of the Rust core, the same as the package's.
#[pyfunction]
fn core_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Every code that `CoreError` can carry.
#[pyfunction]
fn error_codes() -> Vec<&'static str> {
    let mut codes = vec![CORE_FAILED];
    codes.extend_from_slice(lastwords_analyze::ERROR_CODES);
    codes.extend_from_slice(lastwords_capture::CODES);
    codes.extend_from_slice(&symbols::CODES);
    codes.extend_from_slice(lastwords_convert::CODES);
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Analyse a minidump file; returns one JSON document.
#[pyfunction]
fn analyze_dump<'py>(py: Python<'py>, path: &str, options: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let document = guarded("analyze_dump", || {
        py.detach(|| lastwords_analyze::analyze_file(Path::new(path), options))
            .map_err(|error| analysis_error(&error))
    })?;
    Ok(PyBytes::new(py, &document))
}

/// A dump that is open, to be asked many times.
#[pyclass(frozen, module = "lastwords._native")]
struct Session(lastwords_analyze::Session);

#[pymethods]
impl Session {
    /// Open a minidump file.
    #[new]
    fn new(py: Python<'_>, path: &str, options: &[u8]) -> PyResult<Self> {
        guarded("Session", || {
            py.detach(|| lastwords_analyze::Session::open(Path::new(path), options))
                .map(Self)
                .map_err(|error| analysis_error(&error))
        })
    }

    /// Answer one request; JSON in, JSON out.
    fn ask<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let answer = guarded("Session.ask", || {
            py.detach(|| self.0.ask(request)).map_err(|error| analysis_error(&error))
        })?;
        Ok(PyBytes::new(py, &answer))
    }
}

/// Start the monitor process and install the signal handlers; returns the monitor's pid.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // keywords of a Python function
#[pyo3(signature = (*, monitor_path, spool_dir, report_base, attachments, budget_ms, is_quiet, options))]
fn arm(
    py: Python<'_>,
    monitor_path: &str,
    spool_dir: &str,
    report_base: &[u8],
    attachments: Vec<String>,
    budget_ms: u32,
    is_quiet: bool,
    options: &[u8],
) -> PyResult<i32> {
    let report: Value = serde_json::from_slice(report_base)
        .map_err(|error| PyValueError::new_err(format!("report_base is not JSON: {error}")))?;
    let (options, mut config) = options::parse(options).map_err(PyValueError::new_err)?;
    config.insert("spool_dir".to_owned(), spool_dir.into());
    config.insert("report".to_owned(), report);
    config.insert("attachments".to_owned(), attachments.into());
    config.insert("is_quiet".to_owned(), is_quiet.into());
    let config = Value::Object(config).to_string();
    let (runtime_address, python_version) = (runtime_address(), python_version(py)?);
    let calibration = calibration::of_this_interpreter(py, runtime_address, python_version);
    let arming = Arming {
        monitor_path,
        config: config.as_bytes(),
        runtime_address,
        python_version,
        calibration: &calibration,
        budget_ms,
        is_quiet,
        options,
    };
    guarded("arm", || lastwords_capture::arm(&arming).map_err(|error| arm_error(&error)))
}

/// `PY_VERSION_HEX` of the running interpreter.
fn python_version(py: Python<'_>) -> PyResult<u32> {
    py.import("sys")?.getattr("hexversion")?.extract()
}

/// Address of `_PyRuntime` in this process; 0 when the interpreter does not export it.
fn runtime_address() -> u64 {
    // SAFETY: looks up a name; the address is only passed on.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_PyRuntime".as_ptr()) };
    u64::try_from(address.expose_provenance()).unwrap_or(0)
}

/// Restore the previous signal handlers and end the monitor.
#[pyfunction]
fn disarm() -> PyResult<()> {
    guarded("disarm", || {
        lastwords_capture::disarm();
        Ok(())
    })
}

/// Whether the signal handlers are installed.
#[pyfunction]
fn is_armed() -> bool {
    lastwords_capture::is_armed()
}

/// Process id of the monitor; `None` when not armed.
#[pyfunction]
fn monitor_pid() -> Option<i32> {
    lastwords_capture::monitor_pid()
}

/// Set one annotation of the next report, or remove it.
#[pyfunction]
fn set_annotation(key: &str, value: Option<&str>, kind: &str) -> PyResult<()> {
    let kind = match kind {
        "string" => Kind::String,
        "int" => Kind::Int,
        "float" => Kind::Float,
        "bool" => Kind::Bool,
        other => {
            let message = format!("kind is {other:?}, expected 'string', 'int', 'float' or 'bool'");
            return Err(PyValueError::new_err(message));
        }
    };
    let value = value.map(|text| (text, kind));
    guarded("set_annotation", || {
        lastwords_capture::set_annotation(key, value).map_err(|error| arm_error(&error))
    })
}

/// Have a dump of this process made while it runs on; returns what the monitor says, as JSON.
#[pyfunction]
fn dump<'py>(py: Python<'py>, order: &[u8], budget_ms: u32) -> PyResult<Bound<'py, PyBytes>> {
    let result = guarded("dump", || {
        py.detach(|| lastwords_capture::dump(order, budget_ms)).map_err(|error| arm_error(&error))
    })?;
    Ok(PyBytes::new(py, &result))
}

/// Keep what happened for the next report.
#[pyfunction]
fn add_breadcrumb(
    time_ns: u64,
    message: &str,
    category: &str,
    level: &str,
    data: &str,
) -> PyResult<()> {
    let Some(level) = Level::from_name(level) else {
        let message =
            format!("level is {level:?}, expected 'debug', 'info', 'warning', 'error' or 'fatal'");
        return Err(PyValueError::new_err(message));
    };
    let crumb = Breadcrumb {
        time_ns,
        level,
        category: category.to_owned(),
        message: message.to_owned(),
        data: data.to_owned(),
        ..Breadcrumb::default()
    };
    guarded("add_breadcrumb", || {
        lastwords_capture::add_breadcrumb(&crumb).map_err(|error| arm_error(&error))
    })
}

/// Replace what the application adds to dumps.
#[pyfunction]
fn set_additions(memory: Vec<(u64, u64)>, streams: Vec<(u32, Vec<u8>)>) -> PyResult<()> {
    let additions = Additions { memory, streams, is_torn: false };
    guarded("set_additions", || {
        lastwords_capture::set_additions(&additions).map_err(|error| arm_error(&error))
    })
}

/// Note that the interpreter finalises: whatever exit status follows was chosen.
#[pyfunction]
fn note_exit() {
    lastwords_capture::note_exit();
}

/// Detach a forked child from its parent's annotations and monitor.
#[pyfunction]
fn after_fork_in_child() -> PyResult<()> {
    guarded("after_fork_in_child", || {
        lastwords_capture::after_fork_in_child();
        Ok(())
    })
}

/// Attach notes of this type to Python exceptions that C++ exceptions have become.
#[pyfunction]
fn set_throw_note(note_type: Py<PyAny>) {
    throw_notes::register(note_type);
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("CoreError", module.py().get_type::<CoreError>())?;
    module.add_class::<Session>()?;
    module.add_function(wrap_pyfunction!(core_version, module)?)?;
    module.add_function(wrap_pyfunction!(error_codes, module)?)?;
    module.add_function(wrap_pyfunction!(analyze_dump, module)?)?;
    module.add_function(wrap_pyfunction!(arm, module)?)?;
    module.add_function(wrap_pyfunction!(disarm, module)?)?;
    module.add_function(wrap_pyfunction!(is_armed, module)?)?;
    module.add_function(wrap_pyfunction!(monitor_pid, module)?)?;
    module.add_function(wrap_pyfunction!(set_annotation, module)?)?;
    module.add_function(wrap_pyfunction!(add_breadcrumb, module)?)?;
    module.add_function(wrap_pyfunction!(set_additions, module)?)?;
    module.add_function(wrap_pyfunction!(dump, module)?)?;
    module.add_function(wrap_pyfunction!(note_exit, module)?)?;
    module.add_function(wrap_pyfunction!(after_fork_in_child, module)?)?;
    module.add_function(wrap_pyfunction!(set_throw_note, module)?)?;
    module.add_function(wrap_pyfunction!(symbols::identify_symbol_files, module)?)?;
    module.add_function(wrap_pyfunction!(convert::convert_file, module)?)?;
    module.add_function(wrap_pyfunction!(convert::crash_file_kind, module)?)?;
    module.add_function(wrap_pyfunction!(convert::unpack_zstd, module)?)?;
    module.add_function(wrap_pyfunction!(symbols::write_sym, module)?)?;
    module.add_function(wrap_pyfunction!(symbols::lookup_addresses, module)?)?;
    module.add_function(wrap_pyfunction!(symbols::find_symbols, module)?)?;
    module.add_function(wrap_pyfunction!(symbols::source_checksums, module)?)?;
    module.add_function(wrap_pyfunction!(symbols::source_servers, module)?)?;
    Ok(())
}
