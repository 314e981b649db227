//! Where a C++ exception becomes a Python exception: the binding's handler calls one of the
//! functions that set Python's error, while the C++ exception is still being handled.
//!
//! Only modules that catch C++ exceptions are hooked. The original runs first; then whoever
//! registered ([`set_sink`]) is told about the throw, with the interpreter as the caller left it:
//! attached, error set. Nothing of Python is called from here.

use std::arch::naked_asm;
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::caught::{CaughtThrow, caught};
use super::personality;
use super::record::IS_ON;
use crate::got::{Hook, Module, Thunk, Wish};
use crate::sys;

/// Most exceptions per second that the sink is told about: it costs some microseconds each.
pub(super) const MOST_PER_S: u64 = 200;

/// Takes a throw that has just become the Python error of the calling thread.
pub type Sink = fn(&CaughtThrow);

static SINK: AtomicUsize = AtomicUsize::new(0);
static SET_STRING: AtomicUsize = AtomicUsize::new(0);
static SET_OBJECT: AtomicUsize = AtomicUsize::new(0);
static SET_NONE: AtomicUsize = AtomicUsize::new(0);
static FORMAT: AtomicUsize = AtomicUsize::new(0);
/// `PyErr_FormatV`, which takes the arguments of `PyErr_Format` as a list.
static FORMAT_V: AtomicUsize = AtomicUsize::new(0);

/// Sets who is told, for the life of the process.
pub(super) fn set_sink(sink: Sink) {
    SINK.store(sink as usize, Ordering::Release);
}

/// The hooks, if there is a Python and somebody to be told.
pub(super) fn hooks() -> &'static [Hook] {
    // SAFETY: looks up a name.
    let format_v = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"PyErr_FormatV".as_ptr()) };
    FORMAT_V.store(format_v.expose_provenance(), Ordering::Release);
    let is_ready = SINK.load(Ordering::Acquire) != 0 && !format_v.is_null();
    if is_ready { HOOKS } else { &[] }
}

static HOOKS: &[Hook] = &[
    Hook {
        symbol: c"PyErr_SetString",
        thunks: &[Thunk {
            replacement: || (set_string as *const ()).expose_provenance(),
            original: &SET_STRING,
        }],
        wanted: catchers,
    },
    Hook {
        symbol: c"PyErr_SetObject",
        thunks: &[Thunk {
            replacement: || (set_object as *const ()).expose_provenance(),
            original: &SET_OBJECT,
        }],
        wanted: catchers,
    },
    Hook {
        symbol: c"PyErr_SetNone",
        thunks: &[Thunk {
            replacement: || (set_none as *const ()).expose_provenance(),
            original: &SET_NONE,
        }],
        wanted: catchers,
    },
    Hook {
        symbol: c"PyErr_Format",
        thunks: &[Thunk {
            replacement: || (format as *const ()).expose_provenance(),
            original: &FORMAT,
        }],
        wanted: catchers,
    },
];

/// Modules that catch C++ exceptions.
fn catchers(module: &Module<'_>) -> Wish {
    let is_catcher =
        module.imports_symbol(c"__cxa_begin_catch") || personality::has_own_unwinder(module);
    if is_catcher { Wish::Patch } else { Wish::Leave }
}

/// `void PyErr_SetString(PyObject *type, const char *message)`.
unsafe extern "C" fn set_string(kind: *mut c_void, message: *const c_char) {
    // SAFETY: set before this function was put anywhere, and of this type.
    let original: unsafe extern "C" fn(*mut c_void, *const c_char) =
        unsafe { std::mem::transmute(SET_STRING.load(Ordering::Acquire)) };
    // SAFETY: the caller's arguments.
    unsafe { original(kind, message) };
    tell();
}

