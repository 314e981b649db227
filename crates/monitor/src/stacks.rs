//! The stacks of a running or a dead process, as a small dump in memory.
//!
//! The dump is a plain minidump (`docs/formats/dump-kinds.md`, `custom:0`), so whoever can read
//! dumps can read live processes and cores.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::time::Duration;

use crate::document::crash_text;
use crate::dump_file::DumpFile;
use crate::failure::Failure;
use crate::os::linux::{CoreSnapshot, LinuxSnapshot, StacksSnapshot, memory_file, process_name};
use crate::outside::now_ns;
use crate::plan::{DumpFlags, DumpKind};
use crate::snapshot::{Crash, ProcessSnapshot, PythonTarget};
use crate::soft_errors::SoftErrors;
use crate::write::{DumpWriter, Labels};

/// The stacks of one process.
#[derive(Debug)]
pub struct StacksDump {
    /// A minidump.
    pub bytes: Vec<u8>,
    /// Its process id.
    pub pid: i32,
    /// Its program's file name.
    pub process_name: String,
    /// For how long its threads stood still, at most; `None` = it was dead.
    pub stopped: Option<Duration>,
}

/// Reads the stacks of the running process `id`, or of the process that has the thread `id`;
/// `has_locals`: with values of Python's variables.
///
/// # Errors
/// Why its stacks cannot be read, and what to type.
pub fn stacks_of_running(id: i32, has_locals: bool) -> Result<StacksDump, Failure> {
    let mut soft_errors = SoftErrors::default();
    let StacksSnapshot { snapshot, crash, python, stopped } =
        LinuxSnapshot::of_stacks(id, has_locals, &mut soft_errors)?;
    let pid = i32::try_from(snapshot.pid()).unwrap_or(id);
    let bytes = dump_in_memory(&snapshot, &crash, (python, has_locals), &mut soft_errors);
    let bytes = bytes.map_err(|error| not_made(&format_args!("process {pid}"), &error))?;
    Ok(StacksDump { bytes, pid, process_name: process_name(pid), stopped: Some(stopped) })
}

/// Reads the stacks of a dead process from its core file; `has_locals` as above.
///
/// # Errors
/// Why the file cannot be used, and what to do.
pub fn stacks_of_core(path: &Path, has_locals: bool) -> Result<StacksDump, Failure> {
    let mut soft_errors = SoftErrors::default();
    let (snapshot, crash) = CoreSnapshot::open(path, &mut soft_errors)?;
    let python = snapshot.find_python(&mut soft_errors);
    let bytes = dump_in_memory(&snapshot, &crash, (python, has_locals), &mut soft_errors);
    let bytes = bytes.map_err(|error| not_made(&path.display(), &error))?;
    let pid = i32::try_from(snapshot.pid()).unwrap_or(0);
    let process_name = snapshot.program().to_owned();
    Ok(StacksDump { bytes, pid, process_name, stopped: None })
}

fn not_made(what: &dyn std::fmt::Display, error: &io::Error) -> Failure {
    let message = format!("the stacks of {what} could not be put together: {error}");
    Failure::new("dump_not_made", message, "try again; if it stays, report it")
}

/// Writes what stacks need of a snapshot into a minidump in memory; with the interpreter's place
/// goes whether values of its variables are wanted.
///
/// # Errors
/// What the system says.
pub fn dump_in_memory(
    snapshot: &dyn ProcessSnapshot,
    crash: &Crash,
    (python, has_locals): (Option<PythonTarget>, bool),
    soft_errors: &mut SoftErrors,
) -> io::Result<Vec<u8>> {
    let kind = DumpKind::Custom(DumpFlags::NORMAL);
    let file: File = memory_file(c"lastwords-stacks")?;
    let mut written = file.try_clone()?;
    let time_s = u32::try_from(now_ns().div_euclid(1_000_000_000)).unwrap_or(u32::MAX);
    let dump = DumpFile::new(file, time_s, kind.flags().bits())?;
    let labels = Labels { reason: crash_text(crash), ..Labels::default() };
    let writer = DumpWriter::new(snapshot, dump, &kind, None, soft_errors);
    let writer = writer.with_python_locals(has_locals);
    writer.write(crash, python, &labels).finish()?;
    let mut bytes = Vec::new();
    written.rewind()?;
    written.read_to_end(&mut bytes)?;
    Ok(bytes)
}
