//! From the kernel's signal frame to a crash request: the part that depends on the processor.

use libc::c_int;

use crate::protocol::{CrashRequest, GENERAL_REGISTERS};

const ARCH_GET_FS: libc::c_int = 0x1003;

/// Base of this thread's TLS block, which the signal frame does not hold; 0 = not known.
pub(crate) fn fs_base() -> u64 {
    let mut base = 0_u64;
    // SAFETY: `base` is a valid place for the answer (arch_prctl(2)).
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_FS, &raw mut base) };
    if result == 0 { base } else { 0 }
}

/// Where the interrupted code goes on: instruction and stack pointer.
///
/// # Safety
/// `context` is the third argument of a signal handler.
pub(crate) unsafe fn position(context: *const libc::c_void) -> (i64, i64) {
    // SAFETY: as promised; general registers stand where `ucontext_t` says.
    let general = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let register = |index: c_int| usize::try_from(index).ok().and_then(|index| general.get(index));
    let register = |index| register(index).copied().unwrap_or(0);
    (register(libc::REG_RIP), register(libc::REG_RSP))
}

/// Whether the interrupted code ran on the thread's alternate stack.
///
/// # Safety
/// As for [`position`].
pub(crate) unsafe fn was_on_alternate_stack(context: *const libc::c_void) -> bool {
    // SAFETY: as promised; the kernel fills `uc_stack` (Linux, `__save_altstack`).
    let stack = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_stack };
    stack.ss_flags & libc::SS_ONSTACK != 0
}

/// Adds the signals that the interrupted code had blocked.
///
/// # Safety
/// As for [`position`].
pub(crate) unsafe fn add_interrupted_mask(context: *const libc::c_void, mask: &mut libc::sigset_t) {
    // SAFETY: as promised; the kernel's set has 64 bits, glibc's type has more, which are not read.
    unsafe {
        let interrupted = &raw const (*context.cast::<libc::ucontext_t>()).uc_sigmask;
        let interrupted = interrupted.cast::<u64>().read_unaligned();
        let mask = std::ptr::from_mut(mask).cast::<u64>();
        mask.write(mask.read() | interrupted);
    }
}

/// Copies the registers of the interrupted code.
///
/// # Safety
/// `context` is the third argument of a signal handler.
pub(crate) unsafe fn copy_registers(request: &mut CrashRequest, context: *const libc::c_void) {
    // SAFETY: in the kernel's `struct rt_sigframe` the handler's return address stands right
    // before the context (Linux, arch/x86/include/asm/sigframe.h).
    request.restorer = unsafe { context.cast::<u64>().sub(1).read_unaligned() };
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the kernel's frame holds the general registers where `ucontext_t` says; nothing
    // behind `uc_mcontext` is read (glibc's type is larger than the kernel's frame).
    let machine = unsafe { &(*context).uc_mcontext };
    let general: &[i64; GENERAL_REGISTERS] = &machine.gregs;
    request.general = *general;
    let fpregs = machine.fpregs.cast::<[u8; 512]>();
    if !fpregs.is_null() {
        // SAFETY: when not null, it points at the FXSAVE area in the signal frame (Linux,
        // `struct sigcontext`, arch/x86/include/uapi/asm/sigcontext.h).
        request.fxsave = unsafe { fpregs.read_unaligned() };
        request.has_fxsave = 1;
    }
}

/// Misaligned reads and writes are allowed from here on, until the handler returns.
///
/// The kernel leaves the flag AC (alignment check, Intel SDM 1, 3.4.3) to signal handlers as the
/// program had set it. Compilers and the C library count on it being clear.
#[inline(always)]
pub(crate) fn allow_misaligned() {
    // SAFETY: clears one flag; the stack is as before.
    unsafe {
        std::arch::asm!("pushfq", "and qword ptr [rsp], {others}", "popfq", others = const !0x4_0000);
    }
}

/// Fills in the registers of the caller, at the place of the call, as a debugger would see them:
/// what a caller must save itself is not told.
#[inline(always)]
pub(crate) fn here(request: &mut CrashRequest) {
    const USER_SELECTORS: i64 = 0x2b_0000_0000_0033;
    let mut general = [0_i64; GENERAL_REGISTERS];
    // SAFETY: writes the eight words of `general` that stand at these offsets (order: `gregs`,
    // sys/ucontext.h). The scratch registers are named, so that none of those told is one.
    unsafe {
        std::arch::asm!(
            "mov [rax + 32], r12",
            "mov [rax + 40], r13",
            "mov [rax + 48], r14",
            "mov [rax + 56], r15",
            "mov [rax + 80], rbp",
            "mov [rax + 88], rbx",
            "mov [rax + 120], rsp",
            "lea rcx, [rip]",
            "mov [rax + 128], rcx",
            in("rax") general.as_mut_ptr(),
            out("rcx") _,
            options(nostack, preserves_flags)
        );
    }
    general[18] = USER_SELECTORS;
    request.general = general;
}
