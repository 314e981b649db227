//! From a core of another processor than x86-64 to a minidump: threads, modules, all memory.
//!
//! The reader and writer of live processes ([`crate::core`]) know x86-64 only; this one knows no
//! Python. Little-endian cores of Linux: i386, ARM, AArch64, MIPS of 32 bits.

mod contexts;
mod elf_core;
mod images;
mod modules;
mod notes;

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use lastwords_format::streams::exception::{self, Exception};
use lastwords_format::streams::memory_info_list::{self, Region};
use lastwords_format::streams::memory_list::{self, MemoryRange};
use lastwords_format::streams::thread_list::{self, Thread};
use lastwords_format::streams::{misc_info, module_list, stream_type};
use lastwords_format::{Location, Sink as _, Writer};
use lastwords_monitor::dump_file::DumpFile;

use self::contexts::Machine;
use self::elf_core::{ElfCore, Segment};
use self::notes::{Notes, Signal};
use crate::minidump_file::not_readable;
use crate::{ConvertError, Converted};

/// The kind that is written.
const FULL: &str = "full";
const PLATFORM_LINUX: u32 = 0x8201;
/// `MiniDumpWithFullMemory`, `MiniDumpWithFullMemoryInfo`.
const FLAGS: u64 = 0x802;
/// Breakpad's `MD_EXCEPTION_CODE_LIN_DUMP_REQUESTED`.
const DUMP_REQUESTED: u32 = u32::MAX;
const SIGSTOP: u32 = 19;
/// What the kernel says where it tells no address.
const SI_KERNEL: u32 = 0x80;
/// Offsets in a minidump have 32 bits.
const MAX_MEMORY_BYTES: u64 = 0xE000_0000;
const CHUNK_BYTES: u64 = 1 << 20;
const MAX_STACK_BYTES: u64 = 8 << 20;

/// Whether the core is one that this module reads: of a processor that it knows.
pub(crate) fn is_one(path: &Path) -> bool {
    File::open(path).ok().and_then(|file| elf_core::machine_of(&file)).is_some()
}

pub(crate) fn convert(from: &Path, to: &Path, kind: &str) -> Result<Converted, ConvertError> {
    let file = File::open(from).map_err(|reason| not_readable(from, reason))?;
    let core = ElfCore::read(&file).map_err(|reason| ConvertError::malformed(from, reason))?;
    let notes = Notes::read(&core);
    if notes.threads.is_empty() {
        let reason = "no thread is in it (NT_PRSTATUS)";
        return Err(ConvertError::malformed(from, reason));
    }
    let mut source = Source { file: &file, core: &core, notes: &notes, said: Vec::new() };
    if kind != FULL {
        let machine = core.machine.name();
        source.said.push(format!("of a core of {machine} all memory is kept, whatever the kind"));
    }
    let memory_bytes = source.write(to).map_err(|reason| ConvertError::not_written(to, reason))?;
    Ok(Converted { threads: notes.threads.len(), memory_bytes, notes: source.said })
}

struct Source<'a> {
    file: &'a File,
    core: &'a ElfCore,
    notes: &'a Notes,
    /// What could not be had.
    said: Vec<String>,
}

