//! Linux: ptrace, `process_vm_readv` and `/proc`.

mod abort_message;
mod areas;
mod captured;
mod clone;
mod core;
mod dso;
pub(crate) mod ends;
mod extended_state;
mod frozen;
mod handles;
mod kernel_stacks;
mod maps;
mod memory;
mod modules;
mod outside;
mod overflow;
mod pagemap;
mod processes;
mod procfs;
pub(crate) mod run;
mod signal_frame;
mod stacks;
mod stop;
pub(crate) mod sys;
mod syscall_instruction;
mod system_call;
mod target;
mod thread_times;
mod x86_64;

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::Duration;

use lastwords_capture::protocol::CrashRequest;
use lastwords_format::streams::handle_data::Handle;
use lastwords_format::streams::linux_dso_debug::DsoDebug;
use lastwords_format::streams::memory_info_list::Region;
use lastwords_format::streams::misc_info::ProcessTimes;
use lastwords_format::streams::module_list::Module;
use lastwords_format::streams::process_vm_counters::VmCounters;
use lastwords_format::streams::system_info::SystemInfo;
use lastwords_format::streams::thread_info_list::ThreadTimes;
use lastwords_pyframes::Memory;

pub use core::CoreSnapshot;
pub(crate) use memory::read_available;
pub use processes::find_process;
pub(crate) use procfs::{process_name, uname};
pub use stacks::StacksSnapshot;
pub(crate) use sys::memory_file;

use self::captured::CapturedMemory;
use self::clone::ProcessClone;
use self::frozen::FrozenMemory;
use self::maps::Mapping;
use self::memory::ProcessMemory;
use self::pagemap::PageMap;
use self::procfs::AuxiliaryVector;
use self::stop::StoppedThreads;
use crate::signal_names;
use crate::snapshot::{
    Area, Crash, DUMP_REQUESTED, ExtendedState, Personal, ProcessSnapshot, StackOverflow,
    ThreadSnapshot,
};
use crate::soft_errors::SoftErrors;

/// Bytes below the stack pointer that belong to the running function (System V ABI for
/// x86-64, 3.2.2, "red zone").
const RED_ZONE: u64 = 128;
/// What is read of a stack when the address space is not known.
const BLIND_STACK: u64 = 256 * 1024;

/// What the process knew of itself while it was healthy.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// Where its arguments and environment stand; they are kept out of the dump.
    pub private: Vec<Range<u64>>,
    /// Address of glibc's `__abort_msg`.
    pub abort_message: Option<u64>,
    /// One of the dumps tells where each thread stands in the kernel.
    pub is_kernel_wanted: bool,
}

/// A process stopped because of a crash.
#[derive(Debug)]
pub struct LinuxSnapshot {
    pid: i32,
    threads: Vec<ThreadSnapshot>,
    mappings: Vec<Mapping>,
    regions: Vec<Region>,
    memory: ProcessMemory,
    auxv: AuxiliaryVector,
    /// The crashing thread: as long as it waits, `/proc` and memory can be read through it, also
    /// when the main thread has ended.
    tid: i32,
    /// Also what is the kernel's own.
    private: Vec<Range<u64>>,
    pages: Option<PageMap>,
    stopped: RefCell<StoppedThreads>,
    /// What was read before the process was let go; nothing else that may change can be read.
    captured: Option<CapturedMemory>,
    /// Since the process was let go: what it was then.
    frozen: OnceCell<FrozenMemory>,
    can_clone: Cell<bool>,
    /// Where the threads stood in the kernel before they were stopped.
    kernel_stacks: Option<String>,
}

