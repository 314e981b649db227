//! What a session can be asked. One JSON object each, `{"ask": "memory", "address": 4096, …}`.
//!
//! Addresses and sizes are numbers; threads and modules are named by their index in the dump's
//! lists, native frames by their index in the answer to `stack`.

use std::path::PathBuf;

use serde::Deserialize;

/// A request; its name is the variant's in snake case.
#[derive(Debug, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// Header, system, process, comments.
    About {},
    /// All threads, without stacks.
    Threads {},
    /// One thread's frames, with the registers of each.
    Stack {
        thread: usize,
        /// The thread's own registers instead of the exception's.
        #[serde(default)]
        own_context: bool,
    },
    /// The exception record.
    Exception {},
    /// All modules, and what became of their symbols. Opens nothing.
    Modules {},
    /// Opens the symbols of modules; of all without `modules`.
    Load { modules: Option<Vec<usize>> },
    /// Other symbol sources; whatever was opened is closed.
    Reopen { symbols: Vec<PathBuf>, local_modules: bool },
    /// Bytes of the process.
    Memory { address: u64, size: u64 },
    /// The next place of some bytes (hexadecimal digits).
    Search { address: u64, size: u64, pattern: String, max: usize },
    /// Memory regions; the one at `address` only, where given.
    Regions { address: Option<u64> },
    /// Instructions.
    Code { address: u64, max: usize },
    /// Function, file, line, and the symbols around an address.
    At { address: u64 },
    /// Symbols of a module by pattern (`*`, `?`; case does not count).
    Names { module: usize, pattern: String, max: usize },
    /// Addresses of a symbol by its name; in all opened modules without `module`.
    Find { module: Option<usize>, name: String },
    /// Parameters and local variables of a native frame.
    Variables {
        thread: usize,
        #[serde(default)]
        own_context: bool,
        frame: usize,
    },
    /// Types of a module by pattern.
    Types { module: usize, pattern: String, max: usize },
    /// One type, with its fields.
    Type { module: usize, id: u64 },
    /// The type of a global variable.
    TypeOf { module: usize, name: String },
    /// Streams of the file.
    Streams {},
    /// Open handles, or descriptors.
    Handles {},
    /// Names, exceptions, variables and tasks of Python, as our writer put them into the dump.
    PythonDetails {},
    /// The whole analysis (`docs/formats/analysis.md`).
    Document {},
}
