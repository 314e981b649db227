//! A process whose reads are counted.

use std::cell::Cell;

use lastwords_pyframes::{Memory, MemoryError};

/// Counts what passes through it.
pub struct Counting<'a> {
    inner: &'a dyn Memory,
    pub reads: Cell<usize>,
    pub bytes: Cell<usize>,
}

impl<'a> Counting<'a> {
    pub fn new(inner: &'a dyn Memory) -> Self {
        Self { inner, reads: Cell::new(0), bytes: Cell::new(0) }
    }
}

impl Memory for Counting<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.reads.set(self.reads.get() + 1);
        self.bytes.set(self.bytes.get() + buffer.len());
        self.inner.read(address, buffer)
    }
}
