//! Symbol files as seen from Python: what they are, what they say, where a module's are.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use lastwords_symbols::{
    FileIdentity, ModuleId, ModuleStatus, ModuleSymbols, SourceServer, Sources, SymError,
    Symbolication, Symbols, identify_file,
};
use lastwords_unwind::write_stack_cfi;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{core_error, guarded};

/// Codes that the functions of this file raise.
pub(crate) const CODES: [&str; 3] =
    ["symbol_file_not_readable", "symbol_file_unusable", "symbols_not_written"];

fn not_readable(path: &str, reason: &dyn std::fmt::Display) -> PyErr {
    let message = format!("{path}: {reason}");
    core_error("symbol_file_not_readable", &message, Some("check the path: ls -l FILE"))
}

fn unusable(path: &str, reason: &dyn std::fmt::Display) -> PyErr {
    let hint = "an ELF, PE, PDB, Mach-O or Breakpad .sym file is expected";
    core_error("symbol_file_unusable", &format!("{path}: {reason}"), Some(hint))
}

fn to_bytes<'py>(py: Python<'py>, document: &Value) -> Bound<'py, PyBytes> {
    PyBytes::new(py, document.to_string().as_bytes())
}

/// Kind and ids of files; null for what is no symbol file.
#[pyfunction]
pub(crate) fn identify_symbol_files<'py>(
    py: Python<'py>,
    paths: Vec<String>,
) -> PyResult<Bound<'py, PyBytes>> {
    let identify = |path: &String| {
        let found = identify_file(Path::new(path));
        found.ok().flatten().map_or(Value::Null, |found| identity_json(path, &found))
    };
    let document = guarded("identify_symbol_files", || {
        Ok(py.detach(|| Value::Array(paths.iter().map(identify).collect())))
    })?;
    Ok(to_bytes(py, &document))
}

fn identity_json(path: &str, found: &FileIdentity) -> Value {
    json!({
        "path": path,
        "kind": found.kind,
        "is_packed": found.is_packed,
        "debug_ids": found.debug_ids,
        "build_id": found.build_id,
        "stamp": found.stamp,
        "names": found.names,
        "pdb_name": found.pdb_name,
        "architecture": found.architecture,
        "has_code": found.has_code,
        "has_debug_info": found.has_debug_info,
    })
}

/// Write what a symbol file says as a Breakpad .sym file.
#[pyfunction]
pub(crate) fn write_sym<'py>(
    py: Python<'py>,
    path: &str,
    out: &str,
    name: Option<&str>,
) -> PyResult<Bound<'py, PyBytes>> {
    let document = guarded("write_sym", || py.detach(|| write_sym_file(path, out, name)))?;
    Ok(to_bytes(py, &document))
}

fn write_sym_file(path: &str, out: &str, name: Option<&str>) -> PyResult<Value> {
    let symbols = open(path)?;
    let header = symbols.sym_header(name).map_err(|error| unusable(path, &error))?;
    let not_written = |error: SymError| {
        let message = format!("{out}: {error}");
        core_error("symbols_not_written", &message, Some("give another path with --output"))
    };
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(out);
    let mut writer = BufWriter::new(file.map_err(|error| not_written(error.into()))?);
    let report = symbols.write_sym(&header, &mut writer).map_err(not_written)?;
    let rules = write_stack_cfi(&symbols, &mut writer);
    let rules = rules.map_err(|error| not_written(error.into()))?;
    writer.flush().map_err(|error| not_written(error.into()))?;
    Ok(json!({
        "os": header.os,
        "cpu": header.cpu,
        "debug_id": header.debug_id.breakpad().to_string(),
        "name": header.name,
        "code_id": header.code_id,
        "functions": report.functions,
        "lines": report.lines,
        "inlines": report.inlines,
        "frames": report.frames.saturating_add(rules.frames),
        "frames_left_out": report.frames_left_out.saturating_add(rules.left_out),
        "is_cut": report.is_cut,
    }))
}

fn open(path: &str) -> PyResult<ModuleSymbols> {
    std::fs::File::open(path).map_err(|error| not_readable(path, &error))?;
    let symbols = ModuleSymbols::open(Path::new(path));
    match symbols.status() {
        ModuleStatus::Malformed { reason, .. } => Err(unusable(path, &reason)),
        ModuleStatus::Missing => Err(unusable(path, &"it holds no symbols")),
        _ => Ok(symbols),
    }
}

