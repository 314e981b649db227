//! The monitor's loop: sleep until the process asks, says goodbye, or ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use lastwords_capture::protocol::{
    ANSWER_SIZE, ANSWER_TEXT_SIZE, Answer, CrashRequest, GOODBYE, ORDER_SIZE, REQUEST_SIZE,
};
use lastwords_capture::shared::AreaReader;

use crate::end_watch::{EndWatch, Lost};
use crate::os::linux::sys;
use crate::report::{self, Finished};
use crate::session::Session;
use crate::{on_demand, prune, spool};

/// Descriptors that `lastwords-capture` hands over (its `spawn.rs`).
const SOCKET_FD: i32 = 3;
const SHARED_FD: i32 = 4;
const SESSION_FD: i32 = 5;
const FIRST_OTHER_FD: u32 = 6;
/// How long an order may follow its request.
const ORDER_PATIENCE: Duration = Duration::from_secs(2);

/// One observed process.
#[derive(Debug)]
pub struct Watch {
    socket: OwnedFd,
    area: AreaReader,
    pid: i32,
    process: Option<OwnedFd>,
    /// Only the monitor that watches from the start tells of abnormal ends.
    ends: Option<EndWatch>,
    /// The host has closed its end of the socket, and lives on.
    is_socket_closed: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Crash(Box<CrashRequest>),
    Goodbye,
    SocketClosed,
    End,
    Shutdown,
    Unknown,
}

impl Watch {
    /// Takes over the descriptors that the SDK left open.
    ///
    /// # Errors
    /// When the process was not started by the SDK.
    pub fn from_inherited() -> io::Result<Self> {
        let socket = sys::inherited(SOCKET_FD)?;
        let area = AreaReader::new(File::from(sys::inherited(SHARED_FD)?))?;
        // Before anything is opened that could get its number.
        let session = Session::from_inherited(SESSION_FD);
        let pid = sys::peer_pid(&socket)?;
        sys::clean_start(FIRST_OTHER_FD);
        // Without a pidfd the end of the process is still seen: its socket closes.
        let process = sys::pidfd_open(pid).ok();
        let ends = session.map(|session| EndWatch::begin(session, pid, &area));
        Ok(Self { socket, area, pid, process, ends, is_socket_closed: false })
    }

    /// Watches until the process ends or says goodbye. Sleeps in between: no timer, no polling.
    pub fn run(&mut self) {
        loop {
            match self.next_event().unwrap_or(Event::End) {
                Event::Crash(request) => {
                    self.on_crash(&request);
                    // A thread that did not stop in time would stop later, for ever. It cannot
                    // be let go while it runs, except by our end; the handler starts another
                    // monitor for the next crash.
                    if sys::has_tracees() {
                        return;
                    }
                }
                Event::Unknown => {}
                Event::Shutdown => {
                    if let Some(ends) = &mut self.ends {
                        ends.note_shutdown();
                    }
                }
                Event::SocketClosed if self.is_alive_without_socket() => {
                    self.is_socket_closed = true;
                }
                Event::Goodbye => return self.say_nothing(),
                Event::SocketClosed | Event::End => return self.on_end(),
            }
        }
    }

    fn next_event(&self) -> io::Result<Event> {
        let socket = (!self.is_socket_closed).then(|| self.socket.as_raw_fd());
        let process = self.process.as_ref().map(AsRawFd::as_raw_fd);
        let shutdown = self.ends.as_ref().and_then(EndWatch::shutdown_fd);
        // A negative number is passed over (poll(2)).
        let fds = [socket, process, shutdown].map(|fd| fd.unwrap_or(-1));
        let ready = sys::wait_readable(&fds, -1)?;
        let [is_told, has_ended, is_shutdown] = ready.as_slice() else { return Ok(Event::End) };
        if *is_told {
            return Ok(self.receive());
        }
        Ok(match (has_ended, is_shutdown) {
            (true, _) => Event::End,
            (false, true) => Event::Shutdown,
            (false, false) => Event::Unknown,
        })
    }

    fn receive(&self) -> Event {
        let mut message = [0; REQUEST_SIZE];
        let Ok(length) = sys::receive_before(&self.socket, &mut message, None) else {
            return Event::SocketClosed;
        };
        if message.get(..length) == Some(&GOODBYE) {
            return Event::Goodbye;
        }
        let request = (length == REQUEST_SIZE).then(|| CrashRequest::from_bytes(&message));
        let request = request.flatten().filter(|request| request.pid == self.pid);
        request.map_or(Event::Unknown, |request| Event::Crash(Box::new(request)))
    }

    /// Whether the program goes on although it has closed its descriptors; then only its end is
    /// still to be seen here.
    fn is_alive_without_socket(&mut self) -> bool {
        let has_process = self.process.is_some();
        let Some(ends) = &mut self.ends else { return false };
        match ends.on_socket_closed(self.pid, &self.area) {
            Lost::Descriptors => has_process,
            Lost::Program => {
                ends.say_nothing();
                false
            }
            Lost::Process => false,
        }
    }

    fn on_end(&mut self) {
        let has_heir = self.area.has_forked() || !self.is_at_end();
        if let Some(ends) = &mut self.ends {
            ends.on_end(self.pid, self.process.as_ref(), &self.area, has_heir);
        }
    }

    /// Whether nobody holds the other end of the socket.
    fn is_at_end(&self) -> bool {
        let ready = sys::wait_readable(&[self.socket.as_raw_fd()], 0);
        ready.is_ok_and(|ready| ready.contains(&true)) && self.receive() == Event::SocketClosed
    }

    fn say_nothing(&mut self) {
        if let Some(ends) = &mut self.ends {
            ends.say_nothing();
        }
    }

    fn on_crash(&self, request: &CrashRequest) {
        if request.signal() == 0 {
            return self.on_order(request);
        }
        let socket = self.socket.try_clone().ok();
        let Finished { line, path, .. } = report::write_report(request, &self.area, socket);
        let mut buffer = [0; ANSWER_SIZE];
        let text = format!("{line}\n");
        // The process may be gone already; the report is there all the same.
        sys::send(&self.socket, Answer::Done(text.as_bytes()).encode(&mut buffer)).ok();
        if let Some(path) = path {
            self.keep(&path);
        }
    }

    /// Nobody waits any more: makes a finished report last, and the spool small.
    fn keep(&self, report: &Path) {
        spool::sync(report);
        let config = self.area.config().unwrap_or_default();
        prune::prune(report, prune::max_bytes(&config));
    }

    /// A dump on demand: its order is the next message.
    fn on_order(&self, request: &CrashRequest) {
        let mut order = vec![0; ORDER_SIZE];
        let deadline = Instant::now().checked_add(ORDER_PATIENCE);
        let received = sys::receive_before(&self.socket, &mut order, deadline);
        order.truncate(received.unwrap_or(0));
        let outcome = on_demand::fulfil(request, &self.area, self.socket.try_clone().ok(), &order);
        let text = outcome.to_bytes();
        let mut pieces = text.chunks(ANSWER_TEXT_SIZE).peekable();
        while let Some(piece) = pieces.next() {
            let mut buffer = [0; ANSWER_SIZE];
            let is_last = pieces.peek().is_none();
            let answer = if is_last { Answer::Done(piece) } else { Answer::More(piece) };
            sys::send(&self.socket, answer.encode(&mut buffer)).ok();
        }
        if let Some(path) = outcome.path {
            self.keep(&path);
        }
    }
}
