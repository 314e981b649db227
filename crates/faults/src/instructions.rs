//! Single instructions that the processor refuses.

use core::arch::asm;

/// Store 16 bytes at an address that is not a multiple of 16: a general protection fault.
#[unsafe(no_mangle)]
pub extern "C" fn fault_misaligned() {
    let mut room = [0_u8; 64];
    // SAFETY: the instruction faults before it writes; the room would hold what it writes.
    unsafe {
        asm!("and {at}, -16", "movaps xmmword ptr [{at} + 17], xmm0", at = inout(reg) room.as_mut_ptr() => _);
    }
}

/// Halt the processor, which only the kernel may.
#[unsafe(no_mangle)]
pub extern "C" fn fault_privileged() {
    // SAFETY: without privilege the instruction changes nothing and faults.
    unsafe { asm!("hlt") }
}

/// Raise an interrupt whose gate is the kernel's.
#[unsafe(no_mangle)]
pub extern "C" fn fault_interrupt() {
    // SAFETY: without privilege the instruction changes nothing and faults.
    unsafe { asm!("int 0x42") }
}

/// An instruction that takes no `lock` prefix, with one.
#[unsafe(no_mangle)]
pub extern "C" fn fault_lock_prefix() {
    // SAFETY: the instruction changes nothing and faults. Bytes, because no assembler accepts it.
    unsafe { asm!(".byte 0xf0, 0x90") }
}

/// Jump to an address that no x86-64 page table can hold.
#[unsafe(no_mangle)]
pub extern "C" fn fault_execute_non_canonical() {
    // SAFETY: the call faults before it leaves.
    unsafe { asm!("call {at}", at = in(reg) 0xdead_beef_dead_beef_u64, clobber_abi("C")) }
}

/// Divide the smallest 32-bit number by -1, whose quotient has no room.
#[unsafe(no_mangle)]
pub extern "C" fn fault_divide_overflow() {
    // SAFETY: the division faults before it changes a register.
    unsafe {
        asm!("cdq", "idiv {by:e}", by = in(reg) -1_i32, inout("eax") i32::MIN => _, out("edx") _);
    }
}

/// Divide a float by zero with that exception unmasked in MXCSR.
#[unsafe(no_mangle)]
pub extern "C" fn fault_divide_float() {
    const UNMASKED_DIVIDE_BY_ZERO: u32 = 0x1f80 & !(1 << 9);
    let mxcsr = UNMASKED_DIVIDE_BY_ZERO;
    // SAFETY: sets this thread's own control register; the division then raises SIGFPE.
    unsafe {
        asm!(
            "ldmxcsr dword ptr [{mxcsr}]", "divsd {one}, {zero}",
            mxcsr = in(reg) &raw const mxcsr, one = inout(xmm_reg) 1.0_f64 => _, zero = in(xmm_reg) 0.0_f64,
        );
    }
}

/// Set the trap flag: the processor stops after the next instruction.
#[unsafe(no_mangle)]
pub extern "C" fn fault_single_step() {
    // SAFETY: changes one flag, which the kernel clears in the handler; the stack is balanced.
    unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop", "nop") }
}

/// Read a misaligned number with alignment checks on: the only SIGBUS that an instruction raises by itself.
#[unsafe(no_mangle)]
pub extern "C" fn fault_alignment_check() {
    let room = [0_u8; 16];
    // SAFETY: changes one flag of this thread; the address lies within the room.
    unsafe {
        asm!(
            "pushfq", "or qword ptr [rsp], 0x40000", "popfq",
            "and {at}, -8", "mov {value}, qword ptr [{at} + 1]",
            at = inout(reg) room.as_ptr() => _, value = out(reg) _,
        );
    }
}
