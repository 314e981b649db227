//! Modules, and what became of their symbols.

use std::rc::Rc;

use lastwords_debuginfo::DebugInfo;
use lastwords_symbols::{ModuleId, ModuleStatus};
use minidump::{CodeView, MinidumpModule, Module};
use serde_json::{Value, json};

use super::debuggee::Debuggee;

const MAX_UNLOADED: usize = 4_096;

impl Debuggee<'_> {
    pub(super) fn list_modules(&self) -> Value {
        let modules: Vec<Value> = self.state.modules.iter().map(|m| self.module_json(m)).collect();
        let unloaded: Vec<Value> = self
            .state
            .unloaded_modules
            .iter()
            .take(MAX_UNLOADED)
            .map(|module| {
                json!({
                    "name": module.name,
                    "base": module.raw.base_of_image,
                    "size": module.raw.size_of_image,
                    "time": module.raw.time_date_stamp,
                    "checksum": module.raw.checksum,
                })
            })
            .collect();
        json!({"modules": modules, "unloaded": unloaded})
    }

    fn module_json(&self, module: &MinidumpModule) -> Value {
        let status = self.provider.module_status(module);
        let (path, kind, reason) = describe(&status);
        let version = &module.raw.version_info;
        let has_version = version.signature == 0xfeef_04bd;
        json!({
            "path": module.code_file(),
            "base": module.base_address(),
            "size": module.size(),
            "time": module.raw.time_date_stamp,
            "checksum": module.raw.checksum,
            "version": module.version(),
            "product_version": has_version.then(|| four(version.product_version_hi, version.product_version_lo)),
            "file_flags": version.file_flags,
            "file_type": version.file_type,
            "code_id": module.code_identifier().map(|id| id.to_string()),
            "debug_id": module.debug_identifier().map(|id| id.breakpad().to_string()),
            "debug_file": module.debug_file(),
            "code_view": module.codeview_info.as_ref().map(code_view),
            "status": status.as_str(),
            "kind": kind,
            "symbols": path,
            "reason": reason,
        })
    }

    /// Opens symbols now.
    pub(super) fn load(&self, modules: Option<Vec<usize>>) -> Value {
        let count = self.state.modules.iter().count();
        let wanted = modules.unwrap_or_else(|| (0..count).collect());
        for index in wanted {
            if let Ok(module) = self.module(index) {
                let symbols = self.provider.symbols().module(&ModuleId::from(module));
                // DWARF that cannot be read shows itself at the first lookup.
                symbols.lookup(0);
            }
        }
        self.list_modules()
    }

    /// The debug information of a module, opened at the first call.
    pub(super) fn info(&self, index: usize) -> Rc<DebugInfo> {
        if let Some(info) = self.caches.infos.borrow().get(&index) {
            return info.clone();
        }
        let info = Rc::new(self.open_info(index).unwrap_or_default());
        self.caches.infos.borrow_mut().insert(index, info.clone());
        info
    }

    fn open_info(&self, index: usize) -> Option<DebugInfo> {
        let module = self.module(index).ok()?;
        let symbols = self.provider.symbols().module(&ModuleId::from(module));
        let mut paths: Vec<_> = symbols.images().map(|image| image.path().to_owned()).collect();
        if let ModuleStatus::Loaded { path, .. } = symbols.status() {
            paths.push(path);
        }
        let is_local = self.options.local_modules;
        Some(if is_local { DebugInfo::open_with_named(&paths) } else { DebugInfo::open(&paths) })
    }
}

fn four(high: u32, low: u32) -> String {
    format!("{}.{}.{}.{}", high >> 16, high & 0xffff, low >> 16, low & 0xffff)
}

fn describe(status: &ModuleStatus) -> (Option<String>, Option<&'static str>, Option<String>) {
    match status {
        ModuleStatus::Loaded { path, kind } => {
            (Some(path.display().to_string()), Some(kind.as_str()), None)
        }
        ModuleStatus::Mismatched { path, expected, found } => {
            let found = found.as_deref().unwrap_or("no id");
            let reason = format!("it has {found}, the dump was made with {expected}");
            (Some(path.display().to_string()), None, Some(reason))
        }
        ModuleStatus::Malformed { path, reason } => {
            (Some(path.display().to_string()), None, Some(reason.clone()))
        }
        ModuleStatus::NotRequested | ModuleStatus::NoId | ModuleStatus::Missing => {
            (None, None, None)
        }
    }
}

fn code_view(record: &CodeView) -> &'static str {
    match record {
        CodeView::Pdb70(_) => "RSDS",
        CodeView::Pdb20(_) => "NB10",
        CodeView::Elf(_) => "BpEL",
        CodeView::Unknown(_) => "unknown",
    }
}
