//! Ways to die, for tests: a C library of faults.
//!
//! Every `fault_*` function has the C signature `void fault(void)`, ends the process in exactly one
//! way and does not return. Tests load the library through `ctypes` into a Python process and compare
//! what the dump says with the table below.
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
//!
//! Besides: [`faults_kill_thread`] (a signal sent by `tgkill`), [`faults_in_native_thread`] (a fault in a
//! thread that Python does not know) and [`faults_deny_ptrace`] (a machine on which nobody may trace).

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!(
    "the faults are written for x86-64 Linux; other systems need their own instructions"
);

mod filter;
mod signals;

pub use filter::{fault_system_call, faults_deny_ptrace};
pub use signals::{fault_abort, fault_bus_past_end, faults_in_native_thread, faults_kill_thread};

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
