//! A dead process, from its ELF core file (core(5)): of the kernel, of gcore, of systemd-coredump.

mod file;
mod memory;
mod notes;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use lastwords_format::streams::handle_data::Handle;
use lastwords_format::streams::linux_dso_debug::DsoDebug;
use lastwords_format::streams::memory_info_list::Region;
use lastwords_format::streams::misc_info::ProcessTimes;
use lastwords_format::streams::module_list::Module;
use lastwords_format::streams::process_vm_counters::VmCounters;
use lastwords_format::streams::stream_type;
use lastwords_format::streams::system_info::SystemInfo;
use lastwords_format::streams::thread_info_list::ThreadTimes;
use lastwords_pyframes::Memory;
use lastwords_pyframes::find::{Image, LocalFiles};

use self::file::{Headers, Segment};
use self::memory::CoreMemory;
use self::notes::Notes;
use super::maps::{self, Mapping};
use super::outside::first_python;
use super::procfs::AuxiliaryVector;
use super::{RED_ZONE, areas, dso, modules};
use crate::failure::Failure;
use crate::signal_names;
use crate::snapshot::{
    Area, Crash, DUMP_REQUESTED, Personal, ProcessSnapshot, PythonTarget, ThreadSnapshot,
};
use crate::soft_errors::SoftErrors;
use lastwords_format::core_notes::MappedFile;

const EXECUTE: u32 = 1;
const WRITE: u32 = 2;
const READ: u32 = 4;
/// Stands for the device of a mapped file; core files do not tell it.
const UNKNOWN_DEVICE: &str = "core";

/// A process as its core file tells of it.
#[derive(Debug)]
pub struct CoreSnapshot {
    notes: Notes,
    threads: Vec<ThreadSnapshot>,
    mappings: Vec<Mapping>,
    regions: Vec<Region>,
    memory: CoreMemory,
    auxv: AuxiliaryVector,
}

impl CoreSnapshot {
    /// Reads the core file at `path`.
    ///
    /// What the core leaves out because it stood unchanged in a mapped file is read from that
    /// file on this machine, if its build id is the one in the core.
    ///
    /// # Errors
    /// Why the file cannot be used, and what to do.
    pub fn open(path: &Path, soft_errors: &mut SoftErrors) -> Result<(Self, Crash), Failure> {
        let Headers { file, segments, notes } = file::open(path)?;
        let notes = Notes::parse(&notes);
        let auxv = AuxiliaryVector::of(notes.auxv.clone());
        let mappings = mappings(&segments, &notes.files, auxv.vdso());
        let mut memory = CoreMemory::new(file, segments);
        let trusted = trusted_files(&notes.files, &memory, soft_errors);
        memory.trust(trusted);
        let threads: Vec<ThreadSnapshot> = notes.threads.iter().map(thread).collect();
        let crash = crash(&notes).ok_or_else(|| {
            let path = path.display();
            match notes.other_system {
                Some(system) => {
                    let message =
                        format!("{path}: this is a core of {system}; expected one of Linux");
                    Failure::new("dump_malformed", message, "open it with gdb: gdb PROGRAM -c FILE")
                }
                None => {
                    let message = format!("{path}: no thread is in it (NT_PRSTATUS)");
                    Failure::new("dump_malformed", message, "is the file whole? eu-readelf -n FILE")
                }
            }
        })?;
        let regions = mappings.iter().map(|mapping| mapping.region).collect();
        Ok((Self { notes, threads, mappings, regions, memory, auxv }, crash))
    }

    /// Where the interpreter stands, in a process of Python.
    #[must_use]
    pub fn find_python(&self, soft_errors: &mut SoftErrors) -> Option<PythonTarget> {
        let mappings: Vec<_> = self.mappings.iter().map(Mapping::to_find).collect();
        first_python(&self.memory, &mappings, &LocalFiles, soft_errors)
    }

    /// The program's name as the process called itself, at most 15 bytes.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.notes.name
    }
}

