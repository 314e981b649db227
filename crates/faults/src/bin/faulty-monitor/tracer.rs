//! Follows the monitor from system call to system call.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::SOCKET_FD;
use crate::order::{Action, Order, Phase};
use crate::ptrace::{self, Stop};
use crate::tamper::{self, AtExit};

/// The traced monitor.
#[derive(Debug)]
pub struct Tracer {
    pid: libc::pid_t,
    order: Order,
    order_file: PathBuf,
    log: File,
    phase: Phase,
    /// Calls so far that count for the order.
    count: u64,
    /// Thread → the call that it is in, and what is left to do at its exit.
    inside: HashMap<libc::pid_t, (i64, u64, Option<AtExit>)>,
}

impl Tracer {
    /// Takes over a child that is about to stop before its exec.
    pub fn new(pid: libc::pid_t, order: Order, log: File, order_file: PathBuf) -> io::Result<Self> {
        wait(pid)?;
        ptrace::set_options(pid)?;
        let (phase, inside) = (Phase::Start, HashMap::new());
        let mut tracer = Self { pid, order, order_file, log, phase, count: 0, inside };
        tracer.note(&format!("monitor {pid}"));
        ptrace::resume(pid, 0);
        Ok(tracer)
    }

    /// Follows the monitor to its end.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let (tid, status) = wait(-1)?;
            if libc::WIFSTOPPED(status) {
                let signal = self.on_stop(tid, status);
                ptrace::resume(tid, signal);
            } else if tid == self.pid {
                self.note(&format!("end {status}"));
                return Ok(());
            }
        }
    }

    fn note(&mut self, line: &str) {
        // One write: two monitors of one process may be at it.
        self.log.write_all(format!("{line}\n").as_bytes()).ok();
    }

    /// Gives the signal to go on with.
    fn on_stop(&mut self, tid: libc::pid_t, status: i32) -> i32 {
        const SYSTEM_CALL: i32 = libc::SIGTRAP | 0x80;
        let signal = libc::WSTOPSIG(status);
        if signal != SYSTEM_CALL {
            let is_event = status >> 16 != 0;
            let is_new_thread = signal == libc::SIGSTOP && tid != self.pid;
            return if is_event || is_new_thread { 0 } else { signal };
        }
        match ptrace::stop(tid) {
            Stop::Entry(call, argument) => self.on_entry(tid, call, argument),
            Stop::Exit(answer) => self.on_exit(tid, answer),
            Stop::Other => {}
        }
        0
    }

    fn on_entry(&mut self, tid: libc::pid_t, call: i64, argument: u64) {
        if self.order.action == Action::Record {
            self.note(&format!("call {:?} {call}", self.phase));
        }
        let mut left = None;
        if self.order.counts(self.phase, call) {
            self.count = self.count.saturating_add(1);
            if self.order.means(self.count) {
                left = self.tamper(tid, call);
            }
        }
        self.inside.insert(tid, (call, argument, left));
    }

    fn tamper(&mut self, tid: libc::pid_t, call: i64) -> Option<AtExit> {
        let mut left = None;
        match self.order.action {
            Action::Record => return None,
            Action::Fail(errno) => left = tamper::fail(tid, errno),
            Action::Short => left = tamper::shorten(tid, call)?,
            Action::Delay(ms) => std::thread::sleep(Duration::from_millis(ms)),
            Action::Kill | Action::Freeze => {}
        }
        if self.order.is_once {
            std::fs::remove_file(&self.order_file).ok();
        }
        self.note(&format!("hit {call}"));
        match self.order.action {
            // SAFETY: kills our own child.
            Action::Kill => unsafe {
                libc::kill(self.pid, libc::SIGKILL);
            },
            // Until somebody kills this process, and the monitor with it.
            Action::Freeze => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            _ => {}
        }
        left
    }

    fn on_exit(&mut self, tid: libc::pid_t, answer: i64) {
        let Some((call, argument, left)) = self.inside.remove(&tid) else { return };
        if let Some(left) = left {
            tamper::finish(tid, left);
        }
        let is_message = matches!(call, libc::SYS_recvfrom | libc::SYS_recvmsg | libc::SYS_read);
        if is_message && argument == u64::from(SOCKET_FD.unsigned_abs()) && answer > 0 {
            self.phase = Phase::Crash;
        }
    }
}

fn wait(pid: libc::pid_t) -> io::Result<(libc::pid_t, i32)> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place.
        let got = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if got >= 0 {
            return Ok((got, status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
