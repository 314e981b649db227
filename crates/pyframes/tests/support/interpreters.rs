//! Finds the interpreters of this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One interpreter of this machine.
#[derive(Debug, Clone)]
pub struct Interpreter {
    pub executable: PathBuf,
    /// `PY_VERSION_HEX`.
    pub version: u32,
}

impl Interpreter {
    pub fn minor(&self) -> u32 {
        self.version >> 16 & 0xff
    }
}

/// The interpreters that are there, one per minor version from 3.10 to 3.13.
///
/// `LASTWORDS_PYTHONS` names executables, separated by colons; otherwise `PATH` and pyenv's
/// versions are searched.
pub fn interpreters() -> Vec<Interpreter> {
    let mut found: Vec<Interpreter> = Vec::new();
    for executable in candidates() {
        if let Some(interpreter) = probe(&executable)
            && !found.iter().any(|known| known.minor() == interpreter.minor())
        {
            found.push(interpreter);
        }
    }
    found.sort_by_key(|interpreter| interpreter.version);
    for minor in (10..=13).filter(|minor| !found.iter().any(|known| known.minor() == *minor)) {
        eprintln!("skipped: CPython 3.{minor} is not installed (LASTWORDS_PYTHONS names others)");
    }
    assert!(!found.is_empty(), "no CPython 3.10 to 3.13 was found");
    found
}

fn candidates() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("LASTWORDS_PYTHONS") {
        return std::env::split_paths(&named).collect();
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let versions = std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten();
    let pyenv = versions.flatten().map(|entry| entry.path().join("bin/python3"));
    let names = (10..=13).map(|minor| format!("python3.{minor}")).chain(["python3".to_owned()]);
    pyenv.chain(names.map(PathBuf::from)).collect()
}

fn probe(executable: &Path) -> Option<Interpreter> {
    let print = "import sys; print(sys.hexversion, sys.implementation.name, \
                 getattr(sys, '_is_gil_enabled', lambda: True)(), hasattr(sys, 'gettotalrefcount'))";
    let output =
        Command::new(executable).args(["-c", print]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.strip_suffix(" cpython True False\n")?.parse().ok()?;
    (0x030A_0000..0x030E_0000)
        .contains(&version)
        .then(|| Interpreter { executable: executable.to_owned(), version })
}
