//! A snapshot for stacks alone: the process stands still only for registers, stacks and the
//! structures behind its Python frames.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;
use std::time::Duration;

use lastwords_format::streams::python::PythonStream;
use lastwords_pyframes::find::ProcessFiles;
use lastwords_pyframes::{DetailsOptions, Limits, LocalsLimits, Target, read_python_with_details};

use super::captured::{CapturedMemory, Page};
use super::maps::{self, Mapping};
use super::memory::ProcessMemory;
use super::outside::first_python;
use super::procfs::{self, AuxiliaryVector};
use super::stop::{StoppedThreads, thread_ids};
use super::{LinuxSnapshot, private, target, unsigned, x86_64};
use crate::failure::Failure;
use crate::python_stacks;
use crate::snapshot::{Crash, PythonTarget, ThreadSnapshot};
use crate::soft_errors::SoftErrors;

/// Most bytes of one stack that are read: those of a dump.
const MOST_STACK: u64 = 2 * 1024 * 1024;

/// What [`LinuxSnapshot::of_stacks`] found.
#[derive(Debug)]
pub struct StacksSnapshot {
    /// Threads, registers and the memory that stacks need; the process runs on.
    pub snapshot: LinuxSnapshot,
    /// [`crate::snapshot::DUMP_REQUESTED`] in the main thread.
    pub crash: Crash,
    /// Where the interpreter stands, in a process of Python.
    pub python: Option<PythonTarget>,
    /// For how long its threads stood still, at most.
    pub stopped: Duration,
}

/// What is known of a process before it is stopped.
struct Before {
    pid: i32,
    mappings: Vec<Mapping>,
    auxv: AuxiliaryVector,
    python: Option<PythonTarget>,
    memory: CapturedMemory,
    options: DetailsOptions,
    /// What the rehearsal read; with room for what stands there when it counts.
    pages: Vec<(u64, Box<Page>)>,
}

impl Before {
    fn look(pid: i32, has_locals: bool, soft_errors: &mut SoftErrors) -> Self {
        let mappings = mappings(pid, soft_errors);
        let auxv = soft_errors.keep(AuxiliaryVector::read(pid), "file_not_read", "auxv");
        let auxv = auxv.unwrap_or_default();
        let source = ProcessMemory::open(pid, 0, None);
        let ranges: Vec<_> = mappings.iter().map(Mapping::to_find).collect();
        let files = ProcessFiles::new(unsigned(pid), &ranges);
        let python = first_python(&source, &ranges, &files, soft_errors);
        let locals = has_locals.then(LocalsLimits::default);
        let options = DetailsOptions { locals, ..DetailsOptions::default() };
        let memory = CapturedMemory::new(source, &mappings);
        let mut before = Self { pid, mappings, auxv, python, memory, options, pages: Vec::new() };
        before.read_python();
        before.pages = before.memory.take_changing();
        before
    }

    /// Reads all that there is of Python, so that it is kept. The dump's writer reads the same
    /// again, from what is kept.
    fn read_python(&self) -> Option<PythonStream> {
        let PythonTarget { runtime_address, version, calibration } = self.python?;
        let target = Target { runtime_address, python_version: version, calibration };
        let limits = Limits::default();
        let read = read_python_with_details(&self.memory, &target, &limits, &self.options);
        Some(read.ok()?.stream)
    }

    /// Reads what may have changed by the next moment.
    fn capture(&mut self, threads: &[ThreadSnapshot]) {
        let stacks = stacks(&self.mappings, threads);
        self.memory.keep_with(std::mem::take(&mut self.pages), &stacks);
        if let Some(stream) = self.read_python() {
            let region_at = |address| {
                let mapping = self.mappings.iter().find(|mapping| mapping.contains(address));
                mapping.map(|mapping| mapping.region)
            };
            self.memory.keep(&python_stacks::elsewhere(&stream, &stacks, &region_at));
        }
    }
}

fn mappings(pid: i32, soft_errors: &mut SoftErrors) -> Vec<Mapping> {
    let maps = procfs::maps(pid, soft_errors);
    let maps = soft_errors.keep(maps, "address_space_unknown", format!("/proc/{pid}/maps"));
    maps::parse(&String::from_utf8_lossy(&maps.unwrap_or_default()))
}

