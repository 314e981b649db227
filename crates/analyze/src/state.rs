//! Everything that a dump says but its stacks: the processor's `ProcessState` without frames.

use std::path::Path;

use minidump::{
    Minidump, MinidumpBreakpadInfo, MinidumpException, MinidumpMiscInfo, MinidumpModuleList,
    MinidumpSystemInfo, MinidumpThread, MinidumpThreadList, MinidumpThreadNames, UnifiedMemoryList,
};
use minidump_processor::{
    ExceptionInfo, ProcessState, ProcessorOptions, process_minidump_with_options,
};
use minidump_unwind::SymbolProvider;

use crate::Error;
use crate::block_on::block_on;
use crate::cut;
use crate::panics::caught;
use crate::soft_errors::SoftErrors;
use crate::view::View;

/// Opens `bytes` as a minidump.
pub(crate) fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<Minidump<'a, &'a [u8]>, Error> {
    let malformed = |reason: String| Error::Malformed { path: path.to_owned(), reason };
    let dump = caught(|| Minidump::read(bytes))
        .map_err(|panic| malformed(format!("reading the header failed: {panic}")))?
        .map_err(|error| malformed(explain(&error, bytes.len())))?;
    if usable_streams(&dump) == 0 {
        let count = dump.header.stream_count;
        let reason = format!(
            "none of the {count} streams can be used; expected at least one of SystemInfo, \
             ThreadList, ModuleList, Exception, MemoryList"
        );
        return Err(malformed(reason));
    }
    Ok(dump)
}

fn explain(error: &minidump::Error, len: usize) -> String {
    match error {
        minidump::Error::MissingHeader => {
            format!("the header needs 32 bytes, the file ends after {len}")
        }
        minidump::Error::MissingDirectory => {
            format!("the stream directory lies behind the end of the file ({len} bytes)")
        }
        minidump::Error::VersionMismatch => {
            "the header's version is not 0xa793, the only one there is".to_owned()
        }
        other => format!("the header cannot be read: {other}"),
    }
}

