//! One dump, opened once, and asked many times: what a debugger's prompt stands on.
//!
//! The dump's readers borrow from its bytes, so all of them live on a thread of their own, which
//! answers one request after the other: no part of them has to be built anew for a question, and
//! none is leaked. That thread has a large stack: types nest as deep as their authors liked.
//!
//! Owns: [`Session`], the requests and answers (JSON, see [`request`]). Does not own: a command
//! language, or how an answer is shown (`src/lastwords/debug`).

mod about;
mod code;
mod debuggee;
mod frames;
mod memory;
mod modules;
mod names;
mod regions;
mod request;
mod threads;
mod variables;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use lastwords_unwind::Provider;

use self::debuggee::{Debuggee, Next};
use crate::panics::caught;
use crate::soft_errors::SoftErrors;
use crate::state::{self, Threads};
use crate::{Error, Options, OwnStreams, guard, input, python};

const STACK_BYTES: usize = 64 << 20;

type Answer = Result<Vec<u8>, Error>;

/// An open dump. Requests of several threads wait for each other.
pub struct Session {
    ends: Mutex<Ends>,
}

struct Ends {
    requests: Sender<Vec<u8>>,
    answers: Receiver<Answer>,
}

impl Session {
    /// Opens the minidump at `path`. `options_json`: see [`Options`]; empty means the defaults.
    ///
    /// # Errors
    /// As [`crate::analyze_file`].
    pub fn open(path: &Path, options_json: &[u8]) -> Result<Self, Error> {
        let options = Options::from_json(options_json)?;
        let (requests, inbox) = channel::<Vec<u8>>();
        let (outbox, answers) = channel::<Answer>();
        let path = path.to_owned();
        let run = move || {
            let outcome = caught(|| answer_all(&path, &options, &inbox, &outbox));
            let failure = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(reason) => Error::Internal { reason },
            };
            // Nobody listens any more when the session is dropped first.
            outbox.send(Err(failure)).ok();
        };
        std::thread::Builder::new()
            .name("lastwords-session".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(run)
            .map_err(|error| Error::Internal { reason: error.to_string() })?;
        let ends = Ends { requests, answers };
        ends.wait()?;
        Ok(Self { ends: Mutex::new(ends) })
    }

    /// Answers one request: JSON in, JSON out. The request is an object whose key `ask` names it.
    ///
    /// # Errors
    /// [`Error::Request`] for what is no request; [`Error::Internal`] for a defect. Data that the
    /// dump does not hold is no error, the answer says so.
    pub fn ask(&self, request: &[u8]) -> Result<Vec<u8>, Error> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = ends.requests.send(request.to_vec());
        sent.map_err(|_| Error::Internal { reason: "the session has ended".to_owned() })?;
        ends.wait()
    }
}

impl Ends {
    fn wait(&self) -> Answer {
        let ended = |_| Error::Internal { reason: "the session has ended".to_owned() };
        self.answers.recv().map_err(ended)?
    }
}

/// Opens the dump, says so by an empty answer, and answers until nobody asks any more.
fn answer_all(
    path: &Path,
    options: &Options,
    inbox: &Receiver<Vec<u8>>,
    outbox: &Sender<Answer>,
) -> Result<(), Error> {
    let mut soft_errors = SoftErrors::default();
    let mut bytes = input::read(path, options.max_whole_bytes, &mut soft_errors)?;
    guard::apply(&mut bytes, guard::MAX_STREAMS, &mut soft_errors);
    let nothing = Provider::new(lastwords_symbols::Sources::default());
    let state = state::process(path, &mut bytes, &nothing, &mut soft_errors)?;
    let bytes = bytes;
    let dump = state::open(path, &bytes)?;
    let threads = Threads::read(&dump);
    // As the threads stood when the dump was written, the one that crashed too.
    let own = Threads { exception: None, ..Threads::read(&dump) };
    let streams = OwnStreams::read(&dump, &mut soft_errors);
    let (stream, _) = streams.python(&dump, &threads, options.locals, &mut soft_errors).unzip();
    let by_thread =
        python::ByThread::of(stream.as_ref(), &threads, options.max_frames, &mut soft_errors);
    let file = memory::WholeFile::open(path, bytes.len());
    let soft_errors = soft_errors.into_list();
    let mut sources: (Vec<PathBuf>, bool) = (options.symbols.clone(), options.local_modules);
    loop {
        let provider = Provider::new(lastwords_symbols::Sources {
            symbols: sources.0.clone(),
            local_modules: sources.1,
            cache_dir: options.cache_dir.clone(),
        });
        let options =
            Options { symbols: sources.0.clone(), local_modules: sources.1, ..options.clone() };
        let debuggee = Debuggee {
            path,
            bytes: &bytes,
            dump: &dump,
            state: &state,
            threads: &threads,
            own: &own,
            stream: stream.as_ref(),
            python: &by_thread,
            provider: &provider,
            options: &options,
            soft_errors: &soft_errors,
            file: &file,
            caches: debuggee::Caches::default(),
        };
        // Answers the opening, or the request for other symbols.
        if outbox.send(Ok(b"{}".to_vec())).is_err() {
            return Ok(());
        }
        let next = debuggee.serve(inbox, outbox);
        provider.keep();
        match next {
            Next::End => return Ok(()),
            Next::Reopen { symbols, local_modules } => sources = (symbols, local_modules),
        }
    }
}
