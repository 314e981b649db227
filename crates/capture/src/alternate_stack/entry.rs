//! Where a thread with an alternate stack begins: the part that depends on the processor.

use libc::c_void;

use super::{Start, prepare};

/// Start routine of `pthread_create`: registers the alternate stack, then jumps to what the caller
/// wanted to run. No frame of ours stays on the stack: it looks as without us, and
/// `pthread_exit`, cancellation and exceptions pass as they always did.
///
/// # Safety
/// `handle` is that of a stack of the pool whose start is set; called by the C library, once.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn begin(handle: *mut c_void) -> *mut c_void {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "sub rsp, 8", // a call wants the stack aligned to 16 bytes
        ".cfi_adjust_cfa_offset 8",
        "call {prepare}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "mov rdi, rdx", // `Start` comes back in two registers
        "jmp rax",
        ".cfi_endproc",
        prepare = sym prepare,
    )
}

const _: () = assert!(size_of::<Start>() == 16);
