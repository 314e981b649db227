//! Private stream 0x4C570007: registers beyond SSE, which no reader of minidumps expects in the contexts of Linux: a stream of
//! ours, so that the thread list stays readable for all.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | version | 1 |
//! | 4 | 4 | u32 | count | threads that follow |
//!
//! Each thread:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | tid | |
//! | 4 | 4 | u32 | size | bytes of the area |
//! | 8 | 8 | u64 | features | state components that the system has enabled (XCR0) |
//! | 16 | size | bytes | area | XSAVE area, standard format (Intel SDM volume 1, 13.4), padded to 8 bytes |

use lastwords_format::Writer;
use lastwords_format::streams::stream_type;

use super::{DumpWriter, StreamResult};
use crate::plan::DumpFlags;

const VERSION: u32 = 1;

impl DumpWriter<'_> {
    /// Not in dumps whose registers are sanitised.
    pub(super) fn extended_state(&mut self) -> StreamResult {
        let filters = [DumpFlags::FILTER_MEMORY, DumpFlags::FILTER_TRIAGE];
        if filters.into_iter().any(|flag| self.flags.contains(flag)) {
            return Ok(());
        }
        let mut count = 0_u32;
        let mut threads = Writer::new();
        for thread in self.snapshot.threads() {
            let state = self.snapshot.extended_state(thread);
            let place = format!("thread {}", thread.id);
            let Some(state) = self.soft_errors.keep(state, "extended_state_not_read", place) else {
                continue;
            };
            let size = u32::try_from(state.bytes.len()).unwrap_or(0);
            threads.u32(thread.id).u32(size).u64(state.features).raw(&state.bytes);
            let padding = state.bytes.len().next_multiple_of(8).saturating_sub(state.bytes.len());
            threads.raw([0; 8].get(..padding).unwrap_or(&[]));
            count = count.saturating_add(1);
        }
        let mut stream = Writer::new();
        stream.u32(VERSION).u32(count).raw(&threads.into_bytes());
        self.dump.add_stream(stream_type::LASTWORDS_EXTENDED_STATE, &stream.into_bytes())
    }
}
