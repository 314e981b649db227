//! From a minidump of Linux to an ELF core.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use lastwords_format::streams::stream_type;
use minidump::system_info::Os;
use minidump::{
    Error, Minidump, MinidumpException, MinidumpMemory64List, MinidumpMemoryList, MinidumpMiscInfo,
    MinidumpModuleList, MinidumpSystemInfo, MinidumpThread, MinidumpThreadList, Module as _,
};

use crate::elf::{self, Process, Signal, Thread};
use crate::link_map::Rendezvous;
use crate::maps::{self, Mapping};
use crate::memory::{Memory, Piece};
use crate::minidump_file::not_readable;
use crate::registers::{Machine, Registers};
use crate::{ConvertError, Converted};

/// Signals have numbers up to 64; what dumps on demand have is none.
const MAX_SIGNAL: u32 = 64;
const MAX_STRING_BYTES: usize = 64 << 20;

pub(crate) fn convert(from: &Path, to: &Path) -> Result<Converted, ConvertError> {
    let dump = Minidump::read_path(from).map_err(|error| match error {
        Error::FileNotFound => not_readable(from, std::io::ErrorKind::NotFound.into()),
        Error::IoError => not_readable(from, std::io::Error::other("cannot be read")),
        other => ConvertError::malformed(from, other),
    })?;
    let file = File::open(from).map_err(|reason| not_readable(from, reason))?;
    Source { path: from, dump: &dump, file }.convert(to)
}

struct Source<'a, T: Deref<Target = [u8]>> {
    path: &'a Path,
    dump: &'a Minidump<'a, T>,
    /// The same file, for what other streams point to.
    file: File,
}

impl<'a, T: Deref<Target = [u8]>> Source<'a, T> {
    fn convert(&self, to: &Path) -> Result<Converted, ConvertError> {
        let mut notes = Vec::new();
        let (process, machine) = self.process(&mut notes)?;
        let lists = MemoryLists::read(self.dump);
        let mappings = self.mappings(&mut notes);
        let memory = Memory::new(self.stacks().into_iter().chain(lists.pieces()));
        let memory = self.with_libraries(memory, &mappings, machine, &mut notes);
        let file = File::create(to).map_err(|reason| ConvertError::not_written(to, reason))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let flags = |address| maps::flags_at(&mappings, address);
        let written = elf::write(&process, memory.pieces(), flags, &mut out);
        let written = written.and_then(|()| out.flush());
        written.map_err(|reason| ConvertError::not_written(to, reason))?;
        Ok(Converted { threads: process.threads.len(), memory_bytes: memory.size_bytes(), notes })
    }

    fn process(&self, notes: &mut Vec<String>) -> Result<(Process, Machine), ConvertError> {
        let malformed = |error: Error| ConvertError::malformed(self.path, error);
        let system = self.dump.get_stream::<MinidumpSystemInfo>().map_err(malformed)?;
        if !matches!(system.os, Os::Linux | Os::Android) {
            let reason = format!("this is a minidump of {}; a core is of Linux", system.os);
            return Err(ConvertError::unsupported(self.path, reason));
        }
        let misc = self.dump.get_stream::<MinidumpMiscInfo>().ok();
        let exception = self.dump.get_stream::<MinidumpException<'_>>().ok();
        let list = self.dump.get_stream::<MinidumpThreadList<'_>>().map_err(malformed)?;
        let threads = threads(&list, exception.as_ref(), &system, misc.as_ref(), notes);
        let Some(first) = threads.first() else {
            let reason = format!("no thread has registers of x86-64 or arm64 ({})", system.cpu);
            return Err(ConvertError::unsupported(self.path, reason));
        };
        let machine = first.registers.machine;
        let pid = misc.as_ref().and_then(|misc| misc.raw.process_id().copied());
        let arguments = self.text(stream_type::LINUX_CMD_LINE).replace('\0', " ");
        let maps = self.text(stream_type::LINUX_MAPS);
        let process = Process {
            pid: pid.unwrap_or(first.id),
            name: self.program_name(),
            arguments: arguments.trim_end().to_owned(),
            signal: exception.as_ref().and_then(signal),
            threads,
            auxv: self.raw(stream_type::LINUX_AUXV).map(<[u8]>::to_vec),
            files: maps::file_note(&maps::parse(&maps)),
        };
        if process.auxv.is_none() {
            notes.push(
                "without the auxiliary vector gdb does not move a position-independent program"
                    .to_owned(),
            );
        }
        Ok((process, machine))
    }

