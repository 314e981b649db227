//! What the document says of each module beside the processor's words: its path, and where its
//! symbols came from.

use lastwords_symbols::ModuleStatus;
use lastwords_unwind::Provider;
use minidump::{MinidumpModule, MinidumpModuleList, Module};
use serde_json::{Map, Value, json};

use crate::soft_errors::SoftErrors;

/// Completes the document's modules, which stand in the order of `modules`.
pub(crate) fn complete(
    document: &mut Map<String, Value>,
    modules: &MinidumpModuleList,
    provider: &Provider,
    soft_errors: &mut SoftErrors,
) {
    for problem in provider.problems() {
        let source = problem.path.display().to_string();
        soft_errors.push("symbol_source_unusable", source, problem.message);
    }
    let Some(Value::Array(entries)) = document.get_mut("modules") else { return };
    for (entry, module) in entries.iter_mut().zip(modules.iter()) {
        let Some(entry) = entry.as_object_mut() else { continue };
        let status = provider.module_status(module);
        note(&status, module, soft_errors);
        let (is_loaded, is_missing, is_corrupt) = match &status {
            ModuleStatus::Loaded { .. } => (true, false, false),
            ModuleStatus::NotRequested => (false, false, false),
            ModuleStatus::Malformed { .. } => (false, true, true),
            ModuleStatus::NoId | ModuleStatus::Missing | ModuleStatus::Mismatched { .. } => {
                (false, true, false)
            }
        };
        entry.insert("loaded_symbols".into(), is_loaded.into());
        entry.insert("missing_symbols".into(), is_missing.into());
        entry.insert("corrupt_symbols".into(), is_corrupt.into());
        entry.insert("code_file".into(), module.code_file().into());
        entry.insert("symbols".into(), status_json(&status));
    }
}

fn note(status: &ModuleStatus, module: &MinidumpModule, soft_errors: &mut SoftErrors) {
    let name = || format!("module {}", module.code_file());
    match status {
        ModuleStatus::Mismatched { path, expected, found } => {
            let path = path.display();
            let found = found.as_deref().unwrap_or("no id");
            let message = format!("{path} has {found}, the dump was made with {expected}");
            soft_errors.push("symbols_mismatched", name(), message);
        }
        ModuleStatus::Malformed { path, reason } => {
            let message = format!("{} cannot be read: {reason}", path.display());
            soft_errors.push("symbols_malformed", name(), message);
        }
        ModuleStatus::NotRequested
        | ModuleStatus::NoId
        | ModuleStatus::Loaded { .. }
        | ModuleStatus::Missing => {}
    }
}

fn status_json(status: &ModuleStatus) -> Value {
    let (path, kind, reason) = match status {
        ModuleStatus::Loaded { path, kind } => (Some(path), Some(kind.as_str()), None),
        ModuleStatus::Mismatched { path, .. } => (Some(path), None, None),
        ModuleStatus::Malformed { path, reason } => (Some(path), None, Some(reason)),
        ModuleStatus::NotRequested | ModuleStatus::NoId | ModuleStatus::Missing => {
            (None, None, None)
        }
    };
    json!({
        "status": status.as_str(),
        "kind": kind,
        "path": path.map(|path| path.display().to_string()),
        "reason": reason,
    })
}
