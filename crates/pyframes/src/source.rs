//! Bounded reads from the target, whole structures at a time.

use thiserror::Error as ThisError;

use crate::Limits;
use crate::error::Error;
use crate::layout::Field;
use crate::memory::{Memory, MemoryError};
use crate::pages::Pages;

/// Reads never cross more pages than they must, so one that begins in a mapped page and ends
/// in the same one cannot fail for the length alone. 4 KiB is the smallest page there is.
const PAGE_SIZE: u64 = 4096;

/// Why a structure could not be had.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub(crate) enum Fault {
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error("the limit of {0} is reached")]
    Limit(&'static str),
    #[error("{what} at {address:#x}: found {found:#x}, expected {expected}")]
    Implausible { what: &'static str, address: u64, found: u64, expected: &'static str },
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Memory(error) => Self::Memory(error),
            Fault::Limit(what) => Self::LimitReached { what },
            Fault::Implausible { what, address, found, expected } => {
                Self::Implausible { what, address, found, expected }
            }
        }
    }
}

/// The target's memory, with a budget.
pub(crate) struct Source<'m> {
    memory: &'m dyn Memory,
    reads_left: usize,
    bytes_left: usize,
    moved: Option<Moved>,
    pages: Option<Pages>,
}

/// Memory that stands elsewhere for the moment: a part of a stack that was copied away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    pub from: u64,
    pub size: u64,
    pub to: u64,
}

impl Moved {
    /// Where the `length` bytes at `address` stand.
    fn place(&self, address: u64, length: usize) -> u64 {
        let offset = address.wrapping_sub(self.from);
        let end = offset.checked_add(u64::try_from(length).unwrap_or(u64::MAX));
        match end {
            Some(end) if end <= self.size => self.to.wrapping_add(offset),
            _ => address,
        }
    }
}

/// A part of the budget.
#[derive(Debug)]
pub(crate) struct Reserve {
    reads: usize,
    bytes: usize,
}

impl<'m> Source<'m> {
    pub fn new(memory: &'m dyn Memory, limits: &Limits) -> Self {
        let (reads_left, bytes_left) = (limits.max_reads, limits.max_bytes);
        Self { memory, reads_left, bytes_left, moved: None, pages: None }
    }

    /// From now on reads whole pages, and each of them once. They cost the budget their size.
    pub fn keep_pages(&mut self) {
        self.pages = Some(Pages::default());
    }

    /// Takes half of what is left of the budget away, for what comes later.
    pub fn reserve_half(&mut self) -> Reserve {
        let reserve = Reserve { reads: self.reads_left / 2, bytes: self.bytes_left / 2 };
        self.reads_left = self.reads_left.saturating_sub(reserve.reads);
        self.bytes_left = self.bytes_left.saturating_sub(reserve.bytes);
        reserve
    }

    /// Gives back what was taken away.
    pub fn give_back(&mut self, reserve: &Reserve) {
        self.reads_left = self.reads_left.saturating_add(reserve.reads);
        self.bytes_left = self.bytes_left.saturating_add(reserve.bytes);
    }

    /// `length` bytes at `address`.
    pub fn bytes(&mut self, address: u64, length: usize) -> Result<Vec<u8>, Fault> {
        let bytes = self.unrecorded(address, length)?;
        self.record_read(address, length);
        Ok(bytes)
    }

    /// As [`Source::bytes`], for what the program computes with: no evidence is kept of it.
    pub fn unrecorded(&mut self, address: u64, length: usize) -> Result<Vec<u8>, Fault> {
        if length == 0 {
            return Ok(Vec::new());
        }
        self.reads_left = self.reads_left.checked_sub(1).ok_or(Fault::Limit("max_reads"))?;
        self.spend(length)?;
        let address = self.place(address, length);
        if let Some(pages) = &mut self.pages {
            let bytes_left = &mut self.bytes_left;
            let spend = |size| {
                *bytes_left = bytes_left.checked_sub(size).ok_or(Fault::Limit("max_bytes"))?;
                Ok::<(), Fault>(())
            };
            if let Some(bytes) = pages.get(self.memory, address, length, spend)? {
                return Ok(bytes);
            }
        }
        let mut buffer = vec![0; length];
        self.memory.read_unrecorded(address, &mut buffer)?;
        Ok(buffer)
    }

    /// Keeps `length` bytes at `address`, which were read unrecorded, as evidence.
    pub fn record_read(&self, address: u64, length: usize) {
        let address = self.place(address, length);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.memory.record(address..address.saturating_add(length));
    }

    /// From now on a part of memory is read elsewhere; `None` = no part.
    pub fn set_moved(&mut self, moved: Option<Moved>) {
        self.moved = moved;
    }