impl LinuxSnapshot {
    /// Stops the process and reads registers and address space. `socket` leads to the crashing
    /// thread, which serves its memory where nothing else is allowed.
    ///
    /// The crashing thread is not stopped: it waits in the handler, below the frames of the
    /// fault, and has to see when its budget is over, whatever becomes of us.
    #[must_use]
    pub fn take(
        request: &CrashRequest,
        socket: Option<OwnedFd>,
        hints: Hints,
        soft_errors: &mut SoftErrors,
    ) -> (Self, Crash) {
        let (pid, tid) = (request.pid, request.tid);
        let kernel = hints.is_kernel_wanted.then(|| kernel_stacks::read(pid, tid, soft_errors));
        let stopped = StoppedThreads::stop_others(pid, tid, soft_errors);
        let (mut snapshot, crash) = Self::look(request, stopped, socket, hints, soft_errors);
        snapshot.kernel_stacks = kernel;
        (snapshot, crash)
    }

    /// Reads a process whose threads stand still.
    fn look(
        request: &CrashRequest,
        stopped: StoppedThreads,
        socket: Option<OwnedFd>,
        hints: Hints,
        soft_errors: &mut SoftErrors,
    ) -> (Self, Crash) {
        let (pid, tid) = (request.pid, request.tid);
        let memory = ProcessMemory::open(tid, x86_64::stack_pointer(request), socket);
        let maps = procfs::maps(tid, soft_errors);
        let maps = soft_errors.keep(maps, "address_space_unknown", format!("/proc/{tid}/maps"));
        let mappings = maps::parse(&String::from_utf8_lossy(&maps.unwrap_or_default()));
        let is_mapped = |address| mappings.iter().any(|mapping| mapping.contains(address));
        let original = signal_frame::original(request, &memory, &is_mapped);
        let mut crash = crash(original.as_ref().unwrap_or(request));
        if crash.signal == libc::SIGABRT {
            let pointer = hints.abort_message.or_else(|| abort_message::find(&mappings, &memory));
            crash.abort_message = pointer.and_then(|at| abort_message::read(&memory, at));
        }
        crash.stack_overflow = stack_overflow(&crash, request.fs_base, tid, &mappings);
        let threads = threads(pid, &stopped, &crash, soft_errors);
        let auxv = soft_errors.keep(AuxiliaryVector::read(tid), "file_not_read", "auxv");
        let private = private(tid, &mappings, hints.private);
        let snapshot = Self {
            pid,
            threads,
            regions: mappings.iter().map(|mapping| mapping.region).collect(),
            mappings,
            memory,
            auxv: auxv.unwrap_or_default(),
            tid,
            private,
            pages: PageMap::open(tid),
            stopped: RefCell::new(stopped),
            captured: None,
            frozen: OnceCell::new(),
            can_clone: Cell::new(true),
            kernel_stacks: None,
        };
        (snapshot, crash)
    }

    /// Makes the copy that is read from now on, and lets all threads go.
    fn freeze(&self, soft_errors: &mut SoftErrors) -> Result<(), String> {
        let mut stopped = self.stopped.borrow_mut();
        if stopped.interrupted().is_empty() && stopped.is_allowed {
            stopped.add(self.pid, self.tid, soft_errors);
        }
        let clone = ProcessClone::new(&mut stopped, &self.memory, &self.mappings);
        let clone = clone.inspect_err(|_| stopped.let_go_one(self.tid))?;
        stopped.let_go_but(None);
        let frozen = FrozenMemory::new(clone, self.tid, &self.mappings, soft_errors);
        self.frozen.set(frozen).map_err(|_| "it was cloned already".to_owned())
    }

    /// Arguments and environment stand at the top of the main thread's stack; they are written
    /// elsewhere, scrubbed. Gives the end of what stands below them.
    fn public_end(&self, start: u64, end: u64) -> u64 {
        let starts = self.private.iter().map(|range| range.start);
        starts.filter(|private| (start..end).contains(private)).min().unwrap_or(end)
    }
}

