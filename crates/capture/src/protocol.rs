//! Messages between the signal handler and the monitor, over one `SOCK_SEQPACKET` socket.
//!
//! Both sides are built from one source tree and run on one machine: integers are in the
//! machine's byte order, and a monitor refuses another version.
//!
//! `CrashRequest`, handler → monitor:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | magic | `LWCR` |
//! | 4 | 4 | u32 | version | 2 |
//! | 8 | 4 | i32 | pid | the crashing process |
//! | 12 | 4 | i32 | tid | the crashing thread |
//! | 16 | 8 | u64 | time_ns | `CLOCK_REALTIME` at the signal |
//! | 24 | 128 | bytes | siginfo | as the kernel gave it |
//! | 152 | 184 | i64[23] | general | general registers in the order of `ucontext_t` |
//! | 336 | 4 | u32 | has_fxsave | 1 when `fxsave` is filled |
//! | 340 | 4 | u32 | budget_ms | how long the handler waits, from the signal on |
//! | 344 | 512 | bytes | fxsave | the FXSAVE area |
//! | 856 | 8 | u64 | fs_base | base of the thread's TLS block, which is `pthread_self()` |
//! | 864 | 8 | u64 | restorer | return address of signal handlers, which marks signal frames on a stack |
//!
//! `Goodbye`, process → monitor: four bytes `LWBY`; the monitor ends.
//!
//! `Answer`, monitor → handler:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | kind | 1 done, 2 read memory, 3 more |
//! | 4 | 4 | u32 | length | done, more: bytes of text; read: bytes wanted, 65,536 at most |
//! | 8 | 8 | u64 | address | read: where |
//! | 16 | | bytes | text | done, more: 1,008 bytes at most |
//!
//! The text of `done` after a crash is one line for stderr. A request whose signal is 0 asks for a
//! dump on demand: the next message is the order, and the texts of all `more` and of `done`, put
//! together, are the result. Both are JSON (crates/monitor/src/order.rs).
//!
//! To `read memory` the handler answers `u32` status (0 = bytes follow, else an errno), `u32`
//! 0, bytes. So the monitor can read the process even where ptrace is forbidden to it.

/// First field of a crash request.
pub const CRASH_MAGIC: u32 = u32::from_le_bytes(*b"LWCR");
/// The whole goodbye message.
pub const GOODBYE: [u8; 4] = *b"LWBY";
/// Version of this protocol.
pub const VERSION: u32 = 2;
/// Bytes of the largest answer.
pub const ANSWER_SIZE: usize = 1024;
/// Bytes before an answer's text.
pub const ANSWER_HEADER_SIZE: usize = 16;
/// `kind` of an answer: the report is finished, or failed; the text says which.
pub const ANSWER_DONE: u32 = 1;
/// `kind` of an answer: the next piece of a result that is longer than one message.
pub const ANSWER_MORE: u32 = 3;
/// Most bytes of text in one answer.
pub const ANSWER_TEXT_SIZE: usize = ANSWER_SIZE - ANSWER_HEADER_SIZE;
/// Most bytes of an order.
pub const ORDER_SIZE: usize = 16_384;
/// `kind` of an answer: send me memory.
pub const ANSWER_READ: u32 = 2;
/// Most bytes that one read may ask for.
pub const READ_MAX: u32 = 65_536;
/// Bytes before the memory in the handler's answer to a read.
pub const READ_HEADER_SIZE: usize = 8;
/// General registers in a request.
pub const GENERAL_REGISTERS: usize = 23;

/// What the handler tells of a crash; see the table above.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashRequest {
    /// [`CRASH_MAGIC`].
    pub magic: u32,
    /// [`VERSION`].
    pub version: u32,
    /// The crashing process.
    pub pid: i32,
    /// The crashing thread.
    pub tid: i32,
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// The kernel's `siginfo_t`.
    pub siginfo: [u8; 128],
    /// General registers in the order of `ucontext_t`.
    pub general: [i64; GENERAL_REGISTERS],
    /// Whether `fxsave` is filled.
    pub has_fxsave: u32,
    /// How long the handler waits, in milliseconds from the signal on.
    pub budget_ms: u32,
    /// The FXSAVE area.
    pub fxsave: [u8; 512],
    /// Base of the thread's TLS block; 0 = not known.
    pub fs_base: u64,
    /// Return address of signal handlers.
    pub restorer: u64,
}

/// Bytes of a [`CrashRequest`].
pub const REQUEST_SIZE: usize = size_of::<CrashRequest>();

