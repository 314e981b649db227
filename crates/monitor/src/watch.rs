//! The monitor's loop: sleep until the process asks, says goodbye, or ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use lastwords_capture::protocol::{
    ANSWER_SIZE, ANSWER_TEXT_SIZE, Answer, CrashRequest, GOODBYE, ORDER_SIZE, REQUEST_SIZE,
};
use lastwords_capture::shared::AreaReader;

use crate::os::linux::sys;
use crate::report::{self, Finished};
use crate::{on_demand, spool};

/// Descriptors that `lastwords-capture` hands over (its `spawn.rs`).
const SOCKET_FD: i32 = 3;
const SHARED_FD: i32 = 4;
const FIRST_OTHER_FD: u32 = 5;
/// How long an order may follow its request.
const ORDER_PATIENCE: Duration = Duration::from_secs(2);

/// One observed process.
#[derive(Debug)]
pub struct Watch {
    socket: OwnedFd,
    area: AreaReader,
    pid: i32,
    process: Option<OwnedFd>,
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Crash(Box<CrashRequest>),
    End,
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
        let pid = sys::peer_pid(&socket)?;
        sys::clean_start(FIRST_OTHER_FD);
        // Without a pidfd the end of the process is still seen: its socket closes.
        let process = sys::pidfd_open(pid).ok();
        Ok(Self { socket, area, pid, process })
    }

    /// Watches until the process ends or says goodbye. Sleeps in between: no timer, no polling.
    pub fn run(&self) {
        loop {
            match self.next_event() {
                Ok(Event::Crash(request)) => {
                    self.on_crash(&request);
                    // A thread that did not stop in time would stop later, for ever. It cannot
                    // be let go while it runs, except by our end; the handler starts another
                    // monitor for the next crash.
                    if sys::has_tracees() {
                        return;
                    }
                }
                Ok(Event::Unknown) => {}
                Ok(Event::End) | Err(_) => return,
            }
        }
    }

    fn next_event(&self) -> io::Result<Event> {
        let mut fds = vec![self.socket.as_raw_fd()];
        fds.extend(self.process.as_ref().map(AsRawFd::as_raw_fd));
        let ready = sys::wait_readable(&fds, -1)?;
        if ready.first() != Some(&true) {
            return Ok(Event::End);
        }
        let mut message = [0; REQUEST_SIZE];
        let length = match sys::receive_before(&self.socket, &mut message, None) {
            Ok(length) => length,
            Err(_) => return Ok(Event::End),
        };
        if message.get(..length) == Some(&GOODBYE) {
            return Ok(Event::End);
        }
        let request = (length == REQUEST_SIZE).then(|| CrashRequest::from_bytes(&message));
        let request = request.flatten().filter(|request| request.pid == self.pid);
        Ok(request.map_or(Event::Unknown, |request| Event::Crash(Box::new(request))))
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
            spool::sync(&path);
        }
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
            spool::sync(&path);
        }
    }
}
