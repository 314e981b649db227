//! zstd files (RFC 8878): any number of frames, skippable ones between them.
//!
//! What comes out is bounded, whatever the file claims: a few bytes can become any number.

use std::io::{self, BufRead, Read, Write};

use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

/// `Magic_Number` of a frame (RFC 8878, 3.1.1).
pub(crate) const FRAME: &[u8] = b"\x28\xb5\x2f\xfd";
/// A frame that asks for a larger window is refused; zstd's own default.
const MOST_WINDOW: u64 = 128 << 20;

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
}
