//! One crash, from the request to the finished report in `pending/`.

use std::fmt::Write as _;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lastwords_capture::protocol::CrashRequest;
use lastwords_capture::shared::{Annotation, AreaReader};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::document::{Document, annotation_value, overflow_document, signal_document};
use crate::dumps::Event;
use crate::extras;
use crate::last_words;
use crate::order::Order;
use crate::os::linux::{Hints, LinuxSnapshot};
use crate::plan::DumpPlan;
use crate::signal_names::signal_name;
use crate::snapshot::{Crash, DUMP_REQUESTED, ProcessSnapshot, PythonTarget};
use crate::soft_errors::SoftErrors;
use crate::spool::Entry;
use crate::throws;
use crate::uuid::{new_uuid, parse_uuid, uuid_text};
use crate::write::Labels;

/// Part of the handler's budget that goes into dump and attachments; the rest is for finishing.
const OWN_SHARE: f64 = 0.75;
/// Room on the disk that the dump must leave for the soft errors in `report.json`.
const ROOM_FOR_SOFT_ERRORS: usize = 32 * 1024;

/// Where a report ended, and what to tell on stderr.
#[derive(Debug)]
pub struct Finished {
    /// One line, without line break.
    pub line: String,
    /// The report's directory, when there is one.
    pub path: Option<PathBuf>,
    /// Its dumps, as they stand in `report.json`.
    pub dumps: Vec<Value>,
}

/// Makes the report of a crash. The process runs on when this returns.
#[must_use]
pub fn write_report(
    request: &CrashRequest,
    area: &AreaReader,
    socket: Option<OwnedFd>,
) -> Finished {
    let what = format!("{} in thread {}", signal_name(request.signal()), request.tid);
    match Report::start(request, area) {
        Ok(report) => report.finish(request, area, socket, &what),
        Err((place, error)) => not_started(&what, &place, &error),
    }
}

/// Makes the report that a healthy process asked for. The process runs on when this returns.
#[must_use]
pub fn write_requested(
    request: &CrashRequest,
    area: &AreaReader,
    socket: Option<OwnedFd>,
    order: &Order,
) -> Finished {
    let what = format!("dump on demand of thread {}", request.tid);
    match Report::start(request, area) {
        Ok(mut report) => {
            report.plan = order.plan.clone();
            if let Some(reason) = &order.reason {
                report.document.set_in("mechanism", "description", json!(reason));
            }
            report.finish(request, area, socket, &what)
        }
        Err((place, error)) => not_started(&what, &place, &error),
    }
}

fn not_started(what: &str, place: &str, error: &io::Error) -> Finished {
    Finished {
        line: format!(
            "lastwords: {what}: no report, {place} cannot be written: {error}. Free some space, \
             or choose another dump_dir"
        ),
        path: None,
        dumps: Vec::new(),
    }
}

/// Where the interpreter stands, as the SDK knew; `None` when it did not, because the interpreter is
/// part of a program that exports nothing.
pub(crate) fn told_python(area: &AreaReader) -> Option<PythonTarget> {
    area.python().map(|(runtime_address, version)| PythonTarget { runtime_address, version })
}

/// When the monitor's own part of the caller's patience ends.
pub(crate) fn own_deadline(request: &CrashRequest) -> Option<Instant> {
    let budget = Duration::from_millis(request.budget_ms.into());
    Instant::now().checked_add(budget.mul_f64(OWN_SHARE))
}

/// What the SDK wrote into the shared area.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    spool_dir: PathBuf,
    report: Value,
    attachments: Vec<PathBuf>,
}

struct Report {
    entry: Entry,
    id: [u8; 16],
    document: Document,
    attachments: Vec<PathBuf>,
    plan: DumpPlan,
    breadcrumbs: Vec<Value>,
    soft_errors: SoftErrors,
    deadline: Option<Instant>,
}

impl Report {
    /// Makes the directory and a first `report.json`, so that even a crash of the monitor
    /// leaves something.
    fn start(request: &CrashRequest, area: &AreaReader) -> Result<Self, (String, io::Error)> {
        let mut soft_errors = SoftErrors::default();
        let config = soft_errors.keep(area.config(), "settings_not_read", "shared area");
        let config: Value = serde_json::from_slice(&config.unwrap_or_default())
            .inspect_err(|error| soft_errors.add("settings_not_read", "shared area", error))
            .unwrap_or_default();
        let plan = DumpPlan::from_json(&config)
            .inspect_err(|error| soft_errors.add("plan_not_read", "shared area", error))
            .unwrap_or_default();
        let config: Config = serde_json::from_value(config)
            .inspect_err(|error| soft_errors.add("settings_not_read", "shared area", error))
            .unwrap_or_default();
        let spool = config.spool_dir;
        if spool.as_os_str().is_empty() {
            let error = io::Error::other("its name could not be read from the shared area");
            return Err(("the spool directory".to_owned(), error));
        }
        let id = new_uuid().map_err(|error| ("a random id".to_owned(), error))?;
        let place = || spool.join("new").display().to_string();
        let entry = Entry::create(&spool, &uuid_text(id)).map_err(|error| (place(), error))?;
        let document = Document::new(request, id, config.report);
        let attachments = config.attachments;
        let deadline = own_deadline(request);
        let report = Self {
            entry,
            id,
            document,
            attachments,
            plan,
            breadcrumbs: Vec::new(),
            soft_errors,
            deadline,
        };
        match report.save() {
            Ok(()) => Ok(report),
            Err(error) => {
                report.entry.abandon();
                Err((place(), error))
            }
        }
    }

