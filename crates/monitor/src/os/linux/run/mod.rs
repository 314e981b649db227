//! Watching a program that knows nothing of us, from its start to its end.
//!
//! The program is our child and runs traced: it stops for a moment when a signal arrives, when it
//! makes a thread or a process and when it executes another program, and at no other time. At the
//! moment when the default action of a signal is about to end it, its dumps are written; a
//! handler of its own, or a signal that it ignores, goes on undisturbed. Then it dies as it would
//! have. When we die, the kernel lets it go on alone.
//!
//! It stays in our process group, so the terminal's signals reach it without us. What is sent to us
//! alone is passed on.

mod signals;
mod start;
mod tracees;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

use self::signals::{Arrived, Signals};
use self::tracees::{Change, Tracees};
use super::target::Status;
use super::{LinuxSnapshot, sys};
use crate::failure::Failure;
use crate::outside::{self, Wish, Written};
use crate::signal_names::crash_title;
use crate::snapshot::Crash;
use crate::soft_errors::SoftErrors;

/// Signals whose default action ends a process with a core file.
const DEADLY: [i32; 10] = [
    libc::SIGSEGV,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGQUIT,
    libc::SIGXCPU,
    libc::SIGXFSZ,
];
/// Processes that are dumped, when the plan does not say.
const DEFAULT_COUNT: u64 = 5;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exited(u8),
    Signaled(i32),
}

impl End {
    /// Ends as the command did: with its exit status, or by its signal (without a core file of our
    /// own), so that whoever started us sees no difference.
    pub(crate) fn pass_on(self) -> ExitCode {
        match self {
            Self::Exited(status) => ExitCode::from(status),
            Self::Signaled(signal) => {
                signals::die_of(signal);
                ExitCode::from(u8::try_from(signal.saturating_add(128)).unwrap_or(1))
            }
        }
    }
}

/// Starts a program and watches it to its end.
///
/// # Errors
/// It could not be started, or may not be watched. Nothing of it runs then.
pub(crate) fn run(plan: &Value, command: &[OsString]) -> Result<End, Failure> {
    let wish = Wish::from_json(plan)?;
    let prepared = wish.destination.prepare();
    prepared.map_err(|error| crate::on_demand::not_written(&wish.destination, &error))?;
    let flag = |key: &str| plan.get(key).and_then(Value::as_bool).unwrap_or(false);
    let is_following = !flag("is_without_children");
    let signals = Signals::block().map_err(|error| start::not_started(command, &error))?;
    let started = start::start(command, &signals, is_following)?;
    let mut watching = Watching {
        wish,
        tracees: Tracees::new(started.pid, is_following),
        signals,
        dumps_left: plan.get("count").and_then(Value::as_u64).unwrap_or(DEFAULT_COUNT),
        is_quiet: flag("is_quiet"),
        oom_kills: oom_kills(),
        is_root_stopped: false,
        is_stop_wanted: false,
    };
    let end = watching.watch();
    started.check()?;
    Ok(end)
}

struct Watching {
    wish: Wish,
    tracees: Tracees,
    signals: Signals,
    dumps_left: u64,
    is_quiet: bool,
    oom_kills: Option<u64>,
    /// The command stands still by job control.
    is_root_stopped: bool,
    /// The terminal wants us to stand still too.
    is_stop_wanted: bool,
}

impl Watching {
    fn watch(&mut self) -> End {
        loop {
            while let Some(change) = self.tracees.next_change() {
                if let Some(end) = self.on_change(change) {
                    return end;
                }
            }
            self.stop_with_the_command();
            match self.signals.wait() {
                Arrived::Child => {}
                Arrived::StopByTerminal => self.is_stop_wanted = true,
                Arrived::Sent { signal, sender } if !self.tracees.has_process(sender) => {
                    self.is_stop_wanted |= signal == libc::SIGTSTP;
                    self.tracees.send_root(signal);
                }
                Arrived::Sent { .. } | Arrived::Other => {}
            }
        }
    }

