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
//! | 40 | 8 | u64 | gil_address | address of the main interpreter's GIL (`struct _gil_runtime_state`, [`GIL_SIZE`] bytes), 0 = there is none, or not known |
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
//! | 44 | 4 | u32 | flags | bit 0 holds the GIL, bit 1 frames cut by a limit, bit 2 the walk ended in an error, bit 3 its interpreter is collecting garbage, bit 4 its interpreter is shutting down |
//! | 48 | 8 | u64 | gil_address | address of its interpreter's GIL; before 3.12 all share one; 0 = there is none, or not known |
//!
//! Frame, 60 bytes:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | u64 | frame | address of the `_PyInterpreterFrame` (3.9, 3.10: `PyFrameObject`) |
//! | 8 | 8 | u64 | code | address of the code object |
//! | 16 | 8 | u64 | anchor | address, on the thread's C stack, of the object that the evaluating native frame owns (`_PyCFrame` or shim frame); all frames of one native activation share it; 0 = not known, and always before 3.10 |
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
//! Writers before the two `gil_address` and the thread flags 3 and 4 left 0 there.
//!
//! String table: per string a `u32` length in bytes, then the bytes.
//!
//! Limits that a reader enforces: 4,096 threads, 1,000,000 frames, 1,000,000 strings; a count
//! must also fit into what is left of the stream before anything is allocated for it. Each frame
//! belongs to at most one thread, and all names and files of all frames together have at most
//! 64 MiB: a string stands in the stream once, but is copied for each frame.

mod decode;
mod encode;

const MAGIC: u32 = 0x5950_574C;
const VERSION: u16 = 1;
const NO_STRING: u32 = u32::MAX;
const UNKNOWN_COLUMN: u32 = u32::MAX;
const THREAD_SIZE: usize = 56;
const FRAME_SIZE: usize = 60;

/// Bytes from `gil_address` on that belong to the GIL: a thread that waits in `futex` on an
/// address among them waits for the GIL, or for its turn to take it.
///
/// `sizeof(struct _gil_runtime_state)` (`Include/internal/pycore_gil.h`) is 208 in builds for
/// x86-64 Linux, 3.9 to 3.15, and up to 16 more where `pthread_mutex_t` is larger or the build
/// is free-threaded; the futex words of its conditions and mutexes lie below 208 in all of them.
pub const GIL_SIZE: u64 = 208;

/// What the stream says of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PythonStream {
    /// `PY_VERSION_HEX`.
    pub python_version: u32,
    /// Address of `_PyRuntime`.
    pub runtime_address: u64,
    /// Address of the `PyThreadState` that holds the GIL; `None` = nobody, or not known.
    pub gil_holder: Option<u64>,
    /// Address of the main interpreter's GIL, [`GIL_SIZE`] bytes; `None` = it has none
    /// (free-threaded, and not enabled), or not known.
    pub gil_address: Option<u64>,
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
    /// Kernel thread id; `None` = not known (Python 3.9 and 3.10).
    pub native_thread_id: Option<u64>,
    /// Type name of the exception being raised, if any.
    pub exception_type: Option<String>,
    /// Whether it holds the GIL.
    pub holds_gil: bool,
    /// A limit ended the walk; there were older frames.
    pub is_cut: bool,
    /// The walk ended in an error; older frames may be missing.
    pub is_broken: bool,
    /// Its interpreter is collecting garbage, in this thread or another one
    /// (`PyInterpreterState.gc.collecting`).
    pub is_collecting: bool,
    /// Its interpreter is shutting down; the process may go on. `PyInterpreterState.finalizing`
    /// until 3.11, which says it of interpreters that end before the process does, not of the
    /// main one at its end; `_finalizing` from 3.12, which says it of all.
    pub is_interpreter_finalizing: bool,
    /// Address of its interpreter's GIL, [`GIL_SIZE`] bytes; `None` as in
    /// [`PythonStream::gil_address`].
    pub gil_address: Option<u64>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DecodeError;

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
            is_collecting: true,
            is_interpreter_finalizing: true,
            gil_address: Some(0x5168),
            frames: vec![frame("step", 10), frame("run", 20)],
            ..PythonThread::default()
        };
        PythonStream {
            python_version: 0x030B_07F0,
            runtime_address: 0x5000,
            gil_holder: Some(1),
            gil_address: Some(0x5160),
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
    fn gils_and_what_the_interpreter_does_stand_where_the_tables_say() {
        let bytes = sample().encode();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!((word(40), word(48 + 48)), (0x5160, 0x5168));
        assert_eq!(bytes[48 + 44], 0b11001);
        let mut old = bytes.clone();
        old[40..48].fill(0);
        old[48 + 48..48 + 56].fill(0);
        old[48 + 44] = 1;
        let old = PythonStream::decode(&old).expect("an older writer's stream");
        assert_eq!((old.gil_address, old.threads[0].gil_address), (None, None));
        assert!(!old.threads[0].is_collecting && !old.threads[0].is_interpreter_finalizing);
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
