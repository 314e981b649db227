//! A fault that another handler saw first and then raised again, as faulthandler does: `raise()`
//! gives the signal a new siginfo without address, but the kernel's frame of the real fault still
//! stands on the stack, above. For a handler without `SA_SIGINFO` the kernel leaves the siginfo
//! there empty; then the trap's own registers (`trapno`, `err`, `cr2`) tell what it would say.
//!
//! `struct rt_sigframe` on x86-64 (Linux, arch/x86/include/asm/sigframe.h and uapi/asm/ucontext.h):
//!
//! | offset | size | type | field |
//! |---|---|---|---|
//! | 0 | 8 | u64 | return address of the handler: the restorer |
//! | 8 | 40 | | uc_flags, uc_link, uc_stack |
//! | 48 | 184 | u64[23] | general registers, in the order of `gregs`: [16] rip, [18] selectors, [19] error code, [20] trap number, [22] cr2 |
//! | 232 | 8 | u64 | address of the FXSAVE area |
//! | 240 | 72 | | reserved, uc_sigmask |
//! | 312 | 128 | bytes | siginfo |

use lastwords_capture::protocol::{CrashRequest, GENERAL_REGISTERS};
use lastwords_format::{DecodeError, Reader, Writer};
use lastwords_pyframes::Memory;

use super::memory::read_available;
use super::x86_64::stack_pointer;
use crate::signal_names::has_address;

/// How far above the stack pointer a frame is looked for: the frames of a handler that raises.
const SEARCHED_BYTES: u64 = 128 * 1024;
const FRAME_SIZE: usize = 440;
const SI_TKILL: i32 = -6;

const USER_CODE_SELECTOR: u64 = 0x33;

/// The request as it would be, had our handler seen the fault first; `None` when it did.
/// `is_mapped` tells whether anything is mapped at an address.
pub(crate) fn original(
    request: &CrashRequest,
    memory: &dyn Memory,
    is_mapped: &dyn Fn(u64) -> bool,
) -> Option<CrashRequest> {
    let is_fault = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP]
        .contains(&request.signal());
    if !is_fault || request.code() != SI_TKILL || request.restorer == 0 {
        return None;
    }
    let stack = read_available(memory, stack_pointer(request), SEARCHED_BYTES);
    let frames = stack.windows(FRAME_SIZE).step_by(8);
    frames.filter_map(|frame| decode(frame, request, memory, is_mapped).ok().flatten()).next()
}

fn decode(
    frame: &[u8],
    request: &CrashRequest,
    memory: &dyn Memory,
    is_mapped: &dyn Fn(u64) -> bool,
) -> Result<Option<CrashRequest>, DecodeError> {
    let mut reader = Reader::new(frame);
    if reader.u64("restorer")? != request.restorer {
        return Ok(None);
    }
    let mut original = *request;
    reader.take(40, "uc_flags to uc_stack")?;
    let mut general = [0; GENERAL_REGISTERS];
    for register in &mut general {
        *register = reader.u64("general register")?.cast_signed();
    }
    original.general = general;
    let fxsave = reader.u64("fpstate")?;
    original.has_fxsave = memory.read(fxsave, &mut original.fxsave).is_ok().into();
    reader.take(72, "reserved, uc_sigmask")?;
    original.siginfo.copy_from_slice(reader.take(128, "siginfo")?);
    if original.signal() == request.signal() && has_address(original.signal(), original.code()) {
        return Ok(Some(original));
    }
    if is_of_another_signal(&original) {
        return Ok(None);
    }
    let fault = fault_of_trap(request.signal(), &general, memory, is_mapped);
    let Some((code, address)) = fault else { return Ok(None) };
    original.siginfo = new_siginfo(request.signal(), code, address);
    Ok(Some(original))
}

/// Whether the siginfo in a frame is a whole one, of a signal that was not raised again: we stand
/// in the handler of a timer, say. Where the kernel leaves it out, the bytes are the stack's old ones.
fn is_of_another_signal(frame: &CrashRequest) -> bool {
    let errno = frame.siginfo.get(4..8);
    (1..=64).contains(&frame.signal()) && errno == Some(&[0; 4])
}

