//! A compressed dump: an ordinary zstd file (RFC 8878) of several frames, which `zstd -d` unpacks to
//! the dump.
//!
//! | part | frames |
//! |---|---|
//! | front | one frame: header, directory, all streams but the large memory; written last |
//! | room | one skippable frame: what the front did not need of its room |
//! | large memory | frames of up to 64 MiB of zeros, and the frames between them |
//!
//! A minidump's directory is known only at the end, but stands first. So the front grows as an
//! ordinary file beside the compressed one, where only room is left for it; the large memory goes
//! straight into frames behind that room. A dump that is never finished is still a dump, without
//! large memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use zstd::stream::write::Encoder;

use super::large::LargeSink;

/// Level for the large memory: the disk is to wait, not the processor.
const LARGE_LEVEL: i32 = 1;
const FRONT_LEVEL: i32 = 3;
/// "Skippable_Magic_Number" (RFC 8878, 3.1.2), and `u32` length.
const SKIPPABLE: u32 = 0x184D_2A50;
const SKIPPABLE_HEADER: u64 = 8;
/// Zeros of one prepared frame.
const ZEROS: u64 = 64 * 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// Most bytes that so many bytes can become: incompressible blocks stay as they are, each with 3
/// bytes before it, and are 128 KiB long at most (RFC 8878, 3.1.1.2).
fn most_compressed(length: u64) -> u64 {
    let blocks = length.div_ceil(1024);
    length.saturating_add(blocks.saturating_mul(3)).saturating_add(1024)
}

/// Takes the large memory into frames.
pub(super) struct CompressedFile {
    start: u64,
    /// `None` between frames.
    frame: Option<Encoder<'static, File>>,
    file: File,
    zeros: Vec<u8>,
}

impl CompressedFile {
    /// Leaves room for a front of `front` bytes.
    pub(super) fn new(mut file: File, front: u64) -> io::Result<Self> {
        let start = most_compressed(front).saturating_add(SKIPPABLE_HEADER);
        file.seek(SeekFrom::Start(start))?;
        Ok(Self { start, frame: None, file, zeros: Vec::new() })
    }

    fn frame(&mut self) -> io::Result<&mut Encoder<'static, File>> {
        let frame = match self.frame.take() {
            Some(frame) => frame,
            None => new_frame(self.file.try_clone()?, LARGE_LEVEL)?,
        };
        Ok(self.frame.insert(frame))
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.frame.take().map_or(Ok(()), |frame| frame.finish().map(|_| ()))
    }

    fn put_zeros(&mut self, length: u64) -> io::Result<()> {
        let frame = self.frame()?;
        io::copy(&mut io::repeat(0).take(length), frame).map(|_| ())
    }

    fn prepare_zeros(&mut self) -> io::Result<()> {
        let mut frame = new_frame(Vec::new(), LARGE_LEVEL)?;
        io::copy(&mut io::repeat(0).take(ZEROS), &mut frame)?;
        self.zeros = frame.finish()?;
        Ok(())
    }
}

fn new_frame<W: Write>(to: W, level: i32) -> io::Result<Encoder<'static, W>> {
    let mut frame = Encoder::new(to, level)?;
    frame.include_checksum(true)?;
    Ok(frame)
}

impl LargeSink for CompressedFile {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.frame()?.write_all(bytes)
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let mut left = length;
        if left >= ZEROS {
            self.end_frame()?;
            if self.zeros.is_empty() {
                self.prepare_zeros()?;
            }
        }
        while left >= ZEROS {
            self.file.write_all(&self.zeros)?;
            left = left.saturating_sub(ZEROS);
        }
        if left > 0 { self.put_zeros(left) } else { Ok(()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end_frame()
    }

    fn used(&self) -> Option<u64> {
        let mut file = &self.file;
        file.stream_position().ok().map(|end| end.saturating_sub(self.start))
    }
}

/// Puts the first `length` bytes of `front` before what is in `to`; gives the size of the file.
pub(super) fn add_front(front: &File, length: u64, to: &File) -> io::Result<u64> {
    let (mut from, mut file) = (front, to);
    let size = to.metadata()?.len();
    from.seek(SeekFrom::Start(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut frame = new_frame(file, FRONT_LEVEL)?;
    let copied = copy(&mut from.take(length), &mut frame)?;
    // The end of the front may be a hole that was never written.
    copy(&mut io::repeat(0).take(length.saturating_sub(copied)), &mut frame)?;
    frame.finish()?;
    let end = file.stream_position()?;
    if size == 0 {
        return Ok(end);
    }
    let start = most_compressed(length).saturating_add(SKIPPABLE_HEADER);
    let unused = start.saturating_sub(end).saturating_sub(SKIPPABLE_HEADER);
    let unused = u32::try_from(unused).map_err(|_| io::Error::other("the front is too large"))?;
    file.write_all(&SKIPPABLE.to_le_bytes())?;
    file.write_all(&unused.to_le_bytes())?;
    Ok(size)
}

fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
    let mut buffer = vec![0; PIECE];
    let mut copied = 0_u64;
    loop {
        let got = from.read(&mut buffer)?;
        if got == 0 {
            return Ok(copied);
        }
        to.write_all(buffer.get(..got).unwrap_or(&[]))?;
        copied = copied.saturating_add(u64::try_from(got).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> File {
        let path = std::env::temp_dir().join(format!("lastwords-{name}-{}", std::process::id()));
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    #[test]
    fn front_and_large_memory_are_one_file_to_any_unpacker() {
        let (mut front, packed) = (temporary("front"), temporary("packed"));
        front.write_all(b"the front, ").unwrap();
        let mut sink = CompressedFile::new(packed.try_clone().unwrap(), 4096).unwrap();
        sink.put(b"large").unwrap();
        sink.skip(2 * ZEROS + 5).unwrap();
        sink.put(b"memory").unwrap();
        sink.finish().unwrap();
        assert!(sink.used().unwrap() < 100_000);
        let size = add_front(&front, 4096, &packed).unwrap();
        assert_eq!(size, packed.metadata().unwrap().len());
        let mut packed = &packed;
        packed.seek(SeekFrom::Start(0)).unwrap();
        let bytes = zstd::stream::decode_all(packed).unwrap();
        let zeros = usize::try_from(2 * ZEROS + 5).unwrap();
        assert_eq!(bytes.len(), 4096 + 5 + zeros + 6);
        assert!(bytes.starts_with(b"the front, \0"));
        assert_eq!(&bytes[4096..4101], b"large");
        assert!(bytes[4101..4101 + zeros].iter().all(|byte| *byte == 0));
        assert!(bytes.ends_with(b"memory"));
    }

    #[test]
    fn a_small_dump_is_one_frame() {
        let (mut front, packed) = (temporary("front-only"), temporary("packed-only"));
        front.write_all(&[7; 100_000]).unwrap();
        let size = add_front(&front, 100_000, &packed).unwrap();
        assert!(size < 1000);
        let mut packed = &packed;
        packed.seek(SeekFrom::Start(0)).unwrap();
        assert_eq!(zstd::stream::decode_all(packed).unwrap(), [7; 100_000]);
    }

    #[test]
    fn bytes_that_cannot_be_compressed_fit_the_room() {
        let mut state = 1_u64;
        let mut bytes = Vec::new();
        for _ in 0..1 << 17 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.extend((state >> 32).to_le_bytes());
        }
        let mut frame = new_frame(Vec::new(), FRONT_LEVEL).unwrap();
        frame.write_all(&bytes).unwrap();
        let length = frame.finish().unwrap().len() as u64;
        assert!(length <= most_compressed(bytes.len() as u64), "{length}");
    }
}