fn thread(thread: &notes::Thread) -> ThreadSnapshot {
    ThreadSnapshot { id: thread.id, name: None, registers: Some(thread.registers.clone()) }
}

/// As in `/proc/PID/maps`; devices are not known.
fn maps_text(mappings: &[Mapping]) -> String {
    let line = |mapping: &Mapping| {
        let region = mapping.region;
        let letter = |is: bool, letter: char| if is { letter } else { '-' };
        format!(
            "{:x}-{:x} {}{}{}p {:08x} 00:00 {} {}\n",
            region.start,
            region.start.saturating_add(region.size),
            letter(region.is_readable, 'r'),
            letter(region.is_writable, 'w'),
            letter(region.is_executable, 'x'),
            mapping.offset,
            mapping.file.1,
            mapping.path,
        )
    };
    mappings.iter().map(line).collect()
}

/// The kernel writes the thread that died first; gcore one that it looked at, without a signal.
fn crash(notes: &Notes) -> Option<Crash> {
    let first = notes.threads.first()?;
    let (signal, code, address) = notes.signal.unwrap_or((first.signal, 0, 0));
    let is_crash = signal > 0 && first.signal > 0 && signal != libc::SIGSTOP;
    Some(Crash {
        thread_id: first.id,
        signal: if is_crash { signal } else { DUMP_REQUESTED },
        code: if is_crash { code } else { 0 },
        address: (is_crash && signal_names::has_address(signal, code)).then_some(address),
        access: None,
        registers: first.registers.clone(),
        abort_message: None,
        stack_overflow: None,
    })
}

/// The address space: the segments, with the names of their files; and files that have no segment.
fn mappings(segments: &[Segment], files: &[MappedFile], vdso: Option<u64>) -> Vec<Mapping> {
    let mut all: Vec<Mapping> = segments.iter().map(|s| mapping(s, files, vdso)).collect();
    let is_in_segment = |file: &MappedFile| {
        let behind = segments.partition_point(|segment| segment.start <= file.start);
        let segment = behind.checked_sub(1).and_then(|index| segments.get(index));
        segment.is_some_and(|segment| file.start < segment.end())
    };
    // gcore leaves out what it does not write; such a mapping can only have been read or executed.
    all.extend(files.iter().filter(|file| !is_in_segment(file)).map(|file| Mapping {
        region: region(file.start, file.end, READ | EXECUTE),
        offset: file.offset,
        file: identity(file, files),
        path: file.path.clone(),
    }));
    all.sort_by_key(|mapping| mapping.region.start);
    all
}

fn mapping(segment: &Segment, files: &[MappedFile], vdso: Option<u64>) -> Mapping {
    let region = region(segment.start, segment.end(), segment.flags);
    let file = files.iter().find(|file| (file.start..file.end).contains(&segment.start));
    match file {
        Some(file) => Mapping {
            region,
            offset: file.offset.saturating_add(segment.start.saturating_sub(file.start)),
            file: identity(file, files),
            path: file.path.clone(),
        },
        None if vdso == Some(segment.start) => {
            Mapping { region, path: "[vdso]".to_owned(), ..Mapping::default() }
        }
        None => Mapping { region, ..Mapping::default() },
    }
}

fn region(start: u64, end: u64, flags: u32) -> Region {
    Region {
        start,
        size: end.saturating_sub(start),
        is_readable: flags & READ != 0,
        is_writable: flags & WRITE != 0,
        is_executable: flags & EXECUTE != 0,
        is_shared: false,
    }
}

/// The same for all mappings of one file.
fn identity(file: &MappedFile, files: &[MappedFile]) -> (String, u64) {
    let first = files.iter().position(|other| other.path == file.path).unwrap_or(0);
    (UNKNOWN_DEVICE.to_owned(), u64::try_from(first).unwrap_or(0).saturating_add(1))
}

