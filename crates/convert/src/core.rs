//! From a core to a minidump: by the reader and the writer that dump live processes.

use std::fs::File;
use std::path::Path;

use lastwords_monitor::plan::DumpKind;
use lastwords_monitor::soft_errors::SoftErrors;
use lastwords_monitor::stacks::dump_of_core;

use crate::{ConvertError, Converted};

pub(crate) fn convert(from: &Path, to: &Path, kind: &str) -> Result<Converted, ConvertError> {
    let kind = DumpKind::from_text(kind)
        .map_err(|error| ConvertError::unsupported(from, format!("dump kind: {error}")))?;
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(true).open(to);
    let file = file.map_err(|reason| ConvertError::not_written(to, reason))?;
    let mut soft_errors = SoftErrors::default();
    let dump = dump_of_core(from, file, &kind, &mut soft_errors).map_err(ConvertError::Core)?;
    let notes = soft_errors.to_json();
    let text = |note: &serde_json::Value| {
        let part = |key: &str| note.get(key).and_then(|text| text.as_str()).unwrap_or("");
        format!("{}: {}", part("where"), part("message"))
    };
    let notes = notes.as_array().map(|notes| notes.iter().map(text).collect());
    Ok(Converted {
        threads: dump.threads,
        memory_bytes: dump.size_bytes,
        notes: notes.unwrap_or_default(),
    })
}
