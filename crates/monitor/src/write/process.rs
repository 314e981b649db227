//! The process as a whole: modules, machine, times, address space, open files, `/proc`.

use std::collections::HashSet;

use lastwords_format::streams::handle_data::Handle;
use lastwords_format::streams::module_list::Module;
use lastwords_format::streams::{
    handle_data, linux_dso_debug, memory_info_list, misc_info, module_list, process_vm_counters,
    stream_type, system_info,
};
use lastwords_pyframes::Memory;

use super::{DumpWriter, StreamResult};
use crate::paths::SCRUBBED;
use crate::plan::DumpFlags;
use crate::snapshot::Crash;

/// Folders of the system, whose files say nothing of the user.
const SYSTEM_FOLDERS: &[&str] = &["/usr/", "/lib", "/etc/", "/dev/", "/proc/", "/sys/", "/opt/"];

impl DumpWriter<'_> {
    pub(super) fn modules(&mut self, crash: &Crash) -> StreamResult {
        let mut modules = self.snapshot.modules(self.soft_errors);
        if self.flags.contains(DumpFlags::SCAN_MEMORY) {
            self.keep_referenced(&mut modules, crash);
        }
        self.modules.clone_from(&modules);
        if let Some(paths) = &self.paths {
            modules.iter_mut().for_each(|module| module.path = paths.path(&module.path));
        }
        let stream = module_list::encode(&mut self.dump, &modules)?;
        self.dump.add_stream(stream_type::MODULE_LIST, &stream)
    }

    /// Leaves out modules that neither stacks nor registers point into; the first is the program.
    fn keep_referenced(&mut self, modules: &mut Vec<Module>, crash: &Crash) {
        let mut bases: Vec<(u64, u64)> =
            modules.iter().map(|m| (m.base, m.base.saturating_add(m.size.into()))).collect();
        bases.sort_unstable();
        let holder = |address: &u64| {
            let behind = bases.partition_point(|(base, _)| base <= address);
            let (base, end) = bases.get(behind.checked_sub(1)?)?;
            (address < end).then_some(*base)
        };
        let threads = self.snapshot.threads().iter().filter_map(|t| t.registers.as_ref());
        let registers = threads.chain([&crash.registers]);
        let registers: Vec<u64> =
            registers.flat_map(|r| r.general().into_iter().chain([r.rip])).collect();
        let used: HashSet<u64> =
            self.stack_words.iter().chain(&registers).filter_map(holder).collect();
        let program = modules.first().map(|module| module.base);
        let before = modules.len();
        modules.retain(|module| used.contains(&module.base) || program == Some(module.base));
        let left_out = before.saturating_sub(modules.len());
        if left_out > 0 {
            let message = format!("{left_out} modules that no stack points to are left out");
            self.soft_errors.add("modules_left_out", "flag ScanMemory", message);
        }
    }

    pub(super) fn system_info(&mut self) -> StreamResult {
        let info = self.snapshot.system_info(self.soft_errors);
        let stream = system_info::encode(&mut self.dump, &info)?;
        self.dump.add_stream(stream_type::SYSTEM_INFO, &stream)
    }

    pub(super) fn misc_info(&mut self) -> StreamResult {
        let times = self.snapshot.times(self.soft_errors);
        let stream = misc_info::encode(self.snapshot.pid(), times);
        self.dump.add_stream(stream_type::MISC_INFO, &stream)
    }

    pub(super) fn vm_counters(&mut self) -> StreamResult {
        let Some(counters) = self.snapshot.vm_counters(self.soft_errors) else { return Ok(()) };
        let stream = process_vm_counters::encode(&counters);
        self.dump.add_stream(stream_type::PROCESS_VM_COUNTERS, &stream)
    }

    pub(super) fn memory_info(&mut self) -> StreamResult {
        let stream = memory_info_list::encode(self.snapshot.regions());
        self.dump.add_stream(stream_type::MEMORY_INFO_LIST, &stream)
    }

    pub(super) fn handles(&mut self) -> StreamResult {
        let mut handles = self.snapshot.handles(self.soft_errors);
        if self.paths.is_some() {
            handles.iter_mut().for_each(|handle| handle.name = self.handle_name(handle));
        }
        let stream = handle_data::encode(&mut self.dump, &handles)?;
        self.dump.add_stream(stream_type::HANDLE_DATA, &stream)
    }

    /// The name of a file may say anything; those of the system's folders and of what is no file
    /// do not.
    fn handle_name(&self, handle: &Handle) -> String {
        let name = self.paths.as_ref().map_or(handle.name.clone(), |p| p.path(&handle.name));
        let is_public =
            !name.starts_with('/') || SYSTEM_FOLDERS.iter().any(|f| name.starts_with(f));
        if is_public && !name.starts_with(SCRUBBED) { name } else { SCRUBBED.to_owned() }
    }

    pub(super) fn platform_streams(&mut self) -> StreamResult {
        for (stream_type, bytes) in self.snapshot.platform_streams(self.soft_errors) {
            if let Some(bytes) = self.told_of_platform(stream_type, bytes) {
                self.dump.add_stream(stream_type, &bytes)?;
            }
        }
        Ok(())
    }

    /// `None` for a stream that this dump does not hold.
    fn told_of_platform(&self, stream_type: u32, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let is_personal =
            matches!(stream_type, stream_type::LINUX_ENVIRON | stream_type::LINUX_CMD_LINE);
        let is_optional =
            matches!(stream_type, stream_type::LINUX_CPU_INFO | stream_type::LINUX_LSB_RELEASE);
        if is_personal && self.flags.contains(DumpFlags::FILTER_TRIAGE)
            || (is_personal || is_optional) && self.flags.contains(DumpFlags::WITHOUT_OPTIONAL_DATA)
        {
            return None;
        }
        Some(match (&self.paths, stream_type) {
            (Some(paths), stream_type::LINUX_MAPS) => paths.maps(&bytes),
            (Some(paths), stream_type::LINUX_PROC_STATUS) => {
                paths.text(&String::from_utf8_lossy(&bytes)).into_bytes()
            }
            _ => bytes,
        })
    }

    pub(super) fn dso_debug(&mut self) -> StreamResult {
        let memory: &dyn Memory = self.snapshot.memory();
        let debug = self.snapshot.dso_debug(memory, self.soft_errors);
        let Some(mut debug) = debug else { return Ok(()) };
        if let Some(paths) = &self.paths {
            debug.libraries.iter_mut().for_each(|library| library.name = paths.path(&library.name));
        }
        let stream = linux_dso_debug::encode(&mut self.dump, &debug)?;
        self.dump.add_stream(stream_type::LINUX_DSO_DEBUG, &stream)
    }
}
