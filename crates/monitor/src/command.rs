//! The monitor's own command line: what `lastwords dump` and `lastwords run` start.
//!
//! `lastwords-monitor dump PLAN` dumps the running process that the plan's `process` (id or name)
//! means and prints one JSON object: what was written, or `error`. `lastwords-monitor run PLAN --
//! COMMAND …` starts a program and watches it. `PLAN` is JSON (`outside.rs`), or `-` to read it
//! from stdin.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::os::linux::{find_process, run};
use crate::outside::{Wish, dump_running};

const USAGE: &str = "usage: lastwords-monitor dump PLAN\n       \
                     lastwords-monitor run PLAN -- COMMAND [ARGUMENT]...\n\n\
                     PLAN is JSON or - (stdin). People use lastwords dump and lastwords run.";
/// Most bytes of a plan.
const MOST_PLAN_BYTES: u64 = 1024 * 1024;

/// Runs one command.
#[must_use]
pub fn run_command(arguments: &[OsString]) -> ExitCode {
    let words: Vec<Option<&str>> = arguments.iter().map(|word| word.to_str()).collect();
    match words.as_slice() {
        [Some("dump"), Some(plan)] => dump(plan),
        [Some("run"), Some(plan), Some("--"), _, ..] => {
            run_program(plan, arguments.get(3..).unwrap_or(&[]))
        }
        [Some("--version")] => {
            println!("lastwords-monitor {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn read_plan(plan: &str) -> Result<Value, Failure> {
    let mut text = plan.to_owned();
    if plan == "-" {
        text.clear();
        let read = std::io::stdin().take(MOST_PLAN_BYTES).read_to_string(&mut text);
        read.map_err(|error| not_read(&error))?;
    }
    serde_json::from_str(&text).map_err(|error| not_read(&error))
}

fn not_read(error: &dyn std::fmt::Display) -> Failure {
    let message = format!("the plan cannot be read: {error}");
    Failure::new("order_invalid", message, "let lastwords make it: lastwords dump --help")
}

fn dump(plan: &str) -> ExitCode {
    let written = read_plan(plan).and_then(|plan| {
        let wish = Wish::from_json(&plan)?;
        let process = plan.get("process").and_then(Value::as_str);
        let process = process.ok_or_else(|| not_read(&"process is no text"))?;
        dump_running(find_process(process, "dump")?, &wish)
    });
    match written {
        Ok(written) => {
            println!("{}", written.to_json());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{}", json!({"error": failure.to_json()}));
            ExitCode::from(failure.exit_status())
        }
    }
}

fn run_program(plan: &str, command: &[OsString]) -> ExitCode {
    let ended = read_plan(plan).and_then(|plan| run::run(&plan, command));
    match ended {
        Ok(end) => end.pass_on(),
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            eprintln!("hint: {}", failure.hint);
            ExitCode::from(failure.exit_status())
        }
    }
}
