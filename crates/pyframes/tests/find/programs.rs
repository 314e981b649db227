//! Processes that hide their interpreter in one way or another, for the tests of the search.
#![allow(
    dead_code,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lastwords_pyframes::find::{FindLimits, Found, Mapping, ProcessFiles, Way, find_within};
use lastwords_pyframes::{Limits, Outcome, Target, read_python};

use crate::support::interpreters::installed;
use crate::support::{Interpreter, ProcessMemory, script};

/// What every interpreter under test runs: a known function that waits for its input to end.
/// Only modules that are part of the interpreter, so that it works without exports.
pub const WAITING: &str = "import sys\ndef waiting():\n    sys.stdout.write('ready\\n')\n    \
                       sys.stdout.flush()\n    sys.stdin.read()\nwaiting()\n";

/// A folder of this test alone, gone when it ends.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("find-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the folder can be made");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A C program of `tests/find/`, compiled once.
pub fn compiled(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let name = format!("find-programs-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the folder can be made");
        for name in ["host", "hide", "crowd", "two"] {
            let source = script(&format!("find/{name}.c"));
            let mut gcc = Command::new("gcc");
            run(gcc.arg("-O1").arg("-o").arg(path.join(name)).arg(source).arg("-ldl"));
        }
        path
    });
    folder.join(name)
}

/// Asks an interpreter of itself.
pub fn ask(interpreter: &Path, code: &str) -> String {
    run(Command::new(interpreter).args(["-I", "-S", "-c", code])).trim().to_owned()
}

/// The shared library of an interpreter; `None` when it is one file.
pub fn library(interpreter: &Interpreter) -> Option<PathBuf> {
    let code = "import sysconfig; get = sysconfig.get_config_var; \
                print((get('LIBDIR') or '') + '/' + (get('INSTSONAME') or ''))";
    let path = PathBuf::from(ask(&interpreter.executable, code));
    let is_shared = path.to_string_lossy().contains(".so") && path.is_file();
    is_shared.then_some(path)
}

/// An interpreter with its shared library and its home.
pub struct Shared {
    pub interpreter: Interpreter,
    pub library: PathBuf,
    pub home: PathBuf,
}

/// The interpreters of this machine that are shared libraries.
pub fn shared() -> Vec<Shared> {
    let found = installed().into_iter().filter_map(|interpreter| {
        let library = library(&interpreter)?;
        let home = ask(&interpreter.executable, "import sys; print(sys.base_prefix)").into();
        Some(Shared { interpreter, library, home })
    });
    let found: Vec<Shared> = found.collect();
    if found.is_empty() {
        eprintln!("skipped: no interpreter of this machine has a shared library");
    }
    found
}

/// Offset of a symbol in its file, as binutils read it.
pub fn symbol(file: &Path, name: &str, is_exported: bool) -> u64 {
    let mut nm = Command::new("nm");
    let kinds: &[&str] = if is_exported { &["-D"] } else { &[] };
    let table = run(nm.args(kinds).arg("--defined-only").arg(file));
    let line = table.lines().find(|line| line.split(' ').nth(2) == Some(name));
    let address = line.and_then(|line| line.split(' ').next()).expect("the symbol is there");
    u64::from_str_radix(address, 16).expect("hexadecimal")
}

/// How a copy of a library is made unlike a library of Python.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disguise {
    /// `_PyRuntime` is exported under another name of the same hash, so that the library still
    /// finds it.
    pub renames_runtime: bool,
    /// The same with `Py_Version`.
    pub renames_version: bool,
    /// It has no symbols but the dynamic ones.
    pub strips: bool,
    /// It has no section headers.
    pub drops_sections: bool,
}

/// Nothing but its code and data tells what it is.
pub const BARE: Disguise =
    Disguise { renames_runtime: true, renames_version: true, strips: true, drops_sections: true };

/// Copies a library in disguise.
pub fn disguised(library: &Path, to: &Path, disguise: Disguise) {
    if disguise.strips {
        run(Command::new("strip").arg("--strip-all").arg("-o").arg(to).arg(library));
    } else {
        std::fs::copy(library, to).expect("the library can be copied");
    }
    let mut bytes = std::fs::read(to).expect("it was written");
    if disguise.renames_runtime {
        rename(&mut bytes, b"\0_PyRuntime\0", b"\0_PyRuntjLe\0");
    }
    if disguise.renames_version {
        rename(&mut bytes, b"\0Py_Version\0", b"\0Py_VersjNn\0");
    }
    if disguise.drops_sections {
        bytes[40..48].fill(0);
        bytes[60..64].fill(0);
    }
    std::fs::write(to, bytes).expect("it can be replaced");
}

