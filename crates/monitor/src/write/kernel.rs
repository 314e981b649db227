//! Where each thread stands in the kernel: only in the dump that is about it.

use lastwords_format::streams::stream_type;

use super::{DumpWriter, StreamResult};

impl DumpWriter<'_> {
    pub(super) fn kernel_stacks(&mut self) -> StreamResult {
        let text = self.snapshot.kernel_stacks(self.soft_errors);
        self.dump.add_stream(stream_type::LASTWORDS_KERNEL, text.as_bytes())
    }
}
