//! `LastwordsPython` (0x4C570001): the Python frames of every thread of the process.
//!
//! Little-endian, packed, no padding. Strings are UTF-8 and stand once, in the string table;
//! a string id is an index into it, 0xFFFF_FFFF means "not known".
//!
//! Header, 48 bytes:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | magic | `LWPY`, 0x5950574C |
//! | 4 | 2 | u16 | version | 1 |
//! | 6 | 2 | u16 | flags | bit 0 free-threaded build, bit 1 debug build, bit 2 finalizing, bit 3 cut by a limit |
//! | 8 | 4 | u32 | python_version | `PY_VERSION_HEX`, e.g. 0x030B07F0 |
//! | 12 | 4 | u32 | thread_count | threads that follow the header |
//! | 16 | 4 | u32 | frame_count | frames that follow the threads |
//! | 20 | 4 | u32 | string_count | strings that follow the frames |
//! | 24 | 8 | u64 | runtime_address | address of `_PyRuntime` |
//! | 32 | 8 | u64 | gil_holder | address of the `PyThreadState` that holds the GIL, 0 = none or not known |
//! | 40 | 8 | u64 | reserved | 0 |
//!
//! Thread, 56 bytes:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | u64 | tstate | address of the `PyThreadState` |
//! | 8 | 8 | u64 | interpreter_id | 0 = main interpreter |
//! | 16 | 8 | u64 | thread_id | `pthread_self()` |
//! | 24 | 8 | u64 | native_thread_id | kernel thread id, 0 = not known |
//! | 32 | 4 | u32 | first_frame | index of its newest frame |
//! | 36 | 4 | u32 | frame_count | its frames, newest first |
//! | 40 | 4 | u32 | exception_type | string id of the pending exception's type |
//! | 44 | 4 | u32 | flags | bit 0 holds the GIL, bit 1 frames cut by a limit, bit 2 the walk ended in an error |
//! | 48 | 8 | u64 | reserved | 0 |
//!
//! Frame, 60 bytes:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | u64 | frame | address of the `_PyInterpreterFrame` (3.10: `PyFrameObject`) |
//! | 8 | 8 | u64 | code | address of the code object |
//! | 16 | 8 | u64 | anchor | address, on the thread's C stack, of the object that the evaluating native frame owns (`_PyCFrame` or shim frame); all frames of one native activation share it; 0 = not known |
//! | 24 | 4 | u32 | name | string id of `co_name` |
//! | 28 | 4 | u32 | qualname | string id of `co_qualname` (3.11+) |
//! | 32 | 4 | u32 | file | string id of `co_filename` |
//! | 36 | 4 | i32 | lasti | byte offset of the current instruction, -1 = not started |
//! | 40 | 4 | u32 | line | 1-based, 0 = not known |
//! | 44 | 4 | u32 | end_line | 0 = not known |
//! | 48 | 4 | u32 | column | 0-based, in UTF-8 bytes (PEP 657), 0xFFFF_FFFF = not known |
//! | 52 | 4 | u32 | end_column | the same |
//! | 56 | 1 | u8 | owner | 0 thread, 1 generator, 2 frame object, 3 C stack, 255 not known |
//! | 57 | 1 | u8 | flags | bit 0 entry frame (first Python frame of its native activation), bit 1 partly read |
//! | 58 | 2 | u16 | reserved | 0 |
//!
//! String table: per string a `u32` length in bytes, then the bytes.
//!
//! Limits that a reader enforces: 4,096 threads, 1,000,000 frames, 1,000,000 strings; a count
//! must also fit into what is left of the stream before anything is allocated for it. Each frame
//! belongs to at most one thread, and all names and files of all frames together have at most
//! 64 MiB: a string stands in the stream once, but is copied for each frame.

use std::collections::HashMap;

use crate::{DecodeError, Reader, Writer};

const MAGIC: u32 = 0x5950_574C;
const VERSION: u16 = 1;
const NO_STRING: u32 = u32::MAX;
const UNKNOWN_COLUMN: u32 = u32::MAX;
const THREAD_SIZE: usize = 56;
const FRAME_SIZE: usize = 60;
const MAX_THREADS: u32 = 4_096;
const MAX_FRAMES: u32 = 1_000_000;
const MAX_STRINGS: u32 = 1_000_000;
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// What the stream says of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PythonStream {
    /// `PY_VERSION_HEX`.
    pub python_version: u32,
    /// Address of `_PyRuntime`.
    pub runtime_address: u64,
    /// Address of the `PyThreadState` that holds the GIL; `None` = nobody, or not known.
    pub gil_holder: Option<u64>,
    /// Built without a GIL (PEP 703).
    pub is_free_threaded: bool,
    /// Built with `Py_DEBUG`.
    pub is_debug_build: bool,
    /// The interpreter was shutting down.
    pub is_finalizing: bool,
    /// A limit ended the reading; there were more threads.
    pub is_cut: bool,
    /// Threads with a `PyThreadState`, in the interpreter's order.
    pub threads: Vec<PythonThread>,
}

