//! The notes of a core file: threads, signal, mapped files.
//!
//! A note: `u32` name size, `u32` description size, `u32` type, then name and description, each
//! padded to 4 bytes. Of the notes named `CORE` or `LINUX`:
//!
//! | type | what | layout |
//! |---|---|---|
//! | 1 `NT_PRSTATUS` | one a thread, the crashing one first | offset 0 `i32` signal, 12 `i16` current signal, 32 `i32` thread id, 112 27 × `u64` registers |
//! | 2 `NT_FPREGSET` | of the thread before | 512 bytes, FXSAVE |
//! | 3 `NT_PRPSINFO` | the process | 24 `i32` pid, 40 16 bytes name, 56 80 bytes arguments |
//! | 6 `NT_AUXV` | auxiliary vector | pairs of `u64` |
//! | 0x46494C45 `NT_FILE` | mapped files | `u64` count, page size; count × (`u64` start, end, offset in pages); count names, each ends in NUL |
//! | 0x53494749 `NT_SIGINFO` | of the signal | 0 `i32` signal, 8 `i32` code, 16 `u64` address |
//!
//! Registers stand in the order of `user_regs_struct`: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx
//! rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs.
//!
//! Source: core(5); Linux, `include/uapi/linux/elf.h`, `include/linux/elfcore.h`, `fs/binfmt_elf.c`.

use lastwords_format::Reader;
use lastwords_format::context::amd64::Registers;
use lastwords_format::core_notes::{
    MappedFile, NT_AUXV, NT_FILE, NT_FPREGSET, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO, mapped_files,
};

/// How the names of their notes begin.
const OTHER_SYSTEMS: [(&[u8], &str); 3] =
    [(b"NetBSD-CORE", "NetBSD"), (b"FreeBSD", "FreeBSD"), (b"OpenBSD", "OpenBSD")];
const MOST_THREADS: usize = 65_536;
const MOST_NOTES: usize = 1 << 20;

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thread {
    pub(super) id: u32,
    /// 0 = none.
    pub(super) signal: i32,
    pub(super) registers: Registers,
}

/// What the notes say; a note that cannot be read is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) threads: Vec<Thread>,
    pub(super) pid: u32,
    /// Its program's name, at most 15 bytes.
    pub(super) name: String,
    pub(super) auxv: Vec<u8>,
    pub(super) files: Vec<MappedFile>,
    /// Signal, code, address.
    pub(super) signal: Option<(i32, i32, u64)>,
    /// The system whose notes these are, if it is not Linux.
    pub(super) other_system: Option<&'static str>,
}

impl Notes {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut notes = Self::default();
        let mut reader = Reader::new(bytes);
        for _ in 0..MOST_NOTES {
            let Some((name, kind, description)) = note(&mut reader) else { break };
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            match name {
                b"CORE" | b"LINUX" => drop(notes.add(kind, description)),
                _ if notes.threads.is_empty() => {
                    let of = |start: &&(&[u8], _)| name.starts_with(start.0);
                    notes.other_system = OTHER_SYSTEMS.iter().find(of).map(|(_, system)| *system);
                }
                _ => {}
            }
        }
        notes
    }

    fn add(&mut self, kind: u32, bytes: &[u8]) -> Option<()> {
        match kind {
            NT_PRSTATUS if self.threads.len() < MOST_THREADS => self.threads.push(thread(bytes)?),
            NT_FPREGSET => {
                let fxsave = bytes.first_chunk::<512>()?;
                self.threads.last_mut()?.registers.fxsave = *fxsave;
            }
            NT_PRPSINFO => {
                self.pid = Reader::new(bytes.get(24..)?).u32("pr_pid").ok()?;
                let name = bytes.get(40..56)?.split(|byte| *byte == 0).next()?;
                self.name = String::from_utf8_lossy(name).into_owned();
            }
            NT_AUXV => self.auxv = bytes.to_vec(),
            NT_FILE => self.files = mapped_files(bytes, true),
            NT_SIGINFO if self.signal.is_none() => {
                let (mut start, mut tail) = (Reader::new(bytes), Reader::new(bytes.get(8..)?));
                let (signal, code) = (start.i32("si_signo").ok()?, tail.i32("si_code").ok()?);
                tail.i32("padding").ok()?;
                self.signal = Some((signal, code, tail.u64("si_addr").ok()?));
            }
            _ => {}
        }
        Some(())
    }
}

