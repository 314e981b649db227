//! The area that process and monitor share: a memory file, written by the process while it is
//! healthy, read by the monitor when it no longer is.
//!
//! Byte order is the machine's. Pages that are never written cost nothing.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | bytes | magic | `LWSHARED` |
//! | 8 | 4 | u32 | version | 4 |
//! | 12 | 4 | u32 | python_version | `PY_VERSION_HEX`; 0 = not known |
//! | 16 | 8 | u64 | runtime_address | of `_PyRuntime`; 0 = not known |
//! | 24 | 4 | u32 | config_sequence | odd while the configuration is being written |
//! | 28 | 4 | u32 | config_length | bytes of the configuration |
//! | 32 | 32 | u64[4] | private | start and end of the arguments, start and end of the environment; 0 = not known |
//! | 64 | 8 | u64 | abort_message | address of glibc's `__abort_msg`; 0 = not known |
//! | 72 | 8 | u64 | throw_table | address of the table of throw rings; 0 = none |
//! | 80 | 4 | u32 | life | how far the process is: 0 not known, 1 running, 2 the interpreter finalises, 3 C's `exit()` was called without that, 4 a crash was handed to a monitor, 5 another program was executed |
//! | 84 | 4 | u32 | is_interpreter | 1 = the main program is Python's own, which always finalises |
//! | 88 | 4 | u32 | has_forked | 1 = a forked child has run Python |
//! | 92 | 36 | bytes | reserved | for the end of the process |
//! | 128 | 384 | | calibration | where the interpreter has the fields of its structures, below |
//! | 512 | 2048 | slots | last_words | below |
//! | 4096 | 262,144 | bytes | config | JSON: `{"spool_dir", "report", "attachments", "is_quiet"}`, and what `options` says for the monitor |
//! | 266,240 | 256 × 4096 | slots | annotations | below |
//! | 1,314,816 | 100 × 1024 | slots | breadcrumbs | a ring, below |
//! | 1,417,216 | 69,632 | | additions | what `on_dump()` adds to dumps, below |
//!
//! Calibration:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | sequence | odd while it is being written |
//! | 4 | 4 | u32 | length | bytes of the block; 0 = the process was not calibrated |
//! | 8 | 376 | bytes | block | see calibration.md |
//!
//! Slot of last words, two of 1024 bytes: what a thread wrote to stderr before it gave up.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | sequence | odd while the slot is being written |
//! | 4 | 4 | i32 | tid | the thread; 0 = empty |
//! | 8 | 4 | u32 | source | 1 `Py_FatalError`, 2 Rust panic, 3 pure virtual call |
//! | 12 | 4 | u32 | length | bytes of the text |
//! | 16 | 8 | u64 | time_ns | `CLOCK_REALTIME` of its first byte |
//! | 24 | 1000 | bytes | text | UTF-8 as a rule |
//!
//! Annotation slot:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | sequence | odd while the slot is being written |
//! | 4 | 1 | u8 | is_set | 0 = free |
//! | 5 | 1 | u8 | kind | 0 string, 1 int, 2 float, 3 bool |
//! | 6 | 2 | u16 | key_length | bytes |
//! | 8 | 2 | u16 | value_length | bytes |
//! | 10 | 1 | u8 | is_cut | 1 = the value was longer |
//! | 16 | 120 | bytes | key | UTF-8 |
//! | 136 | 3,900 | bytes | value | UTF-8: text, digits, `true` or `false` |
//!
//! Breadcrumb slot; the breadcrumb with number N stands in slot (N - 1) modulo 100:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | sequence | odd while the slot is being written |
//! | 4 | 1 | u8 | level | 0 debug, 1 info, 2 warning, 3 error, 4 fatal |
//! | 5 | 1 | u8 | is_cut | 1 = something was longer |
//! | 6 | 2 | u16 | category_length | bytes |
//! | 8 | 8 | u64 | number | counts from 1; 0 = empty |
//! | 16 | 8 | u64 | time_ns | `CLOCK_REALTIME` |
//! | 24 | 2 | u16 | message_length | bytes |
//! | 26 | 2 | u16 | data_length | bytes |
//! | 32 | 64 | bytes | category | UTF-8 |
//! | 96 | 512 | bytes | message | UTF-8 |
//! | 608 | 416 | bytes | data | a JSON object, whole or not there |
//!
//! Additions to dumps:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | sequence | odd while they are being written |
//! | 4 | 2 | u16 | range_count | at most 64 |
//! | 6 | 2 | u16 | stream_count | at most 16 |
//! | 8 | 64 × 16 | u64[2] | ranges | address and bytes; at most 64 MiB of all |
//! | 1032 | 16 × 8 | u32[2] | streams | type and bytes; at most 65,536 of all |
//! | 4096 | 65,536 | bytes | contents | of the streams, one behind the other |

