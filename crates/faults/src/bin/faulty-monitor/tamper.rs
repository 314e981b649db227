//! What is done to one system call, at its entry and at its exit.

use crate::ptrace;

/// What is left to do when the call has been made.
#[derive(Debug, Clone, Copy)]
pub enum AtExit {
    /// Answer this errno.
    Answer(i32),
    /// Put a word of memory back that was changed.
    Restore { address: u64, word: u64 },
}

/// Makes a call answer `errno` instead of being made.
pub fn fail(tid: libc::pid_t, errno: i32) -> Option<AtExit> {
    let mut registers = ptrace::registers(tid).ok()?;
    // No such call: the kernel does nothing.
    registers.orig_rax = u64::MAX;
    ptrace::set_registers(tid, &registers);
    Some(AtExit::Answer(errno))
}

/// Does what is left to do.
pub fn finish(tid: libc::pid_t, left: AtExit) {
    match left {
        AtExit::Answer(errno) => {
            if let Ok(mut registers) = ptrace::registers(tid) {
                registers.rax = i64::from(errno).wrapping_neg().cast_unsigned();
                ptrace::set_registers(tid, &registers);
            }
        }
        AtExit::Restore { address, word } => ptrace::poke(tid, address, word),
    }
}

/// Offset of `iov_len` in a `struct iovec`.
const IOV_LEN: u64 = 8;

/// Asks for half of the bytes; `None` where the call cannot answer short.
///
/// Calls with a count have it as their third argument; those with vectors are left with their first one, of half
/// the length. A datagram is never short, so sockets are left alone.
pub fn shorten(tid: libc::pid_t, call: i64) -> Option<Option<AtExit>> {
    let mut registers = ptrace::registers(tid).ok()?;
    match call {
        libc::SYS_read | libc::SYS_pread64 | libc::SYS_write | libc::SYS_pwrite64 => {
            registers.rdx = half(registers.rdx);
        }
        libc::SYS_getrandom => registers.rsi = half(registers.rsi),
        libc::SYS_sendfile => registers.r10 = half(registers.r10),
        libc::SYS_copy_file_range => registers.r8 = half(registers.r8),
        libc::SYS_writev | libc::SYS_readv | libc::SYS_preadv | libc::SYS_pwritev => {
            registers.rdx = registers.rdx.min(1);
            ptrace::set_registers(tid, &registers);
            return Some(halve_vector(tid, registers.rsi));
        }
        libc::SYS_process_vm_readv => {
            registers.r8 = registers.r8.min(1);
            ptrace::set_registers(tid, &registers);
            return Some(halve_vector(tid, registers.r10));
        }
        _ => return None,
    }
    ptrace::set_registers(tid, &registers);
    Some(None)
}

/// At least one byte, as the kernel does: nothing means the end of a file.
fn half(count: u64) -> u64 {
    count.div_ceil(2)
}

fn halve_vector(tid: libc::pid_t, vector: u64) -> Option<AtExit> {
    let address = vector.wrapping_add(IOV_LEN);
    let word = ptrace::peek(tid, address);
    ptrace::poke(tid, address, half(word));
    Some(AtExit::Restore { address, word })
}
