//! When to look for new modules: each time somebody asks `dlsym`.
//!
//! `dlsym(RTLD_NEXT, …)` answers according to who calls, so the replacement must not show up as
//! the caller: it keeps all registers, looks, and jumps.

use std::arch::naked_asm;
use std::sync::atomic::AtomicUsize;

use super::{Hook, Thunk, every_module, scan};
use crate::sys;

static DLSYM: AtomicUsize = AtomicUsize::new(0);

/// Installed with every set of hooks.
pub(super) static HOOKS: &[Hook] = &[Hook {
    symbol: c"dlsym",
    thunks: &[Thunk { replacement: || (dlsym as *const ()).expose_provenance(), original: &DLSYM }],
    wanted: every_module,
}];

/// `void *dlsym(void *handle, const char *symbol)`.
#[unsafe(naked)]
unsafe extern "C" fn dlsym() {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push rdx",
        ".cfi_adjust_cfa_offset 8",
        "call {look}",
        "pop rdx",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "jmp qword ptr [rip + {original}]",
        ".cfi_endproc",
        look = sym before_dlsym,
        original = sym DLSYM,
    )
}

extern "C" fn before_dlsym() {
    let _unnoticed = Unnoticed::begin();
    if scan::is_due() {
        scan::resolve_defaults();
        scan::run();
    }
}

/// Hooks modules that were loaded since the last time. Without any: costs one short call into the
/// dynamic linker. Never waits for another thread. Not for signal handlers.
pub(crate) fn rescan_if_changed() {
    let _unnoticed = Unnoticed::begin();
    if scan::is_due() {
        scan::run();
    }
}

/// Work inside of a function of the host that neither changes `errno` nor is a cancellation point:
/// some of the calls that a scan makes do, and are.
struct Unnoticed {
    errno: i32,
    cancel_state: i32,
}

impl Unnoticed {
    fn begin() -> Self {
        let errno = sys::errno();
        Self { errno, cancel_state: sys::set_cancel_state(sys::CANCEL_DISABLE) }
    }
}

impl Drop for Unnoticed {
    fn drop(&mut self) {
        sys::set_cancel_state(self.cancel_state);
        sys::set_errno(self.errno);
    }
}
