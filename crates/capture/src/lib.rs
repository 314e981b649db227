//! What runs inside the observed process.
//!
//! [`arm`] starts the monitor (a separate process that writes the dump), maps the area that
//! both share, and installs a handler for the fatal signals. When one arrives, the handler
//! sends the monitor what only it can know, waits for the dump within a time budget, and
//! hands the signal on to whoever had it before, so the exit status and the system's core
//! file stay as they were.
//!
//! Owns: signal handler, shared area, handshake. Does not own: reading the process, writing
//! dumps and reports (`lastwords-monitor`).
//!
//! The handler's rules stand at the top of `handler.rs`.

#![cfg(target_os = "linux")]

pub mod protocol;
pub mod shared;
pub mod throws;

mod alternate_stack;
mod arm;
mod chain;
mod context;
mod conversation;
mod exec;
mod got;
mod handler;
mod last_words;
mod life;
mod on_demand;
mod options;
mod runtimes;
mod signals;
mod size_limit;
mod spawn;
mod sys;

pub use arm::{
    ArmError, Arming, CODES, add_breadcrumb, after_fork_in_child, arm, disarm, is_armed,
    monitor_pid, set_additions, set_annotation,
};
pub use life::note_exit;
pub use on_demand::dump;
pub use options::{ChainFirst, Options, optional_signal};
