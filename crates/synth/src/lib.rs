//! Minidumps built byte by byte for tests, without the layouts under test; and the way to the
//! corpus of real ones and to tools of others.
//!
//! Offsets are written out here from the specifications (`minidumpapiset.h`, `winnt.h`,
//! Breakpad's `minidump_format.h`, the offset tables of `lastwords-format`), so that a mistake
//! in a reader or writer is not made twice. Everything is little-endian x86-64 Linux, but
//! for [`CrashScene`].
//!
//! ```
//! use lastwords_synth::{Dump, Module, Stack, Thread};
//!
//! let stack = Stack::new(0x7ffe_0000).frame(0x40_1000, 32).frame(0x40_2000, 64);
//! let dump = Dump::new()
//!     .module(Module::new("app", 0x40_0000, 0x1_0000))
//!     .thread(Thread::new(7, &stack))
//!     .crash(7, 11, 1, 0x10)
//!     .build();
//! assert_eq!(&dump[..4], b"MDMP");
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::arithmetic_side_effects)] // numbers are the tests' own

mod corpus;
mod dump;
mod python;
mod scene;
mod settle;
mod stack;
mod streams;
mod symbols;
mod tools;

pub use corpus::corpus;
pub use dump::{Dump, Module, Thread};
pub use python::{PythonFrame, PythonProcess, PythonThread};
pub use scene::{CrashScene, Processor, System};
pub use settle::settle;
pub use stack::Stack;
pub use streams::{Region, ThreadTimes, memory_info_list, thread_info_list, utf16};
pub use symbols::{Function, symbol_file};
pub use tools::{llvm_tool, run_tool};