mod additions;
mod area;
mod breadcrumbs;
mod calibration;
mod life;
mod reader;
pub(crate) mod words;

pub use additions::Additions;
pub(crate) use area::{Area, copy_of_area};
pub use breadcrumbs::{Breadcrumb, Level};
pub use life::Life;
pub use reader::{Annotation, AreaReader, Words};
pub use words::Source;

const MAGIC: [u8; 8] = *b"LWSHARED";
const VERSION: u32 = 4;
const PRIVATE_OFFSET: usize = 32;
const ABORT_MESSAGE_OFFSET: usize = 64;
const THROW_TABLE_OFFSET: usize = 72;
pub(crate) const LIFE_OFFSET: usize = 80;
pub(crate) const INTERPRETER_OFFSET: usize = 84;
pub(crate) const FORKED_OFFSET: usize = 88;
const CALIBRATION_OFFSET: usize = 128;
const CALIBRATION_BLOCK: usize = 8;
/// Most bytes of a calibration.
pub const CALIBRATION_SIZE: usize = 376;
const WORDS_OFFSET: usize = 512;
const WORDS_SLOT_SIZE: usize = 1024;
const WORDS_SLOTS: usize = 2;
const WORDS_TEXT: usize = 24;
const WORDS_TEXT_SIZE: usize = 1000;
const CONFIG_OFFSET: usize = 4096;
/// Most bytes of configuration.
pub const CONFIG_SIZE: usize = 262_144;
const SLOTS_OFFSET: usize = 266_240;
const SLOT_SIZE: usize = 4096;
/// Most annotations of one process.
pub const SLOT_COUNT: usize = 256;
const SLOT_KEY: usize = 16;
/// Most bytes of an annotation's key.
pub const KEY_SIZE: usize = 120;
const SLOT_VALUE: usize = 136;
/// Most bytes of an annotation's value.
pub const VALUE_SIZE: usize = 3_900;
/// Bytes of the whole area.
pub const AREA_SIZE: usize = 1_486_848;

/// How the text of an annotation is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// Decimal digits, perhaps with a sign.
    Int,
    /// A decimal fraction.
    Float,
    /// `true` or `false`.
    Bool,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::String => 0,
            Self::Int => 1,
            Self::Float => 2,
            Self::Bool => 3,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Int,
            2 => Self::Float,
            3 => Self::Bool,
            _ => Self::String,
        }
    }
}

