//! The dumps of one event: one file per kind, the smallest first.

use std::io;
use std::time::Instant;

use serde_json::{Value, json};

use crate::dump_file::DumpFile;
use crate::plan::{DumpKind, DumpPlan};
use crate::snapshot::{Crash, ProcessSnapshot, PythonTarget};
use crate::soft_errors::SoftErrors;
use crate::spool::Entry;
use crate::write::{DumpWriter, Labels};

/// What all dumps of an event share.
pub(crate) struct Event<'a> {
    pub(crate) snapshot: &'a dyn ProcessSnapshot,
    pub(crate) crash: &'a Crash,
    pub(crate) python: Option<PythonTarget>,
    pub(crate) labels: &'a Labels,
    /// Seconds since 1970-01-01 UTC.
    pub(crate) time_s: u32,
    pub(crate) deadline: Option<Instant>,
}

impl Event<'_> {
    /// Writes every dump of the plan; gives what `report.json` says of those that are there.
    pub(crate) fn write(
        &self,
        plan: &DumpPlan,
        entry: &Entry,
        soft_errors: &mut SoftErrors,
    ) -> Vec<Value> {
        let mut written = Vec::new();
        for (kind, name) in plan.kinds().iter().zip(plan.file_names()) {
            let size = self.write_one(kind, &name, entry, soft_errors);
            if size.is_err() {
                entry.remove(&name);
            }
            let size = soft_errors.keep(size, "dump_not_written", &name);
            written.extend(size.map(|size| document(kind, &name, size)));
        }
        written
    }

    fn write_one(
        &self,
        kind: &DumpKind,
        name: &str,
        entry: &Entry,
        soft_errors: &mut SoftErrors,
    ) -> io::Result<u64> {
        let file = entry.new_file(name)?;
        let dump = DumpFile::new(file, self.time_s, kind.flags().bits())?;
        let writer = DumpWriter::new(self.snapshot, dump, kind, self.deadline, soft_errors);
        writer.write(self.crash, self.python, self.labels).finish()
    }
}

fn document(kind: &DumpKind, name: &str, size_bytes: u64) -> Value {
    let mut dump = json!({"file": name, "size_bytes": size_bytes, "kind": kind.name()});
    if let (DumpKind::Custom(flags), Some(dump)) = (kind, dump.as_object_mut()) {
        dump.insert("flags".to_owned(), json!(flags.bits()));
    }
    dump
}