    fn on_change(&mut self, change: Change) -> Option<End> {
        match change {
            Change::RootEnded(end) => {
                self.tell_of_kill(end);
                return Some(end);
            }
            Change::RootStopped => self.is_root_stopped = true,
            Change::RootContinued => self.is_root_stopped = false,
            Change::Signal { tid, signal } => self.on_signal(tid, signal),
        }
        None
    }

    /// A thread is about to receive a signal.
    fn on_signal(&mut self, tid: i32, signal: i32) {
        if signal == libc::SIGCONT {
            self.is_stop_wanted = false;
        }
        let is_worth_it = DEADLY.contains(&signal) && self.dumps_left > 0;
        // Another `run` below us ends by the signal of its command, which it has dumped.
        if is_worth_it && will_die(tid, signal) && !tracees::is_monitor(tid) {
            self.dumps_left = self.dumps_left.saturating_sub(1);
            self.dump(tid, signal);
        }
        self.tracees.go_on(tid, signal);
    }

    fn dump(&mut self, tid: i32, signal: i32) {
        let pid = self.tracees.process_of(tid);
        let time_ns = outside::now_ns();
        let mut soft_errors = SoftErrors::default();
        let (stopped, held) = self.tracees.hold(pid, tid, &mut soft_errors);
        let taken = LinuxSnapshot::of_dying(pid, tid, time_ns, stopped, &mut soft_errors);
        match taken {
            Ok((snapshot, crash)) => {
                let what = crash_title(crash.signal, crash.code, crash.address);
                let written = outside::write(snapshot, &crash, &self.wish, time_ns, soft_errors);
                self.tell_of_dump(&what, &crash, written);
            }
            Err(error) => self.say(&format!("process {pid} died of signal {signal}: {error}")),
        }
        self.tracees.let_go(held);
    }

    fn tell_of_dump(&self, what: &str, crash: &Crash, written: Result<Written, Failure>) {
        match written {
            Ok(written) => {
                let (name, pid) = (&written.process_name, written.pid);
                self.say(&format!("{what} in thread {} of {name} ({pid})", crash.thread_id));
                for dump in &written.dumps {
                    let kind = dump.get("kind").and_then(Value::as_str).unwrap_or("");
                    let file = dump.get("file").and_then(Value::as_str).unwrap_or("");
                    self.say(&format!("{kind} dump written: {file}"));
                }
            }
            Err(failure) => {
                self.say(&format!("{what}: {}", failure.message));
                self.say(&format!("hint: {}", failure.hint));
            }
        }
    }

    /// SIGKILL leaves no moment for a dump; that at least is said.
    fn tell_of_kill(&self, end: End) {
        if end != End::Signaled(libc::SIGKILL) {
            return;
        }
        let is_oom = oom_kills() > self.oom_kills;
        let why = if is_oom { "; the kernel was out of memory and killed meanwhile" } else { "" };
        self.say(&format!("the command was killed (SIGKILL), which leaves no dump{why}"));
    }

    fn say(&self, text: &str) {
        if !self.is_quiet {
            // Whoever reads it may be gone; the command goes on all the same.
            writeln!(std::io::stderr(), "lastwords: {text}").ok();
        }
    }

    /// Ctrl-Z: when the command stands still, we do too, so that the shell takes the terminal back.
    fn stop_with_the_command(&mut self) {
        if self.is_root_stopped && self.is_stop_wanted {
            self.is_stop_wanted = false;
            signals::stop_self();
        }
    }
}

/// Whether the default action of a signal will be taken.
fn will_die(tid: i32, signal: i32) -> bool {
    let bit = u32::try_from(signal.saturating_sub(1)).ok().and_then(|n| 1_u64.checked_shl(n));
    let Some((status, bit)) = Status::read(tid).zip(bit) else { return false };
    (status.set("SigCgt") | status.set("SigIgn")) & bit == 0
}

/// How often the kernel has killed for want of memory since the start of the machine.
fn oom_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}