impl Source<'_> {
    fn write(&mut self, to: &Path) -> std::io::Result<u64> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(to)?;
        let mut dump = DumpFile::new(file, 0, FLAGS)?;
        let system = self.system_info(&mut dump)?;
        dump.add_stream(stream_type::SYSTEM_INFO, &system)?;
        dump.add_stream(stream_type::MISC_INFO, &misc_info::encode(self.notes.pid, None))?;
        dump.add_stream(stream_type::LINUX_AUXV, &self.notes.auxv)?;
        dump.add_stream(stream_type::LINUX_CMD_LINE, self.notes.arguments.as_bytes())?;
        let modules = self.modules();
        let modules = module_list::encode(&mut dump, &modules)?;
        dump.add_stream(stream_type::MODULE_LIST, &modules)?;
        let regions: Vec<Region> = self.core.segments.iter().map(region).collect();
        dump.add_stream(stream_type::MEMORY_INFO_LIST, &memory_info_list::encode(&regions))?;
        let contexts = self.contexts(&mut dump)?;
        let memory = self.memory(&mut dump)?;
        self.add_threads(&mut dump, &contexts, &memory)?;
        dump.add_stream(stream_type::MEMORY_LIST, &memory_list::encode(&memory))?;
        dump.finish()?;
        Ok(memory.iter().map(|range| u64::from(range.data.size)).sum())
    }

    /// `MINIDUMP_SYSTEM_INFO`, 56 bytes.
    fn system_info(&self, dump: &mut DumpFile) -> std::io::Result<Vec<u8>> {
        let text = dump.append_utf16("")?;
        let mut out = Writer::new();
        out.u16(self.core.machine.architecture()).u16(0).u16(0).u8(0).u8(0).u32(0).u32(0).u32(0);
        out.u32(PLATFORM_LINUX).u32(text.rva).u32(0).raw(&[0; 24]);
        Ok(out.into_bytes())
    }

    fn modules(&mut self) -> Vec<module_list::Module> {
        let (core, notes) = (self.core, self.notes);
        let memory = |address: u64, size: usize| core.memory(self.file, address, size);
        let modules = if notes.files.is_empty() {
            modules::of_memory(&core.segments, &notes.auxv, core.is_64_bit, &memory)
        } else {
            modules::of_files(&notes.files, core, &memory)
        };
        if notes.files.is_empty() {
            let count = modules.len();
            let said =
                format!("the core lists no mapped files; images found in its memory: {count}");
            self.said.push(said);
        }
        modules
    }

    fn contexts(&self, dump: &mut DumpFile) -> std::io::Result<Vec<Location>> {
        let contexts = self.notes.threads.iter().map(|thread| self.core.machine.context(thread));
        contexts.map(|context| dump.append(&context)).collect()
    }

    /// Stacks and what the program has written first, in case that not all has room.
    fn memory(&mut self, dump: &mut DumpFile) -> std::io::Result<Vec<MemoryRange>> {
        let pointers =
            self.notes.threads.iter().map(|thread| self.core.machine.stack_pointer(thread));
        let stacks: HashSet<u64> =
            pointers.filter_map(|sp| Some(self.core.segment_at(sp)?.start)).collect();
        let mut segments: Vec<&Segment> = self.core.segments.iter().collect();
        segments.sort_by_key(|one| (!stacks.contains(&one.start), !one.is_writable()));
        // Mappings that stand in the file twice make the dump no larger than the file.
        let most = self.file.metadata()?.len().min(MAX_MEMORY_BYTES);
        let (mut ranges, mut written) = (Vec::new(), 0_u64);
        for segment in segments.into_iter().filter(|segment| segment.in_file > 0) {
            written = written.saturating_add(segment.in_file);
            if written > most {
                let left = "memory beyond 3.5 GiB, or more than the file can hold, is left out";
                self.said.push(left.to_owned());
                break;
            }
            ranges.push(MemoryRange { start: segment.start, data: self.copy(dump, segment)? });
        }
        ranges.sort_by_key(|range| range.start);
        Ok(ranges)
    }

    fn copy(&self, dump: &mut DumpFile, segment: &Segment) -> std::io::Result<Location> {
        let mut copied = Location::default();
        let mut done = 0;
        while done < segment.in_file {
            let wanted = CHUNK_BYTES.min(segment.in_file.saturating_sub(done));
            let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
            self.file.read_exact_at(&mut bytes, segment.offset.saturating_add(done))?;
            let part = dump.append(&bytes)?;
            if done == 0 {
                copied.rva = part.rva;
            }
            copied.size = copied.size.saturating_add(part.size);
            done = done.saturating_add(wanted);
        }
        Ok(copied)
    }

    fn add_threads(
        &self,
        dump: &mut DumpFile,
        contexts: &[Location],
        memory: &[MemoryRange],
    ) -> std::io::Result<()> {
        let machine = self.core.machine;
        let threads: Vec<Thread> = self
            .notes
            .threads
            .iter()
            .zip(contexts)
            .map(|(thread, context)| {
                let sp = machine.stack_pointer(thread);
                Thread { id: thread.id, teb: 0, stack: stack_at(memory, sp), context: *context }
            })
            .collect();
        dump.add_stream(stream_type::THREAD_LIST, &thread_list::encode(&threads))?;
        let Some((thread, context)) = self.notes.threads.iter().zip(contexts).next() else {
            return Ok(());
        };
        let signal = self.notes.signal.unwrap_or(Signal {
            number: thread.signal,
            code: SI_KERNEL,
            address: None,
        });
        // The kernel writes the thread that died first; gcore one that it looked at.
        let is_crash = signal.number > 0 && thread.signal > 0 && signal.number != SIGSTOP;
        let exception = Exception {
            thread_id: thread.id,
            signal: if is_crash { signal.number } else { DUMP_REQUESTED },
            code: if is_crash { signal.code } else { 0 },
            address: signal.address.filter(|_| is_crash).unwrap_or_else(|| machine.pc(thread)),
            access: None,
            context: *context,
        };
        dump.add_stream(stream_type::EXCEPTION, &exception::encode(&exception))
    }
}

