//! The merged stacks of a live process, a core file or a dump: `lastwords stacks`.
//!
//! Owns: the command line of the verb, the choice between process, core and dump, the text that a
//! person reads. Does not own: stopping and reading processes and cores (`lastwords-monitor`), unwinding, the merge and the document (`lastwords-analyze`). Whatever the
//! target is, it becomes a minidump in memory first, so all three give the same stacks.
//!
//! This verb is native because the start of an interpreter alone takes as long as the whole of it
//! may (docs/adr/0010-native-front-end.md).
#![forbid(unsafe_code)]

pub mod analysis;
pub mod arguments;
mod cache;
mod document;
mod text;
mod verb;

pub use verb::run;
