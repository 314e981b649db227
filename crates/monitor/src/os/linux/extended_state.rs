//! The registers beyond SSE: the XSAVE area of a thread, as the kernel gives it (standard format).
//!
//! Of a stopped thread by ptrace. The crashing thread stands in its handler; what it had at the
//! fault is in the kernel's signal frame (`signal_frame.rs` has its layout), whose FXSAVE area goes
//! on as an XSAVE area when its software bytes say so (Linux, arch/x86/include/uapi/asm/
//! sigcontext.h, `struct _fpx_sw_bytes`, at 464):
//!
//! | offset | size | type | field |
//! |---|---|---|---|
//! | 464 | 4 | u32 | `FP_XSTATE_MAGIC1` |
//! | 468 | 4 | u32 | extended_size |
//! | 472 | 8 | u64 | xfeatures |
//! | 480 | 4 | u32 | xstate_size |
//!
//! By ptrace the feature mask stands at 464.

use std::io;

use lastwords_format::context::amd64::Registers;
use lastwords_pyframes::Memory;

use super::memory::read_available;
use super::sys;
use crate::snapshot::ExtendedState;

const SEARCHED_BYTES: u64 = 128 * 1024;
const FRAME_RSP: usize = 168;
const FRAME_RIP: usize = 176;
const FRAME_FPSTATE: usize = 232;
const FRAME_END: usize = 240;
const SOFTWARE_BYTES: usize = 464;
const MAGIC: u32 = 0x4650_5853;
/// FXSAVE area and XSAVE header: nothing smaller is an XSAVE area.
const LEAST: usize = 576;

pub(super) fn of_stopped(tid: i32) -> io::Result<ExtendedState> {
    let bytes = sys::ptrace_extended_state(tid)?;
    let features = number(&bytes, SOFTWARE_BYTES).filter(|_| bytes.len() >= LEAST);
    let features = features.ok_or_else(|| io::Error::other("the processor has no XSAVE"))?;
    Ok(ExtendedState { features, bytes })
}

pub(super) fn of_crashing(
    pid: i32,
    tid: i32,
    registers: &Registers,
    memory: &dyn Memory,
) -> io::Result<ExtendedState> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall"))?;
    let stack_pointer = text.split_whitespace().rev().nth(1);
    let stack_pointer = stack_pointer
        .and_then(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok())
        .ok_or_else(|| io::Error::other("where its handler stands is not known"))?;
    let stack = read_available(memory, stack_pointer, SEARCHED_BYTES);
    let mut states = stack
        .windows(FRAME_END)
        .step_by(8)
        .filter(|frame| {
            number(frame, FRAME_RIP) == Some(registers.rip)
                && number(frame, FRAME_RSP) == Some(registers.rsp)
        })
        .filter_map(|frame| in_frame(number(frame, FRAME_FPSTATE)?, memory));
    states.next().ok_or_else(|| io::Error::other("no signal frame of the fault was found"))
}

fn in_frame(address: u64, memory: &dyn Memory) -> Option<ExtendedState> {
    let start = read_available(memory, address, 512);
    let low = number(&start, SOFTWARE_BYTES)?;
    let size = number(&start, SOFTWARE_BYTES.checked_add(16)?)? & 0xFFFF_FFFF;
    let is_extended = low & 0xFFFF_FFFF == u64::from(MAGIC);
    let wanted = usize::try_from(size).ok().filter(|size| is_extended && *size >= LEAST)?;
    let bytes = read_available(memory, address, size.min(sys::MOST_EXTENDED_STATE));
    let features = number(&start, SOFTWARE_BYTES.checked_add(8)?)?;
    (bytes.len() == wanted).then_some(ExtendedState { features, bytes })
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|eight| u64::from_le_bytes(*eight))
}
