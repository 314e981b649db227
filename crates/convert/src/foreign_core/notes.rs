//! What the notes of a core say: threads with their registers, the signal, mapped files.
//!
//! Offsets on systems of 32 and 64 bits:
//!
//! | note | 32 | 64 | field |
//! |---|---|---|---|
//! | `NT_PRSTATUS` (1) | 12 | 12 | current signal, `i16` |
//! | | 24 | 32 | thread id, `i32` |
//! | | 72 | 112 | general registers |
//! | `NT_PRPSINFO` (3) | 12, 16 on MIPS | 24 | process id, `i32`; behind it 12 bytes, 16 of name, 80 of arguments |
//! | `NT_SIGINFO` | 0, 8, 12 | 0, 8, 16 | signal, code, address; MIPS has the code at 4 |
//! | `NT_FILE` | 4 | 8 | bytes of each number: count, page size, (start, end, page offset) each, then the names |
//!
//! Source: Linux, `include/linux/elfcore.h`, `fs/binfmt_elf.c`, `arch/mips/include/uapi/asm/siginfo.h`.

use lastwords_format::Reader;
use lastwords_format::core_notes::{
    MappedFile, NT_AUXV, NT_FILE, NT_FPREGSET, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO, Numbers,
    mapped_files,
};

use super::contexts::Machine;
use super::elf_core::{ElfCore, Note};

/// FXSAVE of i386.
const NT_PRXFPREG: u32 = 0x46e6_2b7f;
const NT_ARM_VFP: u32 = 0x400;
const SIGABRT: u32 = 6;
const MAX_THREADS: usize = 1 << 16;

/// One thread; its registers as the kernel wrote them.
#[derive(Debug, Default)]
pub(super) struct Thread {
    pub(super) id: u32,
    pub(super) signal: u32,
    pub(super) general: Vec<u8>,
    pub(super) floating: Vec<u8>,
}

/// Number, code, and address where the kernel tells one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signal {
    pub(super) number: u32,
    pub(super) code: u32,
    pub(super) address: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) threads: Vec<Thread>,
    pub(super) pid: u32,
    pub(super) arguments: String,
    pub(super) signal: Option<Signal>,
    pub(super) auxv: Vec<u8>,
    pub(super) files: Vec<MappedFile>,
}

impl Notes {
    /// What can be read; a note that is cut is left out.
    pub(super) fn read(core: &ElfCore) -> Self {
        let mut found = Self::default();
        for note in &core.notes {
            found.add(core, note);
        }
        if found.pid == 0 {
            found.pid = found.threads.first().map_or(0, |thread| thread.id);
        }
        found
    }

    fn add(&mut self, core: &ElfCore, note: &Note) -> Option<()> {
        let bytes = note.bytes.as_slice();
        let is_mips = core.machine == Machine::Mips;
        match note.kind {
            NT_PRSTATUS if self.threads.len() < MAX_THREADS => {
                let (id_at, general_at) = if core.is_64_bit { (32, 112) } else { (24, 72) };
                self.threads.push(Thread {
                    id: word(bytes, id_at)?,
                    signal: word(bytes, 12)? & 0xffff,
                    general: bytes.get(general_at..)?.to_vec(),
                    floating: Vec::new(),
                });
            }
            // The older note of i386 is left out where the newer one comes too.
            NT_FPREGSET if core.machine == Machine::Aarch64 => self.add_floating(bytes)?,
            NT_PRXFPREG if core.machine == Machine::I386 => self.add_floating(bytes)?,
            NT_ARM_VFP if core.machine == Machine::Arm => self.add_floating(bytes)?,
            NT_PRPSINFO => {
                let pid_at = if core.is_64_bit {
                    24
                } else if is_mips {
                    16
                } else {
                    12
                };
                self.pid = word(bytes, pid_at)?;
                self.arguments = text(bytes.get(pid_at.checked_add(32)?..)?, 80);
            }
            NT_AUXV => self.auxv = bytes.to_vec(),
            NT_FILE => self.files = mapped_files(bytes, core.is_64_bit),
            NT_SIGINFO if self.signal.is_none() => {
                let (code_at, address_at) =
                    (if is_mips { 4 } else { 8 }, if core.is_64_bit { 16 } else { 12 });
                let address = Numbers::new(bytes.get(address_at..)?, core.is_64_bit).next()?;
                let (number, code) = (word(bytes, 0)?, word(bytes, code_at)?);
                let is_told = (1..0x80).contains(&code) && number != SIGABRT;
                let address = is_told.then_some(address);
                self.signal = Some(Signal { number, code, address });
            }
            _ => {}
        }
        Some(())
    }

    fn add_floating(&mut self, bytes: &[u8]) -> Option<()> {
        self.threads.last_mut()?.floating = bytes.to_vec();
        Some(())
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Reader::new(bytes.get(at..)?).u32("a word").ok()
}

fn text(bytes: &[u8], most: usize) -> String {
    let bytes = bytes.get(..most.min(bytes.len())).unwrap_or_default();
    let end = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(end).trim_end().to_owned()
}
