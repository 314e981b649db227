//! Faults of memory that is there, but not for this use.

use core::arch::asm;
use core::ptr;

const PAGE_BYTES: usize = 4096;
/// `ret`.
const RETURN: u8 = 0xc3;

/// A new page; null if the kernel gives none, in which case the faults below read a null pointer.
fn page(protection: libc::c_int) -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping touches nothing that exists.
    let at = unsafe { libc::mmap(ptr::null_mut(), PAGE_BYTES, protection, flags, -1, 0) };
    if at == libc::MAP_FAILED { ptr::null_mut() } else { at.cast() }
}

fn call(at: *const u8) {
    // SAFETY: the page may not be executed, or is gone: the call faults at its target.
    unsafe { asm!("call {at}", at = in(reg) at, clobber_abi("C")) }
}

/// Write to a guard page.
#[unsafe(no_mangle)]
pub extern "C" fn fault_guard_page() {
    let at = page(libc::PROT_NONE);
    // SAFETY: the page allows nothing, so the instruction faults and nothing is written.
    unsafe { asm!("mov byte ptr [{at} + 0x123], 1", at = in(reg) at) }
}

/// Call code whose page has lost its right to be executed.
#[unsafe(no_mangle)]
pub extern "C" fn fault_execute_protected() {
    let at = page(libc::PROT_READ | libc::PROT_WRITE);
    if !at.is_null() {
        // SAFETY: a page of our own.
        unsafe { at.write_volatile(RETURN) }
    }
    call(at);
}

/// Call code that has been unmapped, as after a `dlclose` too early.
#[unsafe(no_mangle)]
pub extern "C" fn fault_execute_unmapped() {
    let at = page(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
    // SAFETY: a page of our own, which nothing else uses.
    unsafe { libc::munmap(at.cast(), PAGE_BYTES) };
    call(at);
}

/// Write into this library's own code.
#[unsafe(no_mangle)]
pub extern "C" fn fault_write_code() {
    let at = fault_write_code as *const u8;
    // SAFETY: code may not be written, so the instruction faults and nothing is written.
    unsafe { asm!("mov byte ptr [{at}], 0x90", at = in(reg) at) }
}
