//! The process as a whole: modules, machine, times, address space, `/proc`.

use lastwords_format::streams::{
    linux_dso_debug, memory_info_list, misc_info, module_list, stream_type, system_info,
};
use lastwords_pyframes::Memory;

use super::{DumpWriter, StreamResult};

impl DumpWriter<'_> {
    pub(super) fn modules(&mut self) -> StreamResult {
        let modules = self.snapshot.modules(self.soft_errors);
        let stream = module_list::encode(&mut self.dump, &modules)?;
        self.dump.add_stream(stream_type::MODULE_LIST, &stream)
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

    pub(super) fn memory_info(&mut self) -> StreamResult {
        let stream = memory_info_list::encode(self.snapshot.regions());
        self.dump.add_stream(stream_type::MEMORY_INFO_LIST, &stream)
    }

    pub(super) fn platform_streams(&mut self) -> StreamResult {
        for (stream_type, bytes) in self.snapshot.platform_streams(self.soft_errors) {
            self.dump.add_stream(stream_type, &bytes)?;
        }
        Ok(())
    }

    pub(super) fn dso_debug(&mut self) -> StreamResult {
        let memory: &dyn Memory = self.snapshot.memory();
        let Some(debug) = self.snapshot.dso_debug(memory, self.soft_errors) else { return Ok(()) };
        let stream = linux_dso_debug::encode(&mut self.dump, &debug)?;
        self.dump.add_stream(stream_type::LINUX_DSO_DEBUG, &stream)
    }
}