/// What must not be written: arguments and environment, and what is the kernel's.
fn private(tid: i32, mappings: &[Mapping], told: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let kernels = mappings.iter().filter(|mapping| mapping.is_kernels());
    let kernels = kernels.map(|mapping| mapping.region.start..mapping.end()).collect();
    [told, procfs::private_ranges(tid), kernels].concat()
}

fn unsigned(id: i32) -> u32 {
    u32::try_from(id).unwrap_or(0)
}

fn crash(request: &CrashRequest) -> Crash {
    let (signal, code) = (request.signal(), request.code());
    Crash {
        thread_id: unsigned(request.tid),
        signal: if signal == 0 { DUMP_REQUESTED } else { signal },
        code,
        address: signal_names::has_address(signal, code).then(|| request.fault_address()),
        access: x86_64::access(request),
        registers: x86_64::from_request(request),
        abort_message: None,
        stack_overflow: None,
    }
}

fn stack_overflow(
    crash: &Crash,
    thread_block: u64,
    tid: i32,
    mappings: &[Mapping],
) -> Option<StackOverflow> {
    let fault = overflow::Fault {
        signal: crash.signal,
        code: crash.code,
        address: crash.address,
        access: crash.access,
        stack_pointer: crash.registers.rsp,
        thread_block,
    };
    overflow::find(&fault, mappings, procfs::stack_limit(tid))
}

fn threads(
    pid: i32,
    stopped: &StoppedThreads,
    crash: &Crash,
    soft_errors: &mut SoftErrors,
) -> Vec<ThreadSnapshot> {
    let mut ids = stop::thread_ids(pid);
    let crashing = i32::try_from(crash.thread_id).unwrap_or(0);
    ids.retain(|tid| *tid != crashing);
    ids.sort_unstable();
    let mut threads = vec![ThreadSnapshot {
        id: crash.thread_id,
        name: procfs::thread_name(pid, crashing),
        registers: Some(crash.registers.clone()),
    }];
    for tid in ids {
        let registers = stopped.is_stopped(tid).then(|| registers(tid, soft_errors)).flatten();
        threads.push(ThreadSnapshot {
            id: unsigned(tid),
            name: procfs::thread_name(pid, tid),
            registers,
        });
    }
    threads
}

fn registers(
    tid: i32,
    soft_errors: &mut SoftErrors,
) -> Option<lastwords_format::context::amd64::Registers> {
    let place = || format!("thread {tid}");
    let general = soft_errors.keep(sys::ptrace_registers(tid), "registers_not_read", place())?;
    let fxsave = soft_errors.keep(sys::ptrace_fxsave(tid), "registers_not_read", place());
    Some(x86_64::from_ptrace(&general, fxsave.unwrap_or([0; 512])))
}

impl ProcessSnapshot for LinuxSnapshot {
    fn pid(&self) -> u32 {
        unsigned(self.pid)
    }

    fn threads(&self) -> &[ThreadSnapshot] {
        &self.threads
    }

    fn memory(&self) -> &dyn Memory {
        match (&self.captured, self.frozen.get()) {
            (Some(captured), _) => captured,
            (None, Some(frozen)) => frozen,
            (None, None) => &self.memory,
        }
    }

    fn next_touched(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let behind = self.mappings.partition_point(|m| m.region.start <= range.start);
        let mapping = behind.checked_sub(1).and_then(|index| self.mappings.get(index));
        let pages = match self.frozen.get() {
            Some(frozen) if !frozen.is_frozen(range.start) => None,
            Some(frozen) => frozen.pages.as_ref(),
            None => self.pages.as_ref(),
        };
        match (mapping, pages) {
            (Some(mapping), Some(pages))
                if mapping.is_anonymous() && range.end <= mapping.end() =>
            {
                pages.next_touched(range)
            }
            _ => Some(range.clone()),
        }
    }

    fn regions(&self) -> &[Region] {
        &self.regions
    }