    fn raw(&self, stream: u32) -> Option<&'a [u8]> {
        self.dump.get_raw_stream(stream).ok()
    }

    fn text(&self, stream: u32) -> String {
        let bytes = self.raw(stream).unwrap_or_default();
        let bytes = bytes.get(..bytes.len().min(MAX_STRING_BYTES)).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn program_name(&self) -> String {
        let modules = self.dump.get_stream::<MinidumpModuleList>().unwrap_or_default();
        let path = modules.main_module().map(|module| module.code_file().into_owned());
        let path = path.unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// By address; of the modules alone when the dump does not have the mappings.
    fn mappings(&self, notes: &mut Vec<String>) -> Vec<Mapping> {
        let mut mappings = maps::parse(&self.text(stream_type::LINUX_MAPS));
        if mappings.is_empty() {
            notes.push("the dump does not list the mappings; all memory is readable and writable in the core".to_owned());
        }
        mappings.sort_by_key(|mapping| mapping.start);
        mappings
    }

    /// Stacks stand apart in dumps whose memory list leaves them out.
    fn stacks(&self) -> Vec<Piece<'a>> {
        let Ok(threads) = self.dump.get_stream::<MinidumpThreadList<'_>>() else {
            return Vec::new();
        };
        let piece = |thread: &MinidumpThread<'_>| {
            let stack = thread.raw.stack;
            let bytes = self.read(
                usize::try_from(stack.memory.rva).ok()?,
                usize::try_from(stack.memory.data_size).ok()?,
            )?;
            let address = stack.start_of_memory_range;
            Some(Piece { address, bytes: Cow::Owned(bytes) })
        };
        threads.threads.iter().filter_map(piece).collect()
    }

    fn read(&self, at: usize, length: usize) -> Option<Vec<u8>> {
        let there = self.file.metadata().ok()?.len().checked_sub(u64::try_from(at).ok()?)?;
        if u64::try_from(length).ok()? > there {
            return None;
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, u64::try_from(at).ok()?).ok()?;
        Some(bytes)
    }

    /// Adds the list of libraries where the memory does not have it.
    fn with_libraries(
        &self,
        memory: Memory<'a>,
        mappings: &[Mapping],
        machine: Machine,
        notes: &mut Vec<String>,
    ) -> Memory<'a> {
        let Some(stream) = self.raw(stream_type::LINUX_DSO_DEBUG) else {
            notes.push(
                "the dump does not list the libraries; gdb needs: add-symbol-file".to_owned(),
            );
            return memory;
        };
        let read = |at: usize, length: usize| self.read(at, length);
        let Some(rendezvous) = Rendezvous::read(stream, &read) else {
            notes.push("the dump's list of libraries is damaged".to_owned());
            return memory;
        };
        if rendezvous.is_in(&memory) {
            return memory;
        }
        let top: u64 = match machine {
            Machine::Amd64 => 0x7fff_ffff_f000,
            Machine::Aarch64 => 0xffff_ffff_f000,
        };
        let ends = mappings.iter().map(|mapping| mapping.end);
        let ends = ends.chain(memory.pieces().iter().map(Piece::end));
        let start = ends.filter(|end| *end < top).max().unwrap_or(0);
        match rendezvous.pieces(start) {
            Some(pieces) => memory.overlaid(pieces),
            None => memory,
        }
    }
}

/// Both lists: dumps may have small pieces in one and areas in the other.
struct MemoryLists<'a> {
    small: Option<MinidumpMemoryList<'a>>,
    large: Option<MinidumpMemory64List<'a>>,
}

impl<'a> MemoryLists<'a> {
    fn read<T: Deref<Target = [u8]>>(dump: &'a Minidump<'a, T>) -> Self {
        Self { small: dump.get_stream().ok(), large: dump.get_stream().ok() }
    }

    fn pieces(&self) -> Vec<Piece<'a>> {
        let piece = |address: u64, bytes: &'a [u8]| Piece { address, bytes: Cow::Borrowed(bytes) };
        let small = self.small.iter().flat_map(|list| list.iter());
        let large = self.large.iter().flat_map(|list| list.iter());
        small
            .map(|memory| piece(memory.base_address, memory.bytes))
            .chain(large.map(|memory| piece(memory.base_address, memory.bytes)))
            .collect()
    }
}

/// The crashing thread first, with its registers at the fault.
fn threads(
    list: &MinidumpThreadList<'_>,
    exception: Option<&MinidumpException<'_>>,
    system: &MinidumpSystemInfo,
    misc: Option<&MinidumpMiscInfo>,
    notes: &mut Vec<String>,
) -> Vec<Thread> {
    let crashed = exception.map(MinidumpException::get_crashing_thread_id);
    let mut threads = Vec::new();
    for thread in &list.threads {
        let id = thread.raw.thread_id;
        let at_fault = exception.filter(|_| crashed == Some(id));
        let context = at_fault.and_then(|exception| exception.context(system, misc));
        let context = context.or_else(|| thread.context(system, misc));
        match context.as_deref().and_then(Registers::of) {
            Some(registers) => threads.push(Thread { id, registers }),
            None => notes.push(format!("thread {id} has no registers and is left out")),
        }
    }
    threads.sort_by_key(|thread| Some(thread.id) != crashed);
    threads
}

fn signal(exception: &MinidumpException<'_>) -> Option<Signal> {
    let record = &exception.raw.exception_record;
    let number = record.exception_code;
    (1..=MAX_SIGNAL).contains(&number).then(|| Signal {
        number: number.cast_signed(),
        code: record.exception_flags.cast_signed(),
        address: record.exception_address,
    })
}
