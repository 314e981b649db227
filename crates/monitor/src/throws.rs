//! The rings of throws of the process: the stream `LastwordsThrows`, and the exception that a
//! process died of.
//!
//! `LastwordsThrows` (0x4C570004) is JSON: an array, newest first, of objects.
//!
//! | key | type | meaning |
//! |---|---|---|
//! | `tid` | number | the thread that threw |
//! | `time_ns` | number | since 1970, some milliseconds exact |
//! | `type` | text or null | mangled name of the type (Itanium C++ ABI), perhaps cut |
//! | `what` | text or null | what `what()` says, scrubbed, perhaps cut; null = only code of the application could tell |
//! | `exception` | text | address of the `_Unwind_Exception`, `0x…` |
//! | `primary` | text or null | of `cpp_dependent`: that of the exception it stands for |
//! | `class` | text | `cpp`, `cpp_dependent` (`std::rethrow_exception`), `rust`, `foreign` |
//! | `is_rethrow` | boolean | `throw;` |
//! | `pcs` | texts | return addresses `0x…`, innermost first; the first lies in the language's runtime |
//! | `is_uncaught` | boolean | nobody has caught it, and the process ended by that |
//!
//! In memory the rings are as `lastwords_capture::throws::layout` says.

mod cpp_object;

use lastwords_capture::shared::AreaReader;
use lastwords_capture::throws::cxa;
use lastwords_capture::throws::layout::{
    Class, MOST_PCS, RECORD_SIZE, RECORDS, REGION_SIZE, RING_MAGIC, RING_RECORDS, TABLE_MAGIC,
    TABLE_PLACES, TABLE_RINGS, TYPE_SIZE, WHAT_SIZE,
};
use lastwords_pyframes::Memory;
use serde_json::{Value, json};

use crate::scrub;

/// Most throws of one dump, the newest.
const MOST_THROWS: usize = 1024;

/// One record, as the process left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Throw {
    tid: u32,
    class: Class,
    is_rethrow: bool,
    time_ns: u64,
    exception: u64,
    object: u64,
    type_info: u64,
    type_name: Option<String>,
    what: Option<String>,
    pcs: Vec<u64>,
    /// How often the thread had thrown: tells records of the same moment apart.
    number: u64,
    is_uncaught: bool,
}

/// All throws that can be read.
#[derive(Debug, Default)]
pub(crate) struct Throws {
    list: Vec<Throw>,
    /// Threads whose C++ runtime has called `abort()`.
    terminating: Vec<u32>,
}

/// The stream of all throws, without a verdict.
pub(crate) fn all(area: &AreaReader, memory: &dyn Memory) -> Vec<Value> {
    area.throw_table().map_or_else(Vec::new, |table| read(memory, table).to_json())
}

