//! From a minidump file to one analysis document.
//!
//! Owns: the order of the work, the merge of native and Python stacks, the document
//! (`docs/formats/analysis.md`). Does not own: reading minidumps (`minidump`), unwinding
//! (`minidump-unwind`, `lastwords-unwind`), symbols (`lastwords-symbols`).
#![forbid(unsafe_code)]

mod ahead;
mod assertion;
mod block_on;
mod comments;
mod course;
mod crash;
mod cut;
mod details;
mod document;
mod dump_kind;
mod error;
mod evidence;
mod gil;
mod guard;
mod input;
mod interpreter;
mod kernel;
mod large;
mod large_choice;
mod machine;
mod merge;
mod modules;
mod options;
mod overflow;
mod panics;
mod private;
mod python;
mod resync;
mod rewalk;
mod session;
mod soft_errors;
mod stack;
mod stacks;
mod state;
mod thread_info;
mod throws;
mod time;
mod unpack;
mod view;
mod walk;

use std::io::{Read, Seek};
use std::path::Path;

use lastwords_debuginfo::constant_bytes;
use lastwords_format::streams::python::PythonStream;
use lastwords_pyframes::PythonDetails;
use lastwords_symbols::{ModuleId, Sources};
use lastwords_unwind::Provider;
use minidump::{Minidump, MinidumpModuleList, Module};
use minidump_processor::ProcessState;
use serde_json::{Map, Value, json};

use crate::interpreter::Interpreter;
use crate::panics::caught;
use crate::python::ByThread;
use crate::soft_errors::SoftErrors;
use crate::stacks::Stacks;
use crate::state::Threads;
use crate::walk::Walker;

pub use error::{ERROR_CODES, Error};
pub use options::{DEFAULT_MAX_FRAMES, DEFAULT_MAX_WHOLE_BYTES, Options};
pub use session::Session;
pub use unpack::unpack_file;

/// Analyses the minidump at `path`.
///
/// `options_json`: see [`Options`]; empty means the defaults. The result is one UTF-8 JSON
/// document, see `docs/formats/analysis.md`.
///
/// # Errors
/// [`Error`] when the file gives no analysis at all; what is partly missing is in the
/// document's `soft_errors`.
pub fn analyze_file(path: &Path, options_json: &[u8]) -> Result<Vec<u8>, Error> {
    let options = Options::from_json(options_json)?;
    let document = analyze_path(path, &options)?;
    serde_json::to_vec(&document).map_err(|error| Error::Internal { reason: error.to_string() })
}

/// Analyses the minidump at `path`.
///
/// # Errors
/// As [`analyze_file`].
pub fn analyze_path(path: &Path, options: &Options) -> Result<Value, Error> {
    let mut soft_errors = SoftErrors::default();
    let bytes = input::read(path, options.max_whole_bytes, &mut soft_errors)?;
    analyze_read(path, bytes, options, soft_errors)
}

/// Analyses the minidump `bytes`; `path` is named in errors.
///
/// # Errors
/// As [`analyze_file`].
pub fn analyze_bytes(path: &Path, bytes: Vec<u8>, options: &Options) -> Result<Value, Error> {
    analyze_read(path, bytes, options, SoftErrors::default())
}

/// Analyses the minidump of `len` bytes in `source`, of which a large one is not read whole.
///
/// # Errors
/// As [`analyze_file`].
pub fn analyze_source<S: Read + Seek>(
    path: &Path,
    source: &mut S,
    len: u64,
    options: &Options,
) -> Result<Value, Error> {
    let mut soft_errors = SoftErrors::default();
    let bytes = input::read_source(path, source, len, options.max_whole_bytes, &mut soft_errors)?;
    analyze_read(path, bytes, options, soft_errors)
}

fn analyze_read(
    path: &Path,
    bytes: Vec<u8>,
    options: &Options,
    soft_errors: SoftErrors,
) -> Result<Value, Error> {
    let sources = Sources {
        symbols: options.symbols.clone(),
        local_modules: options.local_modules,
        cache_dir: options.cache_dir.clone(),
    };
    caught(|| {
        let provider = Provider::new(sources);
        let document = analyze_with(path, bytes, options, &provider, soft_errors)?;
        provider.keep();
        Ok(document)
    })
    .unwrap_or_else(|reason| Err(Error::Internal { reason }))
    .map(Value::Object)
}