/// Whether `div` or `idiv` stands at an address: `F6`/`F7` with 6 or 7 in the middle of the next
/// byte, behind prefixes (Intel SDM volume 2, DIV, IDIV).
fn is_division(memory: &dyn Memory, address: u64) -> bool {
    let code = read_available(memory, address, 16);
    let is_prefix =
        |byte: &&u8| matches!(byte, 0x2E | 0x36 | 0x3E | 0x26 | 0x40..=0x4F | 0x64..=0x67);
    let mut rest = code.iter().skip_while(is_prefix);
    let (opcode, operand) = (rest.next(), rest.next());
    matches!(opcode, Some(0xF6 | 0xF7)) && operand.is_some_and(|byte| (byte >> 3) & 6 == 6)
}

/// `si_code` and `si_addr` that the kernel gives for a trap (Linux, arch/x86/kernel/traps.c and
/// arch/x86/mm/fault.c); `None` for traps that do not make this signal.
fn fault_of_trap(
    signal: i32,
    general: &[i64; GENERAL_REGISTERS],
    memory: &dyn Memory,
    is_mapped: &dyn Fn(u64) -> bool,
) -> Option<(i32, u64)> {
    const SEGV_MAPERR: i32 = 1;
    const SEGV_ACCERR: i32 = 2;
    const BUS_ADRERR: i32 = 2;
    const FPE_INTDIV: i32 = 1;
    const ILL_ILLOPN: i32 = 2;
    const SI_KERNEL: i32 = 0x80;
    const DIVIDE_ERROR: u64 = 0;
    const INVALID_OPCODE: u64 = 6;
    const GENERAL_PROTECTION: u64 = 13;
    const PAGE_FAULT: u64 = 14;
    let [.., rip, _, selectors, _, trap, _, address] = general.map(i64::cast_unsigned);
    if selectors & 0xFFFF != USER_CODE_SELECTOR {
        return None;
    }
    match (signal, trap) {
        (libc::SIGSEGV, PAGE_FAULT) if is_mapped(address) => Some((SEGV_ACCERR, address)),
        (libc::SIGSEGV, PAGE_FAULT) => Some((SEGV_MAPERR, address)),
        (libc::SIGSEGV, GENERAL_PROTECTION) => Some((SI_KERNEL, 0)),
        (libc::SIGBUS, PAGE_FAULT) => Some((BUS_ADRERR, address)),
        // A thread that never trapped has the number 0 too.
        (libc::SIGFPE, DIVIDE_ERROR) if is_division(memory, rip) => Some((FPE_INTDIV, rip)),
        (libc::SIGILL, INVALID_OPCODE) => Some((ILL_ILLOPN, rip)),
        _ => None,
    }
}

