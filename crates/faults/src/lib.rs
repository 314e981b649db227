//! Ways to die, for tests: a C library of faults.
//!
//! Every `fault_*` function has the C signature `void fault(void)`, ends the process in exactly one
//! way and does not return. Tests load the library through `ctypes` into a Python process and compare
//! what the dump says with the table below. What needs C++ is in `tests/integration/programs/faults.cpp`.
//!
//! | function | signal | `si_code` | fault address |
//! |---|---|---|---|
//! | `fault_read_null` | SIGSEGV | SEGV_MAPERR | 0 |
//! | `fault_write_null` | SIGSEGV | SEGV_MAPERR | 0 |
//! | `fault_execute_null` | SIGSEGV | SEGV_MAPERR | 0 |
//! | `fault_read_wild` | SIGSEGV | SEGV_MAPERR | [`WILD_ADDRESS`] |
//! | `fault_write_wild` | SIGSEGV | SEGV_MAPERR | [`WILD_ADDRESS`] |
//! | `fault_execute_wild` | SIGSEGV | SEGV_MAPERR | [`WILD_ADDRESS`] |
//! | `fault_read_non_canonical` | SIGSEGV | SI_KERNEL | 0: x86-64 does not tell it |
//! | `fault_write_read_only` | SIGSEGV | SEGV_ACCERR | an address of this library's constants |
//! | `fault_execute_data` | SIGSEGV | SEGV_ACCERR | an address of this library's data |
//! | `fault_bus_past_end` | SIGBUS | BUS_ADRERR | second page of a one-page file's mapping |
//! | `fault_divide` | SIGFPE | FPE_INTDIV | the instruction |
//! | `fault_illegal` | SIGILL | ILL_ILLOPN | the instruction |
//! | `fault_abort` | SIGABRT | SI_TKILL | none; `si_pid`, `si_uid` |
//! | `fault_trap` | SIGTRAP | SI_KERNEL | 0 |
//! | `fault_system_call` | SIGSYS | SYS_SECCOMP | the instruction after the call |
//! | `fault_misaligned`, `fault_privileged`, `fault_interrupt` | SIGSEGV | SI_KERNEL | 0: x86-64 does not tell it |
//! | `fault_execute_non_canonical` | SIGSEGV | SI_KERNEL | 0: x86-64 does not tell it |
//! | `fault_lock_prefix` | SIGILL | ILL_ILLOPN | the instruction |
//! | `fault_divide_overflow` | SIGFPE | FPE_INTDIV | the instruction |
//! | `fault_divide_float` | SIGFPE | FPE_FLTDIV | the instruction |
//! | `fault_single_step` | SIGTRAP | TRAP_TRACE | an instruction of this library |
//! | `fault_alignment_check` | SIGBUS | BUS_ADRALN | 0: x86-64 does not tell it |
//! | `fault_guard_page` | SIGSEGV | SEGV_ACCERR | 0x123 bytes into the page |
//! | `fault_execute_protected` | SIGSEGV | SEGV_ACCERR | start of a page |
//! | `fault_execute_unmapped` | SIGSEGV | SEGV_MAPERR | start of a page |
//! | `fault_write_code` | SIGSEGV | SEGV_ACCERR | the function itself |
//! | `fault_recursion` | SIGSEGV | SEGV_ACCERR or SEGV_MAPERR | below the stack |
//! | `fault_big_frame` | SIGSEGV | SEGV_ACCERR or SEGV_MAPERR | 64 KiB below the stack |
//! | `fault_trashed_sp` | SIGSEGV | SEGV_MAPERR | eight bytes below [`WILD_ADDRESS`] |
//! | `fault_trashed_bp` | SIGSEGV | SEGV_MAPERR | 0 |
//! | `fault_trashed_all` | SIGSEGV | SEGV_MAPERR | [`WILD_ADDRESS`] |
//! | `fault_panic`, `fault_abort_blocked`, `fault_abort_by_other_thread` | SIGABRT | SI_TKILL | none |
//! | `fault_killed_by_process` | SIGBUS | SI_TKILL | none; `si_pid` is the sender |
//!
//! Besides: [`faults_kill_thread`], [`faults_raise`], [`faults_queue`] (signals that are sent),
//! [`faults_in_native_thread`] (a fault in a thread that Python does not know) and [`faults_deny_ptrace`]
//! (a machine on which nobody may trace).

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!(
    "the faults are written for x86-64 Linux; other systems need their own instructions"
);

mod aborts;
mod filter;
mod instructions;
mod mappings;
mod signals;
mod stacks;

