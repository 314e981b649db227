//! From a path to the bytes of a minidump, or to the name of what the file is instead.

use std::fs::{File, Metadata};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use crate::panics::caught;
use crate::soft_errors::SoftErrors;
use crate::unpack::Packed;
use crate::{Error, large, unpack};

/// Reads the dump at `path`, whole or what the analysis needs of it ([`large`]), unpacked when it
/// is a zstd file.
///
/// Only regular files are opened: a path out of somebody else's report may name a device or
/// a pipe.
///
/// # Errors
/// [`Error::NotFound`], [`Error::NotReadable`], [`Error::Empty`], [`Error::NotAMinidump`].
pub(crate) fn read(
    path: &Path,
    max_whole_bytes: u64,
    soft_errors: &mut SoftErrors,
) -> Result<Vec<u8>, Error> {
    let metadata = std::fs::metadata(path).map_err(|error| io_error(path, &error))?;
    check(path, &metadata)?;
    let mut file = File::open(path).map_err(|error| io_error(path, &error))?;
    if is_packed(&mut file).map_err(|error| io_error(path, &error))? {
        return unpacked(path, file, max_whole_bytes, soft_errors);
    }
    read_source(path, &mut file, metadata.len(), max_whole_bytes, soft_errors)
}

/// Reads a dump of `len` bytes from anything that can be read at any place.
pub(crate) fn read_source<S: Read + Seek>(
    path: &Path,
    source: &mut S,
    len: u64,
    max_whole_bytes: u64,
    soft_errors: &mut SoftErrors,
) -> Result<Vec<u8>, Error> {
    let mut start = Vec::new();
    let sniffed = source.by_ref().take(SNIFFED_BYTES as u64).read_to_end(&mut start);
    sniffed.map_err(|error| io_error(path, &error))?;
    recognise(path, &start)?;
    large::read(source, len, max_whole_bytes, soft_errors).map_err(|error| io_error(path, &error))
}

fn is_packed(file: &mut File) -> std::io::Result<bool> {
    let mut start = Vec::new();
    file.by_ref().take(4).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(start == unpack::FRAME)
}

/// What could be unpacked is read, as the rest of a plain dump that was cut is.
fn unpacked(
    path: &Path,
    mut file: File,
    max_whole_bytes: u64,
    soft_errors: &mut SoftErrors,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let done =
        caught(|| unpack::unpack(&mut BufReader::new(&mut file), &mut bytes, max_whole_bytes));
    match done.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            drop(bytes);
            return unpacked_large(path, file, max_whole_bytes, soft_errors);
        }
        Err(error) if bytes.is_empty() => return Err(io_error(path, &error)),
        _ => {}
    }
    let len = bytes.len() as u64;
    read_source(path, &mut std::io::Cursor::new(bytes), len, max_whole_bytes, soft_errors)
}

fn unpacked_large(
    path: &Path,
    file: File,
    max_whole_bytes: u64,
    soft_errors: &mut SoftErrors,
) -> Result<Vec<u8>, Error> {
    let read = caught(|| {
        let mut source = Packed::new(file);
        let len = source.count().map_err(|error| io_error(path, &error))?;
        read_source(path, &mut source, len, max_whole_bytes, soft_errors)
    });
    read.unwrap_or_else(|panic| Err(io_error(path, &std::io::Error::other(panic))))
}

fn io_error(path: &Path, error: &std::io::Error) -> Error {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::NotFound { path },
        _ => Error::NotReadable { path, reason: error.to_string() },
    }
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let not_readable =
        |reason: &str| Error::NotReadable { path: path.to_owned(), reason: reason.to_owned() };
    if metadata.is_dir() {
        return Err(not_readable("this is a directory; expected a minidump file"));
    }
    if !metadata.is_file() {
        return Err(not_readable("this is a device, pipe or socket; expected a regular file"));
    }
    Ok(())
}

const GENERIC_HINT: &str = "give a minidump: a `.dmp` file that starts with `MDMP`";

/// What a file is, by its first bytes; the first row that matches wins.
///
/// | bytes | kind | hint |
const KINDS: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "a gzip file", "unpack it first: gunzip -c FILE > crash.dmp"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it first: xz -dc FILE > crash.dmp"),
    (unpack::FRAME, "a zstd file in a zstd file", "unpack it first: zstd -dc FILE > crash.dmp"),
    (b"BZh", "a bzip2 file", "unpack it first: bzip2 -dc FILE > crash.dmp"),
    (b"PK\x03\x04", "a zip archive", "unpack it first: unzip FILE"),
    (b"MSCF", "a cabinet archive", "unpack it first: cabextract FILE"),
    (b"PAGEDU64", "a Windows kernel dump", KERNEL_HINT),
    (b"PAGEDUMP", "a Windows kernel dump", KERNEL_HINT),
    (b"MZ", "a Windows program or library", GENERIC_HINT),
    (b"Microsoft C/C++ MSF", "a PDB symbol file", "give it as --symbols PATH beside a dump"),
    (b"MODULE ", "a Breakpad symbol file", "give it as --symbols PATH beside a dump"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O file", GENERIC_HINT),
    (b"\xce\xfa\xed\xfe", "a Mach-O file", GENERIC_HINT),
    (b"\xca\xfe\xba\xbe", "a universal Mach-O or Java class file", GENERIC_HINT),
    (b"!<arch>\n", "a static library or Debian package", GENERIC_HINT),
    (b"\x89PNG", "a PNG image", GENERIC_HINT),
    (b"SQLite format 3\0", "an SQLite database", GENERIC_HINT),
    (b"-----BEGIN BREAKPAD MICRODUMP-----", "a Breakpad microdump", MICRODUMP_HINT),
];

