//! What is called instead of the unwinder's entries.
//!
//! Each replacement saves the arguments, has the throw recorded, and jumps: the unwinder starts from
//! the registers and the stack of its caller, and would see any frame of ours.

use std::arch::naked_asm;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::personality;
use super::record::{self, UnwindException};
use super::ring;
use super::walk::Start;
use crate::got::{Hook, Module, Thunk, Wish, every_module};

/// Definitions of each entry that one process may have: shared, and in modules that export theirs.
const DEFINITIONS: usize = 4;

static RAISE: [AtomicUsize; DEFINITIONS] = [const { AtomicUsize::new(0) }; DEFINITIONS];
static RETHROW: [AtomicUsize; DEFINITIONS] = [const { AtomicUsize::new(0) }; DEFINITIONS];
static ABORT: AtomicUsize = AtomicUsize::new(0);

/// One thunk for each definition of an entry.
macro_rules! thunks {
    ($replacement:ident, $originals:ident) => {
        &[
            thunks!($replacement, $originals, 0),
            thunks!($replacement, $originals, 1),
            thunks!($replacement, $originals, 2),
            thunks!($replacement, $originals, 3),
        ]
    };
    ($replacement:ident, $originals:ident, $index:literal) => {
        Thunk {
            replacement: || ($replacement::<$index> as *const ()).expose_provenance(),
            original: &$originals[$index],
        }
    };
}

/// The hooks of throw capture.
pub(super) static HOOKS: &[Hook] = &[
    Hook { symbol: c"_Unwind_RaiseException", thunks: thunks!(raise, RAISE), wanted: every_module },
    Hook {
        symbol: c"_Unwind_Resume_or_Rethrow",
        thunks: thunks!(rethrow, RETHROW),
        wanted: every_module,
    },
    Hook {
        symbol: c"abort",
        thunks: &[Thunk {
            replacement: || (abort as *const ()).expose_provenance(),
            original: &ABORT,
        }],
        wanted: runtimes,
    },
    // Nothing to replace: a module that brings its own unwinder needs one of these.
    Hook { symbol: c"dl_iterate_phdr", thunks: &[], wanted: personality::visit },
    Hook { symbol: c"_dl_find_object", thunks: &[], wanted: personality::visit },
];

/// C++ runtimes: whoever raises exceptions. They call `abort()` when nobody catches.
fn runtimes(module: &Module<'_>) -> Wish {
    let is_runtime =
        module.imports_symbol(c"_Unwind_RaiseException") || personality::has_own_unwinder(module);
    if is_runtime { Wish::Patch } else { Wish::Leave }
}

/// `_Unwind_Reason_Code _Unwind_RaiseException(struct _Unwind_Exception *)`.
#[unsafe(naked)]
unsafe extern "C" fn raise<const INDEX: usize>() {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "lea rsi, [rsp + 8]",
        "mov rdx, rbp",
        "call {record}",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "jmp qword ptr [rip + {originals} + {offset}]",
        ".cfi_endproc",
        record = sym on_raise,
        originals = sym RAISE,
        offset = const INDEX * 8,
    )
}

/// `_Unwind_Reason_Code _Unwind_Resume_or_Rethrow(struct _Unwind_Exception *)`: `throw;`.
#[unsafe(naked)]
unsafe extern "C" fn rethrow<const INDEX: usize>() {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "lea rsi, [rsp + 8]",
        "mov rdx, rbp",
        "call {record}",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "jmp qword ptr [rip + {originals} + {offset}]",
        ".cfi_endproc",
        record = sym on_rethrow,
        originals = sym RETHROW,
        offset = const INDEX * 8,
    )
}

/// `void abort(void)`, as a C++ runtime calls it.
#[unsafe(naked)]
unsafe extern "C" fn abort() {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "call {note}",
        "pop rax",
        ".cfi_adjust_cfa_offset -8",
        "jmp qword ptr [rip + {original}]",
        ".cfi_endproc",
        note = sym on_abort,
        original = sym ABORT,
    )
}

/// # Safety
/// Called by [`raise`] with what its caller gave, the address of the return address, and `rbp`.
unsafe extern "C" fn on_raise(exception: *const UnwindException, entry: usize, rbp: usize) {
    // SAFETY: as promised by the caller.
    let start = unsafe { start(entry, rbp) };
    if !is_in_rethrow(start.return_address) {
        // SAFETY: as promised by the caller.
        unsafe { record::on_throw(exception, start, false) };
    }
}

/// Whether an address lies in `_Unwind_Resume_or_Rethrow`, which raises the exception by the hooked
/// entry in turn.
fn is_in_rethrow(address: usize) -> bool {
    const SIZE: usize = 1024;
    let starts = RETHROW.iter().map(|start| start.load(Ordering::Relaxed));
    starts.into_iter().any(|start| address.wrapping_sub(start) < SIZE)
}

/// # Safety
/// As for [`on_raise`].
unsafe extern "C" fn on_rethrow(exception: *const UnwindException, entry: usize, rbp: usize) {
    // SAFETY: as promised by the caller.
    unsafe { record::on_throw(exception, start(entry, rbp), true) };
}

extern "C" fn on_abort() {
    if let Some(ring) = ring::own() {
        // SAFETY: the ring is this thread's.
        unsafe { (*ring).is_terminating.store(1, Ordering::Release) };
    }
}

/// The state right after the return of the function whose return address is at `entry`.
///
/// # Safety
/// A return address is there.
pub(super) unsafe fn start(entry: usize, rbp: usize) -> Start {
    // SAFETY: as promised by the caller.
    let return_address = unsafe { std::ptr::with_exposed_provenance::<usize>(entry).read() };
    Start { return_address, rsp: entry.wrapping_add(8), rbp }
}