pub use aborts::{
    fault_abort_blocked, fault_abort_by_other_thread, fault_killed_by_process, fault_panic,
    faults_queue, faults_raise,
};
pub use filter::{fault_system_call, faults_deny_ptrace};
pub use instructions::{
    fault_alignment_check, fault_divide_float, fault_divide_overflow, fault_execute_non_canonical,
    fault_interrupt, fault_lock_prefix, fault_misaligned, fault_privileged, fault_single_step,
};
pub use mappings::{
    fault_execute_protected, fault_execute_unmapped, fault_guard_page, fault_write_code,
};
pub use signals::{fault_abort, fault_bus_past_end, faults_in_native_thread, faults_kill_thread};
pub use stacks::{
    fault_big_frame, fault_recursion, fault_trashed_all, fault_trashed_bp, fault_trashed_sp,
};

use core::arch::asm;

/// An address at which nothing is mapped: above the kernel's `mmap_min_addr`, far below where it puts
/// programs and libraries.
pub const WILD_ADDRESS: usize = 0xdead_0000;

static READ_ONLY: u64 = 0x11;
static mut DATA: [u8; 16] = [0xc3; 16];

/// Read eight bytes through a null pointer.
#[unsafe(no_mangle)]
pub extern "C" fn fault_read_null() {
    // SAFETY: nothing is mapped at 0, so the instruction faults and nothing is read.
    unsafe { asm!("mov {value}, qword ptr [{at}]", at = in(reg) 0_usize, value = out(reg) _) }
}

/// Write eight bytes through a null pointer.
#[unsafe(no_mangle)]
pub extern "C" fn fault_write_null() {
    // SAFETY: nothing is mapped at 0, so the instruction faults and nothing is written.
    unsafe { asm!("mov qword ptr [{at}], {at}", at = in(reg) 0_usize) }
}

/// Call a null function pointer.
#[unsafe(no_mangle)]
pub extern "C" fn fault_execute_null() {
    // SAFETY: nothing is mapped at 0, so the call faults at its target and does not come back.
    unsafe { asm!("call {at}", at = in(reg) 0_usize, clobber_abi("C")) }
}

/// Read eight bytes at [`WILD_ADDRESS`].
#[unsafe(no_mangle)]
pub extern "C" fn fault_read_wild() {
    // SAFETY: nothing is mapped at WILD_ADDRESS, so the instruction faults and nothing is read.
    unsafe { asm!("mov {value}, qword ptr [{at}]", at = in(reg) WILD_ADDRESS, value = out(reg) _) }
}

/// Write eight bytes at [`WILD_ADDRESS`].
#[unsafe(no_mangle)]
pub extern "C" fn fault_write_wild() {
    // SAFETY: nothing is mapped at WILD_ADDRESS, so the instruction faults and nothing is written.
    unsafe { asm!("mov qword ptr [{at}], {at}", at = in(reg) WILD_ADDRESS) }
}

/// Call [`WILD_ADDRESS`].
#[unsafe(no_mangle)]
pub extern "C" fn fault_execute_wild() {
    // SAFETY: nothing is mapped at WILD_ADDRESS, so the call faults at its target and does not come back.
    unsafe { asm!("call {at}", at = in(reg) WILD_ADDRESS, clobber_abi("C")) }
}

/// Read at an address that no x86-64 page table can hold: a general protection fault.
#[unsafe(no_mangle)]
pub extern "C" fn fault_read_non_canonical() {
    // SAFETY: the address is not canonical, so the instruction faults and nothing is read.
    unsafe {
        asm!("mov {value}, qword ptr [{at}]", at = in(reg) 0xdead_beef_dead_beef_u64, value = out(reg) _);
    }
}

/// Write to a constant of this library.
#[unsafe(no_mangle)]
pub extern "C" fn fault_write_read_only() {
    // SAFETY: the page holds constants and may not be written, so the instruction faults.
    unsafe { asm!("mov qword ptr [{at}], {at}", at = in(reg) &raw const READ_ONLY) }
}

/// Call into data, which may not be executed.
#[unsafe(no_mangle)]
pub extern "C" fn fault_execute_data() {
    // SAFETY: the page holds data and may not be executed, so the call faults at its target.
    unsafe { asm!("call {at}", at = in(reg) &raw mut DATA, clobber_abi("C")) }
}

/// Divide by zero.
#[unsafe(no_mangle)]
pub extern "C" fn fault_divide() {
    // SAFETY: the division faults before it changes a register.
    unsafe {
        asm!("div {zero:e}", zero = in(reg) 0_u32, inout("eax") 1_u32 => _, inout("edx") 0_u32 => _)
    }
}

/// Execute an instruction that is defined to be undefined.
#[unsafe(no_mangle)]
pub extern "C" fn fault_illegal() {
    // SAFETY: `ud2` changes nothing and faults.
    unsafe { asm!("ud2") }
}

/// Execute a breakpoint without a debugger.
#[unsafe(no_mangle)]
pub extern "C" fn fault_trap() {
    // SAFETY: `int3` changes nothing and raises SIGTRAP.
    unsafe { asm!("int3") }
}
