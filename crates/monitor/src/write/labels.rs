//! What goes into the dump besides the process itself: ids, annotations, what is missing.

use lastwords_format::streams::{crashpad_info, stream_type};

use super::{DumpWriter, StreamResult};

/// What the report says of itself.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// Report id, UUID bytes.
    pub report_id: [u8; 16],
    /// Client id, UUID bytes.
    pub client_id: [u8; 16],
    /// Key, value.
    pub annotations: Vec<(String, String)>,
}

impl DumpWriter<'_> {
    pub(super) fn annotations(&mut self, labels: &Labels) -> StreamResult {
        let Labels { report_id, client_id, annotations } = labels;
        let stream = crashpad_info::encode(&mut self.dump, *report_id, *client_id, annotations)?;
        self.dump.add_stream(stream_type::CRASHPAD_INFO, &stream)
    }

    pub(super) fn soft_errors(&mut self) -> StreamResult {
        let json = self.soft_errors.to_json().to_string();
        self.dump.add_stream(stream_type::MOZ_SOFT_ERRORS, json.as_bytes())
    }
}
