//! zstd files (RFC 8878): any number of frames, skippable ones between them.
//!
//! What comes out is bounded, whatever the file claims: a few bytes can become any number.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::Rc;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// `Magic_Number` of a frame (RFC 8878, 3.1.1).
pub(crate) const FRAME: &[u8] = b"\x28\xb5\x2f\xfd";
/// A frame that asks for a larger window is refused; zstd's own default.
const MOST_WINDOW: u64 = 128 << 20;
const SKIPPED_AT_ONCE: usize = 1 << 20;

/// Unpacks `from` into `to`; at most `most` bytes.
///
/// # Errors
/// What is wrong with the file, with [`io::ErrorKind::FileTooLarge`] for one that holds more. What
/// was unpacked before stays written: a file that was cut gives what is there.
pub(crate) fn unpack(from: &mut dyn BufRead, to: &mut dyn Write, most: u64) -> io::Result<u64> {
    let mut written = 0_u64;
    while !from.fill_buf()?.is_empty() {
        let left = most.saturating_sub(written);
        match StreamingDecoder::new_with_max_window_size(&mut *from, MOST_WINDOW) {
            Ok(mut frame) => {
                // One byte more tells that the limit was reached.
                let got = io::copy(&mut (&mut frame).take(left.saturating_add(1)), to)?;
                if got > left {
                    let reason = format!("it unpacks to more than {most} bytes");
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
                }
                let is_whole = match frame.decoder.get_checksum_from_data() {
                    Some(told) => frame.decoder.get_calculated_checksum() == Some(told),
                    None => true,
                };
                if !is_whole {
                    return Err(io::Error::other("a checksum in the compressed file is wrong"));
                }
                written = written.saturating_add(got);
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                io::copy(&mut from.take(length.into()), &mut io::sink())?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(written)
}

/// Unpacks a zstd file into another; at most `most` bytes.
///
/// # Errors
/// What the system says, or what is wrong with the file; the target then holds what was there.
pub fn unpack_file(from: &Path, to: &Path, most: u64) -> io::Result<u64> {
    let mut from = BufReader::new(File::open(from)?);
    let mut to = BufWriter::new(File::create(to)?);
    let unpacked = unpack(&mut from, &mut to, most);
    to.flush()?;
    unpacked
}

/// More than this is no dump but a trap.
const MOST_UNPACKED: u64 = 64 << 30;

/// The bytes of a zstd file that is too large to be unpacked in memory, read at any place: going
/// back begins anew, so it is quick for a reader that goes forward.
pub(crate) struct Packed {
    file: Shared,
    frame: Option<StreamingDecoder<Shared, FrameDecoder>>,
    /// Bytes unpacked so far, and where the next read is to begin.
    position: u64,
    target: u64,
}

/// The packed bytes, for one frame after another.
#[derive(Clone)]
struct Shared(Rc<RefCell<BufReader<File>>>);

impl Read for Shared {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(out)
    }
}

impl Packed {
    /// Nothing is read yet.
    pub(crate) fn new(file: File) -> Self {
        let file = Shared(Rc::new(RefCell::new(BufReader::new(file))));
        Self { file, frame: None, position: u64::MAX, target: 0 }
    }

    /// Unpacks everything once: how many bytes there are. A file that was cut or damaged has
    /// those before.
    pub(crate) fn count(&mut self) -> io::Result<u64> {
        self.seek(SeekFrom::Start(0))?;
        let unpacked = io::copy(&mut self.by_ref().take(MOST_UNPACKED), &mut io::sink());
        let count =
            unpacked.or(if self.position > 0 { Ok(self.position) } else { Err(too_short()) })?;
        self.seek(SeekFrom::Start(0))?;
        Ok(count)
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        self.file.0.borrow_mut().seek(SeekFrom::Start(0))?;
        self.frame = None;
        self.position = 0;
        Ok(())
    }

    /// Goes forward to the target; whether the file reaches so far.
    fn skip(&mut self) -> io::Result<bool> {
        let mut skipped = vec![0; SKIPPED_AT_ONCE];
        while self.position < self.target {
            let left = self.target.saturating_sub(self.position);
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(SKIPPED_AT_ONCE);
            if self.read_on(skipped.get_mut(..most).unwrap_or_default())? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads on from `position`; 0 at the end.
    fn read_on(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(out)?;
                self.position = self.position.saturating_add(count as u64);
                if count > 0 {
                    return Ok(count);
                }
                self.frame = None;
            }
            if self.file.0.borrow_mut().fill_buf()?.is_empty() {
                return Ok(0);
            }
            match StreamingDecoder::new_with_max_window_size(self.file.clone(), MOST_WINDOW) {
                Ok(frame) => self.frame = Some(frame),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut self.file.clone().take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

fn too_short() -> io::Error {
    io::Error::other("nothing of the compressed file can be unpacked")
}

impl Read for Packed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.target < self.position {
            self.begin_anew()?;
        }
        if self.position < self.target && !self.skip()? {
            return Ok(0);
        }
        let count = self.read_on(out)?;
        self.target = self.position;
        Ok(count)
    }
}

impl Seek for Packed {
    /// Only from the start: the end is not known before everything was unpacked.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(target) = to else {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        };
        self.target = target;
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn file() -> Vec<u8> {
        let mut file = compress_to_vec(&b"front "[..], CompressionLevel::Fastest);
        file.extend(b"\x50\x2a\x4d\x18\x03\0\0\0???");
        file.extend(compress_to_vec(&[7_u8; 300_000][..], CompressionLevel::Fastest));
        file
    }

    fn unpacked(mut file: &[u8], most: u64) -> (Vec<u8>, io::Result<u64>) {
        let mut bytes = Vec::new();
        let result = unpack(&mut file, &mut bytes, most);
        (bytes, result)
    }

    #[test]
    fn frames_are_joined_and_skippable_ones_skipped() {
        let (bytes, result) = unpacked(&file(), 300_006);
        assert_eq!(result.unwrap(), 300_006);
        assert!(bytes.starts_with(b"front \x07") && bytes.len() == 300_006);
    }

    #[test]
    fn a_file_that_grows_without_end_is_stopped() {
        let (bytes, result) = unpacked(&file(), 300_005);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(bytes.len() <= 300_006);
    }

    #[test]
    fn a_cut_or_damaged_file_is_told_and_gives_what_is_there() {
        let file = file();
        let (bytes, result) = unpacked(&file[..file.len() - 3], 1 << 20);
        assert!(result.is_err() && bytes.starts_with(b"front "));
        assert!(unpacked(b"\x28\xb5\x2f\xfdnonsense", 1 << 20).1.is_err());
        assert!(unpacked(b"MDMP", 1 << 20).1.is_err());
    }

    #[test]
    fn a_packed_file_is_read_at_any_place() {
        let mut on_disk = tempfile::tempfile().unwrap();
        on_disk.write_all(&file()).unwrap();
        let mut packed = Packed::new(on_disk);
        assert_eq!(packed.count().unwrap(), 300_006);
        let mut at = |offset: u64, count: usize| {
            packed.seek(SeekFrom::Start(offset)).unwrap();
            let mut bytes = vec![0; count];
            packed.read_exact(&mut bytes).map(|()| bytes)
        };
        assert_eq!(at(299_000, 3).unwrap(), [7; 3]);
        assert_eq!(at(3, 5).unwrap(), *b"nt \x07\x07");
        assert_eq!(at(300_005, 1).unwrap(), [7]);
        assert!(at(300_005, 2).is_err());
        assert!(at(u64::MAX, 1).is_err());
        assert_eq!(at(0, 6).unwrap(), *b"front ");
        assert!(packed.seek(SeekFrom::End(0)).is_err());
    }

    #[test]
    fn a_packed_file_that_was_cut_has_what_is_before_the_cut() {
        let mut on_disk = tempfile::tempfile().unwrap();
        let whole = file();
        on_disk.write_all(&whole[..whole.len() - 3]).unwrap();
        let mut packed = Packed::new(on_disk);
        assert!(packed.count().unwrap() >= 6);
        let mut nothing = tempfile::tempfile().unwrap();
        nothing.write_all(FRAME).unwrap();
        assert!(Packed::new(nothing).count().is_err());
    }
}
