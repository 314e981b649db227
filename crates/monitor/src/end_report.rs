//! The report of an abnormal end: no dump, for there is no process any more, but what the shared
//! area and the log files still tell.

use std::io;
use std::path::PathBuf;

use lastwords_capture::shared::AreaReader;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::document::Document;
use crate::ends::End;
use crate::extras;
use crate::session::now_ns;
use crate::soft_errors::SoftErrors;
use crate::spool::{self, Entry};
use crate::uuid::uuid_text;

/// The part of the settings that this report needs.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    spool_dir: PathBuf,
    report: Value,
    attachments: Vec<PathBuf>,
}

/// Writes the report into `pending/` under the session's id, so that it is written once.
///
/// # Errors
/// What the disk says; nothing is left of the report then, and the next start tries again.
pub(crate) fn write(end: &End, pid: i32, id: [u8; 16], area: &AreaReader) -> io::Result<()> {
    let mut soft_errors = SoftErrors::default();
    let config: Config = serde_json::from_slice(&area.config()?)?;
    let process = json!({"pid": pid});
    let mut document = Document::about(end.to_mechanism(), process, now_ns(), id, config.report);
    let entry = Entry::create(&config.spool_dir, &uuid_text(id))?;
    extras::note_annotations(&area.annotations(), &mut document, &mut soft_errors);
    extras::note_breadcrumbs(&area.breadcrumbs(), &mut document, &mut soft_errors);
    document.set("attachments", extras::attach(config.attachments, &entry, None, &mut soft_errors));
    document.set("soft_errors", soft_errors.to_json());
    if let Err(error) = entry.replace_file("report.json", &document.to_bytes()) {
        entry.remove_all();
        return Err(error);
    }
    entry.commit().map(|path| spool::sync(&path))
}

/// The fields of a report that the SDK prepared; `null` when they cannot be read.
pub(crate) fn prepared_fields(area: &AreaReader) -> Value {
    let config = area.config().ok().and_then(|bytes| serde_json::from_slice::<Config>(&bytes).ok());
    config.unwrap_or_default().report
}