    fn save(&self) -> io::Result<()> {
        self.entry.replace_file("report.json", &self.document.to_bytes())
    }

    fn finish(
        mut self,
        request: &CrashRequest,
        area: &AreaReader,
        socket: Option<OwnedFd>,
        what: &str,
    ) -> Finished {
        let annotations = area.annotations();
        extras::note_annotations(&annotations, &mut self.document, &mut self.soft_errors);
        let crumbs = area.breadcrumbs();
        self.breadcrumbs =
            extras::note_breadcrumbs(&crumbs, &mut self.document, &mut self.soft_errors);
        let room = self.document.to_bytes().len().saturating_add(ROOM_FOR_SOFT_ERRORS);
        self.entry.reserve("report.json", room);
        let dumps = self.dump(request, area, socket, &annotations);
        let paths = std::mem::take(&mut self.attachments);
        let list = extras::attach(paths, &self.entry, self.deadline, &mut self.soft_errors);
        self.document.set("attachments", list);
        self.document.set("soft_errors", self.soft_errors.to_json());
        // Once more: without it, a dump that was written would not be known.
        let saved = self.save().or_else(|_| self.save());
        let id = uuid_text(self.id);
        let unfinished = self.entry.path("");
        match self.entry.commit() {
            Ok(path) => {
                let mut line = format!("lastwords: {what}: report {id} in {}", path.display());
                if let Err(error) = saved {
                    let _ = write!(line, " is incomplete: {error}");
                }
                Finished { line, path: Some(path), dumps }
            }
            Err(error) => Finished {
                line: format!(
                    "lastwords: {what}: the report stays in {} until the next start: {error}",
                    unfinished.display()
                ),
                path: Some(unfinished),
                dumps,
            },
        }
    }

    fn dump(
        &mut self,
        request: &CrashRequest,
        area: &AreaReader,
        socket: Option<OwnedFd>,
        annotations: &[Annotation],
    ) -> Vec<Value> {
        let hints = Hints {
            private: area.private_ranges(),
            abort_message: area.abort_message(),
            is_kernel_wanted: self.plan.is_kernel(),
        };
        let (snapshot, crash) = LinuxSnapshot::take(request, socket, hints, &mut self.soft_errors);
        self.note_crash(&crash, &snapshot);
        self.note_last_words(request, area, &crash);
        let throws = self.note_throws(area, &crash, &snapshot);
        let labels = Labels {
            report_id: self.id,
            client_id: parse_uuid(self.document.text("client_id")),
            annotations: annotations.iter().map(|a| (a.key.clone(), annotation_value(a))).collect(),
            command: String::new(),
            reason: self.document.reason(&crash),
            metadata: self.document.metadata(),
            breadcrumbs: self.breadcrumbs.clone(),
            throws,
            additions: extras::note_additions(area.additions(), &snapshot, &mut self.soft_errors),
        };
        let python = told_python(area).or_else(|| snapshot.find_python(&mut self.soft_errors));
        let time_s = u32::try_from(request.time_ns.div_euclid(1_000_000_000)).unwrap_or(u32::MAX);
        let event = Event {
            snapshot: &snapshot,
            crash: &crash,
            python,
            labels: &labels,
            time_s,
            deadline: self.deadline,
        };
        let dumps = event.write(&self.plan, &self.entry, &mut self.soft_errors);
        drop(snapshot);
        self.document.set("dump", dumps.first().cloned().unwrap_or(Value::Null));
        self.document.set("dumps", Value::Array(dumps.clone()));
        dumps
    }

    /// The exception that the process died of, if it did; gives the stream of all throws.
    fn note_throws(
        &mut self,
        area: &AreaReader,
        crash: &Crash,
        snapshot: &dyn ProcessSnapshot,
    ) -> Vec<Value> {
        let Some(table) = area.throw_table() else { return Vec::new() };
        let mut throws = throws::read(snapshot.memory(), table);
        if crash.signal == libc::SIGABRT {
            let uncaught = throws.find_uncaught(snapshot.memory(), crash.thread_id);
            self.document.set_in("mechanism", "cpp_exception", uncaught);
        }
        throws.to_json()
    }

    fn note_crash(&mut self, crash: &Crash, snapshot: &dyn ProcessSnapshot) {
        if crash.signal != DUMP_REQUESTED {
            self.document.set_in("mechanism", "signal", signal_document(crash));
        }
        if let Some(message) = &crash.abort_message {
            self.document.set_in("mechanism", "abort_message", json!(message));
        }
        if let Some(overflow) = &crash.stack_overflow {
            let description = format!("{}: stack overflow", signal_name(crash.signal));
            self.document.set_in("mechanism", "description", json!(description));
            self.document.set_in("mechanism", "stack_overflow", overflow_document(overflow));
        }
        let (threads, memory) = snapshot.rungs();
        self.document.set("capture", json!({"threads": threads, "memory": memory}));
    }

    fn note_last_words(&mut self, request: &CrashRequest, area: &AreaReader, crash: &Crash) {
        let Some(words) = area.last_words(request.tid) else { return };
        if let Some(told) = last_words::document(&words, crash, request.time_ns) {
            self.document.set_in("mechanism", "last_words", told);
            if words.is_torn {
                self.soft_errors.add("last_words_torn", "shared area", "they were being written");
            }
        }
    }
}