/// `void PyErr_SetObject(PyObject *type, PyObject *value)`.
unsafe extern "C" fn set_object(kind: *mut c_void, value: *mut c_void) {
    // SAFETY: as above.
    let original: unsafe extern "C" fn(*mut c_void, *mut c_void) =
        unsafe { std::mem::transmute(SET_OBJECT.load(Ordering::Acquire)) };
    // SAFETY: the caller's arguments.
    unsafe { original(kind, value) };
    tell();
}

/// `void PyErr_SetNone(PyObject *type)`.
unsafe extern "C" fn set_none(kind: *mut c_void) {
    // SAFETY: as above.
    let original: unsafe extern "C" fn(*mut c_void) =
        unsafe { std::mem::transmute(SET_NONE.load(Ordering::Acquire)) };
    // SAFETY: the caller's argument.
    unsafe { original(kind) };
    tell();
}

/// `PyObject *PyErr_Format(PyObject *type, const char *format, ...)`: lays the arguments out as a
/// `va_list` (System V ABI, x86-64 supplement, 3.5.7) and passes that.
#[unsafe(naked)]
unsafe extern "C" fn format() {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        // Register save area at rsp: 6 general, 8 vector registers; the list behind it.
        "sub rsp, 216",
        ".cfi_adjust_cfa_offset 216",
        "mov [rsp], rdi",
        "mov [rsp + 8], rsi",
        "mov [rsp + 16], rdx",
        "mov [rsp + 24], rcx",
        "mov [rsp + 32], r8",
        "mov [rsp + 40], r9",
        "test al, al",
        "je 2f",
        "movups [rsp + 48], xmm0",
        "movups [rsp + 64], xmm1",
        "movups [rsp + 80], xmm2",
        "movups [rsp + 96], xmm3",
        "movups [rsp + 112], xmm4",
        "movups [rsp + 128], xmm5",
        "movups [rsp + 144], xmm6",
        "movups [rsp + 160], xmm7",
        "2:",
        "mov dword ptr [rsp + 176], 16",
        "mov dword ptr [rsp + 180], 48",
        "lea rax, [rsp + 224]",
        "mov [rsp + 184], rax",
        "mov [rsp + 192], rsp",
        "lea rdx, [rsp + 176]",
        "call {then}",
        "add rsp, 216",
        ".cfi_adjust_cfa_offset -216",
        "ret",
        ".cfi_endproc",
        then = sym format_v,
    )
}

unsafe extern "C" fn format_v(
    kind: *mut c_void,
    format: *const c_char,
    arguments: *mut c_void,
) -> *mut c_void {
    // SAFETY: set before the hook was installed, and of this type.
    let original: unsafe extern "C" fn(*mut c_void, *const c_char, *mut c_void) -> *mut c_void =
        unsafe { std::mem::transmute(FORMAT_V.load(Ordering::Acquire)) };
    // SAFETY: the caller's arguments.
    let nothing = unsafe { original(kind, format, arguments) };
    tell();
    nothing
}

/// Tells the sink, if a C++ exception is being handled.
fn tell() {
    let sink = SINK.load(Ordering::Acquire);
    if sink == 0 || !IS_ON.load(Ordering::Relaxed) {
        return;
    }
    let errno = sys::errno();
    if let Some(throw) = caught().filter(|_| is_within_limit()) {
        // SAFETY: only `set_sink` stores here.
        let sink: Sink = unsafe { std::mem::transmute(sink) };
        sink(&throw);
    }
    sys::set_errno(errno);
}

/// Counts by the second: 32 bits of the second, 32 of the count.
fn is_within_limit() -> bool {
    static COUNTED: AtomicU64 = AtomicU64::new(0);
    let second = sys::clock_ns(libc::CLOCK_MONOTONIC_COARSE).checked_div(1_000_000_000);
    let second = second.unwrap_or(0) & 0xffff_ffff;
    let counted = COUNTED.load(Ordering::Relaxed);
    let count = if counted >> 32 == second { counted & 0xffff_ffff } else { 0 };
    COUNTED.store((second << 32) | count.saturating_add(1), Ordering::Relaxed);
    count < MOST_PER_S
}
