//! From `_PyRuntime` over interpreters and thread states to their frames.

use std::collections::HashSet;

use lastwords_format::streams::python::{PythonStream, PythonThread};

use crate::debug_build::is_debug_build;
use crate::error::Error;
use crate::frames::FrameReader;
use crate::gil::{self, GilState};
use crate::layout::{Field, Gil};
use crate::source::{Fault, Record};
use crate::walk::{root_fields, walk};
use crate::{Limits, Outcome, Target};

const MAIN_INTERPRETER: u64 = 0;

/// Reads everything below `_PyRuntime`.
pub(crate) fn read(
    reader: FrameReader<'_>,
    target: &Target,
    limits: &Limits,
) -> Result<Outcome, Error> {
    let is_free_threaded = reader.objects.layout.is_free_threaded;
    let mut reading = Reading {
        reader,
        limits: *limits,
        met: HashSet::new(),
        frames_left: limits.max_total_frames,
        gil_holders: HashSet::new(),
        main_interpreter: None,
        first_fault: None,
        stream: PythonStream {
            python_version: target.python_version,
            is_free_threaded,
            runtime_address: target.runtime_address,
            ..PythonStream::default()
        },
    };
    reading.runtime(target.runtime_address)?;
    // Last, because nothing else depends on it.
    if let Some(interpreter) = reading.main_interpreter {
        reading.set_build(interpreter);
    }
    reading.finish(target.runtime_address)
}

struct Reading<'m> {
    reader: FrameReader<'m>,
    limits: Limits,
    /// Interpreters and thread states met so far: chains end, they do not loop.
    met: HashSet<u64>,
    frames_left: usize,
    gil_holders: HashSet<u64>,
    main_interpreter: Option<u64>,
    first_fault: Option<Fault>,
    stream: PythonStream,
}

/// What all threads of one interpreter share.
struct Interpreter {
    address: u64,
    id: u64,
    gil_address: Option<u64>,
    is_collecting: bool,
    is_finalizing: bool,
}