/// Reads the rings; what cannot be read or makes no sense is left out.
pub(crate) fn read(memory: &dyn Memory, table: u64) -> Throws {
    let mut throws = Throws::default();
    let mut bytes = [0; REGION_SIZE];
    if memory.read(table, &mut bytes).is_err() || bytes.first_chunk() != Some(&TABLE_MAGIC) {
        return throws;
    }
    for place in 0..TABLE_PLACES {
        let at = TABLE_RINGS.saturating_add(place.saturating_mul(8));
        match word(&bytes, at) {
            Some(ring) if ring != 0 => throws.read_ring(memory, ring),
            _ => break,
        }
    }
    throws.list.sort_by_key(|throw| std::cmp::Reverse((throw.time_ns, throw.number)));
    throws.list.truncate(MOST_THROWS);
    throws
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    chunk(bytes, at).map(u64::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    chunk(bytes, at).map(u32::from_ne_bytes)
}

impl Throws {
    fn read_ring(&mut self, memory: &dyn Memory, address: u64) {
        let mut bytes = [0; REGION_SIZE];
        if memory.read(address, &mut bytes).is_err() || bytes.first_chunk() != Some(&RING_MAGIC) {
            return;
        }
        let (Some(tid), Some(written)) = (half(&bytes, 4), word(&bytes, 8)) else { return };
        if half(&bytes, 28).is_some_and(|is_terminating| is_terminating != 0) {
            self.terminating.push(tid);
        }
        let records = u64::try_from(RECORDS).unwrap_or(1);
        for number in written.saturating_sub(records)..written {
            let index = usize::try_from(number.checked_rem(records).unwrap_or(0)).unwrap_or(0);
            let start = RING_RECORDS.saturating_add(index.saturating_mul(RECORD_SIZE));
            let end = start.saturating_add(RECORD_SIZE);
            let throw = bytes.get(start..end).and_then(|record| Throw::decode(record, tid, number));
            self.list.extend(throw);
        }
    }

    /// Finds the exception that made a thread call `abort()`, and marks it; its part of
    /// `report.json` (`mechanism.cpp_exception`), `Null` if it was none.
    pub(crate) fn find_uncaught(&mut self, memory: &dyn Memory, tid: u32) -> Value {
        let is_terminating = self.terminating.contains(&tid);
        let of_thread = |throw: &&mut Throw| throw.tid == tid;
        let mut newest = self.list.iter_mut().filter(of_thread);
        let Some(thrown) = newest.find(|throw| throw.is_in_flight(memory, is_terminating)) else {
            return Value::Null;
        };
        thrown.is_uncaught = true;
        let thrown = thrown.clone();
        let first = self.first_throw(&thrown).unwrap_or(&thrown);
        let what = first.what.clone().or_else(|| {
            let text = cpp_object::text(memory, first.type_info, first.object)?;
            Some(scrub::text(&text))
        });
        json!({"type": first.type_name, "what": what, "frames": hex_list(&first.pcs)})
    }

    /// The throw that made the object of a rethrown one.
    fn first_throw(&self, thrown: &Throw) -> Option<&Throw> {
        let is_first = |throw: &&Throw| {
            throw.class == Class::Cpp && !throw.is_rethrow && throw.object == thrown.object
        };
        let is_not_newer = |throw: &&Throw| throw.time_ns <= thrown.time_ns;
        let mut list = self.list.iter().filter(|_| thrown.object != 0);
        list.find(|throw| is_not_newer(throw) && is_first(throw))
    }

    /// The stream.
    pub(crate) fn to_json(&self) -> Vec<Value> {
        self.list.iter().map(Throw::to_json).collect()
    }
}

fn hex_list(addresses: &[u64]) -> Vec<String> {
    addresses.iter().map(|address| format!("{address:#x}")).collect()
}

impl Throw {
    fn decode(record: &[u8], tid: u32, number: u64) -> Option<Self> {
        let sequence = half(record, 0)?;
        let [class, is_rethrow]: [u8; 2] = chunk(record, 4)?;
        if sequence == 0 || !sequence.is_multiple_of(2) {
            return None;
        }
        let length = |at| chunk(record, at).map(|bytes| usize::from(u16::from_ne_bytes(bytes)));
        let text = |start: usize, length: usize| {
            let bytes = record.get(start..start.saturating_add(length));
            bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let type_name = text(48, length(40)?.min(TYPE_SIZE)).filter(|name| !name.is_empty());
        let has_what = record.get(44).is_some_and(|has_what| *has_what != 0);
        let what = text(232, length(42)?.min(WHAT_SIZE)).filter(|_| has_what);
        let pcs = (0..length(6)?.min(MOST_PCS))
            .filter_map(|index| word(record, 496_usize.saturating_add(index.saturating_mul(8))));
        Some(Self {
            tid,
            class: Class::from_code(class)?,
            is_rethrow: is_rethrow != 0,
            time_ns: word(record, 8)?,
            exception: word(record, 16)?,
            object: word(record, 24)?,
            type_info: word(record, 32)?,
            type_name,
            what: what.map(|what| scrub::text(&what)),
            pcs: pcs.collect(),
            number,
            is_uncaught: false,
        })
    }

    /// Whether the exception is alive and taken up by the runtime, because nobody was found who
    /// would catch it, or because the runtime has given up.
    fn is_in_flight(&self, memory: &dyn Memory, is_terminating: bool) -> bool {
        let mut header = cxa::Header([0; cxa::SIZE]);
        let start = self.exception.wrapping_sub(cxa::BEFORE);
        self.exception != 0
            && memory.read(start, &mut header.0).is_ok()
            && header.is_handled(self.class, self.object, self.type_info)
            && (is_terminating || !header.has_handler())
    }

    fn to_json(&self) -> Value {
        let class = match self.class {
            Class::Cpp => "cpp",
            Class::CppDependent => "cpp_dependent",
            Class::Rust => "rust",
            Class::Foreign => "foreign",
        };
        let primary = self.object.wrapping_sub(cxa::UNWIND_SIZE);
        let is_dependent = self.class == Class::CppDependent && self.object != 0;
        json!({
            "tid": self.tid,
            "time_ns": self.time_ns,
            "type": self.type_name,
            "what": self.what,
            "exception": format!("{:#x}", self.exception),
            "class": class,
            "is_rethrow": self.is_rethrow,
            "pcs": hex_list(&self.pcs),
            "is_uncaught": self.is_uncaught,
            "primary": is_dependent.then(|| format!("{primary:#x}")),
        })
    }
}

#[cfg(test)]
mod tests;
