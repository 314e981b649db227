//! Stopping all threads of a process with ptrace, and letting them go.

use std::io;
use std::time::{Duration, Instant};

use super::sys::{self, Wait};
use crate::soft_errors::SoftErrors;

/// Longest wait for the threads to stop.
const STOP_BUDGET: Duration = Duration::from_millis(500);
const MOST_THREADS: usize = 4096;
const MOST_ROUNDS: usize = 16;

/// One traced thread.
#[derive(Debug)]
struct Traced {
    tid: i32,
    /// Stopped, with this signal to be given back; `None` = still running.
    signal: Option<i32>,
}

/// The threads that were stopped; dropping lets them go on.
#[derive(Debug)]
pub(crate) struct StoppedThreads {
    traced: Vec<Traced>,
    /// Whether tracing was allowed at all.
    pub(crate) is_allowed: bool,
}

impl StoppedThreads {
    /// Stops every thread of `pid`, also those that start meanwhile.
    pub(crate) fn stop(pid: i32, soft_errors: &mut SoftErrors) -> Self {
        let mut stopped = Self { traced: Vec::new(), is_allowed: true };
        let deadline = Instant::now().checked_add(STOP_BUDGET);
        for _ in 0..MOST_ROUNDS {
            let new = stopped.seize_new(pid, soft_errors);
            stopped.wait(deadline, soft_errors);
            if new == 0 || !stopped.is_allowed {
                break;
            }
        }
        stopped
    }

    /// Whether this thread stands still.
    pub(crate) fn is_stopped(&self, tid: i32) -> bool {
        self.traced.iter().any(|thread| thread.tid == tid && thread.signal.is_some())
    }

    /// Seizes threads not seen yet; returns how many.
    fn seize_new(&mut self, pid: i32, soft_errors: &mut SoftErrors) -> usize {
        let mut new = 0_usize;
        for tid in thread_ids(pid) {
            let is_known = self.traced.iter().any(|thread| thread.tid == tid);
            if is_known || self.traced.len() >= MOST_THREADS {
                continue;
            }
            match sys::ptrace_seize(tid).and_then(|()| sys::ptrace_interrupt(tid)) {
                Ok(()) => {
                    self.traced.push(Traced { tid, signal: None });
                    new = new.saturating_add(1);
                }
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) => {
                    self.is_allowed = false;
                    soft_errors.add(
                        "thread_not_traced",
                        format!("thread {tid}"),
                        not_traced(&error),
                    );
                    return new;
                }
            }
        }
        new
    }

    fn wait(&mut self, deadline: Option<Instant>, soft_errors: &mut SoftErrors) {
        loop {
            for thread in self.traced.iter_mut().filter(|thread| thread.signal.is_none()) {
                match sys::wait_thread(thread.tid) {
                    Wait::Running => {}
                    Wait::Stopped { signal } => thread.signal = Some(signal),
                    Wait::Gone => thread.tid = 0,
                }
            }
            self.traced.retain(|thread| thread.tid != 0);
            if self.traced.iter().all(|thread| thread.signal.is_some()) {
                return;
            }
            if deadline.is_none_or(|at| Instant::now() >= at) {
                break;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        for thread in self.traced.iter().filter(|thread| thread.signal.is_none()) {
            let place = format!("thread {}", thread.tid);
            soft_errors.add("thread_not_stopped", place, "it did not stop within 500 ms");
        }
    }
}

fn not_traced(error: &io::Error) -> String {
    format!(
        "ptrace is not allowed ({error}): only the crashing thread is in the dump. In a \
         container, allow ptrace (--cap-add=SYS_PTRACE, or a seccomp profile that permits it)"
    )
}

impl Drop for StoppedThreads {
    fn drop(&mut self) {
        for thread in &self.traced {
            // A thread that never stopped cannot be detached; the kernel does it when we end.
            sys::ptrace_detach(thread.tid, thread.signal.unwrap_or(0)).ok();
        }
    }
}

/// Thread ids of a process; empty when it is gone.
pub(crate) fn thread_ids(pid: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