impl Reading<'_> {
    fn runtime(&mut self, address: u64) -> Result<(), Fault> {
        let fields = self.reader.objects.layout.runtime;
        let gil = match self.reader.objects.layout.gil {
            Gil::Runtime { tstate_current, gil } => Some((tstate_current, gil)),
            Gil::Interpreter { .. } => None,
        };
        let holder = gil.map_or(fields.finalizing, |(holder, _)| holder);
        let wanted = [fields.interpreters_head, fields.finalizing, holder];
        let record = self.reader.objects.source.record(address, &wanted)?;
        self.stream.is_finalizing = record.get(fields.finalizing)? != 0;
        if let Some((_, gil)) = gil {
            let holder = Some(record.get(holder)?).filter(|holder| *holder != 0);
            self.set_gil(GilState { address: address.saturating_add(gil), holder });
        }
        let mut interpreter = record.get(fields.interpreters_head)?;
        while interpreter != 0 && !self.stream.is_cut {
            match self.interpreter(interpreter) {
                Ok(next) => interpreter = next,
                Err(fault) => {
                    let place = format!("interpreter state at {interpreter:#x}");
                    self.note("python_interpreter_unreadable", place, fault);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads one interpreter; gives the next one.
    fn interpreter(&mut self, address: u64) -> Result<u64, Fault> {
        self.meet(address, "the chain of interpreter states")?;
        let fields = self.reader.objects.layout.interpreter;
        let finalizing = fields.finalizing.unwrap_or(fields.collecting);
        let wanted = [fields.next, fields.id, fields.threads_head, fields.collecting, finalizing];
        let record = self.reader.objects.source.record(address, &wanted)?;
        let finalizing = fields.finalizing.map_or(Ok(0), |field| record.get(field))?;
        let interpreter = Interpreter {
            address,
            id: record.get(fields.id)?,
            gil_address: self.interpreter_gil(address),
            is_collecting: record.get(fields.collecting)? != 0,
            is_finalizing: finalizing != 0,
        };
        if interpreter.id == MAIN_INTERPRETER {
            self.main_interpreter = Some(address);
        }
        let mut thread = record.get(fields.threads_head)?;
        while thread != 0 && !self.stream.is_cut {
            match self.thread(thread, &interpreter) {
                Ok(next) => thread = next,
                Err(fault) => {
                    let place = format!("thread state at {thread:#x}");
                    self.note("python_thread_unreadable", place, fault);
                    break;
                }
            }
        }
        record.get(fields.next)
    }

    fn set_build(&mut self, interpreter: u64) {
        let objects = &mut self.reader.objects;
        let sysdict = objects.layout.interpreter.sysdict;
        let found = objects.source.record(interpreter, &[sysdict]).and_then(|record| {
            is_debug_build(objects, record.get(sysdict)?, self.stream.python_version)
        });
        match found {
            Ok(is_debug) => self.stream.is_debug_build = is_debug,
            Err(fault) => {
                let place = format!("interpreter state at {interpreter:#x}");
                self.reader.soft_errors.push("python_build_unknown", place, fault.to_string());
            }
        }
    }

    /// Address of the GIL that the interpreter's threads take; `None` = none, or not known.
    fn interpreter_gil(&mut self, interpreter: u64) -> Option<u64> {
        let layout = self.reader.objects.layout.gil;
        if let Gil::Runtime { .. } = layout {
            return self.stream.gil_address;
        }
        let found = gil::of_interpreter(&mut self.reader.objects.source, &layout, interpreter);
        let gil = found.unwrap_or_else(|fault| {
            let place = format!("interpreter state at {interpreter:#x}");
            self.reader.soft_errors.push("python_gil_unknown", place, fault.to_string());
            None
        })?;
        self.set_gil(gil);
        Some(gil.address)
    }

    /// Interpreters with a GIL of their own (3.12 and later) are listed newest first, so the
    /// main interpreter's is the one that stays.
    fn set_gil(&mut self, gil: GilState) {
        self.stream.gil_address = Some(gil.address);
        if let Some(holder) = gil.holder {
            self.stream.gil_holder = Some(holder);
            self.gil_holders.insert(holder);
        }
    }

    /// Reads one thread and its frames; gives the next one.
    fn thread(&mut self, address: u64, interpreter: &Interpreter) -> Result<u64, Fault> {
        if self.stream.threads.len() >= self.limits.max_threads || self.frames_left == 0 {
            self.stream.is_cut = true;
            return Err(Fault::Limit("max_threads or max_total_frames"));
        }
        self.meet(address, "the chain of thread states")?;
        let record = self.thread_record(address)?;
        let fields = self.reader.objects.layout.thread;
        let found = record.get(fields.interp)?;
        if found != interpreter.address {
            let expected = "the address of its interpreter state";
            return Err(Fault::Implausible {
                what: "interp of a thread",
                address,
                found,
                expected,
            });
        }
        let native_thread_id =
            fields.native_thread_id.map(|field| record.get(field)).transpose()?;
        let walked = walk(&mut self.reader, &record, self.limits.max_frames.min(self.frames_left));
        self.frames_left = self.frames_left.saturating_sub(walked.frames.len());
        let exception = fields.exception.map_or(Ok(0), |field| record.get(field))?;
        let thread = PythonThread {
            tstate: address,
            interpreter_id: interpreter.id,
            thread_id: record.get(fields.thread_id)?,
            native_thread_id: native_thread_id.filter(|id| *id != 0),
            exception_type: self.exception_type(address, exception),
            holds_gil: self.gil_holders.contains(&address),
            is_cut: walked.is_cut,
            is_broken: walked.is_broken,
            is_collecting: interpreter.is_collecting,
            is_interpreter_finalizing: interpreter.is_finalizing,
            gil_address: interpreter.gil_address,
            frames: walked.frames,
        };
        self.stream.threads.push(thread);
        record.get(fields.next)
    }

    fn thread_record(&mut self, address: u64) -> Result<Record, Fault> {
        let layout = self.reader.objects.layout;
        let fields = layout.thread;
        let [first_root, second_root] = root_fields(&layout.chain);
        let wanted: [Field; 7] = [
            fields.next,
            fields.interp,
            fields.thread_id,
            fields.native_thread_id.unwrap_or(fields.thread_id),
            fields.exception.unwrap_or(fields.thread_id),
            first_root,
            second_root,
        ];
        self.reader.objects.source.record(address, &wanted)
    }

    fn exception_type(&mut self, thread: u64, exception: u64) -> Option<String> {
        if exception == 0 {
            return None;
        }
        let objects = &mut self.reader.objects;
        let name = if objects.layout.thread.is_exception_instance {
            objects.type_of(exception).and_then(|of| objects.exception_type_name(of))
        } else {
            objects.exception_type_name(exception)
        };
        name.map_err(|fault| {
            let place = format!("thread state at {thread:#x}");
            let message = format!("the type of its pending exception: {fault}");
            self.reader.soft_errors.push("python_exception_unknown", place, message);
        })
        .ok()
    }

    fn meet(&mut self, address: u64, what: &'static str) -> Result<(), Fault> {
        if self.met.insert(address) {
            return Ok(());
        }
        let expected = "one that it has not met before";
        Err(Fault::Implausible { what, address, found: address, expected })
    }

    fn note(&mut self, code: &'static str, place: String, fault: Fault) {
        let is_limit = matches!(fault, Fault::Limit(_));
        self.stream.is_cut |= is_limit;
        let code = if is_limit { "python_limit" } else { code };
        self.reader.soft_errors.push(code, place, fault.to_string());
        self.first_fault.get_or_insert(fault);
    }

    /// The outcome, or the reason why there is no thread in it.
    fn finish(self, runtime_address: u64) -> Result<Outcome, Error> {
        if self.stream.threads.is_empty() {
            return Err(self.first_fault.map_or(
                Error::Implausible {
                    what: "_PyRuntime",
                    address: runtime_address,
                    found: 0,
                    expected: "an interpreter with at least one thread",
                },
                Error::from,
            ));
        }
        let soft_errors = self.reader.soft_errors.into_list();
        Ok(Outcome { stream: self.stream, soft_errors, ..Outcome::default() })
    }
}
