//! What the last throws of each thread look like in memory: written by the thread that throws, read
//! by the monitor when the process is dead or dying.
//!
//! Byte order is the machine's. The shared area holds the address of the table (`shared.rs`, field
//! `throw_table`). All of it is memory of the process of its own.
//!
//! Table, 8192 bytes:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | bytes | magic | `LWTT` |
//! | 4 | 4 | u32 | count | places: 1022 |
//! | 8 | 8 | u64 | lost | throws of threads that found no place |
//! | 16 | 8 × 1022 | u64 | rings | addresses; 0 = not taken yet, none behind it is |
//!
//! Ring, of one thread: 8192 bytes, behind which the writer keeps its last walk. When the thread ends, the ring waits with its records for the
//! next thread that throws for the first time.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | bytes | magic | `LWTR` |
//! | 4 | 4 | i32 | tid | the thread; 0 = emptied |
//! | 8 | 8 | u64 | written | records written so far; the newest is number (written - 1) % 8 |
//! | 16 | 8 | u64 | skipped | throws that were not recorded (`max_throws_per_s`) |
//! | 24 | 4 | u32 | is_free | 1 = the thread has ended |
//! | 28 | 4 | u32 | is_terminating | 1 = the C++ runtime has called `abort()` in this thread |
//! | 32 | 96 | bytes | private | of the writer |
//! | 128 | 8 × 1008 | records | records | below |
//!
//! Record:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | sequence | odd while the record is being written; 0 = empty |
//! | 4 | 1 | u8 | class | 1 C++, 2 C++ dependent (`std::rethrow_exception`), 3 Rust panic, 4 another language |
//! | 5 | 1 | u8 | is_rethrow | 1 = `throw;`: the stack is that of the rethrow |
//! | 6 | 2 | u16 | pc_count | |
//! | 8 | 8 | u64 | time_ns | `CLOCK_REALTIME_COARSE`: some milliseconds exact |
//! | 16 | 8 | u64 | exception | address of the `_Unwind_Exception`; 0 = a later throw at that address was not recorded |
//! | 24 | 8 | u64 | object | address of the thrown object; of a dependent exception that of the first one; 0 = not known |
//! | 32 | 8 | u64 | type_info | address; 0 = none |
//! | 40 | 2 | u16 | type_length | bytes of the type's name |
//! | 42 | 2 | u16 | what_length | bytes of the text |
//! | 44 | 1 | u8 | has_what | 1 = `what()` is there, perhaps empty |
//! | 48 | 184 | bytes | type | mangled name (Itanium C++ ABI), cut |
//! | 232 | 264 | bytes | what | as `what()` gives it, cut |
//! | 496 | 8 × 64 | u64 | pcs | return addresses, the innermost first, which lies in the C++ runtime |

/// Bytes of the table, and of a ring.
pub const REGION_SIZE: usize = 8192;
/// Start of the table.
pub const TABLE_MAGIC: [u8; 4] = *b"LWTT";
/// Places of the table.
pub const TABLE_PLACES: usize = 1022;
/// Offset of the first place.
pub const TABLE_RINGS: usize = 16;
/// Start of a ring.
pub const RING_MAGIC: [u8; 4] = *b"LWTR";
/// Offset of the first record.
pub const RING_RECORDS: usize = 128;
/// Records of a ring.
pub const RECORDS: usize = 8;
/// Bytes of a record.
pub const RECORD_SIZE: usize = 1008;
/// Most bytes of a type's name.
pub const TYPE_SIZE: usize = 184;
/// Most bytes of a text.
pub const WHAT_SIZE: usize = 264;
/// Most return addresses.
pub const MOST_PCS: usize = 64;

/// Who threw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `throw` of C++.
    Cpp,
    /// `std::rethrow_exception`: an exception that stands for another one.
    CppDependent,
    /// A panic.
    Rust,
    /// Another language.
    Foreign,
}

impl Class {
    /// As it stands in a record.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Cpp => 1,
            Self::CppDependent => 2,
            Self::Rust => 3,
            Self::Foreign => 4,
        }
    }

    /// The opposite of [`Class::code`].
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Cpp, Self::CppDependent, Self::Rust, Self::Foreign]
            .into_iter()
            .find(|class| class.code() == code)
    }

    /// From `_Unwind_Exception.exception_class` (Itanium C++ ABI, level 1): vendor and language in
    /// four letters each; the last byte of a dependent exception is 1.
    #[must_use]
    pub fn of(exception_class: u64) -> Self {
        match &exception_class.to_be_bytes() {
            b"GNUCC++\0" | b"CLNGC++\0" => Self::Cpp,
            b"GNUCC++\x01" | b"CLNGC++\x01" => Self::CppDependent,
            b"MOZ\0RUST" => Self::Rust,
            _ => Self::Foreign,
        }
    }
}
