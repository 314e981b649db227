//! Writes ELF core files.
//!
//! | part | what |
//! |---|---|
//! | 64 bytes | ELF header; `e_phnum` 0xFFFF: the number stands in `sh_info` of the one section header |
//! | 56 bytes each | program headers: one `PT_NOTE`, a `PT_LOAD` for each piece of memory |
//! | | notes: of the first thread `NT_PRSTATUS` (1), then `NT_PRPSINFO` (3), `NT_SIGINFO`, `NT_AUXV` (6), `NT_FILE`, `NT_FPREGSET` (2); of each other thread `NT_PRSTATUS`, `NT_FPREGSET` |
//! | | the memory |
//!
//! `NT_PRSTATUS`: 0 signal, code, errno (`i32` each), 12 current signal (`i16`), 32 thread id, 36 parent,
//! 40 group, 44 session (`i32` each), 112 general registers, then `i32` whether floating-point registers
//! follow, padding to 8. `NT_PRPSINFO`: 136 bytes: 24 pid (`i32`), 40 16 bytes name, 56 80 bytes arguments.
//!
//! Source: System V ABI, chapters 4 and 5; core(5); Linux, `include/linux/elfcore.h`.

use std::io::{self, Write};

use lastwords_format::Writer;
use lastwords_format::core_notes::{
    NT_AUXV, NT_FILE, NT_FPREGSET, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO,
};

use crate::memory::{Piece, size};
use crate::registers::Registers;

const HEADER_BYTES: u64 = 64;
const PROGRAM_HEADER_BYTES: u64 = 56;
const SECTION_HEADER_BYTES: u16 = 64;
const ET_CORE: u16 = 4;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PN_XNUM: u16 = 0xFFFF;
const SIGINFO_BYTES: usize = 128;
const PAGE_BYTES: u64 = 4096;

/// One thread.
pub(crate) struct Thread {
    pub(crate) id: u32,
    pub(crate) registers: Registers,
}

/// Number, code and address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) number: i32,
    pub(crate) code: i32,
    pub(crate) address: u64,
}

/// What a core says of a process, beside its memory.
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) arguments: String,
    /// The one that crashed first; at least one.
    pub(crate) threads: Vec<Thread>,
    pub(crate) signal: Option<Signal>,
    pub(crate) auxv: Option<Vec<u8>>,
    /// Contents of `NT_FILE`.
    pub(crate) files: Option<Vec<u8>>,
}

/// Writes a core; `flags` gives the permissions of the memory at an address.
pub(crate) fn write(
    process: &Process,
    pieces: &[Piece<'_>],
    flags: impl Fn(u64) -> u32,
    out: &mut dyn Write,
) -> io::Result<()> {
    let machine = process.threads.first().map(|thread| thread.registers.machine);
    let machine = machine.ok_or_else(|| io::Error::other("no thread"))?;
    let notes = notes(process);
    let headers = size(pieces.len()).saturating_add(1);
    let has_section = headers >= u64::from(PN_XNUM);
    let table_end = headers.saturating_mul(PROGRAM_HEADER_BYTES).saturating_add(HEADER_BYTES);
    let section = if has_section { SECTION_HEADER_BYTES } else { 0 };
    let notes_at = table_end.saturating_add(section.into());
    out.write_all(&header(machine.code(), headers, has_section.then_some(table_end)))?;
    out.write_all(&program_header(PT_NOTE, 4, notes_at, 0, size(notes.len()), 4))?;
    let unaligned = notes_at.saturating_add(size(notes.len()));
    let memory_at = unaligned.checked_next_multiple_of(PAGE_BYTES).unwrap_or(unaligned);
    let mut at = memory_at;
    for piece in pieces {
        let length = size(piece.bytes.len());
        let flags = flags(piece.address);
        out.write_all(&program_header(PT_LOAD, flags, at, piece.address, length, 1))?;
        at = at.saturating_add(length);
    }
    if has_section {
        out.write_all(&section_header(headers))?;
    }
    out.write_all(&notes)?;
    let padding = usize::try_from(memory_at.saturating_sub(unaligned)).unwrap_or(0);
    out.write_all(&vec![0; padding])?;
    for piece in pieces {
        out.write_all(&piece.bytes)?;
    }
    Ok(())
}

fn header(machine: u16, headers: u64, section_at: Option<u64>) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(b"\x7fELF\x02\x01\x01\0").u64(0);
    out.u16(ET_CORE).u16(machine).u32(1).u64(0);
    out.u64(HEADER_BYTES).u64(section_at.unwrap_or(0)).u32(0);
    out.u16(64).u16(56);
    out.u16(u16::try_from(headers).unwrap_or(PN_XNUM));
    out.u16(if section_at.is_some() { SECTION_HEADER_BYTES } else { 0 });
    out.u16(u16::from(section_at.is_some())).u16(0);
    out.into_bytes()
}