/// One `PyThreadState` and its frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PythonThread {
    /// Address of the `PyThreadState`.
    pub tstate: u64,
    /// 0 = the main interpreter.
    pub interpreter_id: u64,
    /// `pthread_self()` of the thread.
    pub thread_id: u64,
    /// Kernel thread id; `None` = not known (Python 3.10).
    pub native_thread_id: Option<u64>,
    /// Type name of the exception being raised, if any.
    pub exception_type: Option<String>,
    /// Whether it holds the GIL.
    pub holds_gil: bool,
    /// A limit ended the walk; there were older frames.
    pub is_cut: bool,
    /// The walk ended in an error; older frames may be missing.
    pub is_broken: bool,
    /// Newest first.
    pub frames: Vec<PythonFrame>,
}

/// One Python frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PythonFrame {
    /// Address of the frame structure.
    pub frame: u64,
    /// Address of the code object.
    pub code: u64,
    /// Address on the C stack that ties the frame to its native frame; `None` = not known.
    pub anchor: Option<u64>,
    /// `co_name`.
    pub name: Option<String>,
    /// `co_qualname` (3.11 and later).
    pub qualname: Option<String>,
    /// `co_filename`.
    pub file: Option<String>,
    /// Byte offset of the current instruction in the bytecode; -1 = not started.
    pub lasti: i32,
    /// 1-based line.
    pub line: Option<u32>,
    /// Last line of the current expression.
    pub end_line: Option<u32>,
    /// 0-based column in UTF-8 bytes.
    pub column: Option<u32>,
    /// End column of the current expression, exclusive.
    pub end_column: Option<u32>,
    /// Who owns the frame structure.
    pub owner: FrameOwner,
    /// First Python frame of its native activation.
    pub is_entry: bool,
    /// Some of its fields could not be read.
    pub is_partial: bool,
}

/// Who owns a frame structure (`enum _frameowner`, CPython `pycore_frame.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameOwner {
    /// The thread's data stack.
    Thread,
    /// A generator or coroutine object.
    Generator,
    /// A frame object that outlives its call.
    FrameObject,
    /// The C stack (a shim, 3.12 and later).
    CStack,
    /// Not read, or a value that this version does not know.
    #[default]
    Unknown,
}

impl FrameOwner {
    fn code(self) -> u8 {
        match self {
            Self::Thread => 0,
            Self::Generator => 1,
            Self::FrameObject => 2,
            Self::CStack => 3,
            Self::Unknown => 255,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Thread,
            1 => Self::Generator,
            2 => Self::FrameObject,
            3 => Self::CStack,
            _ => Self::Unknown,
        }
    }
}

fn bit(set: bool, position: u32) -> u32 {
    u32::from(set) << position
}

fn is_set(flags: u32, position: u32) -> bool {
    (flags >> position) & 1 == 1
}

fn count_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[derive(Default)]
struct StringTable<'a> {
    ids: HashMap<&'a str, u32>,
    strings: Vec<&'a str>,
}

impl<'a> StringTable<'a> {
    fn id(&mut self, text: Option<&'a String>) -> u32 {
        let Some(text) = text else { return NO_STRING };
        let next = count_of(self.strings.len());
        let id = *self.ids.entry(text).or_insert(next);
        if id == next {
            self.strings.push(text);
        }
        id
    }
}

