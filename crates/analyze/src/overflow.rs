//! Whether a thread died because its stack was full.
//!
//! Windows says so. Elsewhere a full stack is an access to the guard gap below it, which only
//! its place tells from any other bad access:
//!
//! ```text
//!     mapped, not ours │ gap or guard page │ the thread's stack ……………………… │
//!                            ▲ fault address     ▲ stack pointer: here, or in the gap
//! ```
//!
//! 1. The fault address is close to the stack pointer: within [`MAX_BELOW_SP`] below it
//!    (probes, calls), or above it in a frame of at most [`MAX_FRAME`] bytes.
//! 2. It cannot be written, and at most [`MAX_GAP`] above it memory begins that can, and that
//!    holds the thread's stack.
//!
//! What can be written is known from MemoryInfoList or LinuxMaps; a dump without them says it
//! by the memory that it holds of the thread's stack, which must then begin at the stack pointer.

use minidump::system_info::Os;
use minidump::{
    Minidump, MinidumpException, MinidumpLinuxMaps, MinidumpMemoryInfoList, UnifiedMemoryInfoList,
};
use serde_json::{Map, Value, json};

use crate::panics::caught;
use crate::state::Threads;

const STATUS_STACK_OVERFLOW: u32 = 0xC000_00FD;
const SIGBUS: u32 = 7;
const SIGSEGV: u32 = 11;
const EXC_BAD_ACCESS: u32 = 1;

const MAX_BELOW_SP: u64 = 256 << 10;
const MAX_FRAME: u64 = 16 << 20;
/// The kernel keeps 256 pages free below the main thread's stack (`stack_guard_gap`).
const MAX_GAP: u64 = (1 << 20) + (64 << 10);
/// Between the stack pointer and the first byte that a dump holds of a stack: a red zone, or
/// the rest of a page.
const MAX_CUT: u64 = 8 << 10;

/// A range of addresses, its end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u64,
    end: u64,
}

impl Span {
    fn holds(self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    fn touches(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// Fills `crash_info.stack_overflow`: what the writer found out, else what the dump shows.
pub(crate) fn complete(
    document: &mut Map<String, Value>,
    dump: &Minidump<'_, &[u8]>,
    threads: &Threads<'_>,
    metadata: Option<&Value>,
) {
    let said = metadata.and_then(|all| all.pointer("/mechanism/stack_overflow"));
    let said = said.and_then(Value::as_object);
    let found = caught(|| find(dump, threads)).ok().flatten();
    let value = match (said, found) {
        (None, None) => Value::Null,
        (said, found) => {
            let number = |key| said.and_then(|said| said.get(key)).and_then(Value::as_u64);
            json!({
                "thread": threads.requesting_thread(),
                "stack_bytes": number("stack_bytes").or(found.flatten()),
                "limit_bytes": number("limit_bytes"),
            })
        }
    };
    if let Some(crash) = document.get_mut("crash_info").and_then(Value::as_object_mut) {
        crash.insert("stack_overflow".into(), value);
    }
}

/// Whether the stack was full, and how many bytes of it were in use, as far as that is known.
fn find(dump: &Minidump<'_, &[u8]>, threads: &Threads<'_>) -> Option<Option<u64>> {
    let exception = threads.exception.as_ref()?;
    let system = threads.system.as_ref()?;
    let record = &exception.raw.exception_record;
    let sp = stack_pointer(exception, threads)?;
    let stack = stack_in_dump(threads);
    match system.os {
        Os::Windows if record.exception_code == STATUS_STACK_OVERFLOW => {
            let used = stack.and_then(|stack| stack.end.checked_sub(sp));
            return Some(used);
        }
        Os::Windows => return None,
        Os::MacOs | Os::Ios if record.exception_code != EXC_BAD_ACCESS => return None,
        Os::MacOs | Os::Ios => {}
        // A code of 0 or below: another process or thread sent the signal.
        _ if ![SIGSEGV, SIGBUS].contains(&record.exception_code)
            || !(1..=0x7fff_ffff).contains(&record.exception_flags) =>
        {
            return None;
        }
        _ => {}
    }
    let fault = exception.get_crash_address(system.os, system.cpu);
    let is_near = fault >= sp.saturating_sub(MAX_BELOW_SP) && fault <= sp.saturating_add(MAX_FRAME);
    let writable = writable_above(dump, fault);
    let full = match writable {
        _ if !is_near => None,
        Some(above) => full_stack(above, fault, sp, stack),
        None => full_stack_without_map(fault, sp, stack?),
    }?;
    full.end.checked_sub(sp.max(full.start)).map(Some)
}

fn stack_pointer(exception: &MinidumpException<'_>, threads: &Threads<'_>) -> Option<u64> {
    let (system, misc) = (threads.system.as_ref()?, threads.misc.as_ref());
    let context = exception.context(system, misc).map(std::borrow::Cow::into_owned);
    let own = || {
        let thread = threads.list.get(threads.requesting_thread()?)?;
        thread.context(system, misc).map(std::borrow::Cow::into_owned)
    };
    context.or_else(own).map(|context| context.get_stack_pointer())
}

/// What the dump holds of the crashing thread's stack.
fn stack_in_dump(threads: &Threads<'_>) -> Option<Span> {
    let thread = threads.list.get(threads.requesting_thread()?)?;
    let range = thread.stack_memory(&threads.memory)?.memory_range()?;
    Some(Span { start: range.start, end: range.end.checked_add(1)? })
}

/// The first memory that can be written and does not end below `fault`; `None` without a map.
fn writable_above(dump: &Minidump<'_, &[u8]>, fault: u64) -> Option<Span> {
    let info = dump.get_stream::<MinidumpMemoryInfoList<'_>>().ok();
    let maps = dump.get_stream::<MinidumpLinuxMaps<'_>>().ok();
    let map = UnifiedMemoryInfoList::new(info, maps)?;
    let writable = map.by_addr().filter(|region| region.is_writable());
    let mut ranges = writable.filter_map(|region| region.memory_range());
    let nothing = Span { start: u64::MAX, end: u64::MAX };
    let range = ranges.find(|range| range.end >= fault);
    Some(
        range
            .map_or(nothing, |range| Span { start: range.start, end: range.end.saturating_add(1) }),
    )
}

fn full_stack(above: Span, fault: u64, sp: u64, stack: Option<Span>) -> Option<Span> {
    let is_in_gap = fault < above.start && above.start.saturating_sub(fault) <= MAX_GAP;
    let holds_stack = above.holds(sp) || stack.is_some_and(|stack| above.touches(stack));
    (is_in_gap && holds_stack).then_some(above)
}

fn full_stack_without_map(fault: u64, sp: u64, stack: Span) -> Option<Span> {
    let is_below = fault < stack.start && stack.start.saturating_sub(fault) <= MAX_GAP;
    let begins_at_sp = sp <= stack.start.saturating_add(MAX_CUT) && sp < stack.end;
    (is_below && begins_at_sp).then_some(stack)
}
