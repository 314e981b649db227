//! `report.json` (docs/formats/report.md): the SDK prepared some fields, the monitor adds what
//! it saw.

use lastwords_capture::protocol::CrashRequest;
use lastwords_capture::shared::{Annotation, Breadcrumb, Kind};
use lastwords_format::streams::exception::Access;
use serde_json::{Map, Value, json};

use crate::os::linux::uname;
use crate::signal_names::{code_name, crash_title, signal_name};
use crate::snapshot::{Crash, DUMP_REQUESTED, StackOverflow};
use crate::spool::Attachment;
use crate::time::time_text;
use crate::uuid::uuid_text;

/// The document while it grows.
#[derive(Debug)]
pub(crate) struct Document {
    fields: Map<String, Value>,
}

impl Document {
    /// What is known before the process was looked at; `sdk` are the fields that the SDK
    /// prepared, of which the monitor's own ones win.
    pub(crate) fn new(request: &CrashRequest, id: [u8; 16], sdk: Value) -> Self {
        let mechanism = first_mechanism(request.signal());
        let process = json!({"pid": request.pid, "tid": request.tid});
        Self::about(mechanism, process, request.time_ns, id, sdk)
    }

    /// A document about something else than a crash.
    pub(crate) fn about(
        mechanism: Value,
        process: Value,
        time_ns: u64,
        id: [u8; 16],
        sdk: Value,
    ) -> Self {
        let mut document = first_facts(time_ns, id);
        merge(&mut document, json!({"mechanism": mechanism, "process": process}));
        merge(&mut document, sdk);
        let Value::Object(fields) = document else { return Self { fields: Map::new() } };
        Self { fields }
    }

    /// Sets a field.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.fields.insert(key.to_owned(), value);
    }

    /// Sets a field of an object; makes the object when there is none.
    pub(crate) fn set_in(&mut self, section: &str, key: &str, value: Value) {
        let entry = self.fields.entry(section).or_insert_with(|| json!({}));
        if let Some(object) = entry.as_object_mut() {
            object.insert(key.to_owned(), value);
        }
    }

    /// A text field; empty when it is not there.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.fields.get(key).and_then(Value::as_str).unwrap_or("")
    }

    /// Why there is a dump, in one line: what was told with an order, or what happened.
    pub(crate) fn reason(&self, crash: &Crash) -> String {
        let mechanism = self.fields.get("mechanism");
        let told = mechanism.and_then(|mechanism| mechanism.get("description")?.as_str());
        match told.filter(|_| crash.signal == DUMP_REQUESTED) {
            Some(told) => format!("{}: {told}", crash_text(crash)),
            None => crash_text(crash),
        }
    }

    /// What the dump repeats, so that it can be understood alone: annotations come from elsewhere.
    pub(crate) fn metadata(&self) -> Map<String, Value> {
        let keys = ["report_id", "created", "product", "version", "mechanism", "capture"];
        let field = |key: &str| Some((key.to_owned(), self.fields.get(key)?.clone()));
        keys.into_iter().filter_map(field).collect()
    }

    /// The file's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_string_pretty(&self.fields).unwrap_or_default();
        text.push('\n');
        text.into_bytes()
    }
}

fn first_facts(time_ns: u64, id: [u8; 16]) -> Value {
    let (_, os_version) = uname();
    json!({
        "schema": 1,
        "report_id": uuid_text(id),
        "created": time_text(time_ns),
        "system": {"os": "Linux", "os_version": os_version, "arch": std::env::consts::ARCH},
        "annotations": {},
        "exception": null,
        "dump": null,
        "dumps": [],
        "attachments": [],
        "soft_errors": [],
    })
}

/// A request without a signal is one for a dump on demand.
fn first_mechanism(signal: i32) -> Value {
    if signal == 0 {
        return json!({"type": "requested", "handled": true, "description": "dump on demand"});
    }
    json!({
        "type": "signal",
        "handled": false,
        "description": signal_name(signal),
        "signal": {"number": signal, "name": signal_name(signal)},
        "stack_overflow": null,
        "last_words": null,
        "cpp_exception": null,
    })
}

