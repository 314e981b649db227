//! From `_PyRuntime` over interpreters and thread states to their frames.

use std::collections::HashSet;

use lastwords_format::streams::python::{PythonStream, PythonThread};

use crate::error::Error;
use crate::frames::FrameReader;
use crate::layout::{Field, Gil};
use crate::source::{Fault, Record};
use crate::walk::{root_fields, walk};
use crate::{Limits, Outcome, Target};

/// Reads everything below `_PyRuntime`.
pub(crate) fn read(
    reader: FrameReader<'_>,
    target: &Target,
    limits: &Limits,
) -> Result<Outcome, Error> {
    let mut reading = Reading {
        reader,
        limits: *limits,
        met: HashSet::new(),
        frames_left: limits.max_total_frames,
        gil_holders: HashSet::new(),
        first_fault: None,
        stream: PythonStream {
            python_version: target.python_version,
            runtime_address: target.runtime_address,
            ..PythonStream::default()
        },
    };
    reading.runtime(target.runtime_address)?;
    reading.finish(target.runtime_address)
}

struct Reading<'m> {
    reader: FrameReader<'m>,
    limits: Limits,
    /// Interpreters and thread states met so far: chains end, they do not loop.
    met: HashSet<u64>,
    frames_left: usize,
    gil_holders: HashSet<u64>,
    first_fault: Option<Fault>,
    stream: PythonStream,
}

impl Reading<'_> {
    fn runtime(&mut self, address: u64) -> Result<(), Fault> {
        let fields = self.reader.objects.layout.runtime;
        let gil = match self.reader.objects.layout.gil {
            Gil::Runtime { tstate_current } => Some(tstate_current),
            Gil::Interpreter { .. } => None,
        };
        let wanted =
            [fields.interpreters_head, fields.finalizing, gil.unwrap_or(fields.finalizing)];
        let record = self.reader.objects.source.record(address, &wanted)?;
        self.stream.is_finalizing = record.get(fields.finalizing)? != 0;
        if let Some(tstate_current) = gil {
            self.set_gil_holder(record.get(tstate_current)?);
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
        let wanted = [fields.next, fields.id, fields.threads_head];
        let record = self.reader.objects.source.record(address, &wanted)?;
        self.interpreter_gil(address);
        let interpreter_id = record.get(fields.id)?;
        let mut thread = record.get(fields.threads_head)?;
        while thread != 0 && !self.stream.is_cut {
            match self.thread(thread, address, interpreter_id) {
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

    fn interpreter_gil(&mut self, interpreter: u64) {
        let Gil::Interpreter { gil, last_holder, locked } = self.reader.objects.layout.gil else {
            return;
        };
        let source = &mut self.reader.objects.source;
        let read = source.record(interpreter, &[gil]).and_then(|record| {
            let gil = source.record(record.get(gil)?, &[last_holder, locked])?;
            Ok((gil.get(last_holder)?, gil.get_i32(locked)?))
        });
        match read {
            Ok((holder, 1)) => self.set_gil_holder(holder),
            Ok(_) => {}
            Err(fault) => {
                let place = format!("interpreter state at {interpreter:#x}");
                self.reader.soft_errors.push("python_gil_unknown", place, fault.to_string());
            }
        }
    }

    /// Interpreters with a GIL of their own (3.12 and later) are listed newest first, so the
    /// main interpreter's holder is the one that stays.
    fn set_gil_holder(&mut self, holder: u64) {
        if holder != 0 {
            self.stream.gil_holder = Some(holder);
            self.gil_holders.insert(holder);
        }
    }

    /// Reads one thread and its frames; gives the next one.
    fn thread(&mut self, address: u64, interpreter: u64, id: u64) -> Result<u64, Fault> {
        if self.stream.threads.len() >= self.limits.max_threads || self.frames_left == 0 {
            self.stream.is_cut = true;
            return Err(Fault::Limit("max_threads or max_total_frames"));
        }
        self.meet(address, "the chain of thread states")?;
        let record = self.thread_record(address)?;
        let fields = self.reader.objects.layout.thread;
        let found = record.get(fields.interp)?;
        if found != interpreter {
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
        let exception = record.get(fields.exception)?;
        let thread = PythonThread {
            tstate: address,
            interpreter_id: id,
            thread_id: record.get(fields.thread_id)?,
            native_thread_id: native_thread_id.filter(|id| *id != 0),
            exception_type: self.exception_type(address, exception),
            holds_gil: self.gil_holders.contains(&address),
            is_cut: walked.is_cut,
            is_broken: walked.is_broken,
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
            fields.exception,
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
