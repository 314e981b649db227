//! Snapshots of processes that do not know us: one that runs, one that is about to die.

use lastwords_capture::protocol::{CRASH_MAGIC, CrashRequest, VERSION};
use lastwords_pyframes::Memory;
use lastwords_pyframes::find::{Files, ProcessFiles, find};

use super::maps::Mapping;
use super::memory::{ProcessMemory, read_available};
use super::stop::{StoppedThreads, thread_ids};
use super::{Hints, LinuxSnapshot, kernel_stacks, sys, target, unsigned, x86_64};
use crate::failure::Failure;
use crate::snapshot::{Crash, PythonTarget};
use crate::soft_errors::SoftErrors;

/// Nobody of ours waits with a budget.
const NO_BUDGET: u32 = 0;
const SI_TKILL: i32 = -6;
/// `mov rax, 15; syscall`: what the C library returns to from a signal handler.
const RESTORER: [u8; 9] = [0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05];
/// How far above the stack pointer a restorer is looked for, and how many addresses are tried.
const SEARCHED_BYTES: u64 = 128 * 1024;
const MOST_TRIES: usize = 4096;

impl LinuxSnapshot {
    /// Stops all threads of a process, which knows nothing of it; `Crash` is a
    /// [`crate::snapshot::DUMP_REQUESTED`] in its main thread, or in another one if that has ended.
    ///
    /// # Errors
    /// Why it cannot be dumped, and what to type.
    pub fn of_running(
        id: i32,
        time_ns: u64,
        is_kernel_wanted: bool,
        soft_errors: &mut SoftErrors,
    ) -> Result<(Self, Crash), Failure> {
        let pid = target::check(id)?;
        let kernel = is_kernel_wanted.then(|| kernel_stacks::read(pid, pid, soft_errors));
        let stopped = StoppedThreads::stop_others(pid, 0, soft_errors);
        let mut ids = thread_ids(pid);
        ids.sort_by_key(|tid| (*tid != pid, *tid));
        let Some(tid) = ids.into_iter().find(|tid| stopped.is_stopped(*tid)) else {
            // It may have ended meanwhile.
            target::check(pid)?;
            return Err(target::not_traceable(pid));
        };
        let request = request(pid, tid, time_ns, [0; 128]).map_err(|error| {
            let message = format!("the registers of process {pid} cannot be read: {error}");
            Failure::new("process_not_traceable", message, "try again")
        })?;
        let (mut snapshot, crash) =
            Self::look(&request, stopped, None, Hints::default(), soft_errors);
        snapshot.kernel_stacks = kernel;
        Ok((snapshot, crash))
    }

    /// Reads a process of which a traced thread stands before the signal that will end it;
    /// `stopped` are its other threads.
    ///
    /// # Errors
    /// The thread is gone: somebody killed the process.
    pub(crate) fn of_dying(
        pid: i32,
        tid: i32,
        time_ns: u64,
        stopped: StoppedThreads,
        soft_errors: &mut SoftErrors,
    ) -> std::io::Result<(Self, Crash)> {
        let mut request = request(pid, tid, time_ns, sys::ptrace_siginfo(tid)?)?;
        if request.code() == SI_TKILL {
            request.restorer = restorer(&request).unwrap_or(0);
        }
        let (snapshot, crash) = Self::look(&request, stopped, None, Hints::default(), soft_errors);
        // It has no future in which it could run meanwhile.
        snapshot.can_clone.set(false);
        Ok((snapshot, crash))
    }

    /// Where the interpreter stands, if this is a process of Python.
    ///
    /// There may be several, which is rare: one that runs, the first found, is chosen; of the others
    /// a soft error tells.
    pub fn find_python(&self, soft_errors: &mut SoftErrors) -> Option<PythonTarget> {
        let mappings: Vec<_> = self.mappings.iter().map(Mapping::to_find).collect();
        let files = ProcessFiles::new(unsigned(self.tid), &mappings);
        first_python(&self.memory, &mappings, &files, soft_errors)
    }
}

/// The interpreter that runs; of further ones a soft error tells.
pub(crate) fn first_python(
    memory: &dyn Memory,
    mappings: &[lastwords_pyframes::find::Mapping],
    files: &dyn Files,
    soft_errors: &mut SoftErrors,
) -> Option<PythonTarget> {
    let found = find(memory, mappings, files);
    for other in found.iter().skip(1).filter(|other| other.is_running) {
        let place = format!("_PyRuntime at {:#x}", other.runtime_address);
        let message = "a further interpreter of this process; its threads are missing";
        soft_errors.add("python_further_interpreter", place, message);
    }
    let first = found.first()?;
    Some(PythonTarget { runtime_address: first.runtime_address, version: first.python_version })
}

/// What the handler would have told, had there been one.
fn request(pid: i32, tid: i32, time_ns: u64, siginfo: [u8; 128]) -> std::io::Result<CrashRequest> {
    let user = sys::ptrace_registers(tid)?;
    let fxsave = sys::ptrace_fxsave(tid).ok();
    Ok(CrashRequest {
        magic: CRASH_MAGIC,
        version: VERSION,
        pid,
        tid,
        time_ns,
        siginfo,
        general: x86_64::general_of(&user),
        has_fxsave: fxsave.is_some().into(),
        budget_ms: NO_BUDGET,
        fxsave: fxsave.unwrap_or([0; 512]),
        fs_base: user.fs_base,
        restorer: 0,
    })
}

/// Where signal handlers return to, if a frame of one is on the stack: behind a signal that was
/// raised stands perhaps the handler of the real fault.
fn restorer(request: &CrashRequest) -> Option<u64> {
    let stack_pointer = x86_64::stack_pointer(request);
    let memory = ProcessMemory::open(request.tid, stack_pointer, None);
    let stack = read_available(&memory, stack_pointer, SEARCHED_BYTES);
    let mut tried = std::collections::HashSet::new();
    let words = stack.chunks_exact(8).filter_map(|word| word.first_chunk::<8>());
    words
        .map(|word| u64::from_ne_bytes(*word))
        .filter(|address| *address > 0xFFFF && *address < 1 << 47)
        .filter(|address| tried.insert(*address))
        .take(MOST_TRIES)
        .find(|address| read_available(&memory, *address, 9) == RESTORER)
}
