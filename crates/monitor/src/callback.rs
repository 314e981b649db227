//! What a shared library of the user adds to a dump: memory and streams.
//!
//! The library runs in a child of the monitor that is made for this and ended afterwards
//! ([`child`]), so that nothing it does can cost the dump. It says what it adds by records in a
//! pipe ([`records`]); those that arrive in time count. Its interface is
//! `include/lastwords_dump_callback.h`.

mod child;
mod pipe;
mod records;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use lastwords_pyframes::Memory;

use self::records::Record;
use crate::snapshot::Crash;

/// Longest time for the library.
const MOST_TIME: Duration = Duration::from_secs(2);
/// Part of the time that is left for the dump.
const OWN_SHARE: f64 = 0.25;

/// The first type that the specification leaves to users (`LastReservedStream` is 0xFFFF).
const FIRST_FREE_TYPE: u32 = 0x1_0000;
/// High halves of types that others have taken: Breakpad, Crashpad, Mozilla, lastwords.
const TAKEN_TYPES: [u32; 4] = [0x4767, 0x4350, 0x4D7A, 0x4C57];

/// Whether a stream of a user may have this type.
pub(crate) fn is_free_type(stream_type: u32) -> bool {
    stream_type >= FIRST_FREE_TYPE && !TAKEN_TYPES.contains(&(stream_type >> 16))
}

/// What the library added, and what went wrong.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    /// Address, bytes.
    pub(crate) memory: Vec<(u64, u64)>,
    /// Stream type, bytes.
    pub(crate) streams: Vec<(u32, Vec<u8>)>,
    /// Why it is not all; `None` = the library did what it wanted.
    pub(crate) problem: Option<String>,
}

/// Runs the library for at most the given time, and never longer than two seconds.
///
/// # Errors
/// When no child can be made for it.
pub(crate) fn run(
    library: &Path,
    pid: u32,
    crash: &Crash,
    memory: &dyn Memory,
    deadline: Option<Instant>,
) -> io::Result<Added> {
    let (reader, writer) = pipe::new()?;
    let event = child::Event { pid, crash, memory };
    let child = child::start(library, &event, writer)?;
    let left = deadline
        .map_or(MOST_TIME, |at| at.saturating_duration_since(Instant::now()).mul_f64(OWN_SHARE));
    let (bytes, is_whole) = pipe::read_before(reader, left.min(MOST_TIME));
    let how = child.end();
    let mut added = collected(&bytes);
    if added.problem.is_none() && !is_whole {
        added.problem = Some("it took too long and was ended".to_owned());
    }
    if added.problem.is_none() {
        added.problem = how;
    }
    Ok(added)
}

fn collected(bytes: &[u8]) -> Added {
    let mut added = Added::default();
    for record in records::parse(bytes) {
        match record {
            Record::Memory { address, length } => added.memory.push((address, length)),
            Record::Stream { stream_type, bytes } => added.streams.push((stream_type, bytes)),
            Record::Problem(problem) => added.problem = Some(problem),
        }
    }
    added
}

#[cfg(test)]
mod tests;
