//! Was a fault a stack overflow?
//!
//! Decided from where the stack pointer stood, what lay there, and which address faulted:
//!
//! * a thread's stack ends in a guard, memory without permissions (glibc: one page); since Linux
//!   6.13 a guard may also be marked inside the mapping (`MADV_GUARD_INSTALL`), where only the fault
//!   shows it: nothing is mapped at an address that is listed as writable;
//! * the main thread's stack grows by faults until `RLIMIT_STACK`, or until it comes within 1 MiB
//!   of another mapping (`stack_guard_gap`): a fault in the hole below it means that it may not;
//! * a function with large variables jumps over the guard, so the stack pointer may stand far below
//!   its stack; then it counts that this is the thread's own stack, or nothing else lies between.

use lastwords_format::streams::exception::Access;

use super::maps::Mapping;
use crate::snapshot::StackOverflow;

/// How far the fault may lie below the stack pointer (a call's return address, the red zone, code
/// that touches the pages of its frame before it moves the stack pointer), and how much of the
/// stack may be left.
const NEAR: u64 = 64 * 1024;
/// Largest frame of a function. Fortran puts arrays of hundreds of megabytes on the stack.
const LARGEST_FRAME: u64 = 1 << 30;
/// `SEGV_MAPERR`: nothing is mapped at the address.
const MAPERR: i32 = 1;
/// How `/proc/PID/maps` calls the stack that grows.
const MAIN_STACK: &str = "[stack]";

/// What is known of the fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) signal: i32,
    pub(crate) code: i32,
    pub(crate) address: Option<u64>,
    pub(crate) access: Option<Access>,
    pub(crate) stack_pointer: u64,
    /// Base of the thread's TLS block, which glibc and musl keep at the top of its stack; 0 = not
    /// known.
    pub(crate) thread_block: u64,
}

/// Names the overflow; `None` when it was none. `main_limit` is the soft `RLIMIT_STACK`, if any.
pub(crate) fn find(
    fault: &Fault,
    mappings: &[Mapping],
    main_limit: Option<u64>,
) -> Option<StackOverflow> {
    let address = fault.address?;
    let lowest = fault.stack_pointer.checked_sub(NEAR)?;
    if fault.signal != libc::SIGSEGV || fault.access == Some(Access::Execute) || address < lowest {
        return None;
    }
    let stack = mappings.iter().find(|m| m.end() > fault.stack_pointer && !is_guard(m))?;
    if !is_stack(stack) {
        return None;
    }
    let used_from = if address >= stack.region.start {
        marked_guard_end(fault, address, stack)?
    } else {
        is_end_of(stack, fault, mappings).then_some(stack.region.start)?
    };
    let stack_bytes = stack.end().saturating_sub(used_from);
    let is_main = stack.path == MAIN_STACK;
    Some(StackOverflow {
        stack_bytes,
        limit_bytes: if is_main { main_limit } else { Some(stack_bytes) },
    })
}

fn is_guard(mapping: &Mapping) -> bool {
    let region = &mapping.region;
    !(region.is_readable || region.is_writable || region.is_executable)
}

/// Memory that a stack can be: written to, of no file and private.
fn is_stack(mapping: &Mapping) -> bool {
    let region = &mapping.region;
    region.is_readable && region.is_writable && !region.is_shared && mapping.file.1 == 0
}

/// Whether the fault, which lies below `stack`, came from reaching its end.
fn is_end_of(stack: &Mapping, fault: &Fault, mappings: &[Mapping]) -> bool {
    let (pointer, start) = (fault.stack_pointer, stack.region.start);
    let Some(below) = start.checked_sub(pointer).filter(|below| *below > 0) else {
        return pointer.saturating_sub(start) <= NEAR;
    };
    let is_own = stack.path == MAIN_STACK || stack.contains(fault.thread_block);
    let has_guard = mappings.iter().any(|m| m.end() == start && is_guard(m));
    below <= LARGEST_FRAME && (is_own || has_guard && below <= NEAR)
}