impl CrashRequest {
    /// The message's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; REQUEST_SIZE] {
        // SAFETY: the struct is `repr(C)` of plain integers without padding (checked by the
        // test below), so every byte is initialised, and any alignment suits bytes.
        unsafe { &*std::ptr::from_ref(self).cast::<[u8; REQUEST_SIZE]>() }
    }

    /// Reads a message; `None` if it is none of ours or of another version.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; REQUEST_SIZE]) -> Option<Self> {
        // SAFETY: every bit pattern is a valid value of the struct's integers; the read is
        // unaligned on purpose.
        let request = unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() };
        (request.magic == CRASH_MAGIC && request.version == VERSION).then_some(request)
    }

    fn siginfo_i32(&self, offset: usize) -> i32 {
        let bytes = self.siginfo.get(offset..).and_then(|tail| tail.first_chunk::<4>());
        bytes.map_or(0, |four| i32::from_ne_bytes(*four))
    }

    /// `si_signo`.
    #[must_use]
    pub fn signal(&self) -> i32 {
        self.siginfo_i32(0)
    }

    /// `si_code`.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.siginfo_i32(8)
    }

    /// `si_addr`: meaningful only for signals that the kernel raised for an address.
    #[must_use]
    pub fn fault_address(&self) -> u64 {
        let bytes = self.siginfo.get(16..).and_then(|tail| tail.first_chunk::<8>());
        bytes.map_or(0, |eight| u64::from_ne_bytes(*eight))
    }
}

/// An answer of the monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The report is finished; one line for stderr.
    Done(&'a [u8]),
    /// A piece of a long result; [`Answer::Done`] holds the last one.
    More(&'a [u8]),
    /// Send `length` bytes from `address`.
    Read {
        /// Where.
        address: u64,
        /// How many.
        length: u32,
    },
}

impl<'a> Answer<'a> {
    /// Encodes into a buffer, returns the bytes used. Text beyond the limit is cut.
    #[must_use]
    pub fn encode<'b>(&self, buffer: &'b mut [u8; ANSWER_SIZE]) -> &'b [u8] {
        let cut = |text: &'a [u8]| text.get(..ANSWER_TEXT_SIZE).unwrap_or(text);
        let (kind, address, text) = match self {
            Self::Done(text) => (ANSWER_DONE, 0, cut(text)),
            Self::More(text) => (ANSWER_MORE, 0, cut(text)),
            Self::Read { address, .. } => (ANSWER_READ, *address, &[][..]),
        };
        let length = match self {
            Self::Read { length, .. } => *length,
            _ => u32::try_from(text.len()).unwrap_or(0),
        };
        let (header, tail) = buffer.split_at_mut(ANSWER_HEADER_SIZE);
        let fields = [kind.to_ne_bytes(), length.to_ne_bytes()];
        for (to, from) in header.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&from);
        }
        if let Some(to) = header.last_chunk_mut::<8>() {
            *to = address.to_ne_bytes();
        }
        for (to, from) in tail.iter_mut().zip(text) {
            *to = *from;
        }
        buffer.get(..ANSWER_HEADER_SIZE.saturating_add(text.len())).unwrap_or(&[])
    }

    /// Decodes a message; `None` if it is too short or of an unknown kind. Does not allocate.
    #[must_use]
    pub fn decode(message: &'a [u8]) -> Option<Self> {
        let kind = u32::from_ne_bytes(*message.first_chunk::<4>()?);
        let length = u32::from_ne_bytes(*message.get(4..8)?.first_chunk::<4>()?);
        let address = u64::from_ne_bytes(*message.get(8..16)?.first_chunk::<8>()?);
        let text = || message.get(ANSWER_HEADER_SIZE..)?.get(..usize::try_from(length).ok()?);
        match kind {
            ANSWER_DONE => Some(Self::Done(text()?)),
            ANSWER_MORE => Some(Self::More(text()?)),
            ANSWER_READ => Some(Self::Read { address, length: length.min(READ_MAX) }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_no_padding_and_the_documented_size() {
        assert_eq!(
            REQUEST_SIZE,
            4 + 4 + 4 + 4 + 8 + 128 + 8 * GENERAL_REGISTERS + 4 + 4 + 512 + 8 + 8
        );
        assert_eq!(std::mem::offset_of!(CrashRequest, siginfo), 24);
        assert_eq!(std::mem::offset_of!(CrashRequest, general), 152);
        assert_eq!(std::mem::offset_of!(CrashRequest, fxsave), 344);
    }

    #[test]
    fn answers_survive_the_way() {
        let mut buffer = [0; ANSWER_SIZE];
        let read = Answer::Read { address: 0x7fff_0000, length: 4096 };
        assert_eq!(Answer::decode(read.encode(&mut buffer)), Some(read));
        let mut buffer = [0; ANSWER_SIZE];
        let done = Answer::Done(b"written");
        assert_eq!(Answer::decode(done.encode(&mut buffer)), Some(done));
        let mut buffer = [0; ANSWER_SIZE];
        let more = Answer::More(b"{\"path\":");
        assert_eq!(Answer::decode(more.encode(&mut buffer)), Some(more));
    }

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let mut buffer = [0; ANSWER_SIZE];
        let text = [b'x'; 5000];
        let encoded = Answer::Done(&text).encode(&mut buffer);
        assert_eq!(encoded.len(), ANSWER_SIZE);
        assert!(matches!(Answer::decode(encoded), Some(Answer::Done(t)) if t.len() == 1008));
    }

    #[test]
    fn a_request_of_another_version_is_refused() {
        let mut bytes = [0; REQUEST_SIZE];
        bytes[..4].copy_from_slice(&CRASH_MAGIC.to_ne_bytes());
        assert!(CrashRequest::from_bytes(&bytes).is_none());
        bytes[4] = 2;
        assert!(CrashRequest::from_bytes(&bytes).is_some());
    }
}