/// Adds the SDK's fields; what the monitor knows itself stays.
fn merge(document: &mut Value, base: Value) {
    match (document, base) {
        (Value::Object(own), Value::Object(base)) => merge_objects(own, base),
        (own @ Value::Null, base) => *own = base,
        _ => {}
    }
}

fn merge_objects(own: &mut Map<String, Value>, base: Map<String, Value>) {
    for (key, value) in base {
        merge(own.entry(key).or_insert(Value::Null), value);
    }
}

/// What happened to a process, in one line, as debuggers show it.
pub(crate) fn crash_text(crash: &Crash) -> String {
    if crash.signal == DUMP_REQUESTED {
        return "Dump on demand".to_owned();
    }
    let title = crash_title(crash.signal, crash.code, crash.address);
    format!("Unhandled exception: {title} in thread {}", crash.thread_id)
}

pub(crate) fn signal_document(crash: &Crash) -> Value {
    let access = crash.access.map(|access| match access {
        Access::Read => "read",
        Access::Write => "write",
        Access::Execute => "execute",
    });
    json!({
        "number": crash.signal,
        "name": signal_name(crash.signal),
        "code": crash.code,
        "code_name": code_name(crash.signal, crash.code),
        "address": crash.address.map(|address| format!("{address:#018x}")),
        "access": access,
    })
}

pub(crate) fn overflow_document(overflow: &StackOverflow) -> Value {
    json!({"stack_bytes": overflow.stack_bytes, "limit_bytes": overflow.limit_bytes})
}

pub(crate) fn attachment_document(attachment: &Attachment) -> Value {
    json!({
        "name": attachment.name,
        "file": attachment.file,
        "size_bytes": attachment.size_bytes,
        "is_cut": attachment.is_cut,
    })
}

pub(crate) fn breadcrumb_document(crumb: &Breadcrumb) -> Value {
    let data: Value = serde_json::from_str(&crumb.data).unwrap_or_default();
    let category = Some(crumb.category.as_str()).filter(|category| !category.is_empty());
    let mut document = json!({
        "time": time_text(crumb.time_ns),
        "level": crumb.level.name(),
        "category": category,
        "message": crumb.message,
        "data": if data.is_object() { data } else { json!({}) },
    });
    if let (true, Some(fields)) = (crumb.is_cut || crumb.is_torn, document.as_object_mut()) {
        fields.insert("is_cut".to_owned(), json!(true));
    }
    document
}

pub(crate) fn annotation_value(annotation: &Annotation) -> Value {
    let text = annotation.value.as_str();
    let parsed = match annotation.kind {
        Kind::String => None,
        Kind::Int | Kind::Float | Kind::Bool => serde_json::from_str(text).ok(),
    };
    parsed.filter(|value: &Value| value.is_number() || value.is_boolean()).unwrap_or(json!(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitors_own_facts_win_over_the_sdks() {
        let mut own = json!({"process": {"pid": 7}, "exception": null});
        merge(&mut own, json!({"process": {"pid": 1, "executable": "/x"}, "product": "p"}));
        assert_eq!(
            own,
            json!({"process": {"pid": 7, "executable": "/x"}, "exception": null, "product": "p"})
        );
    }

    #[test]
    fn annotations_keep_their_type() {
        let annotation = |value: &str, kind| Annotation {
            key: "k".into(),
            value: value.into(),
            kind,
            is_cut: false,
            is_torn: false,
        };
        assert_eq!(annotation_value(&annotation("7", Kind::Int)), json!(7));
        assert_eq!(annotation_value(&annotation("true", Kind::Bool)), json!(true));
        assert_eq!(annotation_value(&annotation("7", Kind::String)), json!("7"));
        assert_eq!(annotation_value(&annotation("nan", Kind::Float)), json!("nan"));
    }
}
