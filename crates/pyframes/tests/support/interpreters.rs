//! Finds the interpreters of this machine: those that are installed, and those that
//! `scripts/interpreters` put into roots of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const OLDEST: u32 = 9;
const NEWEST: u32 = 15;

/// One interpreter of this machine.
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// Where it is, seen from its root.
    pub executable: PathBuf,
    /// The directory that it sees as `/`; `None` = that of the machine.
    pub root: Option<PathBuf>,
    /// `PY_VERSION_HEX`.
    pub version: u32,
    pub is_debug: bool,
    pub is_free_threaded: bool,
    /// Runs with its compiler turned on (`PYTHON_JIT=1`).
    pub uses_jit: bool,
}

impl Interpreter {
    pub fn minor(&self) -> u32 {
        self.version >> 16 & 0xff
    }

    /// Calls the interpreter, in its root.
    pub fn command(&self) -> Command {
        let mut command = command(self.root.as_deref(), &self.executable);
        command.env("PYTHON_JIT", if self.uses_jit { "1" } else { "0" });
        command
    }

    /// Puts a copy of `file` where the interpreter can read it; gives its path there.
    pub fn place(&self, file: &Path) -> PathBuf {
        let Some(root) = &self.root else { return file.to_owned() };
        let inside = Path::new("/tmp").join(file.file_name().expect("a file"));
        let outside = in_root(root, &inside);
        let text = std::fs::read(file).expect("the file can be read");
        if std::fs::read(&outside).ok().as_ref() != Some(&text) {
            // Other tests may be reading the old one.
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let new = outside.with_extension(format!("{}-{number}", std::process::id()));
            std::fs::write(&new, text).expect("the root can be written to");
            std::fs::rename(&new, &outside).expect("the copy can be renamed");
        }
        inside
    }

    /// Where a file of the interpreter's root is for everybody else.
    pub fn outside(&self, inside: &Path) -> PathBuf {
        self.root.as_ref().map_or_else(|| inside.to_owned(), |root| in_root(root, inside))
    }
}

fn in_root(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

fn command(root: Option<&Path>, executable: &Path) -> Command {
    match root {
        None => Command::new(executable),
        Some(root) => {
            let mut command = Command::new("chroot");
            command.arg(root).arg(executable);
            command
        }
    }
}

/// The interpreters that are there, one per version and kind of build, oldest first. Those with
/// a compiler come a second time, with it turned on.
///
/// `LASTWORDS_PYTHONS` names executables, separated by colons; otherwise `PATH`, pyenv's
/// versions and what `scripts/interpreters` made are searched.
pub fn interpreters() -> Vec<Interpreter> {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

/// Those that programs of this machine can load.
#[allow(dead_code)] // unit tests load none
pub fn installed() -> Vec<Interpreter> {
    interpreters().into_iter().filter(|found| found.root.is_none()).collect()
}

fn find() -> Vec<Interpreter> {
    let mut found: Vec<Interpreter> = Vec::new();
    for (root, executable) in candidates() {
        for interpreter in probe(root, executable) {
            if !found.iter().any(|known| kind(known) == kind(&interpreter)) {
                found.push(interpreter);
            }
        }
    }
    found.sort_by_key(kind);
    for minor in OLDEST..=NEWEST {
        let is_there = found.iter().any(|known| known.minor() == minor);
        if !is_there {
            eprintln!("skipped: CPython 3.{minor} is not here (LASTWORDS_PYTHONS names others)");
        }
    }
    tell_what_is_missing();
    assert!(!found.is_empty(), "no CPython 3.{OLDEST} to 3.{NEWEST} was found");
    found
}

fn kind(known: &Interpreter) -> (u32, bool, bool, bool) {
    (known.version, known.is_free_threaded, known.is_debug, known.uses_jit)
}

type Candidate = (Option<PathBuf>, PathBuf);

fn candidates() -> Vec<Candidate> {
    let on_machine = |executable| (None, executable);
    if let Some(named) = std::env::var_os("LASTWORDS_PYTHONS") {
        return std::env::split_paths(&named).map(on_machine).collect();
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let pyenv = entries(&home.join(".pyenv/versions")).map(|version| version.join("bin/python3"));
    let minors = OLDEST..=NEWEST;
    let kinds = ["", "d", "t", "td"];
    let names = minors.flat_map(|minor| kinds.map(|kind| format!("python3.{minor}{kind}")));
    let names: Vec<String> = names.chain(["python3".to_owned()]).collect();
    let installed = pyenv.chain(names.iter().map(PathBuf::from)).map(on_machine);
    let made = made();
    let made = made.iter().flat_map(|place| names.iter().filter_map(|name| made_in(place, name)));
    installed.chain(made).collect()
}

/// The executable `name` in a place that `scripts/interpreters` made: a root, or an installation.
fn made_in(place: &Path, name: &str) -> Option<Candidate> {
    let is_root = place.join("usr").is_dir();
    let inside = Path::new("/usr/bin").join(name);
    let (root, executable) = if is_root {
        (Some(place.to_owned()), inside.clone())
    } else {
        (None, place.join("bin").join(name))
    };
    let file = if is_root { in_root(place, &inside) } else { executable.clone() };
    file.is_file().then_some((root, executable))
}

/// Where `scripts/interpreters` puts what it makes.
fn tools() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/interpreters");
    tools.canonicalize().unwrap_or(tools)
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn made() -> Vec<PathBuf> {
    let mut made: Vec<PathBuf> =
        entries(&tools()).filter(|path| path.join(".made-by").is_file()).collect();
    made.sort();
    made
}

/// `scripts/interpreters` leaves its reason where it could not make something.
fn tell_what_is_missing() {
    for path in entries(&tools()).filter(|path| path.extension().is_some_and(|e| e == "missing")) {
        let reason = std::fs::read_to_string(&path).unwrap_or_default();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        eprintln!("skipped: the interpreters of {name}: {}", reason.trim());
    }
}

/// What an executable is: nothing, an interpreter, or one that can also compile.
fn probe(root: Option<PathBuf>, executable: PathBuf) -> Vec<Interpreter> {
    let print = "import sys; print(sys.hexversion, sys.implementation.name, \
                 int('t' in sys.abiflags), int(hasattr(sys, 'gettotalrefcount')), \
                 int(hasattr(sys, '_jit') and sys._jit.is_available()))";
    let mut command = command(root.as_deref(), &executable);
    let output = command.args(["-c", print]).stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [version, "cpython", free_threaded, debug, has_jit] = words[..] else { return Vec::new() };
    let version: u32 = version.parse().unwrap_or(0);
    if !(OLDEST..=NEWEST).contains(&(version.wrapping_sub(3 << 24) >> 16)) {
        return Vec::new();
    }
    let plain = Interpreter {
        executable,
        root,
        version,
        is_debug: debug == "1",
        is_free_threaded: free_threaded == "1",
        uses_jit: false,
    };
    let compiling = (has_jit == "1").then(|| Interpreter { uses_jit: true, ..plain.clone() });
    [Some(plain), compiling].into_iter().flatten().collect()
}