/// Where the usable stack begins, when the fault hit a guard that is marked inside the mapping.
fn marked_guard_end(fault: &Fault, address: u64, stack: &Mapping) -> Option<u64> {
    let is_near = address.abs_diff(fault.stack_pointer) <= NEAR;
    let is_guard = fault.code == MAPERR && stack.contains(fault.stack_pointer);
    const PAGE: u64 = 4096;
    (is_near && is_guard).then(|| address.saturating_add(1).next_multiple_of(PAGE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use crate::os::linux::maps::parse;

    const ACCERR: i32 = 2;
    /// A thread's stack of 64 KiB with its guard, code, the main stack.
    const MAPS: &str = "\
10000000-10001000 ---p 00000000 00:00 0
10001000-10021000 rw-p 00000000 00:00 0
20000000-20001000 r-xp 00000000 08:01 7 /lib/x.so
20001000-20002000 rw-p 00001000 08:01 7 /lib/x.so
7ff000000000-7ff000800000 rw-p 00000000 00:00 0 [stack]
";
    const MAIN: u64 = 0x7ff0_0000_0000;

    fn fault(address: u64, stack_pointer: u64) -> Fault {
        Fault {
            signal: libc::SIGSEGV,
            code: ACCERR,
            address: Some(address),
            access: Some(Access::Write),
            stack_pointer,
            thread_block: 0x1002_0700,
        }
    }

    fn overflow(fault: &Fault) -> Option<StackOverflow> {
        find(fault, &parse(MAPS), Some(0x80_0000))
    }

    #[test]
    fn a_fault_in_the_guard_of_a_thread_is_one() {
        let whole = Some(StackOverflow { stack_bytes: 0x2_0000, limit_bytes: Some(0x2_0000) });
        assert_eq!(overflow(&fault(0x1000_0ff8, 0x1000_1000)), whole, "a call at the last byte");
        assert_eq!(overflow(&fault(0x1000_0800, 0x1000_0700)), whole, "inside of the guard");
        assert_eq!(overflow(&fault(0x0fff_0000, 0x0ffe_0000)), whole, "jumped over the guard");
    }

    #[test]
    fn a_fault_below_the_main_stack_is_one_and_its_limit_is_told() {
        let fault = |address, pointer| Fault { code: MAPERR, ..fault(address, pointer) };
        let whole = Some(StackOverflow { stack_bytes: 0x80_0000, limit_bytes: Some(0x80_0000) });
        assert_eq!(overflow(&fault(MAIN - 8, MAIN)), whole);
        assert_eq!(overflow(&fault(MAIN - 0x1000, MAIN - 0x800_0000)), whole, "a large array");
        assert_eq!(find(&fault(MAIN - 8, MAIN), &parse(MAPS), None).unwrap().limit_bytes, None);
    }

    #[test]
    fn wild_pointers_are_none() {
        assert_eq!(overflow(&fault(0x10, 0x1001_9000)), None, "null");
        assert_eq!(overflow(&fault(0x1000_0ff8, 0x1001_9000)), None, "much stack is left");
        assert_eq!(overflow(&fault(0x10, 0x1000_1000)), None, "little is left, but elsewhere");
        assert_eq!(overflow(&fault(0x10, 0x8)), None, "no stack at all");
        assert_eq!(overflow(&fault(MAIN - 8, 0x4141_4141_4141)), None, "a lost stack pointer");
        assert_eq!(overflow(&fault(0x1500_0000, 0x1500_0000)), None, "in a hole above");
        let file = fault(0x2000_0ff8, 0x2000_1000);
        assert_eq!(overflow(&file), None, "a stack pointer into a library's data");
    }

    #[test]
    fn other_signals_and_jumps_are_none() {
        let guard = fault(0x1000_0ff8, 0x1000_1000);
        assert_eq!(overflow(&Fault { signal: libc::SIGBUS, ..guard }), None);
        assert_eq!(overflow(&Fault { address: None, ..guard }), None);
        assert_eq!(overflow(&Fault { access: Some(Access::Execute), ..guard }), None);
    }

    #[test]
    fn a_guard_marked_inside_the_mapping_is_known_by_its_fault() {
        let marked = Fault { code: MAPERR, ..fault(0x1000_4ff8, 0x1000_5010) };
        let expected = StackOverflow { stack_bytes: 0x1_c000, limit_bytes: Some(0x1_c000) };
        assert_eq!(overflow(&marked), Some(expected));
        assert_eq!(overflow(&Fault { code: ACCERR, ..marked }), None);
    }

    #[test]
    fn a_fiber_with_a_guard_overflows_too_but_only_near_it() {
        let other = |pointer| Fault { thread_block: 0, ..fault(pointer - 8, pointer) };
        assert!(overflow(&other(0x1000_0f00)).is_some());
        assert_eq!(overflow(&other(0x0f00_0000)), None);
    }
}