impl LinuxSnapshot {
    /// Stops all threads of a process for as long as it takes to read their registers, stacks and
    /// Python frames, about 1 ms for 30 threads. While they still run, all is read once as a
    /// rehearsal: so it is known which pages to read when it counts, in one call. `has_locals`:
    /// values of variables too.
    ///
    /// # Errors
    /// Why its stacks cannot be read, and what to type.
    pub fn of_stacks(
        id: i32,
        has_locals: bool,
        soft_errors: &mut SoftErrors,
    ) -> Result<StacksSnapshot, Failure> {
        let pid = target::check(id)?;
        let mut before = Before::look(pid, has_locals, soft_errors);
        let mut stopped = StoppedThreads::stop_others(pid, 0, soft_errors);
        let mut threads = stopped_threads(pid, &stopped, soft_errors);
        if threads.is_empty() {
            target::check(pid)?;
            return Err(target::not_traceable(pid));
        }
        if threads.iter().any(|thread| is_elsewhere(thread, &before.mappings)) {
            before.mappings = mappings(pid, soft_errors);
        }
        before.capture(&threads);
        stopped.let_go_but(None);
        before.memory.end();
        for thread in &mut threads {
            thread.name = procfs::thread_name(pid, i32::try_from(thread.id).unwrap_or(0));
        }
        let python = before.python;
        let (snapshot, crash) = assemble(before, threads, stopped)?;
        let stopped = snapshot.stopped.borrow().stopped_for().unwrap_or_default();
        Ok(StacksSnapshot { snapshot, crash, python, stopped })
    }
}

/// Registers of every thread that stands still; the main thread first. Names are read later.
fn stopped_threads(
    pid: i32,
    stopped: &StoppedThreads,
    soft_errors: &mut SoftErrors,
) -> Vec<ThreadSnapshot> {
    let mut ids = thread_ids(pid);
    ids.sort_by_key(|tid| (*tid != pid, *tid));
    let standing = ids.into_iter().filter(|tid| stopped.is_stopped(*tid));
    standing
        .map(|tid| ThreadSnapshot {
            id: unsigned(tid),
            name: None,
            registers: soft_errors.keep(
                super::sys::ptrace_registers(tid).map(|user| x86_64::from_ptrace(&user, [0; 512])),
                "registers_not_read",
                format!("thread {tid}"),
            ),
        })
        .collect()
}

/// Whether a thread's stack was not mapped yet when the mappings were read.
fn is_elsewhere(thread: &ThreadSnapshot, mappings: &[Mapping]) -> bool {
    let pointer = thread.registers.as_ref().map(|registers| registers.rsp);
    pointer.is_some_and(|pointer| !mappings.iter().any(|mapping| mapping.contains(pointer)))
}

/// The parts of stacks that are in use.
fn stacks(mappings: &[Mapping], threads: &[ThreadSnapshot]) -> Vec<Range<u64>> {
    let registers = threads.iter().filter_map(|thread| thread.registers.as_ref());
    let stacks = registers.filter_map(|registers| {
        let stack = maps::stack_of(mappings, registers.rsp)?;
        let start = registers.rsp.saturating_sub(super::RED_ZONE).max(stack.region.start);
        Some(start..stack.end().min(start.saturating_add(MOST_STACK)))
    });
    stacks.collect()
}

fn assemble(
    before: Before,
    threads: Vec<ThreadSnapshot>,
    stopped: StoppedThreads,
) -> Result<(LinuxSnapshot, Crash), Failure> {
    let pid = before.pid;
    let first = threads.iter().find_map(|thread| Some((thread.id, thread.registers.clone()?)));
    let (tid, registers) = first.ok_or_else(|| target::not_traceable(pid))?;
    let crash = Crash {
        thread_id: tid,
        signal: crate::snapshot::DUMP_REQUESTED,
        code: 0,
        address: None,
        access: None,
        registers,
        abort_message: None,
        stack_overflow: None,
    };
    let snapshot = LinuxSnapshot {
        pid,
        tid: pid,
        threads,
        regions: before.mappings.iter().map(|mapping| mapping.region).collect(),
        private: private(pid, &before.mappings, Vec::new()),
        mappings: before.mappings,
        memory: ProcessMemory::open(pid, 0, None),
        auxv: before.auxv,
        pages: None,
        stopped: RefCell::new(stopped),
        captured: Some(before.memory),
        frozen: OnceCell::new(),
        can_clone: Cell::new(false),
        kernel_stacks: None,
    };
    Ok((snapshot, crash))
}
