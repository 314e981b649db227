//! The dumps of one event: one file per kind, the smallest first.

use std::fs::File;
use std::io;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::dump_file::{DumpFile, Written};
use crate::plan::{DumpKind, DumpPlan};
use crate::snapshot::{Crash, DUMP_REQUESTED, ProcessSnapshot, PythonTarget};
use crate::soft_errors::SoftErrors;
use crate::spool::Entry;
use crate::write::{DumpWriter, Labels};

/// Where the files of an event go.
pub(crate) trait DumpFolder {
    /// A new file, for the user's eyes only. `name` is one of the plan's.
    ///
    /// # Errors
    /// What the disk says.
    fn new_file(&self, name: &str) -> io::Result<File>;

    /// Removes a file, if it is there.
    fn remove(&self, name: &str);
}

impl DumpFolder for Entry {
    fn new_file(&self, name: &str) -> io::Result<File> {
        Self::new_file(self, name)
    }

    fn remove(&self, name: &str) {
        Self::remove(self, name);
    }
}

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
        folder: &dyn DumpFolder,
        soft_errors: &mut SoftErrors,
    ) -> Vec<Value> {
        let mut written = Vec::new();
        // A healthy process stands still only for as long as a copy of it takes.
        if self.crash.signal == DUMP_REQUESTED && plan.is_large() {
            self.snapshot.let_go(soft_errors);
        }
        for (kind, name) in plan.kinds().iter().zip(plan.file_names()) {
            let done = self.write_one((kind, plan), &name, folder, soft_errors);
            let packed = format!("{name}.zst");
            let is_packed = done.as_ref().is_ok_and(|done| done.is_compressed);
            if done.is_err() || is_packed {
                folder.remove(&name);
            }
            if plan.limits.compress && !is_packed {
                folder.remove(&packed);
            }
            let done = soft_errors.keep(done, "dump_not_written", &name);
            let file = if is_packed { &packed } else { &name };
            written.extend(done.map(|done| document(kind, file, &done)));
        }
        let stopped = self.snapshot.release(soft_errors);
        let stopped_ms = stopped.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        for dump in written.iter_mut().filter_map(Value::as_object_mut) {
            dump.extend(stopped_ms.map(|ms| ("stopped_ms".to_owned(), json!(ms))));
        }
        written
    }

    fn write_one(
        &self,
        (kind, plan): (&DumpKind, &DumpPlan),
        name: &str,
        folder: &dyn DumpFolder,
        soft_errors: &mut SoftErrors,
    ) -> io::Result<Written> {
        let limits = &plan.limits;
        let file = folder.new_file(name)?;
        let mut dump = DumpFile::new(file, self.time_s, kind.flags().bits())?.limited(limits);
        if limits.compress {
            let packed = folder.new_file(&format!("{name}.zst"));
            if let Some(packed) = soft_errors.keep(packed, "dump_not_compressed", name) {
                dump = dump.compressed_into(packed);
            }
        }
        let writer = DumpWriter::new(self.snapshot, dump, kind, self.deadline, soft_errors);
        let writer = writer.with_python_locals(plan.python_locals);
        let mut written = writer.write(self.crash, self.python, self.labels).finish_compressed()?;
        if let Some(error) = written.not_compressed.take() {
            soft_errors.add("dump_not_compressed", name, error);
        }
        Ok(written)
    }
}

fn document(kind: &DumpKind, name: &str, written: &Written) -> Value {
    let mut dump = Map::new();
    dump.insert("file".to_owned(), json!(name));
    dump.insert("size_bytes".to_owned(), json!(written.size_bytes));
    dump.insert("kind".to_owned(), json!(kind.name()));
    if let DumpKind::Custom(flags) = kind {
        dump.insert("flags".to_owned(), json!(flags.bits()));
    }
    if written.is_compressed {
        dump.insert("compression".to_owned(), json!("zstd"));
    }
    if written.is_cut {
        dump.insert("is_cut".to_owned(), json!(true));
    }
    Value::Object(dump)
}
