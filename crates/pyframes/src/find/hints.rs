//! Which modules are worth a scan of their data: those in which something speaks of CPython.
//!
//! A scan reads megabytes, and nearly every process is none of Python. So a module must give a
//! hint first, and the cheap hints come first: its name, what it exports, what it imports.
//! CPython's core cannot be built without the functions of [`IMPORTS`] (`Python/fileutils.c`,
//! `Modules/posixmodule.c`, which is part of every interpreter); of 1,231 programs and libraries of
//! a Debian 12 only CPython and the C library itself know all of them. Only then are the constants
//! searched for [`TEXT`].

use super::modules::Module;
use super::reach::Reach;
use super::text::Needle;
use crate::memory::read_available;

/// What an interpreter exports as long as it exports anything.
const EXPORTS: [&str; 2] = ["Py_Initialize", "PyGILState_Ensure"];
/// What it takes from the C library.
const IMPORTS: [&str; 3] = ["mbstowcs", "wcstombs", "sched_rr_get_interval"];
/// How many symbols of others an interpreter uses at least; CPython 3.6 to 3.13 use 336 and more.
const LEAST_IMPORTS: u32 = 200;
/// What every interpreter can say (`Python/pylifecycle.c`, `fatal_error`).
const TEXT: &[u8] = b"Fatal Python error: ";
/// Constants that are searched of one module that imports as CPython does.
const MOST_LIKELY_BYTES: u64 = 64 * 1024 * 1024;
/// Constants that are searched of all others together.
const MOST_UNLIKELY_BYTES: u64 = 16 * 1024 * 1024;
const STEP: u64 = 1024 * 1024;

/// Reads constants of modules; remembers what that has cost.
pub(super) struct Hints<'t> {
    text: Needle<'t>,
    unlikely_left: u64,
}

impl Hints<'_> {
    pub(super) fn new() -> Self {
        Self { text: Needle::new(TEXT), unlikely_left: MOST_UNLIKELY_BYTES }
    }

    /// Whether the module may hold an interpreter.
    pub(super) fn is_given_by(&mut self, reach: &Reach<'_>, module: &Module<'_>) -> bool {
        if module.is_named_python() || !module.seen.is_empty() {
            return true;
        }
        if !module.is_large() {
            return false;
        }
        let exports = |name: &&str| module.exported(reach, name).is_some();
        if EXPORTS.iter().any(exports) {
            return true;
        }
        match &module.symbols {
            Some(symbols) => {
                let mut left = MOST_LIKELY_BYTES;
                symbols.imports(reach, &IMPORTS, LEAST_IMPORTS)
                    && self.is_text_in(reach, module, &mut left)
            }
            None => {
                let mut left = self.unlikely_left;
                let is_there = self.is_text_in(reach, module, &mut left);
                self.unlikely_left = left;
                is_there
            }
        }
    }

    fn is_text_in(&self, reach: &Reach<'_>, module: &Module<'_>, left: &mut u64) -> bool {
        module.constants(reach).into_iter().any(|part| {
            let mut start = part.start;
            while start < part.end && *left > 0 {
                let size = part.end.saturating_sub(start).min(STEP).min(*left);
                if self.text.is_in(&read_available(reach, start, size)) {
                    return true;
                }
                // The text may stand on the border of two pieces.
                let overlap = if size == STEP { 32 } else { 0 };
                start = start.saturating_add(size.saturating_sub(overlap));
                *left = left.saturating_sub(size);
            }
            false
        })
    }
}

/// Whether the names of mapped files say that this is a process of Python: extension modules are
/// loaded.
pub(super) fn is_python_process(reach: &Reach<'_>) -> bool {
    let marks = ["cpython-3", "/python3.", ".abi3.so", "libpython3"];
    let mut files = reach.mappings.iter().filter(|mapping| mapping.is_file);
    files.any(|mapping| marks.iter().any(|mark| mapping.path.contains(mark)))
}
