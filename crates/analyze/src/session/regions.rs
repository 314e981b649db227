//! The memory map: what the dump says of it, else what can be told from its other lists.

use minidump::{
    MinidumpLinuxMaps, MinidumpMemoryInfoList, Module, UnifiedMemoryInfo, UnifiedMemoryInfoList,
};
use serde_json::{Value, json};

use super::debuggee::Debuggee;
use crate::panics::caught;

/// Regions shown; a process has some 65,530 mappings unless told otherwise.
const MAX_REGIONS: usize = 262_144;

impl Debuggee<'_> {
    pub(super) fn regions(&self, address: Option<u64>) -> Value {
        let maps = caught(|| self.dump.get_stream::<MinidumpLinuxMaps<'_>>().ok()).ok().flatten();
        let info = caught(|| self.dump.get_stream::<MinidumpMemoryInfoList<'_>>().ok());
        let info = info.ok().flatten();
        // A writer that put both knows more of the mappings' files.
        let list = info
            .map(UnifiedMemoryInfoList::Info)
            .or_else(|| maps.clone().map(UnifiedMemoryInfoList::Maps));
        let names = maps.as_ref();
        let mut regions = match &list {
            Some(list) => list.by_addr().take(MAX_REGIONS).map(|one| region(&one)).collect(),
            None => self.guessed(),
        };
        if let Some(address) = address {
            regions.retain(|region: &Value| holds(region, address));
        }
        for region in &mut regions {
            self.complete(region, names);
        }
        let source = match &list {
            Some(UnifiedMemoryInfoList::Info(_)) => "MemoryInfoList",
            Some(UnifiedMemoryInfoList::Maps(_)) => "LinuxMaps",
            None => "none",
        };
        json!({"source": source, "regions": regions})
    }

    /// What the lists of modules, stacks and memory say.
    fn guessed(&self) -> Vec<Value> {
        let modules =
            self.state.modules.iter().map(|module| (module.base_address(), module.size()));
        let memory =
            self.threads.memory.by_addr().map(|memory| (memory.base_address(), memory.size()));
        let memory = memory.filter(|(base, _)| self.module_at(*base).is_none());
        let mut all: Vec<(u64, u64)> = modules.chain(memory).take(MAX_REGIONS).collect();
        all.sort_unstable();
        all.dedup_by_key(|(base, _)| *base);
        all.into_iter().map(|(base, size)| json!({"base": base, "size": size})).collect()
    }

    /// Adds the file, module or stack that a region is.
    fn complete(&self, region: &mut Value, names: Option<&MinidumpLinuxMaps<'_>>) {
        let Some(base) = region.get("base").and_then(Value::as_u64) else { return };
        let module = self.module_at(base).map(|(index, _)| index);
        let size = region.get("size").and_then(Value::as_u64).unwrap_or(0);
        let end = base.saturating_add(size);
        let thread = self.threads.list.iter().position(|thread| {
            let stack = thread.stack_memory(&self.threads.memory);
            let start = stack.map_or(thread.raw.stack.start_of_memory_range, |s| s.base_address());
            start >= base && start < end
        });
        let name = names.and_then(|maps| maps.memory_info_at_address(base)).map(path_of);
        let in_dump = self.threads.memory.memory_at_address(base).is_some();
        let Some(region) = region.as_object_mut() else { return };
        region.insert("module".into(), module.into());
        region.insert("thread".into(), thread.into());
        region.insert("is_in_dump".into(), in_dump.into());
        if let Some(name) = name.flatten() {
            region.insert("name".into(), name.into());
        }
    }
}

fn holds(region: &Value, address: u64) -> bool {
    let number = |key: &str| region.get(key).and_then(Value::as_u64).unwrap_or(0);
    address.checked_sub(number("base")).is_some_and(|offset| offset < number("size"))
}

fn path_of(map: &minidump::MinidumpLinuxMapInfo<'_>) -> Option<String> {
    use procfs_core::process::MMapPath;
    match &map.map.pathname {
        MMapPath::Path(path) => Some(path.display().to_string()),
        MMapPath::Heap => Some("[heap]".to_owned()),
        MMapPath::Stack => Some("[stack]".to_owned()),
        MMapPath::TStack(id) => Some(format!("[stack:{id}]")),
        MMapPath::Vdso => Some("[vdso]".to_owned()),
        MMapPath::Vvar => Some("[vvar]".to_owned()),
        MMapPath::Vsyscall => Some("[vsyscall]".to_owned()),
        MMapPath::Anonymous => None,
        MMapPath::Other(name) => Some(format!("[{name}]")),
        other => Some(format!("{other:?}")),
    }
}

fn region(info: &UnifiedMemoryInfo<'_>) -> Value {
    match info {
        UnifiedMemoryInfo::Info(info) => json!({
            "base": info.raw.base_address,
            "size": info.raw.region_size,
            "allocation_base": info.raw.allocation_base,
            "allocation_protection": info.raw.allocation_protection,
            "state": info.raw.state,
            "protection": info.raw.protection,
            "type": info.raw._type,
        }),
        UnifiedMemoryInfo::Map(info) => {
            let (start, end) = info.map.address;
            json!({
                "base": start,
                "size": end.saturating_sub(start),
                "permissions": info.map.perms.as_str(),
                "offset": info.map.offset,
                "inode": info.map.inode,
                "name": path_of(info),
            })
        }
    }
}
