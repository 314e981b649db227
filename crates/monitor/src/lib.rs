//! The out-of-process dumper: watches one process and writes its crash report.
//!
//! Owns: stopping the process, reading it ([`snapshot::ProcessSnapshot`], one implementation
//! per operating system in [`os`]), writing the dump and the report into the spool. Does not
//! own: stream layouts (`lastwords-format`), Python structures (`lastwords-pyframes`), the
//! handshake (`lastwords-capture`), delivery (the Python SDK).
//!
//! Whatever cannot be had is a [`soft_errors::SoftError`] in dump and report, never a reason
//! to give up the rest.

pub mod command;
pub mod destination;
pub mod dump_file;
pub mod failure;
pub mod on_demand;
pub mod order;
pub mod os;
pub mod outside;
pub mod plan;
pub mod report;
pub mod snapshot;
pub mod soft_errors;
pub mod spool;
pub mod stacks;
pub mod watch;
pub mod write;

mod callback;
mod document;
mod dumps;
mod end_report;
mod end_watch;
mod ends;
mod extras;
mod last_words;
mod paths;
mod prune;
mod python_stacks;
mod ranges;
mod retry;
mod scrub;
mod session;
mod signal_names;
mod throws;
mod time;
mod uuid;

use std::process::ExitCode;

/// Runs the monitor on the descriptors that the SDK hands over; ends with the process.
#[must_use]
pub fn run() -> ExitCode {
    match watch::Watch::from_inherited() {
        Ok(mut watch) => {
            watch.run();
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::from(2),
    }
}
