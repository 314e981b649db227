//! Packages of PyPI for an interpreter under test, installed once into the build's folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::support::Interpreter;

/// Installs `packages` (as pip takes them) for the interpreter; `None`, said aloud, when they
/// cannot be had. Only wheels, so nothing is built. Roots have no pip, and do not see the folder.
pub fn install(interpreter: &Interpreter, packages: &[&str]) -> Option<PathBuf> {
    if interpreter.root.is_some() {
        return None;
    }
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let name = format!("3.{}-{}", interpreter.minor(), packages.join("-"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages").join(name);
    let done = folder.join(".complete");
    if done.is_file() {
        return Some(folder);
    }
    let output = Command::new(&interpreter.executable)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary", ":all:", "--target"])
        .arg(&folder)
        .args(packages)
        .output();
    let is_installed = output.as_ref().is_ok_and(|output| output.status.success());
    if is_installed && std::fs::write(&done, "").is_ok() {
        return Some(folder);
    }
    eprintln!("skipped: {packages:?} cannot be installed for {interpreter:?}: {output:?}");
    None
}