/// Renames a dynamic symbol: their names come first in the file. 3.10 has no `Py_Version`.
fn rename(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    if let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

/// A process that waits, killed on drop.
pub struct Waiting {
    child: Child,
    _stdin: ChildStdin,
    pub mappings: Vec<Mapping>,
}

impl Waiting {
    /// Starts the command; it has printed `ready` when this returns.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        assert_eq!(line, "ready\n", "{command:?} failed");
        let stdin = child.stdin.take().expect("a pipe");
        let mappings = mappings(child.id());
        Self { child, _stdin: stdin, mappings }
    }

    /// Runs the waiting script in the interpreter that a program hosts.
    pub fn python(program: &Path, arguments: &[&Path], home: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).env("PYTHONHOME", home).env_remove("PYTHONPATH");
        Self::start(command.args(["-S", "-c", WAITING]))
    }

    /// Lets the process die of an abort.
    pub fn abort(&mut self) {
        let pid = libc::pid_t::try_from(self.pid()).expect("a pid fits");
        // SAFETY: `kill` touches no memory of this process.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGABRT) }, 0, "kill failed");
        self.child.wait().expect("it is our child");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn memory(&self) -> ProcessMemory {
        ProcessMemory::of(self.pid())
    }

    pub fn find(&self) -> Vec<Found> {
        let files = ProcessFiles::new(self.pid(), &self.mappings);
        find_within(&self.memory(), &self.mappings, &files, &unhurried())
    }

    /// Where a file was loaded first.
    pub fn base(&self, file: &str) -> u64 {
        let is_it = |m: &&Mapping| m.offset == 0 && m.path.contains(file);
        self.mappings.iter().find(is_it).expect("the file is mapped").start
    }

    /// Reads the frames through what was found, and checks that they are those of the script.
    pub fn check_frames(&self, found: &Found) {
        let target = Target {
            runtime_address: found.runtime_address,
            python_version: found.python_version,
            calibration: None,
        };
        let outcome = read_python(&self.memory(), &target, &Limits::default());
        assert_eq!(names(&outcome.expect("it can be read")), ["waiting", "<module>"]);
    }

    /// Overwrites memory of the process.
    pub fn write(&self, address: u64, bytes: &[u8]) {
        use std::os::unix::fs::FileExt;
        let path = format!("/proc/{}/mem", self.pid());
        let file = std::fs::File::options().write(true).open(path).expect("we may write to it");
        file.write_all_at(bytes, address).expect("it is mapped");
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The way of a runtime that nothing names.
pub fn by_content(minor: u32) -> Way {
    if minor >= 13 { Way::Cookie } else { Way::BackPointer }
}

/// Limits of a build without optimization on a busy machine.
pub fn unhurried() -> FindLimits {
    FindLimits { max_time: Duration::from_secs(20), ..FindLimits::default() }
}

pub fn names(outcome: &Outcome) -> Vec<String> {
    let frames = outcome.stream.threads.iter().flat_map(|thread| &thread.frames);
    let names = frames.map(|frame| frame.name.clone().unwrap_or_default());
    names.filter(|name| !name.starts_with("<frozen")).collect()
}

/// The address space of a living process.
pub fn mappings(pid: u32) -> Vec<Mapping> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("it lives");
    maps.lines().map(mapping).collect()
}

fn mapping(line: &str) -> Mapping {
    let fields: Vec<&str> = line.splitn(6, ' ').collect();
    let (start, end) = fields[0].split_once('-').expect("a range");
    let number = |text: &str| u64::from_str_radix(text, 16).expect("hexadecimal");
    let has = |flag: &str| fields[1].contains(flag);
    Mapping {
        start: number(start),
        end: number(end),
        offset: number(fields[2]),
        path: fields[5].trim_start().to_owned(),
        is_readable: has("r"),
        is_writable: has("w"),
        is_executable: has("x"),
        is_file: fields[4] != "0",
    }
}
