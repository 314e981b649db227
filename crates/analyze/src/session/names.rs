//! From addresses to symbols and back.

use lastwords_debuginfo::Name;
use lastwords_symbols::ModuleId;
use minidump::Module;
use serde_json::{Value, json};

use super::debuggee::Debuggee;
use crate::Error;

const MAX_NAMES: usize = 65_536;

impl Debuggee<'_> {
    /// What is at an address: function and lines as stacks show them, and the nearest symbols.
    pub(super) fn at(&self, address: u64) -> Value {
        let Some((index, module)) = self.module_at(address) else { return Value::Null };
        let base = module.base_address();
        let rva = address.saturating_sub(base);
        let found = self.provider.symbols().module(&ModuleId::from(module)).lookup(rva);
        let frames: Vec<Value> = found
            .frames
            .iter()
            .map(|frame| {
                json!({
                    "function": frame.function,
                    "file": frame.file,
                    "line": frame.line,
                    "is_inline": frame.is_inline,
                })
            })
            .collect();
        let info = self.info(index);
        let (before, after) = info.around(rva);
        json!({
            "module": index,
            "frames": frames,
            "function_base": found.function_rva.map(|start| base.saturating_add(start)),
            "before": before.map(|name| name_json(name, base)),
            "after": after.map(|name| name_json(name, base)),
            "inline_starts": info.inline_starts(rva).into_iter().map(|start| base.saturating_add(start)).collect::<Vec<_>>(),
        })
    }

    pub(super) fn names(&self, module: usize, pattern: &str, max: usize) -> Result<Value, Error> {
        let base = self.module(module)?.base_address();
        let info = self.info(module);
        let (names, is_cut) = info.names_like(pattern, max.min(MAX_NAMES));
        let names: Vec<Value> = names.into_iter().map(|name| name_json(name, base)).collect();
        Ok(json!({"names": names, "is_cut": is_cut, "notes": info.notes()}))
    }

    /// Addresses of a symbol, best first: of functions before labels.
    pub(super) fn find(&self, module: Option<usize>, name: &str) -> Value {
        let all = self.state.modules.iter().enumerate();
        let mut found: Vec<Value> = Vec::new();
        for (index, one) in all.filter(|(index, _)| module.is_none_or(|wanted| wanted == *index)) {
            // Without a module, those whose symbols are open already: opening all takes minutes.
            let is_asked = module.is_some() || self.caches.infos.borrow().contains_key(&index);
            if !is_asked {
                continue;
            }
            let base = one.base_address();
            let info = self.info(index);
            for name in info.names_equal(name) {
                let mut value = name_json(name, base);
                if let Some(object) = value.as_object_mut() {
                    object.insert("module".into(), index.into());
                }
                found.push(value);
            }
        }
        json!(found)
    }
}

fn name_json(name: &Name, base: u64) -> Value {
    json!({
        "name": name.name,
        "address": base.saturating_add(name.rva),
        "size": name.size,
        "kind": name.kind.as_str(),
    })
}
