//! Names of functions and types by their number: streams TPI (2) and IPI (4).
//!
//! | offset | size | field | meaning |
//! |---|---|---|---|
//! | 4 | 4 | header size | records start behind it |
//! | 8 | 4 | first | number of the first record, 0x1000 |
//! | 12 | 4 | end | number behind the last record |
//! | 16 | 4 | record bytes | |
//! | 20 | 2 | hash stream | |
//! | 40, 44 | 4, 4 | offset table | offset and size in the hash stream of pairs (number, offset of its record): every 8 KiB of records |
//!
//! A record: 2 size, 2 kind, then:
//!
//! | kind | offset: field |
//! |---|---|
//! | 0x1601 `LF_FUNC_ID` | 4 scope (a string, 0: none), 8 type, 12 name |
//! | 0x1602 `LF_MFUNC_ID` | 4 class, 8 type, 12 name |
//! | 0x1605 `LF_STRING_ID` | 4 list, 8 text |
//! | 0x1504, 0x1505, 0x1519 class, struct, interface | 20 size (numeric), name |
//! | 0x1506 union | 12 size (numeric), name |
//! | 0x1507 enum | 16 name |
//! | 0x1608 to 0x160b class, struct, union, interface of newer compilers | 4 properties … 20 (union 12) two numerics, name |
//!
//! A numeric: 2 bytes below 0x8000, or a kind and its bytes. Source: Microsoft, `cvinfo.h`; LLVM
//! documentation, "The PDB TPI and IPI Streams".

use std::sync::atomic::{AtomicUsize, Ordering};

use super::msf::{Msf, Stream};
use crate::bytes::{size_at, text_at, u16_at, u32_at};

/// One record is at most 64 KiB.
const MAX_RECORD_BYTES: usize = 2 + u16::MAX as usize;
/// Records gone through over the life of a file: between two entries of the offset table lie some
/// hundred, without a table all of them.
const MAX_STEPS: usize = 16 << 20;

/// One of the two streams.
pub(crate) struct Types {
    stream: Stream,
    first: u32,
    end: u32,
    records: usize,
    records_end: usize,
    /// Number and offset, ascending.
    offsets: Vec<(u32, usize)>,
    steps_left: AtomicUsize,
}

impl Types {
    pub(crate) fn open(msf: &Msf, index: usize) -> Option<Self> {
        let stream = msf.stream(index)?;
        let header = stream.copy(0, 56.min(stream.len())).ok()?;
        let records = size_at(&header, 4)?;
        let records_end = records.checked_add(size_at(&header, 16)?)?.min(stream.len());
        let offsets = read_offsets(msf, &header).unwrap_or_default();
        let (first, end) = (u32_at(&header, 8)?, u32_at(&header, 12)?);
        let steps_left = AtomicUsize::new(MAX_STEPS);
        Some(Self { stream, first, end, records, records_end, offsets, steps_left })
    }

    /// The qualified name of a function's id; `types`: the other stream.
    pub(crate) fn function_name(&self, id: u32, types: Option<&Self>) -> Option<String> {
        let record = self.record(id)?;
        let (scope, name) = match u16_at(&record, 2)? {
            0x1601 => {
                let scope = u32_at(&record, 4)?;
                let scope = if scope == 0 { None } else { self.text(scope) };
                (scope, text_at(&record, 12)?)
            }
            0x1602 => {
                let class = u32_at(&record, 4)?;
                (types.and_then(|types| types.type_name(class)), text_at(&record, 12)?)
            }
            _ => return None,
        };
        let name = String::from_utf8_lossy(name);
        Some(match scope {
            Some(scope) => format!("{scope}::{name}"),
            None => name.into_owned(),
        })
    }

    fn text(&self, id: u32) -> Option<String> {
        let record = self.record(id)?;
        let is_text = u16_at(&record, 2)? == 0x1605;
        let text = text_at(&record, 8).filter(|_| is_text)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn type_name(&self, index: u32) -> Option<String> {
        let record = self.record(index)?;
        let name_at = match u16_at(&record, 2)? {
            0x1504 | 0x1505 | 0x1519 => after_numeric(&record, 20)?,
            0x1506 => after_numeric(&record, 12)?,
            0x1507 => 16,
            0x1608 | 0x1609 | 0x160b => after_numeric(&record, after_numeric(&record, 20)?)?,
            0x160a => after_numeric(&record, after_numeric(&record, 12)?)?,
            _ => return None,
        };
        Some(String::from_utf8_lossy(text_at(&record, name_at)?).into_owned())
    }

    /// The bytes of a record.
    fn record(&self, index: u32) -> Option<Vec<u8>> {
        if index < self.first || index >= self.end {
            return None;
        }
        let after = self.offsets.partition_point(|(number, _)| *number <= index);
        let known = after.checked_sub(1).and_then(|at| self.offsets.get(at));
        let (mut number, offset) = known.copied().unwrap_or((self.first, 0));
        let mut at = self.records.checked_add(offset)?;
        while self.step() {
            let size = usize::from(u16_at(&self.read(at, 2)?, 0)?).checked_add(2)?;
            if number == index {
                return self.read(at, size.min(MAX_RECORD_BYTES));
            }
            at = at.checked_add(size)?;
            number = number.checked_add(1)?;
        }
        None
    }

    fn step(&self) -> bool {
        let step = |left: usize| left.checked_sub(1);
        self.steps_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok()
    }

    fn read(&self, at: usize, size: usize) -> Option<Vec<u8>> {
        let is_inside = at.checked_add(size)? <= self.records_end;
        self.stream.copy(at, size).ok().filter(|_| is_inside)
    }
}

fn read_offsets(msf: &Msf, header: &[u8]) -> Option<Vec<(u32, usize)>> {
    let hashes = msf.stream(usize::from(u16_at(header, 20)?))?;
    let bytes = hashes.copy(size_at(header, 40)?, size_at(header, 44)?).ok()?;
    let pair = |pair: &[u8]| Some((u32_at(pair, 0)?, size_at(pair, 4)?));
    let offsets: Vec<_> = bytes.chunks_exact(8).filter_map(pair).collect();
    offsets.is_sorted().then_some(offsets)
}

/// Behind a numeric.
fn after_numeric(record: &[u8], at: usize) -> Option<usize> {
    let size = match u16_at(record, at)? {
        0..0x8000 => 2,
        0x8000 => 3,
        0x8001 | 0x8002 => 4,
        0x8003..=0x8005 => 6,
        0x8009 | 0x800a => 10,
        _ => return None,
    };
    at.checked_add(size)
}
