//! Stacks that end, and registers that no longer point to any.

use core::arch::asm;
use core::hint::black_box;

use crate::WILD_ADDRESS;

#[inline(never)]
#[allow(unconditional_recursion)] // it is what this function is for
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    // Not the last thing that it does, so that no compiler makes a loop of it.
    descend(depth.wrapping_add(1)).wrapping_add(frame.iter().fold(0, |sum, at| sum ^ at))
}

/// Call itself until the stack is used up.
#[unsafe(no_mangle)]
pub extern "C" fn fault_recursion() {
    black_box(descend(black_box(0)));
}

/// Move the stack pointer over the guard of the stack in one step, as a frame of many megabytes does
/// that was compiled without probes, and write there.
#[unsafe(no_mangle)]
pub extern "C" fn fault_big_frame() {
    // SAFETY: the push writes far below the stack, where nothing of ours is mapped, and faults.
    unsafe {
        asm!("sub rsp, {bytes}", "push rax", bytes = in(reg) big_frame_bytes(), options(noreturn))
    }
}

/// From the current stack pointer to 64 KiB below the start of this thread's stack.
fn big_frame_bytes() -> usize {
    const BELOW_BYTES: usize = 64 * 1024;
    let mut start = core::ptr::null_mut();
    let mut size = 0;
    // SAFETY: the attributes are filled by the first call, read, and destroyed.
    unsafe {
        let mut attributes = core::mem::zeroed::<libc::pthread_attr_t>();
        libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes);
        libc::pthread_attr_getstack(&raw const attributes, &raw mut start, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
    }
    let here = (&raw const size).addr();
    here.saturating_sub(start.addr()).saturating_add(BELOW_BYTES)
}

/// Push with a stack pointer that points nowhere.
#[unsafe(no_mangle)]
pub extern "C" fn fault_trashed_sp() {
    // SAFETY: nothing is mapped below WILD_ADDRESS, so the push faults.
    unsafe { asm!("mov rsp, {at}", "push rax", at = in(reg) WILD_ADDRESS, options(noreturn)) }
}

/// Read a null pointer with a frame pointer that points nowhere.
#[unsafe(no_mangle)]
pub extern "C" fn fault_trashed_bp() {
    // SAFETY: nothing is mapped at 0, so the read faults; control does not come back.
    unsafe {
        asm!(
            "mov rbp, {at}", "xor eax, eax", "mov rax, qword ptr [rax]",
            at = in(reg) WILD_ADDRESS, options(noreturn),
        );
    }
}

/// Jump into the middle of nowhere with stack and frame pointer pointing nowhere either.
#[unsafe(no_mangle)]
pub extern "C" fn fault_trashed_all() {
    // SAFETY: nothing is mapped at WILD_ADDRESS, so the jump faults at its target.
    unsafe {
        asm!("mov rsp, {at}", "mov rbp, {at}", "jmp {at}", at = in(reg) WILD_ADDRESS, options(noreturn));
    }
}