/// From the stack pointer on, where the memory (by address) holds it.
fn stack_at(memory: &[MemoryRange], sp: u64) -> MemoryRange {
    let behind = memory.partition_point(|range| range.start <= sp);
    let found = behind.checked_sub(1).and_then(|index| memory.get(index)).and_then(|range| {
        let skipped = u32::try_from(sp.checked_sub(range.start)?).ok()?;
        let left = range.data.size.checked_sub(skipped).filter(|left| *left > 0)?;
        let size = u32::try_from(u64::from(left).min(MAX_STACK_BYTES)).ok()?;
        let rva = range.data.rva.checked_add(skipped)?;
        Some(MemoryRange { start: sp, data: Location { size, rva } })
    });
    found.unwrap_or_default()
}

fn region(segment: &Segment) -> Region {
    Region {
        start: segment.start,
        size: segment.size,
        is_readable: segment.flags & 4 != 0,
        is_writable: segment.is_writable(),
        is_executable: segment.flags & 1 != 0,
        is_shared: false,
    }
}

impl Machine {
    fn name(self) -> &'static str {
        match self {
            Self::I386 => "i386",
            Self::Mips => "MIPS",
            Self::Arm => "ARM",
            Self::Aarch64 => "AArch64",
        }
    }

    /// `ProcessorArchitecture` of a minidump.
    fn architecture(self) -> u16 {
        match self {
            Self::I386 => 0,
            Self::Mips => 1,
            Self::Arm => 5,
            Self::Aarch64 => 12,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test may fail")]

    use super::*;

    /// A core of i386 whose headers all point to the same note, or to the whole file.
    fn repeated(headers: u16) -> Vec<u8> {
        let table = 52 + 32 * u32::from(headers);
        let mut note = [5_u32, 144, 1].map(u32::to_le_bytes).concat();
        note.extend(b"CORE\0\0\0\0");
        note.resize(note.len() + 144, 1);
        let note_bytes = u32::try_from(note.len()).unwrap();
        let mut out = Writer::new();
        out.raw(b"\x7fELF\x01\x01\x01\0").u64(0);
        out.u16(4).u16(3).u32(1).u32(0).u32(52).u32(0).u32(0);
        out.u16(52).u16(32).u16(headers).u16(0).u16(0).u16(0);
        for index in 0..u32::from(headers) {
            let (kind, offset, size) =
                if index % 2 == 0 { (4, table, note_bytes) } else { (1, 0, table) };
            let address = 0x1000 * index;
            out.u32(kind).u32(offset).u32(address).u32(0).u32(size).u32(size).u32(6).u32(1);
        }
        out.raw(&note);
        out.into_bytes()
    }

    #[test]
    fn what_stands_in_a_core_once_is_not_multiplied() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("core"), folder.path().join("dmp"));
        let bytes = repeated(60_000);
        std::fs::write(&from, &bytes).unwrap();
        let done = convert(&from, &to, FULL).unwrap();
        let most = bytes.len() as u64;
        assert!(done.threads > 0 && done.threads as u64 * 144 <= most, "{done:?}");
        assert!(done.memory_bytes <= most, "{done:?}");
        assert!(std::fs::metadata(&to).unwrap().len() < 8 * most);
        assert!(done.notes.iter().any(|note| note.contains("left out")), "{done:?}");
        for cut in [10, 51, 60, 2_000, bytes.len() - 1] {
            std::fs::write(&from, &bytes[..cut]).unwrap();
            drop(convert(&from, &to, FULL));
        }
    }
}
