//! Everything that a dump says but its stacks: the processor's `ProcessState` without frames.

use std::path::Path;

use minidump::{
    Minidump, MinidumpBreakpadInfo, MinidumpException, MinidumpMiscInfo, MinidumpModuleList,
    MinidumpSystemInfo, MinidumpThread, MinidumpThreadList, MinidumpThreadNames, UnifiedMemoryList,
};
use minidump_processor::{ProcessState, ProcessorOptions, process_minidump_with_options};
use minidump_unwind::SymbolProvider;

use crate::Error;
use crate::block_on::block_on;
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
    let view = {
        let dump = open(path, bytes)?;
        note_missing(&dump, soft_errors);
        let planned = caught(|| View::plan(bytes, &dump));
        planned.ok().flatten().ok_or_else(|| malformed("its directory cannot be read".into()))?
    };
    if view.threads_left_out > 0 {
        let message = format!("{} threads were left out", view.threads_left_out);
        soft_errors.push("threads_cut", "stream ThreadList", message);
    }
    let outcome = view.with(bytes, |bytes| caught(|| run(bytes, provider)));
    let mut state = match outcome {
        Ok(Ok(state)) => state,
        Ok(Err(reason)) => return Err(malformed(reason)),
        Err(panic) => {
            let reason = format!("the dump's reader failed: {panic}");
            return Err(Error::Internal { reason });
        }
    };
    state.unknown_streams.clear();
    state.unimplemented_streams.clear();
    Ok(state)
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