fn slot_offset(slot: usize) -> usize {
    SLOTS_OFFSET.saturating_add(slot.saturating_mul(SLOT_SIZE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::FromRawFd;
    use std::sync::atomic::Ordering;

    fn reader(area: &Area) -> AreaReader {
        // SAFETY: a fresh duplicate, owned by the file.
        let file = unsafe { File::from_raw_fd(libc::dup(area.fd)) };
        AreaReader::new(file).unwrap()
    }

    #[test]
    fn the_last_slots_end_with_the_area() {
        assert_eq!(slot_offset(SLOT_COUNT), breadcrumbs::SLOTS_OFFSET);
        assert_eq!(breadcrumbs::slot_offset(breadcrumbs::SLOT_COUNT), additions::OFFSET);
        assert_eq!(additions::OFFSET + additions::SIZE, AREA_SIZE);
        const { assert!(SLOT_VALUE + VALUE_SIZE <= SLOT_SIZE) };
        const { assert!(CALIBRATION_OFFSET + 8 + CALIBRATION_SIZE == WORDS_OFFSET) };
    }

    #[test]
    fn what_the_process_sets_the_monitor_reads() {
        let area = Area::new().unwrap();
        area.set_python(0x1234, 0x030B_07F0);
        area.set_private([0x100, 0x200, 0, 0]);
        assert!(area.set_config(b"{\"spool_dir\":\"/x\"}"));
        assert!(area.set_annotation("level", Some(("7", Kind::Int))));
        assert!(area.set_annotation("map", Some(("h\u{f6}hle", Kind::String))));
        let reader = reader(&area);
        assert_eq!(reader.python(), Some((0x1234, 0x030B_07F0)));
        let private = reader.private_ranges();
        assert_eq!((private.len(), private[0].start, private[0].end), (1, 0x100, 0x200));
        assert_eq!(reader.config().unwrap(), b"{\"spool_dir\":\"/x\"}");
        let annotations = reader.annotations();
        assert_eq!((annotations[0].key.as_str(), annotations[0].value.as_str()), ("level", "7"));
        assert_eq!(annotations[0].kind, Kind::Int);
        assert_eq!(annotations[1].value, "h\u{f6}hle");
    }

    #[test]
    fn an_annotation_is_replaced_and_removed() {
        let area = Area::new().unwrap();
        area.set_annotation("a", Some(("1", Kind::String)));
        area.set_annotation("a", Some(("2", Kind::String)));
        assert_eq!(reader(&area).annotations().len(), 1);
        assert_eq!(reader(&area).annotations()[0].value, "2");
        area.set_annotation("a", None);
        assert!(reader(&area).annotations().is_empty());
    }

    #[test]
    fn a_value_that_is_too_long_is_cut_at_a_character() {
        let area = Area::new().unwrap();
        area.set_annotation("a", Some(("\u{20ac}".repeat(2000).as_str(), Kind::String)));
        let annotation = reader(&area).annotations().remove(0);
        assert!(annotation.is_cut);
        assert_eq!(annotation.value, "\u{20ac}".repeat(1300));
    }

    #[test]
    fn slots_run_out_with_an_answer_not_a_panic() {
        let area = Area::new().unwrap();
        for number in 0..SLOT_COUNT {
            assert!(area.set_annotation(&format!("k{number}"), Some(("", Kind::String))));
        }
        assert!(!area.set_annotation("one more", Some(("", Kind::String))));
    }

    #[test]
    fn a_slot_cut_by_death_is_marked_torn() {
        let area = Area::new().unwrap();
        area.set_annotation("a", Some(("1", Kind::String)));
        area.sequence(slot_offset(0)).fetch_or(1, Ordering::SeqCst);
        assert!(reader(&area).annotations()[0].is_torn);
    }

    #[test]
    fn last_words_are_read_by_thread() {
        use super::words::Slot;

        let area = Area::new().unwrap();
        let slot = |index| Slot::at(area.base(), index).unwrap();
        assert!(slot(0).begin(7, Source::PythonFatalError, 5, b"Fatal "));
        assert!(slot(0).add(7, b"Python error: f\n"));
        assert!(!slot(0).add(8, b"of another thread"));
        assert!(slot(1).begin(8, Source::RustPanic, 6, &[b'x'; 3000]));
        assert!(slot(1).add(8, b"no room") && slot(1).is_full());
        let words = reader(&area).last_words(7).unwrap();
        assert_eq!((words.source, words.time_ns), (Source::PythonFatalError, 5));
        assert_eq!(words.text, "Fatal Python error: f\n");
        assert_eq!(reader(&area).last_words(8).unwrap().text.len(), 1000);
        assert!(reader(&area).last_words(9).is_none());
        assert!(Slot::at(area.base(), 2).is_none());
    }

    #[test]
    fn a_detached_copy_no_longer_changes_the_original() {
        let mut area = Area::new().unwrap();
        area.set_annotation("a", Some(("1", Kind::String)));
        let parents = reader(&area);
        area.detach().unwrap();
        area.set_annotation("a", Some(("2", Kind::String)));
        assert_eq!(parents.annotations()[0].value, "1");
        assert_eq!(reader(&area).annotations()[0].value, "2");
    }
}
