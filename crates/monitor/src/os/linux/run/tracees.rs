//! The traced threads of the program and of its children.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::stop::{StoppedThreads, thread_ids};
use super::super::sys;
use super::super::target::Status;
use super::End;
use crate::soft_errors::SoftErrors;

/// Longest wait for the other threads of a dying process.
const STOP_BUDGET: Duration = Duration::from_millis(500);
const MOST_ROUNDS: usize = 16;
/// `PTRACE_EVENT_STOP`.
const EVENT_STOP: i32 = 128;
const JOB_CONTROL: [i32; 4] = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A thread stands before a signal, and waits to be let go on with it.
    Signal { tid: i32, signal: i32 },
    /// The command stands still by job control.
    RootStopped,
    /// It goes on.
    RootContinued,
    /// It ended.
    RootEnded(End),
}

/// A thread that stands still for a dump, and the signal that it is owed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    tid: i32,
    signal: i32,
}

pub(super) struct Tracees {
    root: i32,
    is_following: bool,
    /// Thread → process.
    threads: HashMap<i32, i32>,
    is_root_stopped: bool,
    /// Ends that were met while something else was waited for.
    ended: Vec<(i32, i32)>,
}

impl Tracees {
    pub(super) fn new(root: i32, is_following: bool) -> Self {
        let threads = HashMap::from([(root, root)]);
        Self { root, is_following, threads, is_root_stopped: false, ended: Vec::new() }
    }

    pub(super) fn has_process(&self, pid: i32) -> bool {
        self.threads.values().any(|known| *known == pid)
    }

    pub(super) fn process_of(&self, tid: i32) -> i32 {
        self.threads.get(&tid).copied().unwrap_or(tid)
    }

    /// Sends the command a signal that somebody sent to us.
    pub(super) fn send_root(&self, signal: i32) {
        // SAFETY: takes numbers; the command is our child and was not waited for to its end.
        unsafe { libc::kill(self.root, signal) };
    }

    /// The next thing that has happened; `None` when nothing has.
    pub(super) fn next_change(&mut self) -> Option<Change> {
        loop {
            let (tid, status) = self.ended.pop().or_else(sys::wait_any)?;
            if let Some(change) = self.change(tid, status) {
                return Some(change);
            }
        }
    }

    fn change(&mut self, tid: i32, status: i32) -> Option<Change> {
        if !libc::WIFSTOPPED(status) {
            self.threads.remove(&tid);
            return (tid == self.root).then(|| Change::RootEnded(end(status)));
        }
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 => {
                self.know(tid);
                return Some(Change::Signal { tid, signal });
            }
            EVENT_STOP if JOB_CONTROL.contains(&signal) => return self.stand(tid),
            EVENT_STOP => return self.on_trap(tid),
            libc::PTRACE_EVENT_EXEC => self.on_exec(tid),
            _ => self.go_on(tid, 0),
        }
        None
    }

    /// Lets a stopped thread go on, with a signal (0 = none).
    pub(super) fn go_on(&self, tid: i32, signal: i32) {
        // An error means that somebody has killed it: that is told by the next wait.
        sys::ptrace_continue(tid, signal).ok();
    }

    /// The thread is part of a process that job control has stopped: it stays so, but a SIGCONT
    /// wakes it.
    fn stand(&mut self, tid: i32) -> Option<Change> {
        self.know(tid);
        sys::ptrace_listen(tid).ok();
        let is_news = tid == self.root && !self.is_root_stopped;
        self.is_root_stopped |= is_news;
        is_news.then_some(Change::RootStopped)
    }

    /// A new thread's first stop, one that we asked for, or the end of a stop by job control.
    fn on_trap(&mut self, tid: i32) -> Option<Change> {
        self.know(tid);
        if !self.is_following && self.process_of(tid) != self.root {
            self.threads.remove(&tid);
            sys::ptrace_detach(tid, 0).ok();
            return None;
        }
        self.go_on(tid, 0);
        let is_news = tid == self.root && self.is_root_stopped;
        self.is_root_stopped &= !is_news;
        is_news.then_some(Change::RootContinued)
    }

    /// The other threads of the process are gone. A monitor of ours is not watched: it has to
    /// trace, and dies of nothing that matters here.
    fn on_exec(&mut self, tid: i32) {
        self.threads.retain(|thread, process| *process != tid || *thread == tid);
        self.threads.insert(tid, tid);
        if tid != self.root && is_monitor(tid) {
            self.threads.remove(&tid);
            sys::ptrace_detach(tid, 0).ok();
            return;
        }
        self.go_on(tid, 0);
    }

    fn know(&mut self, tid: i32) {
        self.threads.entry(tid).or_insert_with(|| {
            Status::read(tid).and_then(|status| status.number("Tgid")).unwrap_or(tid)
        });
    }

    /// Stops the other threads of a process.
    pub(super) fn hold(
        &mut self,
        pid: i32,
        dying: i32,
        soft_errors: &mut SoftErrors,
    ) -> (StoppedThreads, Vec<Held>) {
        let mut held: Vec<Held> = Vec::new();
        let since = Instant::now();
        let deadline = since.checked_add(STOP_BUDGET);
        for _ in 0..MOST_ROUNDS {
            let mut new = thread_ids(pid);
            new.retain(|tid| *tid != dying && !held.iter().any(|known| known.tid == *tid));
            for tid in &new {
                sys::ptrace_interrupt(*tid).ok();
            }
            let before = held.len();
            for tid in new {
                held.extend(self.wait_stopped(tid, deadline));
            }
            if held.len() == before {
                break;
            }
        }
        for tid in thread_ids(pid) {
            if tid != dying && !held.iter().any(|known| known.tid == tid) {
                let place = format!("thread {tid}");
                soft_errors.add("thread_not_stopped", place, "it did not stop within 500 ms");
            }
        }
        let ids = held.iter().map(|thread| thread.tid).collect();
        (StoppedThreads::borrowed(ids, since), held)
    }

    fn wait_stopped(&mut self, tid: i32, deadline: Option<Instant>) -> Option<Held> {
        loop {
            match sys::wait_one(tid) {
                Some(Some(status)) if libc::WIFSTOPPED(status) => {
                    let is_event = status >> 16 != 0;
                    let signal = if is_event { 0 } else { libc::WSTOPSIG(status) };
                    return Some(Held { tid, signal });
                }
                Some(Some(status)) => {
                    self.ended.push((tid, status));
                    return None;
                }
                Some(None) => return None,
                None if deadline.is_none_or(|at| Instant::now() >= at) => return None,
                None => std::thread::sleep(Duration::from_micros(50)),
            }
        }
    }

    /// Lets held threads go on.
    pub(super) fn let_go(&self, held: Vec<Held>) {
        for Held { tid, signal } in held {
            self.go_on(tid, signal);
        }
    }
}

fn end(status: i32) -> End {
    if libc::WIFSIGNALED(status) {
        End::Signaled(libc::WTERMSIG(status))
    } else {
        End::Exited(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(1))
    }
}

/// Whether this process runs our own monitor, from its file or from memory.
pub(super) fn is_monitor(pid: i32) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program.to_string_lossy().contains("lastwords-monitor")
}
