//! Conversions of crash files as seen from Python.

use std::path::Path;

use lastwords_convert::{ConvertError, Converted, FileKind};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::json;

use crate::{core_error, guarded};

fn convert_error(error: &ConvertError) -> PyErr {
    core_error(error.code(), &error.to_string(), Some(&error.hint()))
}

/// What a file is: "minidump", "core" or "microdump".
#[pyfunction]
pub(crate) fn crash_file_kind(py: Python<'_>, path: &str) -> PyResult<&'static str> {
    guarded("crash_file_kind", || {
        let kind = py.detach(|| lastwords_convert::kind_of(Path::new(path)));
        kind.map(FileKind::as_str).map_err(|error| convert_error(&error))
    })
}

/// Unpack a zstd file; at most so many bytes of it.
#[pyfunction]
pub(crate) fn unpack_zstd(py: Python<'_>, source: &str, target: &str, most: u64) -> PyResult<u64> {
    guarded("unpack_zstd", || {
        let unpack = || lastwords_analyze::unpack_file(Path::new(source), Path::new(target), most);
        py.detach(unpack).map_err(|error| PyOSError::new_err(error.to_string()))
    })
}

/// Convert a minidump into a core, or a core or microdump into a minidump.
#[pyfunction]
pub(crate) fn convert_file<'py>(
    py: Python<'py>,
    source: &str,
    target: &str,
    kind: &str,
    dump_kind: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let (source, target) = (Path::new(source), Path::new(target));
    let run = || match kind {
        "minidump" => Some(lastwords_convert::minidump_to_core(source, target)),
        "core" => Some(lastwords_convert::core_to_minidump(source, target, dump_kind)),
        "microdump" => Some(lastwords_convert::microdump_to_minidump(source, target)),
        _ => None,
    };
    let converted = guarded("convert_file", || {
        let converted = py.detach(run).ok_or_else(|| {
            let expected = "expected 'minidump', 'core' or 'microdump'";
            PyValueError::new_err(format!("kind is {kind:?}, {expected}"))
        })?;
        converted.map_err(|error| convert_error(&error))
    })?;
    let Converted { threads, memory_bytes, notes } = converted;
    let document = json!({"threads": threads, "memory_bytes": memory_bytes, "notes": notes});
    Ok(PyBytes::new(py, document.to_string().as_bytes()))
}