fn usable_streams(dump: &Minidump<'_, &[u8]>) -> usize {
    let is_usable = [
        caught(|| dump.get_stream::<MinidumpSystemInfo>().is_ok()),
        caught(|| dump.get_stream::<MinidumpThreadList<'_>>().is_ok()),
        caught(|| dump.get_stream::<MinidumpModuleList>().is_ok()),
        caught(|| dump.get_stream::<MinidumpException<'_>>().is_ok()),
        caught(|| dump.get_memory().is_some()),
    ];
    is_usable.iter().filter(|usable| matches!(usable, Ok(true))).count()
}

/// Runs the processor over a view of the dump in which there is nothing to walk.
///
/// # Errors
/// [`Error::Malformed`] when the processor gives nothing.
pub(crate) fn process<P: SymbolProvider + Sync>(
    path: &Path,
    bytes: &mut Vec<u8>,
    provider: &P,
    soft_errors: &mut SoftErrors,
) -> Result<ProcessState, Error> {
    let malformed = |reason: String| Error::Malformed { path: path.to_owned(), reason };
    let dump = open(path, bytes)?;
    note_missing(&dump, soft_errors);
    cut::note(&dump, bytes.len(), soft_errors);
    let mut panics = Vec::new();
    for hidden in HIDDEN {
        let view = plan(path, bytes, hidden)?;
        if hidden.is_empty() {
            note_left_out(&view, soft_errors);
        }
        match view.with(bytes, soft_errors, |bytes| caught(|| run(bytes, provider))) {
            Ok(Ok(state)) => return Ok(complete(state, bytes, &panics, soft_errors)),
            Ok(Err(reason)) => return Err(malformed(reason)),
            Err(panic) => panics.push(panic),
        }
    }
    let reason = format!("the dump's reader failed: {}", panics.join("; "));
    Err(Error::Internal { reason })
}

/// What to hide from a reader that panicked: first what it analyses instructions and memory
/// maps for, then everything that a stack does not need.
const HIDDEN: &[&[u32]] = &[&[], &[6], &[6, 12, 14, 16, 0x4767_0009]];

fn plan(path: &Path, bytes: &[u8], hidden: &[u32]) -> Result<View, Error> {
    let dump = open(path, bytes)?;
    let planned = caught(|| View::plan(bytes, &dump, hidden)).ok().flatten();
    let reason = "its stream directory cannot be read".to_owned();
    planned.ok_or_else(|| Error::Malformed { path: path.to_owned(), reason })
}

fn note_left_out(view: &View, soft_errors: &mut SoftErrors) {
    if view.threads_left_out > 0 {
        let message = format!("{} threads were left out", view.threads_left_out);
        soft_errors.push("threads_cut", "stream ThreadList", message);
    }
}

/// Gives back what had to be hidden, as far as it can be read without the analysis that failed.
fn complete(
    mut state: ProcessState,
    bytes: &[u8],
    panics: &[String],
    soft_errors: &mut SoftErrors,
) -> ProcessState {
    state.unknown_streams.clear();
    state.unimplemented_streams.clear();
    for panic in panics {
        let message = format!("the crashing instruction could not be analysed: {panic}");
        soft_errors.push("crash_analysis_failed", "stream Exception", message);
    }
    if !panics.is_empty() {
        let plain = caught(|| plain_exception(bytes, &state));
        state.exception_info = plain.ok().flatten();
    }
    state
}

fn plain_exception(bytes: &[u8], state: &ProcessState) -> Option<ExceptionInfo> {
    let dump = Minidump::read(bytes).ok()?;
    let exception = dump.get_stream::<MinidumpException<'_>>().ok()?;
    let (os, cpu) = (state.system_info.os, state.system_info.cpu);
    Some(ExceptionInfo {
        reason: exception.get_crash_reason(os, cpu),
        address: exception.get_crash_address(os, cpu).into(),
        adjusted_address: None,
        instruction_str: None,
        instruction_properties: None,
        memory_access_list: None,
        instruction_pointer_update: None,
        possible_bit_flips: Vec::new(),
        inconsistencies: Vec::new(),
    })
}

fn run<P: SymbolProvider + Sync>(bytes: &[u8], provider: &P) -> Result<ProcessState, String> {
    let dump = Minidump::read(bytes).map_err(|error| error.to_string())?;
    let options = ProcessorOptions::stable_basic();
    block_on(process_minidump_with_options(&dump, provider, options))
        .map_err(|error| error.to_string())
}

fn note_missing(dump: &Minidump<'_, &[u8]>, soft_errors: &mut SoftErrors) {
    let mut note = |name: &str, error: Option<minidump::Error>| {
        let (code, message) = match error {
            None => return,
            Some(minidump::Error::StreamNotFound) => ("stream_missing", "is not there".to_owned()),
            Some(error) => ("stream_malformed", format!("cannot be read: {error}")),
        };
        soft_errors.push(code, format!("stream {name}"), format!("the stream {message}"));
    };
    note("SystemInfo", dump.get_stream::<MinidumpSystemInfo>().err());
    note("ThreadList", dump.get_stream::<MinidumpThreadList<'_>>().err());
    note("ModuleList", dump.get_stream::<MinidumpModuleList>().err());
    let exception = dump.get_stream::<MinidumpException<'_>>().err();
    // A dump that was taken of a living process has no exception, and lacks nothing.
    note("Exception", exception.filter(|error| *error != minidump::Error::StreamNotFound));
}

/// The streams that walking needs.
pub(crate) struct Threads<'a> {
    pub(crate) list: Vec<MinidumpThread<'a>>,
    pub(crate) names: MinidumpThreadNames,
    pub(crate) memory: UnifiedMemoryList<'a>,
    pub(crate) exception: Option<MinidumpException<'a>>,
    pub(crate) system: Option<MinidumpSystemInfo>,
    pub(crate) misc: Option<MinidumpMiscInfo>,
    /// Thread that wrote the dump; it is not part of the crash.
    pub(crate) dump_thread_id: Option<u32>,
    /// Thread that crashed, or asked for the dump.
    pub(crate) requesting_thread_id: Option<u32>,
}

impl<'a> Threads<'a> {
    /// Reads the streams; what cannot be read is empty.
    pub(crate) fn read(dump: &'a Minidump<'a, &'a [u8]>) -> Self {
        let list = dump.get_stream::<MinidumpThreadList<'_>>().map(|list| list.threads);
        let exception = dump.get_stream::<MinidumpException<'_>>().ok();
        let breakpad = dump.get_stream::<MinidumpBreakpadInfo>().ok();
        let crashing = exception.as_ref().map(MinidumpException::get_crashing_thread_id);
        Self {
            list: list.unwrap_or_default(),
            names: dump.get_stream::<MinidumpThreadNames>().unwrap_or_default(),
            memory: dump.get_memory().unwrap_or_default(),
            exception,
            system: dump.get_stream::<MinidumpSystemInfo>().ok(),
            misc: dump.get_stream::<MinidumpMiscInfo>().ok(),
            dump_thread_id: breakpad.as_ref().and_then(|info| info.dump_thread_id),
            requesting_thread_id: crashing
                .or_else(|| breakpad.as_ref().and_then(|info| info.requesting_thread_id)),
        }
    }

    /// Index of the thread that crashed, or asked for the dump.
    pub(crate) fn requesting_thread(&self) -> Option<usize> {
        let wanted = self.requesting_thread_id?;
        self.list.iter().rposition(|thread| {
            thread.raw.thread_id == wanted && self.dump_thread_id != Some(wanted)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use lastwords_synth::{Dump, Module, Stack, Thread};
    use minidump_unwind::{
        FileError, FileKind, FillSymbolError, FrameSymbolizer, FrameWalker, SymbolStats,
    };

    use super::*;

    /// Panics when the processor asks for statistics, as often as it is told.
    struct Panicking(AtomicUsize);

    #[async_trait]
    impl SymbolProvider for Panicking {
        async fn fill_symbol(
            &self,
            _: &(dyn minidump::Module + Sync),
            _: &mut (dyn FrameSymbolizer + Send),
        ) -> Result<(), FillSymbolError> {
            Err(FillSymbolError {})
        }

        async fn walk_frame(
            &self,
            _: &(dyn minidump::Module + Sync),
            _: &mut (dyn FrameWalker + Send),
        ) -> Option<()> {
            None
        }

        async fn get_file_path(
            &self,
            _: &(dyn minidump::Module + Sync),
            _: FileKind,
        ) -> Result<PathBuf, FileError> {
            Err(FileError::NotFound)
        }

        fn stats(&self) -> HashMap<String, SymbolStats> {
            let left = self.0.load(Ordering::Relaxed);
            assert!(
                left == 0,
                "on purpose, {left} left, {}",
                self.0.fetch_sub(1, Ordering::Relaxed)
            );
            HashMap::new()
        }
    }

    fn processed(panics: usize) -> (Result<ProcessState, Error>, Vec<u8>, SoftErrors) {
        let stack = Stack::new(0x7000_0000).frame(0x40_1000, 64);
        let dump = Dump::new().module(Module::new("app", 0x40_0000, 0x1_0000));
        let mut bytes = dump.thread(Thread::new(7, &stack)).crash(7, 11, 1, 0x10).build();
        let mut errors = SoftErrors::default();
        let provider = Panicking(AtomicUsize::new(panics));
        let state = process(Path::new("x.dmp"), &mut bytes, &provider, &mut errors);
        (state, bytes, errors)
    }

    #[test]
    fn a_reader_that_panics_gets_another_chance_without_the_instruction() {
        let (whole, before, _) = processed(0);
        for panics in [1, 2] {
            let (state, bytes, errors) = processed(panics);
            let (state, whole) = (state.unwrap(), whole.as_ref().unwrap());
            let exception = state.exception_info.as_ref().unwrap();
            let expected = whole.exception_info.as_ref().unwrap();
            assert_eq!(exception.reason.to_string(), expected.reason.to_string());
            assert_eq!(exception.address, expected.address);
            assert_eq!(state.threads.len(), 1);
            let errors = errors.into_list();
            assert_eq!(errors.len(), panics);
            assert_eq!(errors[0].code, "crash_analysis_failed");
            assert!(errors[0].message.contains("on purpose"), "{}", errors[0].message);
            assert_eq!(bytes, before, "the dump is as before");
        }
    }

    #[test]
    fn a_reader_that_panics_always_is_a_defect_that_is_told() {
        let (state, bytes, _) = processed(9);
        let error = state.unwrap_err();
        assert_eq!(error.code(), "core_failed");
        assert!(error.message().contains("on purpose"));
        assert_eq!(bytes, processed(0).1, "the dump is as before");
    }
}
