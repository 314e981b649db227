//! The large memory behind everything else in a dump: bytes in order, zeros as holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const PAGE: usize = 4096;
/// Zeros shorter than this are written: a hole costs one more write.
const LEAST_HOLE_PAGES: usize = 4;

/// Takes the bytes of the large memory, front to back.
pub(crate) trait LargeSink: Send {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Appends so many zeros.
    fn skip(&mut self, length: u64) -> io::Result<()>;

    /// Ends what is written; nothing follows.
    fn finish(&mut self) -> io::Result<()>;

    /// Bytes that the file has grown by, where that is not what was put and skipped.
    fn used(&self) -> Option<u64> {
        None
    }
}

/// Writes into the dump itself. Zeros become holes.
#[derive(Debug)]
pub(crate) struct SparseFile {
    file: File,
    offset: u64,
}

impl SparseFile {
    pub(super) fn new(file: File, offset: u64) -> Self {
        Self { file, offset }
    }

    fn advance(&mut self, length: usize) {
        self.offset = self.offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
    }
}

impl LargeSink for SparseFile {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let zeros = leading(rest, true);
            let is_hole = zeros >= LEAST_HOLE_PAGES.saturating_mul(PAGE).min(rest.len());
            let (done, behind) = if is_hole {
                rest.split_at_checked(zeros).unwrap_or((rest, &[]))
            } else {
                let (data, behind) =
                    rest.split_at_checked(data_length(rest)).unwrap_or((rest, &[]));
                self.file.write_all_at(data, self.offset)?;
                (data, behind)
            };
            self.advance(done.len());
            rest = behind;
        }
        Ok(())
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        self.offset = self.offset.saturating_add(length);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of the pages at the start that are zero (or are not).
fn leading(bytes: &[u8], zero: bool) -> usize {
    let pages = bytes.chunks(PAGE).take_while(|page| is_zero(page) == zero);
    pages.map(<[u8]>::len).fold(0, usize::saturating_add)
}

/// Bytes up to the next hole that is worth one.
fn data_length(bytes: &[u8]) -> usize {
    let mut length = 0_usize;
    while let Some(rest) = bytes.get(length..).filter(|rest| !rest.is_empty()) {
        let zeros = leading(rest, true);
        if zeros >= LEAST_HOLE_PAGES.saturating_mul(PAGE) {
            break;
        }
        let behind = rest.get(zeros..).unwrap_or(&[]);
        length = length.saturating_add(zeros).saturating_add(leading(behind, false));
    }
    length
}

fn is_zero(page: &[u8]) -> bool {
    // SAFETY: every bit pattern is a valid `u64`.
    let (head, words, tail) = unsafe { page.align_to::<u64>() };
    head.iter().chain(tail).all(|byte| *byte == 0)
        && words.chunks(16).all(|block| block.iter().fold(0, |all, word| all | word) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_put_with_zeros_as_holes() {
        let path = std::env::temp_dir().join(format!("lastwords-sparse-{}", std::process::id()));
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let mut bytes = vec![0; 40 * PAGE + 5];
        bytes[3 * PAGE] = 1; // two zero pages around it are too short for a hole
        bytes[5 * PAGE + 7] = 2;
        bytes[30 * PAGE] = 3;
        let mut sink = SparseFile::new(file.try_clone().unwrap(), 8);
        sink.put(&bytes).unwrap();
        sink.skip(1 << 20).unwrap();
        sink.put(b"end").unwrap();
        assert_eq!(sink.offset, 8 + 40 * PAGE as u64 + 5 + (1 << 20) + 3);
        let written = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&written[8..8 + bytes.len()], bytes);
        assert!(written.ends_with(b"\0\0end"));
        let metadata = file.metadata().unwrap();
        assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 < 200_000);
    }

    #[test]
    fn short_zeros_are_data_and_long_ones_end_it() {
        let mut bytes = vec![1; 20 * PAGE];
        bytes[PAGE..3 * PAGE].fill(0);
        bytes[8 * PAGE..13 * PAGE].fill(0);
        assert_eq!(data_length(&bytes), 8 * PAGE);
        assert_eq!(leading(&bytes[8 * PAGE..], true), 5 * PAGE);
        assert_eq!(data_length(&bytes[8 * PAGE..]), 0);
    }
}
