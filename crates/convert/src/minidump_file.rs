//! What a file is.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::microdump::BEGIN;
use crate::{ConvertError, FileKind};

/// Logs are searched this far for the begin of a microdump.
const MAX_LOG_BYTES: u64 = 256 << 20;
const CORE_KIND: [u8; 2] = [4, 0];

pub(crate) fn kind_of(path: &Path) -> Result<FileKind, ConvertError> {
    let mut file = open(path)?;
    let mut head = Vec::new();
    let mut start = file.by_ref().take(64);
    start.read_to_end(&mut head).map_err(|reason| not_readable(path, reason))?;
    if head.starts_with(b"MDMP") || head.starts_with(b"PMDM") {
        return Ok(FileKind::Minidump);
    }
    if head.starts_with(b"\x7fELF") {
        return match head.get(16..18) {
            Some(kind) if kind == CORE_KIND => Ok(FileKind::Core),
            _ => Err(ConvertError::unsupported(path, "this is an ELF file, but no core file")),
        };
    }
    let mut rest = file.take(MAX_LOG_BYTES);
    let mut text = head;
    rest.read_to_end(&mut text).map_err(|reason| not_readable(path, reason))?;
    let has_begin = text.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes());
    if has_begin {
        return Ok(FileKind::Microdump);
    }
    let reason = "this is neither a minidump, nor an ELF core, nor a log with a microdump";
    Err(ConvertError::unsupported(path, reason))
}

fn open(path: &Path) -> Result<File, ConvertError> {
    let is_regular =
        std::fs::metadata(path).map_err(|reason| not_readable(path, reason))?.is_file();
    if !is_regular {
        return Err(not_readable(path, std::io::Error::other("not a regular file")));
    }
    File::open(path).map_err(|reason| not_readable(path, reason))
}

pub(crate) fn not_readable(path: &Path, reason: std::io::Error) -> ConvertError {
    ConvertError::NotReadable { path: path.to_owned(), reason }
}