    fn place(&self, address: u64, length: usize) -> u64 {
        self.moved.map_or(address, |moved| moved.place(address, length))
    }

    /// Takes `length` bytes of work from the budget.
    pub fn spend(&mut self, length: usize) -> Result<(), Fault> {
        self.bytes_left = self.bytes_left.checked_sub(length).ok_or(Fault::Limit("max_bytes"))?;
        Ok(())
    }

    /// At least `needed` bytes, and up to `wanted` if they lie in the page where the needed
    /// ones end: saves the second read for small objects of unknown size. What lies behind an
    /// object may be anything, so no evidence is kept: the caller tells which bytes it used.
    pub fn bytes_ahead(
        &mut self,
        address: u64,
        needed: usize,
        wanted: usize,
    ) -> Result<Vec<u8>, Fault> {
        let needed_end = address.saturating_add(u64::try_from(needed).unwrap_or(u64::MAX));
        let to_page_end = PAGE_SIZE.saturating_sub(needed_end % PAGE_SIZE) % PAGE_SIZE;
        let room = usize::try_from(to_page_end).unwrap_or(0);
        let ahead = needed.saturating_add(room).min(wanted.max(needed));
        match self.unrecorded(address, ahead) {
            // Where evidence is read again, what lies behind the object is not there.
            Err(Fault::Memory(_)) if ahead > needed => self.unrecorded(address, needed),
            read => read,
        }
    }

    /// The structure at `base`, as far as `fields` reach, in one read.
    pub fn record(&mut self, base: u64, fields: &[Field]) -> Result<Record, Fault> {
        let record = self.record_unrecorded(base, fields)?;
        self.record_read(base.saturating_add(record.first), record.bytes.len());
        Ok(record)
    }

    /// As [`Source::record`], for values: no evidence is kept of them.
    pub fn record_unrecorded(&mut self, base: u64, fields: &[Field]) -> Result<Record, Fault> {
        if base == 0 || !base.is_multiple_of(8) {
            return Err(Fault::Implausible {
                what: "a pointer to a structure",
                address: base,
                found: base,
                expected: "an address that is not null and a multiple of 8",
            });
        }
        let first = fields.iter().map(|field| field.offset).min().unwrap_or(0);
        let end = fields.iter().map(|field| field.offset.saturating_add(field.width)).max();
        let length = usize::try_from(end.unwrap_or(0).saturating_sub(first)).unwrap_or(usize::MAX);
        let bytes = self.unrecorded(base.saturating_add(first), length)?;
        Ok(Record { base, first, bytes })
    }

    /// The NUL-terminated string at `address`, lossily decoded and cut at `max_length` bytes.
    pub fn c_string(&mut self, address: u64, max_length: usize) -> Result<String, Fault> {
        const STEP: usize = 64;
        let mut text = Vec::new();
        while text.len() < max_length {
            let at = address.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
            let piece = self.bytes_ahead(at, 1, STEP)?;
            let end = piece.iter().position(|byte| *byte == 0);
            self.record_read(at, end.map_or(piece.len(), |end| end.saturating_add(1)));
            text.extend_from_slice(piece.get(..end.unwrap_or(piece.len())).unwrap_or_default());
            if end.is_some() {
                break;
            }
        }
        text.truncate(max_length);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The bytes of a structure, or of the part of it that holds the fields asked for.
#[derive(Debug)]
pub(crate) struct Record {
    base: u64,
    first: u64,
    bytes: Vec<u8>,
}

impl Record {
    /// Address of the structure.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The field's value, zero-extended.
    pub fn get(&self, field: Field) -> Result<u64, Fault> {
        let bytes = self.slice(field).ok_or(Fault::Implausible {
            what: "a field",
            address: self.base,
            found: field.offset,
            expected: "one of those that were read",
        })?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A field of 1 byte as a signed number.
    pub fn get_i8(&self, field: Field) -> Result<i8, Fault> {
        let low = self.get(field)? & u64::from(u8::MAX);
        Ok(u8::try_from(low).unwrap_or(0).cast_signed())
    }

    /// A field of 4 bytes as a signed number.
    pub fn get_i32(&self, field: Field) -> Result<i32, Fault> {
        let low = self.get(field)? & u64::from(u32::MAX);
        Ok(u32::try_from(low).unwrap_or(0).cast_signed())
    }

    fn slice(&self, field: Field) -> Option<&[u8]> {
        let start = usize::try_from(field.offset.checked_sub(self.first)?).ok()?;
        let end = start.checked_add(usize::try_from(field.width).ok()?)?;
        self.bytes.get(start..end)
    }
}
