//! `lastwords-monitor`: started by the SDK, not by people.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        eprintln!(
            "lastwords-monitor {} watches one process for lastwords. It is started by \
             lastwords.install() and takes no arguments.",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::from(2);
    }
    lastwords_monitor::run()
}