fn analyze_with(
    path: &Path,
    mut bytes: Vec<u8>,
    options: &Options,
    provider: &Provider,
    mut soft_errors: SoftErrors,
) -> Result<Map<String, Value>, Error> {
    guard::apply(&mut bytes, guard::MAX_STREAMS, &mut soft_errors);
    let mut state = state::process(path, &mut bytes, provider, &mut soft_errors)?;
    let dump = state::open(path, &bytes)?;
    let threads = Threads::read(&dump);
    let mut own = OwnStreams::read(&dump, &mut soft_errors);
    let (stream, evidence) = own.python(&dump, &threads, options.locals, &mut soft_errors).unzip();
    let python = ByThread::of(stream.as_ref(), &threads, options.max_frames, &mut soft_errors);
    let runtime = stream.as_ref().map_or(0, |stream| stream.runtime_address);
    let interpreter = Interpreter::find(&state.modules, runtime);
    let mut stacks = {
        let modules = &state.modules;
        let walker = Walker::new(modules, &state.system_info, provider, options.max_frames);
        let count = state.threads.len();
        let mut stacks = Stacks::new(&threads, walker, interpreter, &mut soft_errors);
        if options.native || stream.is_none() {
            let ahead = ahead::modules(&threads, modules, runtime);
            ahead::while_preparing(provider, &ahead, || stacks.walk_all(count, &python))
        } else {
            stacks.python_only(count, &python)
        }
    };
    let plumbing = plumbing_of(&stacks, interpreter);
    let thrown_from = own.thrown_from(&mut state, provider);
    throws::mark_rethrows(&mut own.throws, &thrown_from);
    stacks::into_state(&mut state, &threads, &mut stacks);
    let crashed = state.requesting_thread;
    let mut document = document::base(&mut state, &mut soft_errors);
    let waiting = gil::waiting(&threads, &python);
    document::merge_threads(&mut document, &stacks, &python.threads, &plumbing);
    document::tell_who_waits(&mut document, &waiting);
    let mut details = details::read(&dump, &evidence.unwrap_or_default(), &mut soft_errors);
    details.complete(&mut document, &python);
    thread_info::complete(&mut document, &dump);
    kernel::complete(&mut document, &dump);
    document::copy_crashing_thread(&mut document);
    own.complete(&mut document, &dump, &threads, thrown_from);
    modules::complete(&mut document, &state.modules, provider, &mut soft_errors);
    let mut summary = stream.as_ref().map_or(Value::Null, |s| python::summary(s, &python, crashed));
    details.complete_summary(&mut summary, &python);
    document::add_own_keys(&mut document, &dump, summary);
    let code = |address, size| code_of_file(&state.modules, provider, address, size);
    crash::complete(&mut document, &dump, &threads, &state.modules, &code, &mut soft_errors);
    document::add_soft_errors(&mut document, soft_errors);
    Ok(document)
}

/// Up to `size` bytes of code, from the file of the module that holds them.
fn code_of_file(
    modules: &MinidumpModuleList,
    provider: &Provider,
    address: u64,
    size: usize,
) -> Option<Vec<u8>> {
    let module = modules.module_at_address(address)?;
    let rva = address.checked_sub(module.base_address())?;
    let symbols = provider.symbols().module(&ModuleId::from(module));
    let paths: Vec<_> = symbols.images().map(|image| image.path().to_owned()).collect();
    constant_bytes(&paths, rva, size)
}

/// What only dumps of lastwords hold, beside Python.
struct OwnStreams {
    metadata: Option<Value>,
    breadcrumbs: Option<Value>,
    throws: Vec<throws::Throw>,
}

impl OwnStreams {
    fn read(dump: &Minidump<'_, &[u8]>, soft_errors: &mut SoftErrors) -> Self {
        let thrown = private::read(dump, private::THROWS, soft_errors);
        Self {
            metadata: private::read(dump, private::METADATA, soft_errors),
            breadcrumbs: private::read(dump, private::BREADCRUMBS, soft_errors),
            throws: throws::decode(thrown.as_ref(), soft_errors),
        }
    }

    /// What the dump says of Python, bettered by the memory behind it; and what that memory says
    /// beside it.
    fn python(
        &self,
        dump: &Minidump<'_, &[u8]>,
        threads: &Threads<'_>,
        has_locals: bool,
        soft_errors: &mut SoftErrors,
    ) -> Option<(PythonStream, PythonDetails)> {
        let stream = python::read(dump, soft_errors)?;
        // The process knew better than the tables that are built in here.
        if self.has_corrected_layout() {
            return Some((stream, PythonDetails::default()));
        }
        Some(evidence::better(stream, &threads.memory, has_locals, soft_errors))
    }

    /// Whether the writer read Python with other offsets than those that are built in.
    fn has_corrected_layout(&self) -> bool {
        let corrected = self
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.pointer("/capture/python_layout/corrected")?.as_array());
        corrected.is_some_and(|corrected| !corrected.is_empty())
    }

    /// The frames of each throw, as the processor writes frames.
    fn thrown_from(&self, state: &mut ProcessState, provider: &Provider) -> Vec<Vec<Value>> {
        let frames = {
            let mut walker = Walker::new(&state.modules, &state.system_info, provider, 1);
            self.throws.iter().map(|throw| throws::frames(throw, &mut walker)).collect()
        };
        document::frames_json(state, frames)
    }

    fn complete(
        self,
        document: &mut Map<String, Value>,
        dump: &Minidump<'_, &[u8]>,
        threads: &Threads<'_>,
        thrown_from: Vec<Vec<Value>>,
    ) {
        let metadata = self.metadata.as_ref();
        overflow::complete(document, dump, threads, metadata);
        throws::complete(document, &self.throws, metadata, threads.requesting_thread_id);
        let throws = throws::to_json(&self.throws, thrown_from, threads);
        document.insert("throws".into(), Value::Array(throws));
        let lastwords = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "schema": document::SCHEMA,
            "dump": dump_kind::to_json(dump, metadata, document.get("soft_errors")),
            "metadata": self.metadata,
            "breadcrumbs": self.breadcrumbs,
        });
        document.insert("lastwords".into(), lastwords);
    }
}

fn plumbing_of(stacks: &[stack::Stack], interpreter: Interpreter) -> document::Plumbing {
    let of_stack = |stack: &stack::Stack| {
        stack.frames.iter().map(|frame| interpreter.is_plumbing(frame)).collect()
    };
    stacks.iter().map(of_stack).collect()
}
