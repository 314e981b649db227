//! `lastwords`: runs `stacks` itself, and `analyze FILE --json`, and hands everything else to the
//! command line in Python; `stacks` with symbols of a server too.
//!
//! The Python side is the console script `lastwords-python`, which installers put into the folder
//! of this executable with the right interpreter in its first line.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

const PYTHON_SIDE: &str = "lastwords-python";
const MISSING_DEPENDENCY: u8 = 4;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.split_first() {
        Some((verb, rest)) if verb == "stacks" => {
            lastwords_stacks::run(rest).unwrap_or_else(|| hand_over(&arguments))
        }
        Some((verb, rest)) if verb == "analyze" => {
            lastwords_stacks::analysis::run(rest).unwrap_or_else(|| hand_over(&arguments))
        }
        _ => hand_over(&arguments),
    }
}

/// Becomes the command line in Python; comes back only when that cannot be started.
fn hand_over(arguments: &[OsString]) -> ExitCode {
    let own = std::env::current_exe();
    let started = own.and_then(|own| {
        let program = own.with_file_name(PYTHON_SIDE);
        Err::<(), _>(Command::new(program).args(arguments).exec())
    });
    if let Err(error) = started {
        eprintln!("error: {PYTHON_SIDE} beside this program cannot be started: {error}");
        eprintln!(
            "hint: python -m lastwords does the same; or install again: pip install --force-reinstall lastwords"
        );
    }
    ExitCode::from(MISSING_DEPENDENCY)
}
