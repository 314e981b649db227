//! Reading the stream back: every count is checked before anything is allocated for it.

use super::{
    FRAME_SIZE, FrameOwner, MAGIC, PythonFrame, PythonStream, PythonThread, THREAD_SIZE,
    UNKNOWN_COLUMN, VERSION,
};
use crate::{DecodeError, Reader};

const MAX_THREADS: u32 = 4_096;
const MAX_FRAMES: u32 = 1_000_000;
const MAX_STRINGS: u32 = 1_000_000;
const MAX_TEXT_BYTES: u64 = 64 << 20;

fn is_set(flags: u32, position: u32) -> bool {
    (flags >> position) & 1 == 1
}

/// An address; 0 stands for none.
fn address(reader: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    Ok(Some(reader.u64("gil_address")?).filter(|address| *address != 0))
}

impl PythonStream {
    /// Decodes a stream.
    ///
    /// # Errors
    /// [`DecodeError`] when the stream is shorter than its counts say, or a field holds
    /// what the format does not allow.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let header = Header::decode(&mut reader)?;
        let mut raw_threads = Vec::new();
        for _ in 0..header.threads {
            raw_threads.push(RawThread::decode(&mut reader)?);
        }
        let mut raw_frames = Vec::new();
        for _ in 0..header.frames {
            raw_frames.push(RawFrame::decode(&mut reader)?);
        }
        let strings = decode_strings(&mut reader, header.strings)?;
        check_shares(&raw_threads, header.frames)?;
        check_text(&raw_frames, &strings, reader.offset())?;
        let mut stream = header.stream;
        for raw in raw_threads {
            stream.threads.push(raw.resolve(&raw_frames, &strings)?);
        }
        Ok(stream)
    }
}

struct Header {
    stream: PythonStream,
    threads: u32,
    frames: u32,
    strings: u32,
}

impl Header {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        expect(reader, |r| Ok(r.u32("magic")?.into()), u64::from(MAGIC), "magic", "LWPY")?;
        expect(reader, |r| Ok(r.u16("version")?.into()), VERSION.into(), "version", "1")?;
        let flags = u32::from(reader.u16("flags")?);
        let python_version = reader.u32("python_version")?;
        let threads = count(reader, "thread_count", MAX_THREADS, THREAD_SIZE)?;
        let frames = count(reader, "frame_count", MAX_FRAMES, FRAME_SIZE)?;
        let strings = count(reader, "string_count", MAX_STRINGS, 4)?;
        let runtime_address = reader.u64("runtime_address")?;
        let gil_holder = Some(reader.u64("gil_holder")?).filter(|holder| *holder != 0);
        let gil_address = address(reader)?;
        let stream = PythonStream {
            python_version,
            runtime_address,
            gil_holder,
            gil_address,
            is_free_threaded: is_set(flags, 0),
            is_debug_build: is_set(flags, 1),
            is_finalizing: is_set(flags, 2),
            is_cut: is_set(flags, 3),
            threads: Vec::new(),
        };
        Ok(Self { stream, threads, frames, strings })
    }
}

fn expect(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<u64, DecodeError>,
    wanted: u64,
    what: &'static str,
    expected: &'static str,
) -> Result<(), DecodeError> {
    let offset = reader.offset();
    let found = read(reader)?;
    if found == wanted {
        Ok(())
    } else {
        Err(DecodeError::Invalid { what, offset, found, expected })
    }
}

/// Reads a count and refuses it unless so many items of `item_size` bytes can follow.
fn count(
    reader: &mut Reader<'_>,
    what: &'static str,
    limit: u32,
    item_size: usize,
) -> Result<u32, DecodeError> {
    let offset = reader.offset();
    let found = reader.u32(what)?;
    let fits = usize::try_from(found)
        .ok()
        .and_then(|items| items.checked_mul(item_size))
        .is_some_and(|needed| needed <= reader.remaining());
    if found <= limit && fits {
        return Ok(found);
    }
    let expected = "a count within the format's limit whose items fit into the stream";
    Err(DecodeError::Invalid { what, offset, found: found.into(), expected })
}

fn decode_strings(reader: &mut Reader<'_>, count: u32) -> Result<Vec<String>, DecodeError> {
    let mut strings = Vec::new();
    for _ in 0..count {
        let len = usize::try_from(reader.u32("string length")?).unwrap_or(usize::MAX);
        let bytes = reader.take(len, "string")?;
        strings.push(String::from_utf8_lossy(bytes).into_owned());
    }
    Ok(strings)
}