/// Mapped files that are still what they were: the build id in the core is theirs.
fn trusted_files(
    files: &[MappedFile],
    memory: &CoreMemory,
    soft_errors: &mut SoftErrors,
) -> Vec<MappedFile> {
    let mut trusted = Vec::new();
    for first in files.iter().filter(|file| file.offset == 0) {
        let in_core = Image::read(memory, first.start).and_then(|image| image.build_id(memory));
        let on_disk = memory::build_id_of(&first.path);
        match (in_core, on_disk) {
            (Some(in_core), Some(on_disk)) if in_core == on_disk => {
                trusted.extend(files.iter().filter(|file| file.path == first.path).cloned());
            }
            (Some(_), Some(_)) => {
                let message = "it was replaced since; what the core does not hold of it is unknown";
                soft_errors.add("core_file_changed", &first.path, message);
            }
            (Some(_), None) => {
                let message = "it is not on this machine, or has no build id";
                soft_errors.add("core_file_missing", &first.path, message);
            }
            // No ELF image, or its first page is not in the core.
            (None, _) => {}
        }
    }
    trusted
}

impl ProcessSnapshot for CoreSnapshot {
    fn pid(&self) -> u32 {
        self.notes.pid
    }

    fn threads(&self) -> &[ThreadSnapshot] {
        &self.threads
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn regions(&self) -> &[Region] {
        &self.regions
    }

    fn stack_bounds(&self, stack_pointer: u64) -> Option<(u64, u64)> {
        let stack = maps::stack_of(&self.mappings, stack_pointer)?;
        let start = stack_pointer.checked_sub(RED_ZONE)?.max(stack.region.start);
        Some((start, stack.end())).filter(|(start, end)| start < end)
    }

    fn private(&self) -> &[std::ops::Range<u64>] {
        &[]
    }

    fn modules(&self, soft_errors: &mut SoftErrors) -> Vec<Module> {
        modules::read(&self.mappings, &self.memory, self.auxv.entry(), soft_errors)
    }

    /// The machine is not told.
    fn system_info(&self, _: &mut SoftErrors) -> SystemInfo {
        SystemInfo { os_text: "Linux".to_owned(), ..SystemInfo::default() }
    }

    fn times(&self, _: &mut SoftErrors) -> Option<ProcessTimes> {
        None
    }

    fn thread_times(&self, _: u32) -> Option<ThreadTimes> {
        None
    }

    fn vm_counters(&self, _: &mut SoftErrors) -> Option<VmCounters> {
        None
    }

    fn handles(&self, _: &mut SoftErrors) -> Vec<Handle> {
        Vec::new()
    }

    /// What the core itself holds: the rest may stand in files, which need not be kept twice.
    fn areas(&self, _: &mut SoftErrors) -> Vec<Area> {
        let mut areas = areas::of_mappings(&self.mappings, &HashMap::new());
        areas.retain_mut(|area| {
            let Some(held) = self.memory.held_from(area.region.start) else { return false };
            area.region.size = area.region.size.min(held);
            // Whoever wrote the core could read it.
            area.region.is_readable = true;
            true
        });
        areas
    }

    fn kernel_stacks(&self, _: &mut SoftErrors) -> String {
        String::new()
    }

    fn personal(&self) -> Personal {
        Personal::default()
    }

    /// What debuggers of Linux look for: the auxiliary vector and the mappings.
    fn platform_streams(&self, _: &mut SoftErrors) -> Vec<(u32, Vec<u8>)> {
        vec![
            (stream_type::LINUX_AUXV, self.notes.auxv.clone()),
            (stream_type::LINUX_MAPS, maps_text(&self.mappings).into_bytes()),
        ]
    }

    fn dso_debug(&self, memory: &dyn Memory, soft_errors: &mut SoftErrors) -> Option<DsoDebug> {
        let (address, count) = self.auxv.program_headers()?;
        let debug = dso::read(memory, address, count);
        soft_errors.keep(debug, "dso_debug_not_read", "dynamic linker")
    }

    fn release(&self, _: &mut SoftErrors) -> Option<Duration> {
        None
    }

    fn rungs(&self) -> (&'static str, &'static str) {
        ("core", "core")
    }
}