/// Type `SHT_NULL`; only its `sh_info` tells something.
fn section_header(headers: u64) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(0).u32(0).u64(0).u64(0).u64(0).u64(1).u32(0);
    out.u32(u32::try_from(headers).unwrap_or(u32::MAX)).u64(0).u64(0);
    out.into_bytes()
}

fn program_header(
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    length: u64,
    alignment: u64,
) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(kind).u32(flags).u64(offset).u64(address).u64(0).u64(length);
    out.u64(if kind == PT_LOAD { length } else { 0 }).u64(alignment);
    out.into_bytes()
}

fn notes(process: &Process) -> Vec<u8> {
    let mut out = Writer::new();
    let signal = process.signal.unwrap_or_default();
    for (index, thread) in process.threads.iter().enumerate() {
        let signal = if index == 0 { signal } else { Signal::default() };
        note(&mut out, NT_PRSTATUS, &status(process, thread, signal));
        if index == 0 {
            note(&mut out, NT_PRPSINFO, &process_info(process));
            if process.signal.is_some() {
                note(&mut out, NT_SIGINFO, &signal_info(signal));
            }
            for (kind, bytes) in [(NT_AUXV, &process.auxv), (NT_FILE, &process.files)] {
                if let Some(bytes) = bytes {
                    note(&mut out, kind, bytes);
                }
            }
        }
        note(&mut out, NT_FPREGSET, &thread.registers.floating);
    }
    out.into_bytes()
}

fn note(out: &mut Writer, kind: u32, bytes: &[u8]) {
    out.u32(5).u32(u32::try_from(bytes.len()).unwrap_or(0)).u32(kind);
    out.raw(b"CORE\0\0\0\0").raw(bytes).align(4);
}

fn status(process: &Process, thread: &Thread, signal: Signal) -> Vec<u8> {
    let mut out = Writer::new();
    out.i32(signal.number).i32(signal.code).i32(0);
    out.u16(u16::try_from(signal.number).unwrap_or(0)).u16(0);
    out.u64(0).u64(0);
    out.u32(thread.id).u32(0).u32(process.pid).u32(process.pid);
    out.raw(&[0; 64]);
    out.raw(&thread.registers.general);
    out.u32(1).align(8);
    out.into_bytes()
}

fn process_info(process: &Process) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(b"\0R\0\0\0\0\0\0").u64(0).u32(0).u32(0);
    out.u32(process.pid).u32(0).u32(process.pid).u32(process.pid);
    out.raw(&padded(&process.name, 16)).raw(&padded(&process.arguments, 80));
    out.into_bytes()
}

/// Cut and filled up with zeros; the last byte is one.
fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().take(length.saturating_sub(1)).collect();
    bytes.resize(length, 0);
    bytes
}

fn signal_info(signal: Signal) -> Vec<u8> {
    let mut out = Writer::new();
    out.i32(signal.number).i32(0).i32(signal.code).i32(0).u64(signal.address);
    let mut bytes = out.into_bytes();
    bytes.resize(SIGINFO_BYTES, 0);
    bytes
}
