//! All that can be read of a process, within one budget: its memory and, where that is missing,
//! the files behind it.
//!
//! A core file leaves out what a file on the disk says as well (core(5), `coredump_filter`): code,
//! constants, symbols. So a range of a mapping that cannot be written to is read from its file when
//! memory has no answer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use super::files::{Files, ReadAt};
use super::{FindLimits, Mapping};
use crate::memory::{Memory, MemoryError};

/// What of the start of a file must be the same in memory: ELF header and program headers lie
/// there, build id as a rule.
const COMPARED: usize = 1024;
const HEADER: usize = 64;

/// Bytes and time that are left.
struct Budget {
    bytes: Cell<u64>,
    deadline: Option<Instant>,
}

impl Budget {
    /// Takes the bytes of one read.
    fn take(&self, length: usize) -> io::Result<()> {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let left = self.bytes.get().checked_sub(length);
        let is_late = self.deadline.is_some_and(|at| Instant::now() >= at);
        if let Some(left) = left.filter(|_| !is_late) {
            self.bytes.set(left);
            return Ok(());
        }
        self.bytes.set(0);
        Err(io::Error::other("the search for the interpreter has used up its time or bytes"))
    }
}

/// A file whose reads are paid.
pub(super) struct PaidFile {
    file: Box<dyn ReadAt>,
    budget: Rc<Budget>,
}

impl PaidFile {
    /// `length` bytes at `offset`, `None` when they are not there.
    pub(super) fn bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        self.budget.take(length).ok()?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(offset, &mut bytes).ok()?;
        Some(bytes)
    }
}

/// The process, as far as it can be reached.
pub(super) struct Reach<'m> {
    memory: &'m dyn Memory,
    /// By address.
    pub(super) mappings: Vec<&'m Mapping>,
    files: &'m dyn Files,
    opened: RefCell<HashMap<String, Option<Rc<PaidFile>>>>,
    budget: Rc<Budget>,
}

impl<'m> Reach<'m> {
    pub(super) fn new(
        memory: &'m dyn Memory,
        mappings: &'m [Mapping],
        files: &'m dyn Files,
        limits: &FindLimits,
    ) -> Self {
        let mut mappings: Vec<&Mapping> = mappings.iter().filter(|m| m.start < m.end).collect();
        mappings.sort_by_key(|mapping| mapping.start);
        let deadline = Instant::now().checked_add(limits.max_time);
        let budget = Rc::new(Budget { bytes: Cell::new(limits.max_bytes), deadline });
        Self { memory, mappings, files, opened: RefCell::default(), budget }
    }

    /// Whether nothing can be read any more.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget.bytes.get() == 0
    }

    /// The mapping that holds an address.
    pub(super) fn mapping_at(&self, address: u64) -> Option<&'m Mapping> {
        let behind = self.mappings.partition_point(|mapping| mapping.start <= address);
        let mapping = self.mappings.get(behind.checked_sub(1)?)?;
        (address < mapping.end).then_some(*mapping)
    }

    /// Whether an address may be that of a structure which the interpreter changes.
    pub(super) fn is_data(&self, address: u64) -> bool {
        address != 0
            && address.is_multiple_of(8)
            && self.mapping_at(address).is_some_and(|m| m.is_readable && m.is_writable)
    }

    /// The file behind a mapping, if it is the one that was loaded.
    pub(super) fn file(&self, mapping: &Mapping) -> Option<Rc<PaidFile>> {
        if !mapping.is_file {
            return None;
        }
        let known = self.opened.borrow().get(mapping.path.as_str()).cloned();
        known.unwrap_or_else(|| {
            let file = self.open(&mapping.path);
            self.opened.borrow_mut().insert(mapping.path.clone(), file.clone());
            file
        })
    }

    fn open(&self, path: &str) -> Option<Rc<PaidFile>> {
        self.budget.take(0).ok()?;
        let file = PaidFile { file: self.files.open(path)?, budget: Rc::clone(&self.budget) };
        self.is_loaded(path, &file).then(|| Rc::new(file))
    }

    /// Whether a file begins as what was loaded from it does. True where memory cannot tell.
    fn is_loaded(&self, path: &str, file: &PaidFile) -> bool {
        let mut starts = self.mappings.iter().filter(|m| m.offset == 0 && m.path == path);
        let Some(start) = starts.next().map(|mapping| mapping.start) else { return true };
        [COMPARED, HEADER].into_iter().all(|length| {
            let mut loaded = vec![0; length];
            if self.read_memory(start, &mut loaded).is_err() {
                return true;
            }
            file.bytes(0, length).is_none_or(|bytes| bytes == loaded)
        })
    }

    fn read_memory(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let length = buffer.len();
        let paid = self.budget.take(length);
        paid.map_err(|error| MemoryError::new(address, length, error.to_string()))?;
        self.memory.read(address, buffer)
    }

    fn read_file(&self, address: u64, buffer: &mut [u8]) -> Option<()> {
        let mapping = self.mapping_at(address).filter(|m| m.is_file && !m.is_writable)?;
        let within = address.checked_sub(mapping.start)?;
        let end = address.checked_add(u64::try_from(buffer.len()).ok()?)?;
        if end > mapping.end {
            return None;
        }
        let bytes = self.file(mapping)?.bytes(mapping.offset.checked_add(within)?, buffer.len())?;
        buffer.copy_from_slice(&bytes);
        Some(())
    }
}

impl Memory for Reach<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let read = self.read_memory(address, buffer);
        read.or_else(|error| self.read_file(address, buffer).ok_or(error))
    }
}
