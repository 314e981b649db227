//! Where exceptions were thrown: the last throws of each thread, with their stacks.
//!
//! The unwinder's entries are hooked by GOT (`hooks.rs`), and the personality pointers of modules
//! that bring an unwinder of their own (`personality.rs`). Each throw leaves a record in the ring of
//! its thread (`ring.rs`, `layout.rs`): type, text, and the return addresses, walked with rules that
//! the process learns once per call site (`walk.rs`, `cache.rs`, `cfi.rs`).
//!
//! Works for C++ (libstdc++, libc++), Rust panics, and whatever else raises through the unwinder of
//! the Itanium C++ ABI. Pulls neither a C++ runtime nor an unwinder into the process.
//!
//! A throw takes no lock here, allocates nothing, and is never refused. Not covered: modules whose
//! personality pointer is neither imported nor indirect (executables that are not
//! position-independent and linked statically).

mod cache;
mod caught;
mod cfi;
pub mod cxa;
mod hooks;
mod images;
pub mod layout;
mod pace;
mod personality;
mod places;
mod python_errors;
mod record;
mod ring;
mod rule;
mod stack;
mod text;
mod trail;
mod walk;

use std::sync::atomic::Ordering;

pub use caught::CaughtThrow;
pub use places::{Place, place_of};
pub use python_errors::Sink;

use crate::got;

/// Begins to record throws; gives the address of the table, 0 when there is no memory for it. Call
/// under the arming lock.
pub(crate) fn enable(most_per_s: u32) -> u64 {
    let table = ring::prepare();
    if table == 0 {
        return 0;
    }
    images::prepare();
    pace::set_limit(most_per_s);
    record::IS_ON.store(true, Ordering::Release);
    got::add(hooks::HOOKS);
    got::add(python_errors::hooks());
    table
}

/// Records nothing any more. The hooks are taken out by `got::uninstall`.
pub(crate) fn disable() {
    record::IS_ON.store(false, Ordering::Release);
}

/// In a forked child: forgets the threads that it does not have.
pub(crate) fn after_fork_in_child() {
    ring::after_fork_in_child();
}

/// Sets who is told, once for the life of the process, when a C++ exception that is being handled
/// has become a Python exception: right after the error was set, in the thread that did, attached to
/// the interpreter.
pub fn on_python_error(sink: Sink) {
    python_errors::set_sink(sink);
}

/// How many modules had been unloaded when anybody last looked: names of places are good until then.
#[must_use]
pub fn unloads_seen() -> u64 {
    got::unloads_seen()
}