impl PythonStream {
    /// Encodes the stream.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut strings = StringTable::default();
        let mut threads = Writer::new();
        let mut frames = Writer::new();
        let mut frame_count = 0_u32;
        for thread in &self.threads {
            let exception = strings.id(thread.exception_type.as_ref());
            thread.encode(&mut threads, frame_count, exception);
            frame_count = frame_count.saturating_add(count_of(thread.frames.len()));
            for frame in &thread.frames {
                frame.encode(&mut frames, &mut strings);
            }
        }
        let mut out = Writer::new();
        out.u32(MAGIC).u16(VERSION).u16(self.flags());
        out.u32(self.python_version).u32(count_of(self.threads.len()));
        out.u32(frame_count).u32(count_of(strings.strings.len()));
        out.u64(self.runtime_address).u64(self.gil_holder.unwrap_or(0)).u64(0);
        out.raw(&threads.into_bytes()).raw(&frames.into_bytes());
        for text in strings.strings {
            out.u32(count_of(text.len())).raw(text.as_bytes());
        }
        out.into_bytes()
    }

    fn flags(&self) -> u16 {
        u16::from(self.is_free_threaded)
            | u16::from(self.is_debug_build) << 1
            | u16::from(self.is_finalizing) << 2
            | u16::from(self.is_cut) << 3
    }

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
        reader.u64("reserved")?;
        let stream = PythonStream {
            python_version,
            runtime_address,
            gil_holder,
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
        reader.u64("reserved")?;
        thread.holds_gil = is_set(flags, 0);
        thread.is_cut = is_set(flags, 1);
        thread.is_broken = is_set(flags, 2);
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

impl PythonThread {
    fn encode(&self, out: &mut Writer, first_frame: u32, exception_type: u32) {
        out.u64(self.tstate).u64(self.interpreter_id).u64(self.thread_id);
        out.u64(self.native_thread_id.unwrap_or(0));
        out.u32(first_frame).u32(count_of(self.frames.len())).u32(exception_type);
        out.u32(bit(self.holds_gil, 0) | bit(self.is_cut, 1) | bit(self.is_broken, 2)).u64(0);
    }
}

impl PythonFrame {
    fn encode<'a>(&'a self, out: &mut Writer, strings: &mut StringTable<'a>) {
        out.u64(self.frame).u64(self.code).u64(self.anchor.unwrap_or(0));
        out.u32(strings.id(self.name.as_ref())).u32(strings.id(self.qualname.as_ref()));
        out.u32(strings.id(self.file.as_ref())).i32(self.lasti);
        out.u32(self.line.unwrap_or(0)).u32(self.end_line.unwrap_or(0));
        out.u32(self.column.unwrap_or(UNKNOWN_COLUMN));
        out.u32(self.end_column.unwrap_or(UNKNOWN_COLUMN)).u8(self.owner.code());
        out.u8(u8::from(self.is_entry) | u8::from(self.is_partial) << 1).u16(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> PythonStream {
        let frame = |name: &str, line| PythonFrame {
            frame: 0x7000,
            code: 0x8000,
            anchor: Some(0x7fff_0010),
            name: Some(name.into()),
            qualname: Some(format!("Model.{name}")),
            file: Some("/app/model.py".into()),
            lasti: 42,
            line: Some(line),
            end_line: Some(line),
            column: Some(4),
            end_column: None,
            owner: FrameOwner::Thread,
            is_entry: true,
            is_partial: false,
        };
        let thread = PythonThread {
            tstate: 1,
            thread_id: 2,
            native_thread_id: Some(3),
            exception_type: Some("KeyError".into()),
            holds_gil: true,
            frames: vec![frame("step", 10), frame("run", 20)],
            ..PythonThread::default()
        };
        PythonStream {
            python_version: 0x030B_07F0,
            runtime_address: 0x5000,
            gil_holder: Some(1),
            is_debug_build: true,
            threads: vec![thread.clone(), PythonThread { tstate: 9, ..thread }],
            ..PythonStream::default()
        }
    }

    #[test]
    fn decoding_gives_back_what_was_encoded() {
        assert_eq!(PythonStream::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn sizes_are_those_of_the_offset_tables() {
        let empty = PythonStream::default().encode();
        assert_eq!(empty.len(), 48);
        let one = PythonStream { threads: vec![PythonThread::default()], ..Default::default() };
        assert_eq!(one.encode().len(), 48 + THREAD_SIZE);
        let frames = vec![PythonFrame::default()];
        let thread = PythonThread { frames, ..Default::default() };
        let two = PythonStream { threads: vec![thread], ..Default::default() };
        assert_eq!(two.encode().len(), 48 + THREAD_SIZE + FRAME_SIZE);
    }

    #[test]
    fn a_stream_cut_anywhere_is_an_error_not_a_panic() {
        let whole = sample().encode();
        for len in 0..whole.len() {
            assert!(PythonStream::decode(&whole[..len]).is_err(), "cut after {len}");
        }
    }

    #[test]
    fn threads_do_not_share_frames() {
        let mut bytes = sample().encode();
        // The second thread's first_frame, which follows 48 + 56 + 32 bytes, becomes the first's.
        bytes[136..140].copy_from_slice(&0_u32.to_le_bytes());
        assert!(PythonStream::decode(&bytes).is_ok(), "the header's count is kept");
        bytes[140..144].copy_from_slice(&3_u32.to_le_bytes());
        assert!(matches!(
            PythonStream::decode(&bytes),
            Err(DecodeError::Invalid { what: "frame_count of a thread", .. })
        ));
    }

    #[test]
    fn a_long_name_of_many_frames_is_refused() {
        let frame = PythonFrame { name: Some("x".repeat(1 << 20)), ..PythonFrame::default() };
        let with = |count| {
            let frames = vec![frame.clone(); count];
            let thread = PythonThread { frames, ..PythonThread::default() };
            PythonStream { threads: vec![thread], ..PythonStream::default() }.encode()
        };
        assert!(PythonStream::decode(&with(64)).is_ok());
        assert!(matches!(
            PythonStream::decode(&with(65)),
            Err(DecodeError::Invalid { what: "text of all frames", .. })
        ));
    }

    #[test]
    fn an_absurd_count_is_refused_before_anything_is_allocated() {
        let mut bytes = sample().encode();
        bytes[16..20].copy_from_slice(&999_999_u32.to_le_bytes());
        assert!(matches!(
            PythonStream::decode(&bytes),
            Err(DecodeError::Invalid { what: "frame_count", .. })
        ));
    }
}
