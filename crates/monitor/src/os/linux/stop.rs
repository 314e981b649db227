//! Stopping all threads of a process with ptrace, and letting them go.

use std::collections::HashSet;
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
    first_stop: Option<Instant>,
    stopped_for: Option<Duration>,
    /// Somebody else lets them go on.
    is_borrowed: bool,
}

impl StoppedThreads {
    /// Stops every thread of `pid` but one, also those that start meanwhile.
    pub(crate) fn stop_others(pid: i32, crashing: i32, soft_errors: &mut SoftErrors) -> Self {
        let mut stopped = Self::new();
        let deadline = Instant::now().checked_add(STOP_BUDGET);
        for _ in 0..MOST_ROUNDS {
            let mut ids = thread_ids(pid);
            ids.retain(|tid| *tid != crashing);
            let new = stopped.seize_new(pid, &ids, soft_errors);
            stopped.wait(deadline);
            if new == 0 || !stopped.is_allowed {
                break;
            }
        }
        stopped.note_running(soft_errors);
        if stopped.traced.is_empty() && stopped.is_allowed {
            stopped.try_alone(pid, crashing, soft_errors);
        }
        stopped
    }

    /// Stops one thread, for a moment of work with it.
    pub(crate) fn stop_one(pid: i32, tid: i32, soft_errors: &mut SoftErrors) -> Self {
        let mut stopped = Self::new();
        stopped.add(pid, tid, soft_errors);
        stopped
    }

    fn new() -> Self {
        Self {
            traced: Vec::new(),
            is_allowed: true,
            first_stop: None,
            stopped_for: None,
            is_borrowed: false,
        }
    }

    /// Threads that somebody else has stopped at `since`, and lets go on.
    pub(crate) fn borrowed(ids: Vec<i32>, since: Instant) -> Self {
        let traced = ids.into_iter().map(|tid| Traced { tid, signal: Some(0) }).collect();
        Self { traced, first_stop: Some(since), is_borrowed: true, ..Self::new() }
    }

    /// Whether this thread stands still.
    pub(crate) fn is_stopped(&self, tid: i32) -> bool {
        self.traced.iter().any(|thread| thread.tid == tid && thread.signal.is_some())
    }

    /// Threads that stand where we interrupted them, without a signal to be given back.
    pub(crate) fn interrupted(&self) -> Vec<i32> {
        let quiet = self.traced.iter().filter(|thread| thread.signal == Some(0));
        quiet.map(|thread| thread.tid).collect()
    }

    /// Stops one more thread, for a moment of work with it.
    pub(crate) fn add(&mut self, pid: i32, tid: i32, soft_errors: &mut SoftErrors) {
        self.seize_new(pid, &[tid], soft_errors);
        self.wait(Instant::now().checked_add(STOP_BUDGET));
    }

    /// Lets one go on.
    pub(crate) fn let_go_one(&mut self, tid: i32) {
        if let Some(index) = self.traced.iter().position(|thread| thread.tid == tid) {
            let thread = self.traced.swap_remove(index);
            self.let_thread_go(&thread);
        }
    }

    /// Lets all go on but `kept`.
    pub(crate) fn let_go_but(&mut self, kept: Option<i32>) {
        for thread in self.traced.iter().filter(|thread| Some(thread.tid) != kept) {
            self.let_thread_go(thread);
        }
        self.traced.retain(|thread| Some(thread.tid) == kept);
        if self.stopped_for.is_none() && kept.is_none() {
            self.stopped_for = self.first_stop.map(|first| first.elapsed());
        }
    }

    fn let_thread_go(&self, thread: &Traced) {
        if !self.is_borrowed {
            // A thread that has not stopped cannot be detached: `watch.rs` sees to it.
            sys::ptrace_detach(thread.tid, thread.signal.unwrap_or(0)).ok();
        }
    }

    /// From the first thread that was stopped to the last that was let go, or to now.
    pub(crate) fn stopped_for(&self) -> Option<Duration> {
        self.stopped_for.or_else(|| self.first_stop.map(|first| first.elapsed()))
    }

