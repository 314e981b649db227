//! The compilers and readers of others that tests compare with.

use std::path::Path;
use std::process::Command;

/// A tool of LLVM: its version 19 where Debian has that beside another, else any.
///
/// `None`, and a line on standard error, where there is none: the test is skipped.
#[must_use]
pub fn llvm_tool(name: &str) -> Option<Command> {
    let names = [format!("{name}-19"), name.to_owned()];
    let found = names.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        eprintln!("skipped: no {name} on this machine");
    }
    found.map(Command::new)
}

/// Runs a tool in `folder`; returns what it writes.
///
/// # Panics
///
/// When it cannot be started, or fails.
#[allow(clippy::panic)] // A test whose tool fails ends here.
pub fn run_tool(mut command: Command, folder: &Path, arguments: &[&str]) -> String {
    let output = match command.args(arguments).current_dir(folder).output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}"),
    };
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