const MICRODUMP_HINT: &str = "convert it first: lastwords convert FILE crash.dmp";
const CORE_HINT: &str = "convert it first: lastwords convert FILE crash.dmp; or open it with gdb";
const KERNEL_HINT: &str = "open it with a kernel debugger: kd -z FILE, or WinDbg";
const MULTIPART_HINT: &str = "this is an upload as it went over the wire; cut the dump out of it";

fn recognise(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() {
        return Err(Error::Empty { path: path.to_owned() });
    }
    // The second form was written by a big-endian machine.
    if bytes.starts_with(b"MDMP") || bytes.starts_with(b"PMDM") {
        return Ok(());
    }
    let (kind, hint) = kind_of(bytes);
    Err(Error::NotAMinidump { path: path.to_owned(), kind, hint })
}

fn kind_of(bytes: &[u8]) -> (&'static str, &'static str) {
    if bytes.starts_with(b"\x7fELF") {
        return elf_kind(bytes);
    }
    for (magic, kind, hint) in KINDS {
        if bytes.starts_with(magic) {
            return (kind, hint);
        }
    }
    if contains(bytes, b"-----BEGIN BREAKPAD MICRODUMP-----") {
        return ("a log that holds a Breakpad microdump", MICRODUMP_HINT);
    }
    if contains(bytes, b"Content-Disposition: form-data") {
        return ("the body of a multipart upload", MULTIPART_HINT);
    }
    if is_text(bytes) {
        return ("a text file", GENERIC_HINT);
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return ("a file of zero bytes only", "the writer was interrupted before it wrote");
    }
    ("a file of a kind that is not known", GENERIC_HINT)
}

/// `e_type` at offset 16 of the ELF header; 4 = `ET_CORE` (System V ABI, "ELF Header").
fn elf_kind(bytes: &[u8]) -> (&'static str, &'static str) {
    let is_big_endian = bytes.get(5) == Some(&2);
    let low = bytes.get(if is_big_endian { 17 } else { 16 });
    if low == Some(&4) {
        ("an ELF core file", CORE_HINT)
    } else {
        ("an ELF program or library", GENERIC_HINT)
    }
}

const SNIFFED_BYTES: usize = 4096;

fn sniffed(bytes: &[u8]) -> &[u8] {
    bytes.get(..SNIFFED_BYTES).unwrap_or(bytes)
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    sniffed(bytes).windows(needle.len()).any(|window| window == needle)
}

fn is_text(bytes: &[u8]) -> bool {
    let start = sniffed(bytes);
    let is_printable = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
    start.iter().all(is_printable)
        && match std::str::from_utf8(start) {
            Ok(_) => true,
            // A character that the end of the sniffed bytes cuts in two is not an error.
            Err(error) => error.error_len().is_none(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(bytes: &[u8]) -> &'static str {
        kind_of(bytes).0
    }

    #[test]
    fn other_kinds_of_files_are_named() {
        let mut core = b"\x7fELF\x02\x01\x01".to_vec();
        core.resize(64, 0);
        assert_eq!(kind(&core), "an ELF program or library");
        core[16] = 4;
        assert_eq!(kind(&core), "an ELF core file");
        core[5] = 2;
        core[16] = 0;
        core[17] = 4;
        assert_eq!(kind(&core), "an ELF core file");
        assert_eq!(kind(b"\x1f\x8b\x08rest"), "a gzip file");
        assert_eq!(kind(b"hello\nworld\n"), "a text file");
        assert_eq!(kind("größe".as_bytes()), "a text file");
        assert_eq!(
            kind(b"--b\r\nContent-Disposition: form-data; x\0"),
            "the body of a multipart upload"
        );
        assert_eq!(kind(&[0; 9]), "a file of zero bytes only");
        assert_eq!(kind(&[7, 200, 3]), "a file of a kind that is not known");
    }

    #[test]
    fn every_refusal_has_its_code() {
        let code = |path: &str| {
            let read = read(Path::new(path), u64::MAX, &mut SoftErrors::default());
            read.map_err(|error| error.code())
        };
        assert_eq!(code("/nonexistent/x.dmp"), Err("dump_not_found"));
        assert_eq!(code("/dev/zero"), Err("dump_not_readable"));
        assert_eq!(code("/"), Err("dump_not_readable"));
        assert_eq!(
            code(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
            Err("dump_not_a_minidump")
        );
    }
}