/// Name, type, description of the next note.
fn note<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], u32, &'a [u8])> {
    let name_size = usize::try_from(reader.u32("n_namesz").ok()?).ok()?;
    let size = usize::try_from(reader.u32("n_descsz").ok()?).ok()?;
    let kind = reader.u32("n_type").ok()?;
    let name = reader.take(name_size, "name").ok()?;
    reader.take(name_size.wrapping_neg() % 4, "padding").ok()?;
    let description = reader.take(size, "description").ok()?;
    // The last note may end without its padding.
    reader.take((size.wrapping_neg() % 4).min(reader.remaining()), "padding").ok()?;
    Some((name, kind, description))
}

fn thread(bytes: &[u8]) -> Option<Thread> {
    let cursor = Reader::new(bytes.get(12..)?).u16("pr_cursig").ok()?;
    let id = Reader::new(bytes.get(32..)?).u32("pr_pid").ok()?;
    let registers = registers(&mut Reader::new(bytes.get(112..)?))?;
    Some(Thread { id, signal: cursor.into(), registers })
}

fn registers(reader: &mut Reader<'_>) -> Option<Registers> {
    let mut values = [0; 27];
    for value in &mut values {
        *value = reader.u64("a register").ok()?;
    }
    let [r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rest @ ..] = values;
    let [rsi, rdi, _, rip, cs, eflags, rsp, ss, fs_base, _, ds, es, fs, gs] = rest;
    let low_16 = |value: u64| u16::try_from(value & 0xFFFF).unwrap_or(0);
    Some(Registers {
        rax,
        rcx,
        rdx,
        rbx,
        rsp,
        rbp,
        rsi,
        rdi,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rip,
        eflags: u32::try_from(eflags & u64::from(u32::MAX)).unwrap_or(0),
        cs: low_16(cs),
        ds: low_16(ds),
        es: low_16(es),
        fs: low_16(fs),
        gs: low_16(gs),
        ss: low_16(ss),
        fs_base,
        fxsave: [0; 512],
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;

    fn note_bytes(kind: u32, description: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for value in [5, u32::try_from(description.len()).unwrap(), kind] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(b"CORE\0\0\0\0");
        bytes.extend(description);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn status(id: u32, signal: u16) -> Vec<u8> {
        let mut bytes = vec![0; 336];
        bytes[12..14].copy_from_slice(&signal.to_le_bytes());
        bytes[32..36].copy_from_slice(&id.to_le_bytes());
        for index in 0..27_u64 {
            let at = 112 + 8 * usize::try_from(index).unwrap();
            bytes[at..at + 8].copy_from_slice(&(1000 + index).to_le_bytes());
        }
        bytes
    }

    fn file_note() -> Vec<u8> {
        let numbers = [2_u64, 4096, 0x1000, 0x3000, 0, 0x3000, 0x4000, 2];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend(b"/bin/a\0/lib/b.so\0");
        bytes
    }

    #[test]
    fn every_note_is_read() {
        let mut signal = vec![0; 128];
        signal[0] = 11;
        signal[8] = 1;
        signal[16] = 0x10;
        let bytes = [
            note_bytes(NT_PRSTATUS, &status(7, 11)),
            note_bytes(NT_FPREGSET, &[9; 512]),
            note_bytes(NT_SIGINFO, &signal),
            note_bytes(NT_FILE, &file_note()),
            note_bytes(NT_PRSTATUS, &status(8, 0)),
        ]
        .concat();
        let notes = Notes::parse(&bytes);
        let [first, second] = notes.threads.as_slice() else { panic!("{notes:?}") };
        assert_eq!((first.id, first.signal, second.id, second.signal), (7, 11, 8, 0));
        let registers = &first.registers;
        assert_eq!((registers.r15, registers.rip, registers.rsp), (1000, 1016, 1019));
        assert_eq!((registers.fs_base, registers.fxsave[0]), (1021, 9));
        assert_eq!(notes.signal, Some((11, 1, 0x10)));
        assert_eq!(notes.files[1].path, "/lib/b.so");
        assert_eq!((notes.files[1].start, notes.files[1].offset), (0x3000, 0x2000));
    }

    #[test]
    fn notes_that_are_cut_anywhere_give_what_stands_before() {
        let bytes =
            [note_bytes(NT_PRSTATUS, &status(7, 11)), note_bytes(NT_FILE, &file_note())].concat();
        let first = note_bytes(NT_PRSTATUS, &status(7, 11)).len();
        for end in 0..bytes.len() {
            let notes = Notes::parse(&bytes[..end]);
            assert_eq!(notes.threads.len(), usize::from(end >= first), "{end}");
        }
    }

    #[test]
    fn an_absurd_count_of_files_allocates_nothing() {
        let mut bytes = file_note();
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(mapped_files(&bytes, true).len() < 10);
    }
}
