//! Everything that is read beside threads and frames, in the order of its worth.

use std::collections::HashMap;

use lastwords_format::streams::python::PythonStream;

use super::Reader;
use super::locals::LocalsReader;
use crate::code::Codes;
use crate::details::{DetailsOptions, PythonDetails, ThreadDetails};
use crate::error::SoftError;
use crate::frames::FrameReader;
use crate::layout::{self, Layout};
use crate::memory::Memory;
use crate::objects::Objects;
use crate::secrets::Secrets;
use crate::soft_errors::SoftErrors;
use crate::source::{Fault, Source};
use crate::{Limits, Target};

/// One interpreter, and what of `sys.modules` is looked at: addresses of modules' dicts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interpreter {
    pub address: u64,
    pub threading: Option<u64>,
    pub asyncio_tasks: Option<u64>,
    /// The module object of `_asyncio`.
    pub asyncio_module: Option<u64>,
    pub has_greenlets: bool,
}

/// Reads details of the threads in `stream`.
pub(crate) fn read(
    memory: &dyn Memory,
    layout: Layout,
    target: &Target,
    limits: &Limits,
    options: &DetailsOptions,
    stream: &PythonStream,
) -> (PythonDetails, Vec<SoftError>) {
    let limits = Limits { max_reads: options.max_reads, max_bytes: options.max_bytes, ..*limits };
    let mut source = Source::new(memory, &limits);
    source.keep_pages();
    let mut soft_errors = SoftErrors::new(limits.max_soft_errors);
    let (runtime, version) = (target.runtime_address, target.python_version);
    let values = match layout::values::choose(&mut source, runtime, version) {
        Ok(Some(values)) => values,
        unknown => {
            let reason = match unknown {
                Err(fault) => fault.to_string(),
                Ok(_) => "its objects are laid out in a way that is not known".to_owned(),
            };
            let place = format!("_PyRuntime at {runtime:#x}");
            soft_errors.push("python_details_unknown", place, reason);
            return (PythonDetails::default(), soft_errors.into_list());
        }
    };
    let objects = Objects::new(source, layout, &limits);
    let frames = FrameReader { objects, codes: Codes::default(), soft_errors };
    let mut reader = Reader::new(frames, values);
    let mut details = reader.details(options, stream);
    details.limits = reader.limits.iter().map(|limit| (*limit).to_owned()).collect();
    (details, reader.frames.soft_errors.into_list())
}

impl Reader<'_> {
    fn details(&mut self, options: &DetailsOptions, stream: &PythonStream) -> PythonDetails {
        let secrets = Secrets::new(&options.secret_names);
        let interpreters = self.interpreters(stream);
        let mut details = PythonDetails {
            threads: self.threads(&interpreters, stream, options, &secrets),
            ..PythonDetails::default()
        };
        let unique = unique(&interpreters);
        for interpreter in &unique {
            let of_interpreter = interpreters
                .iter()
                .filter(|(_, other)| other.address == interpreter.address)
                .map(|(tstate, _)| *tstate);
            let threads: Vec<u64> = of_interpreter.collect();
            let tasks = self.tasks(interpreter, &threads, stream, options, &details.tasks);
            details.tasks.extend(tasks);
        }
        // Looking at all objects may take all that it gets.
        let reserve = self.source().reserve_half();
        for interpreter in unique.iter().filter(|interpreter| interpreter.has_greenlets) {
            details.greenlets.extend(self.greenlets(interpreter, options));
        }
        self.source().give_back(&reserve);
        if let Some(limits) = &options.locals {
            let mut locals = LocalsReader::new(self, limits, &secrets);
            locals.read_threads(stream, options.first_thread);
            locals.read_chains(&details.tasks, &details.greenlets);
            details.locals = locals.into_frames();
        }
        details
    }

    /// The threads of which something is known.
    fn threads(
        &mut self,
        interpreters: &[(u64, Interpreter)],
        stream: &PythonStream,
        options: &DetailsOptions,
        secrets: &Secrets,
    ) -> Vec<ThreadDetails> {
        let mut names: HashMap<u64, HashMap<u64, String>> = HashMap::new();
        let mut threads = Vec::new();
        for (tstate, interpreter) in interpreters {
            let names = names
                .entry(interpreter.address)
                .or_insert_with(|| self.thread_names(interpreter, options.max_text));
            let Some(thread) = stream.threads.iter().find(|t| t.tstate == *tstate) else {
                continue;
            };
            let (pending, handled) = self.thread_exceptions(*tstate, options, secrets);
            let name = names.get(&thread.thread_id).cloned();
            let generators = self.generators_of(&thread.frames);
            let found = ThreadDetails { tstate: *tstate, name, pending, handled, generators };
            if found != (ThreadDetails { tstate: *tstate, ..ThreadDetails::default() }) {
                threads.push(found);
            }
        }
        threads
    }

    /// The interpreter of each thread state.
    fn interpreters(&mut self, stream: &PythonStream) -> Vec<(u64, Interpreter)> {
        let mut known: HashMap<u64, Interpreter> = HashMap::new();
        let mut found = Vec::new();
        let interp = self.frames.objects.layout.thread.interp;
        for thread in &stream.threads {
            let Ok(address) = self.field(thread.tstate, interp) else { continue };
            let interpreter = match known.get(&address) {
                Some(known) => *known,
                None => self.interpreter(address),
            };
            known.insert(address, interpreter);
            found.push((thread.tstate, interpreter));
        }
        found
    }

    fn interpreter(&mut self, address: u64) -> Interpreter {
        let names = ["threading", "asyncio.tasks", "_asyncio", "greenlet"];
        let modules = self.layout.interpreter_modules;
        let found = self.field(address, modules).and_then(|at| self.lookup_all(at, names));
        let [threading, asyncio_tasks, asyncio_module, greenlet] = found.unwrap_or_else(|fault| {
            let place = format!("interpreter state at {address:#x}");
            self.note(place, "sys.modules", &fault);
            [None; 4]
        });
        Interpreter {
            address,
            threading: threading.and_then(|module| self.module_dict(module).ok()),
            asyncio_tasks: asyncio_tasks.and_then(|module| self.module_dict(module).ok()),
            asyncio_module,
            has_greenlets: greenlet.is_some(),
        }
    }

    fn module_dict(&mut self, module: u64) -> Result<u64, Fault> {
        let of = self.type_of(module)?;
        if self.is_based_on(&of, "module") {
            return self.field(module, layout::values::MODULE_DICT);
        }
        Err(super::implausible("the type of an object", module, of.address, "module"))
    }
}

fn unique(interpreters: &[(u64, Interpreter)]) -> Vec<Interpreter> {
    let mut unique: Vec<Interpreter> = Vec::new();
    for (_, interpreter) in interpreters {
        if !unique.iter().any(|known| known.address == interpreter.address) {
            unique.push(*interpreter);
        }
    }
    unique
}