/// Functions, files and lines at addresses of a file.
#[pyfunction]
pub(crate) fn lookup_addresses<'py>(
    py: Python<'py>,
    path: &str,
    addresses: Vec<u64>,
    is_relative: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let document = guarded("lookup_addresses", || {
        py.detach(|| {
            let symbols = open(path)?;
            let base = if is_relative { 0 } else { symbols.image_base() };
            let found = addresses.iter().map(|address| {
                let found = address.checked_sub(base).map(|rva| symbols.lookup(rva));
                lookup_json(*address, base, &found.as_deref().cloned().unwrap_or_default())
            });
            let found = Value::Array(found.collect());
            Ok(json!({"file": path, "base": base, "status": status_json(&symbols.status()), "lookups": found}))
        })
    })?;
    Ok(to_bytes(py, &document))
}

fn lookup_json(address: u64, base: u64, found: &Symbolication) -> Value {
    let frames = found.frames.iter().map(|frame| {
        json!({
            "function": frame.function,
            "file": frame.file,
            "line": frame.line,
            "is_inline": frame.is_inline,
        })
    });
    let start = found.function_rva.and_then(|rva| rva.checked_add(base));
    json!({
        "address": address,
        "function_start": start,
        "frames": frames.collect::<Vec<_>>(),
    })
}

fn status_json(status: &ModuleStatus) -> Value {
    let mut entry = json!({"status": status.as_str(), "kind": null, "path": null, "reason": null});
    let (kind, path, reason) = match status {
        ModuleStatus::Loaded { path, kind } => (Some(kind.as_str()), Some(path), None),
        ModuleStatus::Malformed { path, reason } => (None, Some(path), Some(reason.clone())),
        ModuleStatus::Mismatched { path, expected, found } => {
            let found = found.as_deref().unwrap_or("none");
            (None, Some(path), Some(format!("its id is {found}, expected {expected}")))
        }
        _ => (None, None, None),
    };
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("kind".into(), kind.into());
        entry.insert("path".into(), path.map(|path| path.to_string_lossy().into_owned()).into());
        entry.insert("reason".into(), reason.into());
    }
    entry
}

/// Checksums of source files, as a module's debug information has them.
#[pyfunction]
pub(crate) fn source_checksums<'py>(
    py: Python<'py>,
    path: &str,
    files: Vec<String>,
) -> PyResult<Bound<'py, PyBytes>> {
    let document = guarded("source_checksums", || {
        py.detach(|| Ok(json!(open(path)?.source_checksums(&files))))
    })?;
    Ok(to_bytes(py, &document))
}

/// Where the sources of a module can be had from, as its debug information says.
#[pyfunction]
pub(crate) fn source_servers<'py>(py: Python<'py>, path: &str) -> PyResult<Bound<'py, PyBytes>> {
    let document = guarded("source_servers", || {
        py.detach(|| {
            let told = open(path)?.source_servers();
            let (mut links, mut servers) = (Vec::new(), Vec::new());
            for one in told {
                match one {
                    SourceServer::Link(text) => links.push(text),
                    SourceServer::Server(text) => servers.push(text),
                }
            }
            Ok(json!({"links": links, "servers": servers}))
        })
    })?;
    Ok(to_bytes(py, &document))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    symbols: Vec<String>,
    local_modules: bool,
    modules: Vec<Wanted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    code_file: String,
    debug_file: Option<String>,
    code_id: Option<String>,
    debug_id: Option<String>,
}

/// Where the symbols of modules are.
#[pyfunction]
pub(crate) fn find_symbols<'py>(py: Python<'py>, search: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let search: Search = serde_json::from_slice(search)
        .map_err(|error| PyValueError::new_err(format!("search is not valid: {error}")))?;
    let document = guarded("find_symbols", || {
        Ok(py.detach(|| {
            let sources = Sources {
                symbols: search.symbols.iter().map(Into::into).collect(),
                local_modules: search.local_modules,
                // Asked where files are, nothing is asked about addresses.
                cache_dir: None,
            };
            let symbols = Symbols::new(sources);
            let found = search.modules.iter().map(|wanted| find(&symbols, wanted));
            let modules = Value::Array(found.collect());
            let problems = symbols.problems().into_iter().map(|problem| {
                json!({"path": problem.path.to_string_lossy(), "message": problem.message})
            });
            json!({"modules": modules, "problems": problems.collect::<Vec<_>>()})
        }))
    })?;
    Ok(to_bytes(py, &document))
}

fn find(symbols: &Symbols, wanted: &Wanted) -> Value {
    let Wanted { code_file, debug_file, code_id, debug_id } = wanted;
    let id = ModuleId::from_text(
        code_file,
        debug_file.as_deref(),
        code_id.as_deref(),
        debug_id.as_deref(),
    );
    let module = symbols.module(&id);
    let mut entry = status_json(&module.status());
    let images = module.images().map(|image| image.path().to_string_lossy().into_owned());
    let images: Vec<String> = images.collect();
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("images".into(), images.into());
    }
    entry
}