    fn stack_bounds(&self, stack_pointer: u64) -> Option<(u64, u64)> {
        let low = stack_pointer.checked_sub(RED_ZONE)?;
        if self.mappings.is_empty() {
            return Some((low, self.public_end(low, low.checked_add(BLIND_STACK)?)));
        }
        let stack = maps::stack_of(&self.mappings, stack_pointer)?;
        let start = low.max(stack.region.start);
        Some((start, self.public_end(start, stack.end()))).filter(|(start, end)| start < end)
    }

    fn private(&self) -> &[Range<u64>] {
        &self.private
    }

    fn modules(&self, soft_errors: &mut SoftErrors) -> Vec<Module> {
        modules::read(&self.mappings, self.memory(), self.auxv.entry(), soft_errors)
    }

    fn system_info(&self, soft_errors: &mut SoftErrors) -> SystemInfo {
        procfs::system_info(soft_errors)
    }

    fn times(&self, soft_errors: &mut SoftErrors) -> Option<ProcessTimes> {
        soft_errors.keep(procfs::times(self.pid), "file_not_read", "process times")
    }

    fn thread_times(&self, thread: u32) -> Option<ThreadTimes> {
        thread_times::read(self.pid, i32::try_from(thread).ok()?).ok()
    }

    fn extended_state(&self, thread: &ThreadSnapshot) -> io::Result<ExtendedState> {
        let tid = i32::try_from(thread.id).unwrap_or(0);
        match &thread.registers {
            Some(registers) if tid == self.tid => {
                extended_state::of_crashing(self.pid, tid, registers, self.memory())
            }
            _ => extended_state::of_stopped(tid),
        }
    }

    fn vm_counters(&self, soft_errors: &mut SoftErrors) -> Option<VmCounters> {
        soft_errors.keep(procfs::vm_counters(self.pid), "file_not_read", "memory counters")
    }

    fn handles(&self, soft_errors: &mut SoftErrors) -> Vec<Handle> {
        handles::read(self.tid, soft_errors)
    }

    fn areas(&self, soft_errors: &mut SoftErrors) -> Vec<Area> {
        areas::read(self.tid, &self.mappings, soft_errors)
    }

    fn kernel_stacks(&self, soft_errors: &mut SoftErrors) -> String {
        let known = self.kernel_stacks.clone();
        known.unwrap_or_else(|| kernel_stacks::read(self.pid, self.tid, soft_errors))
    }

    fn personal(&self) -> Personal {
        procfs::personal(self.tid)
    }

    fn platform_streams(&self, soft_errors: &mut SoftErrors) -> Vec<(u32, Vec<u8>)> {
        procfs::streams(self.pid, self.tid, soft_errors)
    }

    fn dso_debug(&self, memory: &dyn Memory, soft_errors: &mut SoftErrors) -> Option<DsoDebug> {
        if self.captured.is_some() {
            // The list is no part of what was read; the modules are told by the mappings.
            return None;
        }
        let (address, count) = self.auxv.program_headers()?;
        let debug = dso::read(memory, address, count);
        soft_errors.keep(debug, "dso_debug_not_read", "dynamic linker")
    }

    fn let_go(&self, soft_errors: &mut SoftErrors) -> bool {
        if self.frozen.get().is_none() && self.can_clone.replace(false) {
            let frozen = self.freeze(soft_errors);
            soft_errors.keep(frozen, "process_not_cloned", format!("process {}", self.pid));
        }
        self.frozen.get().is_some()
    }

    fn release(&self, soft_errors: &mut SoftErrors) -> Option<Duration> {
        self.stopped.borrow_mut().let_go_but(None);
        if let Some(frozen) = self.frozen.get() {
            frozen.end(self.pid, soft_errors);
        }
        self.stopped.borrow().stopped_for()
    }

    fn rungs(&self) -> (&'static str, &'static str) {
        let is_allowed = self.stopped.borrow().is_allowed;
        (if is_allowed { "ptrace" } else { "none" }, self.memory.way())
    }
}
