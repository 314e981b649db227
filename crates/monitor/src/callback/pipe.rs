//! The pipe between child and monitor.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::os::linux::sys;

/// Most bytes that a child can say: more than it may add.
const MOST_BYTES: usize = 80 * 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// Reading end, writing end.
pub(super) fn new() -> io::Result<(File, File)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer))))
}

/// Reads to the end, or as far as the time allows; tells whether that was the end.
pub(super) fn read_before(mut pipe: File, time: Duration) -> (Vec<u8>, bool) {
    let deadline = Instant::now().checked_add(time);
    let mut bytes = Vec::new();
    let mut piece = vec![0; PIECE];
    while bytes.len() < MOST_BYTES {
        let left = deadline.map_or(time, |at| at.saturating_duration_since(Instant::now()));
        let left_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        match sys::wait_readable(&[pipe.as_raw_fd()], left_ms) {
            Ok(ready) if ready.contains(&true) => {}
            _ => return (bytes, false),
        }
        match pipe.read(&mut piece) {
            Ok(0) => return (bytes, true),
            Ok(length) => bytes.extend_from_slice(piece.get(..length).unwrap_or(&[])),
            Err(_) => return (bytes, false),
        }
    }
    (bytes, false)
}
