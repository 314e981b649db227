//! What the monitor does about the end of its process: notes the state of things at the start,
//! sees the end, judges it, and reports it.

use std::os::fd::{AsRawFd, OwnedFd};

use lastwords_capture::shared::AreaReader;

use crate::end_report;
use crate::ends::{End, Facts};
use crate::os::linux::ends::{self, Baseline, ExitStatus, OomEvidence, Termination};
use crate::os::linux::sys;
use crate::session::Session;

/// How long a process that has begun to end may take: freeing much memory takes seconds.
const END_WAIT_MS: i32 = 60_000;

/// Why the socket was closed without a goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The process ends.
    Process,
    /// It lives, and has executed another program: what becomes of that is not ours to tell.
    Program,
    /// It lives, and has closed its descriptors.
    Descriptors,
}

/// The watch for one process's end.
#[derive(Debug)]
pub(crate) struct EndWatch {
    session: Option<Session>,
    baseline: Baseline,
    termination: Option<Termination>,
    is_shutdown: bool,
    early_status: Option<ExitStatus>,
}

impl EndWatch {
    /// Begins the session whose file the SDK left open.
    pub(crate) fn begin(mut session: Session, pid: i32, area: &AreaReader) -> Self {
        let baseline = Baseline::read(pid);
        session.begin(pid, end_report::prepared_fields(area));
        let termination = Termination::take_over().ok();
        let (is_shutdown, early_status) = (false, None);
        Self { session: Some(session), baseline, termination, is_shutdown, early_status }
    }

    /// Readable once the monitor was asked to end; `None` after that was noted.
    pub(crate) fn shutdown_fd(&self) -> Option<i32> {
        self.termination.as_ref().filter(|_| !self.is_shutdown).map(Termination::fd)
    }

    /// The monitor was asked to end, as everything is at a shutdown. It ends with the process.
    pub(crate) fn note_shutdown(&mut self) {
        self.is_shutdown = true;
        if let Some(session) = &mut self.session {
            session.note_shutdown();
        }
    }

    /// Finds out why the socket was closed. A process that ends closes it just before its parent is
    /// told: on kernels before 6.15 its exit status may be had only now.
    pub(crate) fn on_socket_closed(&mut self, pid: i32, area: &AreaReader) -> Lost {
        let Some(stat) = self.baseline.stat() else { return Lost::Process };
        if stat.is_ending() {
            self.early_status = ends::status_of_ending(stat);
            return Lost::Process;
        }
        match area.inode().and_then(|inode| ends::is_mapped(pid, inode)) {
            Ok(true) => Lost::Descriptors,
            // It may have begun to end meanwhile; then it has no mappings any more either.
            _ if self.baseline.stat().is_none_or(|stat| stat.is_ending()) => Lost::Process,
            _ => Lost::Program,
        }
    }

    /// Judges the end of the process, and reports it when it was abnormal.
    pub(crate) fn on_end(
        &mut self,
        pid: i32,
        process: Option<&OwnedFd>,
        area: &AreaReader,
        has_heir: bool,
    ) {
        let Some(session) = self.session.take() else { return };
        if let Some(process) = process {
            sys::wait_readable(&[process.as_raw_fd()], END_WAIT_MS).ok();
        }
        let status = self.baseline.exit_status(process).or(self.early_status);
        let facts = Facts {
            status,
            life: area.life(),
            is_interpreter: area.is_interpreter(),
            has_heir,
            is_shutdown: self.is_shutdown,
            oom: self.oom_evidence(status),
        };
        let Some(mut end) = End::of(&facts) else { return session.remove() };
        if let Some(figures) = self.baseline.memory_figures() {
            end.add_evidence(figures);
        }
        // What cannot be written now may be by the next start: it finds the session.
        if end_report::write(&end, pid, session.id(), area).is_ok() {
            session.remove();
        }
    }

    /// Asked only for ends that the killer may have brought about.
    fn oom_evidence(&mut self, status: Option<ExitStatus>) -> OomEvidence {
        match status {
            None | Some(ExitStatus::Signal(libc::SIGKILL)) => self.baseline.oom_evidence(),
            Some(_) => OomEvidence::None,
        }
    }

    /// Ends the session without a word.
    pub(crate) fn say_nothing(&mut self) {
        if let Some(session) = self.session.take() {
            session.remove();
        }
    }
}
