//! `lastwords-monitor`: started by the SDK on descriptors, or by `lastwords dump` and
//! `lastwords run` with a plan.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.is_empty() {
        return lastwords_monitor::run();
    }
    lastwords_monitor::command::run_command(&arguments)
}
