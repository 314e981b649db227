//! The open dump, and the way from a request to its answer.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender};

use lastwords_debuginfo::DebugInfo;
use lastwords_format::streams::python::PythonStream;
use lastwords_unwind::Provider;
use minidump::system_info::Cpu;
use minidump::{Minidump, MinidumpModule};
use minidump_processor::ProcessState;
use serde_json::{Value, json};

use super::Answer;
use super::frames::Walks;
use super::memory::WholeFile;
use super::request::Request;
use crate::panics::caught;
use crate::python::ByThread;
use crate::soft_errors::{SoftError, SoftErrors};
use crate::state::Threads;
use crate::{Error, Options};

const PYTHON_DETAILS: (u32, &str) = (0x4C57_0008, "LastwordsPythonDetails");

/// The dump and all that is read of it.
pub(super) struct Debuggee<'a> {
    pub(super) path: &'a Path,
    pub(super) bytes: &'a [u8],
    pub(super) dump: &'a Minidump<'a, &'a [u8]>,
    pub(super) state: &'a ProcessState,
    pub(super) threads: &'a Threads<'a>,
    /// Without the exception, so that every thread has its own registers.
    pub(super) own: &'a Threads<'a>,
    pub(super) stream: Option<&'a PythonStream>,
    pub(super) python: &'a ByThread<'a>,
    pub(super) provider: &'a Provider,
    pub(super) options: &'a Options,
    pub(super) soft_errors: &'a [SoftError],
    pub(super) file: &'a WholeFile,
    pub(super) caches: Caches,
}

/// What is made at the first request for it.
#[derive(Default)]
pub(super) struct Caches {
    pub(super) walks: OnceCell<Walks>,
    pub(super) own_walk: RefCell<HashMap<usize, Rc<crate::stack::Stack>>>,
    pub(super) infos: RefCell<HashMap<usize, Rc<DebugInfo>>>,
}

/// What follows when the requests are answered.
pub(super) enum Next {
    End,
    Reopen { symbols: Vec<PathBuf>, local_modules: bool },
}

impl Debuggee<'_> {
    /// Answers requests until there are no more, or other symbols are wanted.
    pub(super) fn serve(&self, inbox: &Receiver<Vec<u8>>, outbox: &Sender<Answer>) -> Next {
        while let Ok(bytes) = inbox.recv() {
            let request = match serde_json::from_slice::<Request>(&bytes) {
                Ok(Request::Reopen { symbols, local_modules }) => {
                    return Next::Reopen { symbols, local_modules };
                }
                Ok(request) => request,
                Err(error) => {
                    let error = Error::Request { reason: error.to_string() };
                    if outbox.send(Err(error)).is_err() {
                        return Next::End;
                    }
                    continue;
                }
            };
            let answer = caught(|| self.answer(request));
            let answer = answer.unwrap_or_else(|reason| Err(Error::Internal { reason }));
            let answer = answer.and_then(|value| {
                serde_json::to_vec(&value)
                    .map_err(|error| Error::Internal { reason: error.to_string() })
            });
            if outbox.send(answer).is_err() {
                return Next::End;
            }
        }
        Next::End
    }

    fn answer(&self, request: Request) -> Result<Value, Error> {
        Ok(match request {
            Request::About {} => self.about(),
            Request::Threads {} => self.list_threads(),
            Request::Stack { thread, own_context } => self.stack(thread, own_context)?,
            Request::Exception {} => self.exception(),
            Request::Modules {} => self.list_modules(),
            Request::Load { modules } => self.load(modules),
            Request::Memory { address, size } => self.memory(address, size),
            Request::Search { address, size, pattern, max } => {
                self.search(address, size, &pattern, max)?
            }
            Request::Regions { address } => self.regions(address),
            Request::Code { address, max } => self.code(address, max),
            Request::At { address } => self.at(address),
            Request::Names { module, pattern, max } => self.names(module, &pattern, max)?,
            Request::Find { module, name } => self.find(module, &name),
            Request::Variables { thread, own_context, frame } => {
                self.variables(thread, own_context, frame)?
            }
            Request::Types { module, pattern, max } => self.types(module, &pattern, max)?,
            Request::Type { module, id } => self.one_type(module, id)?,
            Request::TypeOf { module, name } => self.type_of(module, &name)?,
            Request::Streams {} => self.streams(),
            Request::Handles {} => self.handles(),
            Request::PythonDetails {} => {
                crate::private::read(self.dump, PYTHON_DETAILS, &mut SoftErrors::default())
                    .unwrap_or_default()
            }
            Request::Document {} => self.document()?,
            Request::Reopen { .. } => json!({}),
        })
    }

    /// The analysis of the same dump with the same symbols.
    fn document(&self) -> Result<Value, Error> {
        let bytes = self.bytes.to_vec();
        let soft_errors = SoftErrors::default();
        let found = crate::analyze_with(self.path, bytes, self.options, self.provider, soft_errors);
        found.map(Value::Object)
    }

    /// The module of an index.
    pub(super) fn module(&self, index: usize) -> Result<&MinidumpModule, Error> {
        let count = self.state.modules.iter().count();
        self.state.modules.iter().nth(index).ok_or_else(|| Error::Request {
            reason: format!("there is no module {index}; the dump has {count}"),
        })
    }

    /// Index and module that hold an address.
    pub(super) fn module_at(&self, address: u64) -> Option<(usize, &MinidumpModule)> {
        let found = self.state.modules.module_at_address(address)?;
        let index = self.state.modules.iter().position(|module| std::ptr::eq(module, found))?;
        Some((index, found))
    }

    /// Bytes of an address.
    pub(super) fn pointer_bytes(&self) -> u8 {
        match self.state.system_info.cpu {
            Cpu::X86 | Cpu::Arm | Cpu::Mips | Cpu::Ppc | Cpu::Sparc => 4,
            _ => 8,
        }
    }
}
