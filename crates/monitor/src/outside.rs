//! Dumps of processes that do not know us, into files that a person named.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::destination::{Destination, NameFacts};
use crate::document::crash_text;
use crate::dumps::Event;
use crate::failure::Failure;
use crate::on_demand::{REQUESTED, first_path, not_written, with_paths};
use crate::os::linux::{LinuxSnapshot, process_name};
use crate::plan::DumpPlan;
use crate::signal_names::signal_name;
use crate::snapshot::{Crash, DUMP_REQUESTED, ProcessSnapshot};
use crate::soft_errors::SoftErrors;
use crate::write::Labels;

/// What a person asked for: which dumps, where. The plan as the monitor's command line gets it:
///
/// | key | type | meaning |
/// |---|---|---|
/// | `dumps`, `limits`, `python_locals` | | as in a dump plan |
/// | `file` | string | an absolute path, a pattern |
/// | `is_overwriting` | bool | files that are there are replaced |
/// | `command` | string | what the person typed, for the comment stream |
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which dumps.
    pub plan: DumpPlan,
    /// Where.
    pub destination: Destination,
    /// What the person typed.
    pub command: String,
}

#[derive(Deserialize)]
struct Told {
    file: PathBuf,
    #[serde(default)]
    is_overwriting: bool,
    #[serde(default)]
    command: String,
}

impl Wish {
    /// Reads the plan.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(value: &Value) -> Result<Self, Failure> {
        let wrong = |what: &dyn std::fmt::Display| {
            let message = format!("the plan cannot be used: {what}");
            Failure::new("order_invalid", message, "let lastwords make it: lastwords dump --help")
        };
        let plan = DumpPlan::from_json(value).map_err(|error| wrong(&error))?;
        let told: Told = serde_json::from_value(value.clone()).map_err(|error| wrong(&error))?;
        if !told.file.is_absolute() {
            return Err(wrong(&format!(
                "file is {}, expected an absolute path",
                told.file.display()
            )));
        }
        let destination = Destination { pattern: told.file, is_overwriting: told.is_overwriting };
        Ok(Self { plan, destination, command: told.command })
    }
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The process.
    pub pid: i32,
    /// Its program's file name.
    pub process_name: String,
    /// As in `report.json`, with whole paths.
    pub dumps: Vec<Value>,
    /// `PY_VERSION_HEX`, for a process of Python.
    pub python: Option<u32>,
    /// How threads and memory were reached.
    pub rungs: (&'static str, &'static str),
    /// What is missing.
    pub soft_errors: SoftErrors,
}

impl Written {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let python = self.python.map(|version| {
            let [major, minor, micro, _] = version.to_be_bytes();
            format!("{major}.{minor}.{micro}")
        });
        let (threads, memory) = self.rungs;
        json!({
            "pid": self.pid,
            "process": self.process_name,
            "dumps": self.dumps,
            "stopped_ms": self.dumps.first().and_then(|dump| dump.get("stopped_ms")),
            "python": python,
            "capture": {"threads": threads, "memory": memory},
            "soft_errors": self.soft_errors.to_json(),
        })
    }
}

/// Nanoseconds since 1970-01-01 UTC.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(0)
}

/// Dumps a running process, which goes on.
///
/// # Errors
/// Why there is no dump.
pub fn dump_running(id: i32, wish: &Wish) -> Result<Written, Failure> {
    let mut soft_errors = SoftErrors::default();
    let time_ns = now_ns();
    let is_kernel_wanted = wish.plan.is_kernel();
    let (snapshot, crash) =
        LinuxSnapshot::of_running(id, time_ns, is_kernel_wanted, &mut soft_errors)?;
    write(snapshot, &crash, wish, time_ns, soft_errors)
}

/// Writes the dumps of a process that stands still; it goes on when this returns.
pub(crate) fn write(
    snapshot: LinuxSnapshot,
    crash: &Crash,
    wish: &Wish,
    time_ns: u64,
    mut soft_errors: SoftErrors,
) -> Result<Written, Failure> {
    let pid = i32::try_from(snapshot.pid()).unwrap_or(0);
    let facts = NameFacts {
        process_name: process_name(pid),
        pid,
        exception: exception_name(crash).to_owned(),
        time_ns,
    };
    let names = wish.destination.choose(&facts, &wish.plan.file_names());
    let names = names.map_err(|error| not_written(&wish.destination, &error))?;
    let python = snapshot.find_python(&mut soft_errors);
    let event = Event {
        snapshot: &snapshot,
        crash,
        python,
        labels: &Labels {
            command: wish.command.clone(),
            reason: crash_text(crash),
            ..Labels::default()
        },
        time_s: u32::try_from(time_ns.div_euclid(1_000_000_000)).unwrap_or(u32::MAX),
        deadline: None,
    };
    let written = event.write(&wish.plan, &names, &mut soft_errors);
    let rungs = snapshot.rungs();
    drop(snapshot);
    let dumps = with_paths(written, &names);
    if first_path(&dumps).is_none() {
        return Err(not_written(&wish.destination, &soft_errors.to_text()));
    }
    let python = python.map(|target| target.version);
    let process_name = facts.process_name;
    Ok(Written { pid, process_name, dumps, python, rungs, soft_errors })
}

fn exception_name(crash: &Crash) -> &'static str {
    if crash.signal == DUMP_REQUESTED { REQUESTED } else { signal_name(crash.signal) }
}