    /// Whether tracing is allowed is not known when there was nobody else to trace: stops the
    /// crashing thread for a moment.
    fn try_alone(&mut self, pid: i32, crashing: i32, soft_errors: &mut SoftErrors) {
        self.seize_new(pid, &[crashing], soft_errors);
        self.wait(Instant::now().checked_add(STOP_BUDGET));
        for thread in self.traced.drain(..) {
            sys::ptrace_detach(thread.tid, thread.signal.unwrap_or(0)).ok();
        }
    }

    /// Seizes threads not seen yet; returns how many.
    fn seize_new(&mut self, pid: i32, ids: &[i32], soft_errors: &mut SoftErrors) -> usize {
        let known: HashSet<i32> = self.traced.iter().map(|thread| thread.tid).collect();
        let mut new: Vec<i32> = ids.iter().copied().filter(|tid| !known.contains(tid)).collect();
        new.dedup();
        let room = MOST_THREADS.saturating_sub(self.traced.len());
        if new.len() > room {
            let left_out = new.len().saturating_sub(room);
            let message = format!("{left_out} threads beyond {MOST_THREADS} run on");
            soft_errors.add("threads_cut", "threads", message);
            new.truncate(room);
        }
        let before = self.traced.len();
        for tid in new {
            self.first_stop.get_or_insert_with(Instant::now);
            match sys::ptrace_seize(tid).and_then(|()| sys::ptrace_interrupt(tid)) {
                Ok(()) => self.traced.push(Traced { tid, signal: None }),
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                // What has ended but was not yet taken away answers EPERM: a main thread that
                // left by pthread_exit(), or a thread on its last steps.
                Err(_) if has_ended(pid, tid) => {}
                Err(error) => {
                    soft_errors.add(
                        "thread_not_traced",
                        format!("thread {tid}"),
                        not_traced(&error),
                    );
                    if self.traced.is_empty() {
                        self.is_allowed = false;
                        break;
                    }
                }
            }
        }
        self.traced.len().saturating_sub(before)
    }

    fn wait(&mut self, deadline: Option<Instant>) {
        loop {
            for thread in self.traced.iter_mut().filter(|thread| thread.signal.is_none()) {
                match sys::wait_thread(thread.tid) {
                    Wait::Running => {}
                    Wait::Stopped { signal } => thread.signal = Some(signal),
                    Wait::Gone => thread.tid = 0,
                }
            }
            self.traced.retain(|thread| thread.tid != 0);
            let is_complete = self.traced.iter().all(|thread| thread.signal.is_some());
            if is_complete || deadline.is_none_or(|at| Instant::now() >= at) {
                return;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    fn note_running(&self, soft_errors: &mut SoftErrors) {
        for thread in self.traced.iter().filter(|thread| thread.signal.is_none()) {
            let place = format!("thread {}", thread.tid);
            soft_errors.add("thread_not_stopped", place, "it did not stop within 500 ms");
        }
    }
}

/// Whether a thread is dead, although it may still have an entry in `/proc`.
fn has_ended(pid: i32, tid: i32) -> bool {
    !matches!(super::procfs::thread_state(pid, tid), Some(state) if !"ZXx".contains(state))
}

fn not_traced(error: &io::Error) -> String {
    format!(
        "ptrace is not allowed ({error}): only the crashing thread is in the dump. In a \
         container, allow ptrace (--cap-add=SYS_PTRACE, or a seccomp profile that permits it)"
    )
}

impl Drop for StoppedThreads {
    fn drop(&mut self) {
        self.let_go_but(None);
    }
}

/// Thread ids of a process; empty when it is gone.
pub(crate) fn thread_ids(pid: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_gone_or_a_zombie_has_ended() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(!has_ended(pid, pid));
        assert!(has_ended(pid, i32::MAX));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let zombie = i32::try_from(child.id()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !has_ended(zombie, zombie) {
            assert!(Instant::now() < deadline, "the child became no zombie");
        }
        child.wait().unwrap();
    }
}
