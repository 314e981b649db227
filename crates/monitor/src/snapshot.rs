//! A stopped process as the dump writer sees it, the same on every operating system.

use std::io;
use std::ops::Range;
use std::time::Duration;

use lastwords_format::context::amd64::Registers;
use lastwords_format::streams::exception::Access;
use lastwords_format::streams::handle_data::Handle;
use lastwords_format::streams::linux_dso_debug::DsoDebug;
use lastwords_format::streams::memory_info_list::Region;
use lastwords_format::streams::misc_info::ProcessTimes;
use lastwords_format::streams::module_list::Module;
use lastwords_format::streams::process_vm_counters::VmCounters;
use lastwords_format::streams::system_info::SystemInfo;
use lastwords_format::streams::thread_info_list::ThreadTimes;
use lastwords_pyframes::Memory;
use lastwords_pyframes::calibrate::Calibration;

use crate::soft_errors::SoftErrors;

/// One thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadSnapshot {
    /// Kernel thread id.
    pub id: u32,
    /// Its name; `None` when it could not be read.
    pub name: Option<String>,
    /// Its registers; `None` when it could not be stopped. Those of the crashing thread are
    /// the registers at the fault.
    pub registers: Option<Registers>,
}

/// `signal` of a [`Crash`] that is none: somebody asked for the dump. As an exception code it is
/// Breakpad's `MD_EXCEPTION_CODE_LIN_DUMP_REQUESTED`, 0xFFFFFFFF.
pub const DUMP_REQUESTED: i32 = -1;

/// The event that the dump is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// The crashing thread, or the one that asked for the dump.
    pub thread_id: u32,
    /// Signal number, or [`DUMP_REQUESTED`].
    pub signal: i32,
    /// `si_code`.
    pub code: i32,
    /// Fault address; `None` for signals that have none.
    pub address: Option<u64>,
    /// What the instruction did there; known for page faults.
    pub access: Option<Access>,
    /// Registers at the fault.
    pub registers: Registers,
    /// The C library's last words, for an abort that has some.
    pub abort_message: Option<String>,
    /// What overflowed, for a fault at the end of a stack.
    pub stack_overflow: Option<StackOverflow>,
}

/// A stack that was too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackOverflow {
    /// Bytes of the stack at the fault.
    pub stack_bytes: u64,
    /// Most bytes that it was allowed; `None` when there is no limit, or it is not known.
    pub limit_bytes: Option<u64>,
}

/// Where the interpreter's state stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PythonTarget {
    /// Address of `_PyRuntime`.
    pub runtime_address: u64,
    /// `PY_VERSION_HEX`.
    pub version: u32,
    /// What the process found out about the interpreter's structures.
    pub calibration: Option<Calibration>,
}

/// What memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AreaKind {
    /// Of no file and not shared: heap, stacks, what a program asked for.
    Private,
    /// Of a file with code in it.
    Image,
    /// Of another file, or shared with other processes.
    Mapped,
    /// The kernel's, such as `[vvar]`.
    Kernel,
}

/// A region, and what is known of it beside its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Bounds and permissions.
    pub region: Region,
    /// What it is made of.
    pub kind: AreaKind,
    /// Path of its file, `[heap]` and the like; empty = none.
    pub name: String,
    /// Why it must not be read or does not want to be in a dump; `None` = nothing against it.
    pub excluded: Option<&'static str>,
}

/// Words that tell who the user of a process is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Personal {
    /// Home directory.
    pub home: Option<String>,
    /// Names of the user.
    pub names: Vec<String>,
}

/// Registers of a thread beyond SSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedState {
    /// State components that the system has enabled (XCR0).
    pub features: u64,
    /// XSAVE area, standard format.
    pub bytes: Vec<u8>,
}

/// A stopped process. Dropping it lets the process run on.
pub trait ProcessSnapshot {
    /// Its process id.
    fn pid(&self) -> u32;

    /// Its threads, the crashing one first.
    fn threads(&self) -> &[ThreadSnapshot];

    /// Its memory.
    fn memory(&self) -> &dyn Memory;

    /// The first part of `range` that has to be read; what lies before it, or all of it when
    /// there is none, is known to be zero because it was never touched.
    fn next_touched(&self, range: &Range<u64>) -> Option<Range<u64>> {
        Some(range.clone())
    }

    /// Its address space, by address.
    fn regions(&self) -> &[Region];

    /// The region that holds an address.
    fn region_at(&self, address: u64) -> Option<&Region> {
        let behind = self.regions().partition_point(|region| region.start <= address);
        let region = self.regions().get(behind.checked_sub(1)?)?;
        (address.wrapping_sub(region.start) < region.size).then_some(region)
    }

    /// Whether anything stands at an address.
    fn is_mapped(&self, address: u64) -> bool {
        self.region_at(address).is_some()
    }

    /// The part of a thread's stack that belongs into a dump, `None` when `stack_pointer` is
    /// in no readable region: start (with what the ABI keeps below the stack pointer), end.
    fn stack_bounds(&self, stack_pointer: u64) -> Option<(u64, u64)>;

    /// What must not be written as it stands, because secrets may be in it: the process's
    /// arguments and environment. And what only looks like memory.
    fn private(&self) -> &[Range<u64>];

    /// Its modules, the main executable first.
    fn modules(&self, soft_errors: &mut SoftErrors) -> Vec<Module>;

    /// The machine.
    fn system_info(&self, soft_errors: &mut SoftErrors) -> SystemInfo;

    /// CPU and start times.
    fn times(&self, soft_errors: &mut SoftErrors) -> Option<ProcessTimes>;

    /// Times and processors of one of its threads.
    fn thread_times(&self, thread: u32) -> Option<ThreadTimes>;

    /// Registers beyond SSE of one of its threads.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn extended_state(&self, _: &ThreadSnapshot) -> io::Result<ExtendedState> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// How much memory it has.
    fn vm_counters(&self, soft_errors: &mut SoftErrors) -> Option<VmCounters>;

    /// Its open files.
    fn handles(&self, soft_errors: &mut SoftErrors) -> Vec<Handle>;

    /// Its regions with what is known of them, in the order of [`ProcessSnapshot::regions`].
    /// Takes longer than that: the kernel looks at every page.
    fn areas(&self, soft_errors: &mut SoftErrors) -> Vec<Area>;

    /// Where its threads stand in the kernel, as text.
    fn kernel_stacks(&self, soft_errors: &mut SoftErrors) -> String;

    /// Who uses it.
    fn personal(&self) -> Personal;

    /// Streams that only this operating system has: stream type, bytes. Scrubbed.
    fn platform_streams(&self, soft_errors: &mut SoftErrors) -> Vec<(u32, Vec<u8>)>;

    /// The dynamic linker's list.
    fn dso_debug(&self, memory: &dyn Memory, soft_errors: &mut SoftErrors) -> Option<DsoDebug>;

    /// Lets the process run on before its memory is read; whether it can still be read as it was.
    fn let_go(&self, _: &mut SoftErrors) -> bool {
        false
    }

    /// Ends everything that was done to the process; how long its threads stood still, at most.
    /// Its memory cannot be read any more.
    fn release(&self, _: &mut SoftErrors) -> Option<Duration> {
        None
    }

    /// How threads and memory were reached, for the report: `ptrace` or `none`;
    /// `process_vm_readv`, `proc_mem` or `served`.
    fn rungs(&self) -> (&'static str, &'static str);
}
