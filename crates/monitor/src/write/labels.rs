//! What goes into the dump besides the process itself: ids, annotations, comments, what is missing.

use lastwords_capture::shared::Additions;
use lastwords_format::streams::{comment, crashpad_info, stream_type};
use serde_json::{Map, Value, json};

use super::{DumpWriter, StreamResult};
use crate::paths::SCRUBBED;
use crate::plan::DumpFlags;

/// What the report says of itself.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// Report id, UUID bytes.
    pub report_id: [u8; 16],
    /// Client id, UUID bytes.
    pub client_id: [u8; 16],
    /// Key; text, number or boolean.
    pub annotations: Vec<(String, Value)>,
    /// Command line of whoever asked for the dump.
    pub command: String,
    /// What happened, in one line.
    pub reason: String,
    /// What `report.json` says of the event, except annotations: an object.
    pub metadata: Map<String, Value>,
    /// Breadcrumbs as in `report.json`, oldest first.
    pub breadcrumbs: Vec<Value>,
    /// The last throws of each thread, as `throws.rs` describes them, newest first.
    pub throws: Vec<Value>,
    /// Memory and streams that the application wants in its dumps.
    pub additions: Additions,
}

impl DumpWriter<'_> {
    fn is_triage(&self) -> bool {
        self.flags.contains(DumpFlags::FILTER_TRIAGE)
    }

    pub(super) fn annotations(&mut self, labels: &Labels) -> StreamResult {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let annotations: Vec<(String, String)> =
            self.told(labels).into_iter().map(|(key, value)| (key, text(value))).collect();
        let (report_id, client_id) = (labels.report_id, labels.client_id);
        let stream = crashpad_info::encode(&mut self.dump, report_id, client_id, &annotations)?;
        self.dump.add_stream(stream_type::CRASHPAD_INFO, &stream)
    }

    /// The annotations; of a triage dump numbers and booleans only, text may say anything.
    fn told(&self, labels: &Labels) -> Map<String, Value> {
        let is_triage = self.is_triage();
        let told = |value: &Value| match value {
            Value::String(_) if is_triage => json!(SCRUBBED),
            other => other.clone(),
        };
        labels.annotations.iter().map(|(key, value)| (key.clone(), told(value))).collect()
    }

    /// As ProcDump does: who made the dump, then why.
    pub(super) fn comments(&mut self, labels: &Labels) -> StreamResult {
        let (version, kind) = (env!("CARGO_PKG_VERSION"), self.kind.name());
        let command = match labels.command.as_str() {
            "" => format!("lastwords-monitor {version}"),
            command => command.to_owned(),
        };
        let text = format!("\n*** {command} ({kind} dump)\n*** {}", labels.reason);
        let text = self.paths.as_ref().map_or(text.clone(), |paths| paths.text(&text));
        self.dump.add_stream(stream_type::COMMENT_A, &comment::encode_a(&text))?;
        self.dump.add_stream(stream_type::COMMENT_W, &comment::encode_w(&text))
    }

    /// What the report says, so that a dump found alone tells where it belongs.
    pub(super) fn metadata(&mut self, labels: &Labels) -> StreamResult {
        let mut metadata = labels.metadata.clone();
        let mut breadcrumbs = labels.breadcrumbs.clone();
        if self.is_triage() {
            metadata.remove("mechanism");
            breadcrumbs.iter_mut().for_each(scrub_breadcrumb);
        }
        metadata.insert("annotations".to_owned(), Value::Object(self.told(labels)));
        metadata.insert("dump_kind".to_owned(), json!(self.kind.name()));
        let metadata = Value::Object(metadata).to_string();
        self.dump.add_stream(stream_type::LASTWORDS_METADATA, metadata.as_bytes())?;
        if breadcrumbs.is_empty() {
            return Ok(());
        }
        let breadcrumbs = Value::Array(breadcrumbs).to_string();
        self.dump.add_stream(stream_type::LASTWORDS_BREADCRUMBS, breadcrumbs.as_bytes())
    }

    pub(super) fn throws(&mut self, labels: &Labels) -> StreamResult {
        let mut throws = labels.throws.clone();
        if throws.is_empty() {
            return Ok(());
        }
        let texts = throws.iter_mut().filter_map(|throw| throw.get_mut("what"));
        texts
            .filter(|what| self.is_triage() && what.is_string())
            .for_each(|what| *what = json!(SCRUBBED));
        let throws = Value::Array(throws).to_string();
        self.dump.add_stream(stream_type::LASTWORDS_THROWS, throws.as_bytes())
    }

    pub(super) fn soft_errors(&mut self) -> StreamResult {
        let json = self.soft_errors.to_json().to_string();
        let json = self.paths.as_ref().map_or(json.clone(), |paths| paths.text(&json));
        self.dump.add_stream(stream_type::MOZ_SOFT_ERRORS, json.as_bytes())
    }
}

/// Time, level and category stay; what was said may be anything.
fn scrub_breadcrumb(breadcrumb: &mut Value) {
    let Some(fields) = breadcrumb.as_object_mut() else { return };
    fields.insert("message".to_owned(), json!(SCRUBBED));
    fields.insert("data".to_owned(), json!({}));
}
