//! The process goes on as another program: what becomes of that is not ours to tell.
//!
//! An exec closes our socket just as an end does. A monitor that looks before the new program has
//! ended sees that our memory is gone; one that looks later could not tell the new program's exit
//! status from one of ours. So the functions that execute a program are hooked, to note it before.

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::got::{self, Hook, Thunk, every_module};
use crate::life;

type Text = *const c_char;
type List = *const *const c_char;

static EXECV: AtomicUsize = AtomicUsize::new(0);
static EXECVP: AtomicUsize = AtomicUsize::new(0);
static EXECVE: AtomicUsize = AtomicUsize::new(0);
static EXECVPE: AtomicUsize = AtomicUsize::new(0);
static FEXECVE: AtomicUsize = AtomicUsize::new(0);

static HOOKS: &[Hook] = &[
    Hook {
        symbol: c"execv",
        thunks: &[Thunk {
            replacement: || (execv as *const ()).expose_provenance(),
            original: &EXECV,
        }],
        wanted: every_module,
    },
    Hook {
        symbol: c"execvp",
        thunks: &[Thunk {
            replacement: || (execvp as *const ()).expose_provenance(),
            original: &EXECVP,
        }],
        wanted: every_module,
    },
    Hook {
        symbol: c"execve",
        thunks: &[Thunk {
            replacement: || (execve as *const ()).expose_provenance(),
            original: &EXECVE,
        }],
        wanted: every_module,
    },
    Hook {
        symbol: c"execvpe",
        thunks: &[Thunk {
            replacement: || (execvpe as *const ()).expose_provenance(),
            original: &EXECVPE,
        }],
        wanted: every_module,
    },
    Hook {
        symbol: c"fexecve",
        thunks: &[Thunk {
            replacement: || (fexecve as *const ()).expose_provenance(),
            original: &FEXECVE,
        }],
        wanted: every_module,
    },
];

/// Has every exec of this process noted.
pub(crate) fn watch() {
    got::add(HOOKS);
}

/// Notes the exec; when it fails, the program goes on as it was. Async-signal-safe, and without
/// effect in a child between `fork` or `vfork` and its own exec.
fn noted(execute: impl FnOnce() -> c_int) -> c_int {
    let is_noted = life::note_exec();
    let result = execute();
    if is_noted {
        life::note_no_exec();
    }
    result
}

macro_rules! replacement {
    ($name:ident, $original:ident, ($($argument:ident: $kind:ty),*)) => {
        /// # Safety
        /// As for the function of that name.
        unsafe extern "C" fn $name($($argument: $kind),*) -> c_int {
            let original = $original.load(Ordering::Acquire);
            // SAFETY: set before this function was put anywhere, and of this type.
            let original = unsafe {
                std::mem::transmute::<usize, unsafe extern "C" fn($($kind),*) -> c_int>(original)
            };
            // SAFETY: the caller's arguments.
            noted(|| unsafe { original($($argument),*) })
        }
    };
}

replacement!(execv, EXECV, (path: Text, arguments: List));
replacement!(execvp, EXECVP, (file: Text, arguments: List));
replacement!(execve, EXECVE, (path: Text, arguments: List, environment: List));
replacement!(execvpe, EXECVPE, (file: Text, arguments: List, environment: List));
replacement!(fexecve, FEXECVE, (fd: c_int, arguments: List, environment: List));