/// Refuses threads that share frames: a few bytes would be read again and again.
fn check_shares(threads: &[RawThread], frames: u32) -> Result<(), DecodeError> {
    let mut left = frames;
    for thread in threads {
        left = left.checked_sub(thread.frame_count).ok_or(DecodeError::Invalid {
            what: "frame_count of a thread",
            offset: thread.offset,
            found: thread.frame_count.into(),
            expected: "no more than the other threads leave of the header's frame_count",
        })?;
    }
    Ok(())
}

/// Refuses frames whose names would need more memory than any real process has names.
fn check_text(frames: &[RawFrame], strings: &[String], offset: usize) -> Result<(), DecodeError> {
    let len_of = |id: u32| {
        let text = usize::try_from(id).ok().and_then(|id| strings.get(id));
        text.map_or(0, |text| text.len() as u64)
    };
    let of_frame = |raw: &RawFrame| [raw.name, raw.qualname, raw.file].map(len_of);
    let found = frames.iter().flat_map(of_frame).fold(0, u64::saturating_add);
    if found <= MAX_TEXT_BYTES {
        return Ok(());
    }
    let expected = "at most 64 MiB";
    Err(DecodeError::Invalid { what: "text of all frames", offset, found, expected })
}

fn text(strings: &[String], id: u32) -> Option<String> {
    strings.get(usize::try_from(id).ok()?).cloned()
}

struct RawThread {
    thread: PythonThread,
    offset: usize,
    first_frame: u32,
    frame_count: u32,
    exception_type: u32,
}

impl RawThread {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = reader.offset();
        let mut thread = PythonThread {
            tstate: reader.u64("tstate")?,
            interpreter_id: reader.u64("interpreter_id")?,
            thread_id: reader.u64("thread_id")?,
            native_thread_id: Some(reader.u64("native_thread_id")?).filter(|id| *id != 0),
            ..PythonThread::default()
        };
        let first_frame = reader.u32("first_frame")?;
        let frame_count = reader.u32("frame_count")?;
        let exception_type = reader.u32("exception_type")?;
        let flags = reader.u32("flags")?;
        thread.gil_address = address(reader)?;
        thread.holds_gil = is_set(flags, 0);
        thread.is_cut = is_set(flags, 1);
        thread.is_broken = is_set(flags, 2);
        thread.is_collecting = is_set(flags, 3);
        thread.is_interpreter_finalizing = is_set(flags, 4);
        Ok(Self { thread, offset, first_frame, frame_count, exception_type })
    }

    fn resolve(self, frames: &[RawFrame], strings: &[String]) -> Result<PythonThread, DecodeError> {
        let invalid = DecodeError::Invalid {
            what: "first_frame + frame_count of a thread",
            offset: self.offset,
            found: u64::from(self.first_frame).saturating_add(u64::from(self.frame_count)),
            expected: "at most frame_count of the header",
        };
        let end = self.first_frame.checked_add(self.frame_count).ok_or(invalid.clone())?;
        let range = usize::try_from(self.first_frame).ok().zip(usize::try_from(end).ok());
        let own = range.and_then(|(first, end)| frames.get(first..end)).ok_or(invalid)?;
        let mut thread = self.thread;
        thread.exception_type = text(strings, self.exception_type);
        thread.frames = own.iter().map(|raw| raw.resolve(strings)).collect();
        Ok(thread)
    }
}

struct RawFrame {
    frame: PythonFrame,
    name: u32,
    qualname: u32,
    file: u32,
}

impl RawFrame {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut frame = PythonFrame {
            frame: reader.u64("frame")?,
            code: reader.u64("code")?,
            anchor: Some(reader.u64("anchor")?).filter(|anchor| *anchor != 0),
            ..PythonFrame::default()
        };
        let (name, qualname) = (reader.u32("name")?, reader.u32("qualname")?);
        let file = reader.u32("file")?;
        frame.lasti = reader.i32("lasti")?;
        frame.line = Some(reader.u32("line")?).filter(|line| *line != 0);
        frame.end_line = Some(reader.u32("end_line")?).filter(|line| *line != 0);
        frame.column = Some(reader.u32("column")?).filter(|column| *column != UNKNOWN_COLUMN);
        frame.end_column = Some(reader.u32("end_column")?).filter(|c| *c != UNKNOWN_COLUMN);
        frame.owner = FrameOwner::from_code(reader.u8("owner")?);
        let flags = u32::from(reader.u8("flags")?);
        reader.u16("reserved")?;
        frame.is_entry = is_set(flags, 0);
        frame.is_partial = is_set(flags, 1);
        Ok(Self { frame, name, qualname, file })
    }

    fn resolve(&self, strings: &[String]) -> PythonFrame {
        PythonFrame {
            name: text(strings, self.name),
            qualname: text(strings, self.qualname),
            file: text(strings, self.file),
            ..self.frame.clone()
        }
    }
}