/// `si_signo`, `si_errno`, `si_code`, padding, `si_addr`.
fn new_siginfo(signal: i32, code: i32, address: u64) -> [u8; 128] {
    let mut writer = Writer::new();
    writer.i32(signal).i32(0).i32(code).i32(0).u64(address).raw(&[0; 104]);
    writer.into_bytes().try_into().unwrap_or([0; 128])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use lastwords_capture::protocol::{CRASH_MAGIC, VERSION};
    use lastwords_pyframes::MemoryError;

    const STACK: u64 = 0x7000_0000;
    const RESTORER: u64 = 0x1234_5678;

    struct Stack(Vec<u8>);

    impl Memory for Stack {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
            let missing = || MemoryError::new(address, buffer.len(), "not mapped");
            let start = address.checked_sub(STACK).ok_or_else(missing)?;
            let start = usize::try_from(start).unwrap();
            let bytes = self.0.get(start..start + buffer.len()).ok_or_else(missing)?;
            buffer.copy_from_slice(bytes);
            Ok(())
        }
    }

    fn raised(signal: i32) -> CrashRequest {
        let mut general = [0; GENERAL_REGISTERS];
        general[15] = STACK.cast_signed();
        CrashRequest {
            magic: CRASH_MAGIC,
            version: VERSION,
            pid: 1,
            tid: 1,
            time_ns: 0,
            siginfo: new_siginfo(signal, SI_TKILL, 0),
            general,
            has_fxsave: 0,
            budget_ms: 0,
            fxsave: [0; 512],
            fs_base: 0,
            restorer: RESTORER,
        }
    }

    /// A stack with a signal frame at `offset`.
    fn stack(offset: usize, info: &[u8; 128]) -> Stack {
        let mut bytes = vec![0; 8192];
        bytes[offset..offset + 8].copy_from_slice(&RESTORER.to_ne_bytes());
        bytes[offset + 48 + 16 * 8..][..8].copy_from_slice(&0x4242_u64.to_ne_bytes());
        bytes[offset + 312..][..128].copy_from_slice(info);
        Stack(bytes)
    }

    fn find(request: &CrashRequest, memory: &dyn Memory) -> Option<CrashRequest> {
        original(request, memory, &|address| address >= 0x1000)
    }

    #[test]
    fn the_frame_of_the_real_fault_is_found() {
        let stack = stack(4096 + 8, &new_siginfo(libc::SIGSEGV, 1, 0x98));
        let original = find(&raised(libc::SIGSEGV), &stack).unwrap();
        assert_eq!((original.code(), original.fault_address()), (1, 0x98));
        assert_eq!(original.general[16], 0x4242);
    }

    #[test]
    fn an_empty_siginfo_is_made_anew_from_the_trap() {
        let mut general = [0; GENERAL_REGISTERS];
        let division = code_at_rip(&[0x48, 0xF7, 0xF9]); // idiv rcx
        (general[16], general[18], general[22]) = (STACK.cast_signed(), 0x2b_0000_0000_0033, 0x98);
        let code = |signal, trap, address| {
            let mut general = general;
            (general[20], general[22]) = (trap, address);
            fault_of_trap(signal, &general, &division, &|address| address >= 0x1000)
        };
        assert_eq!(code(libc::SIGSEGV, 14, 0x98), Some((1, 0x98)));
        assert_eq!(code(libc::SIGSEGV, 14, 0x2000), Some((2, 0x2000)));
        assert_eq!(code(libc::SIGSEGV, 13, 0), Some((0x80, 0)));
        assert_eq!(code(libc::SIGFPE, 0, 0), Some((1, STACK)));
        assert_eq!(code(libc::SIGILL, 6, 0), Some((2, STACK)));
        assert_eq!(code(libc::SIGSEGV, 6, 0), None, "that trap makes another signal");
        general[18] = 0;
        let fault = fault_of_trap(libc::SIGSEGV, &general, &division, &|_| false);
        assert_eq!(fault, None, "no user code");
    }

    #[test]
    fn trap_0_is_a_division_only_where_one_stands() {
        let mut general = [0; GENERAL_REGISTERS];
        (general[16], general[18]) = (STACK.cast_signed(), 0x33);
        let fault = |code: &[u8]| {
            fault_of_trap(libc::SIGFPE, &general, &code_at_rip(code), &|_| false).is_some()
        };
        assert!(fault(&[0xF7, 0xF1]) && fault(&[0x66, 0xF7, 0x78, 0x08]) && fault(&[0xF6, 0xF3]));
        assert!(!fault(&[0xF7, 0xD8]), "neg");
        assert!(!fault(&[0x0F, 0x05]), "a thread that waits in a system call");
    }

    #[test]
    fn the_frame_of_another_signal_is_no_fault() {
        let timer = stack(1024, &new_siginfo(libc::SIGALRM, 0x80, 0));
        let mut bytes = timer.0;
        bytes[1024 + 48 + 18 * 8] = 0x33;
        bytes[1024 + 48 + 20 * 8] = 14;
        assert_eq!(find(&raised(libc::SIGSEGV), &Stack(bytes)), None);
    }

    /// Memory with code at `STACK`.
    fn code_at_rip(code: &[u8]) -> Stack {
        let mut bytes = vec![0x90; 64];
        bytes[..code.len()].copy_from_slice(code);
        Stack(bytes)
    }

    #[test]
    fn what_was_really_raised_stays_as_it_is() {
        let other = stack(1024, &new_siginfo(libc::SIGBUS, 1, 0x98));
        assert_eq!(find(&raised(libc::SIGSEGV), &other), None, "another signal's frame");
        let sent = stack(1024, &new_siginfo(libc::SIGSEGV, SI_TKILL, 0));
        assert_eq!(find(&raised(libc::SIGSEGV), &sent), None, "nobody faulted");
        assert_eq!(find(&raised(libc::SIGABRT), &sent), None, "abort() is raised");
        assert_eq!(find(&raised(libc::SIGSEGV), &Stack(vec![0; 64])), None, "short stack");
    }
}
