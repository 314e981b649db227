//! The container of a PDB: streams made of blocks ("multi-stream file", MSF 7.00).
//!
//! | offset | size | field | meaning |
//! |---|---|---|---|
//! | 0 | 32 | magic | `Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0` |
//! | 32 | 4 | block size | a power of two; 512 to 8 MiB seen |
//! | 36 | 4 | free block map | not needed to read |
//! | 40 | 4 | blocks | of the file |
//! | 44 | 4 | directory size | in bytes |
//! | 48 | 4 | | |
//! | 52 | 4 each | block map | blocks that hold the numbers of the directory's blocks; one, in large files more |
//!
//! The directory: the number of streams, their sizes (0xffffffff: none), then their block
//! numbers one stream after the other. Source: LLVM documentation, "The MSF File Format"; Microsoft,
//! `microsoft-pdb/PDB/msf/msf.cpp`.
//!
//! A hostile directory may name one block a thousand times. What is copied is bounded by a
//! budget over the life of the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::PdbError;
use crate::bytes::{size_at, u32_at};
use crate::file::MappedFile;

pub(crate) const MAGIC: &[u8; 32] = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0";
const BLOCK_SIZES: std::ops::RangeInclusive<usize> = 256..=8 << 20;
const HEADER_BYTES: usize = 52;
/// Streams of one file; browsers' have some 100,000.
const MAX_STREAMS: usize = 1 << 20;
/// What may be copied of one file, in multiples of its size, and whatever its size.
const COPY_FACTOR: usize = 4;
const FREE_COPY_BYTES: usize = 1 << 20;

/// An opened container.
pub(crate) struct Msf {
    file: Arc<MappedFile>,
    block_bytes: usize,
    /// Size, and index of the first block number, per stream.
    streams: Vec<(usize, usize)>,
    blocks: Arc<[u32]>,
    copy_budget: Arc<AtomicUsize>,
}

/// A stream, not read yet.
#[derive(Clone)]
pub(crate) struct Stream {
    file: Arc<MappedFile>,
    block_bytes: usize,
    size_bytes: usize,
    first_block: usize,
    blocks: Arc<[u32]>,
    copy_budget: Arc<AtomicUsize>,
}

impl Msf {
    pub(crate) fn parse(file: &Arc<MappedFile>) -> Result<Self, PdbError> {
        if !file.starts_with(MAGIC) {
            return Err(PdbError::Magic);
        }
        let block_bytes = size_at(file, 32).ok_or(PdbError::Cut("header"))?;
        if !BLOCK_SIZES.contains(&block_bytes) || !block_bytes.is_power_of_two() {
            return Err(PdbError::BlockSize(block_bytes));
        }
        let budget = file.len().saturating_mul(COPY_FACTOR).saturating_add(FREE_COPY_BYTES);
        let mut msf = Self {
            file: file.clone(),
            block_bytes,
            streams: Vec::new(),
            blocks: Arc::new([]),
            copy_budget: Arc::new(AtomicUsize::new(budget)),
        };
        let directory = msf.read_directory()?;
        msf.index(&directory)?;
        Ok(msf)
    }

    /// The header names the blocks of the map, the map those of the directory.
    fn read_directory(&self) -> Result<Vec<u8>, PdbError> {
        let cut = PdbError::Cut("stream directory");
        let size_bytes = size_at(&self.file, 44).ok_or(cut)?;
        let directory_blocks = size_bytes.div_ceil(self.block_bytes);
        let map_bytes = directory_blocks.checked_mul(4).ok_or(PdbError::Cut("stream directory"))?;
        let map_blocks = map_bytes.div_ceil(self.block_bytes);
        let numbers = |bytes: &[u8], first: usize, count: usize| -> Option<Arc<[u32]>> {
            let end = first.checked_add(count.checked_mul(4)?)?;
            let words = bytes.get(first..end)?.chunks_exact(4);
            Some(words.filter_map(|word| u32_at(word, 0)).collect())
        };
        let read = |blocks: Arc<[u32]>, size_bytes: usize| {
            let copy_budget = self.copy_budget.clone();
            let (file, block_bytes) = (self.file.clone(), self.block_bytes);
            let stream =
                Stream { file, block_bytes, size_bytes, first_block: 0, blocks, copy_budget };
            stream.copy(0, size_bytes)
        };
        let cut = || PdbError::Cut("stream directory");
        let map = numbers(&self.file, HEADER_BYTES, map_blocks).ok_or_else(cut)?;
        let map = read(map, map_bytes)?;
        let blocks = numbers(&map, 0, directory_blocks).ok_or_else(cut)?;
        read(blocks, size_bytes)
    }

    fn index(&mut self, directory: &[u8]) -> Result<(), PdbError> {
        let cut = || PdbError::Cut("stream directory");
        let count = size_at(directory, 0).ok_or_else(cut)?;
        if count > MAX_STREAMS {
            return Err(PdbError::TooMuch("streams"));
        }
        let sizes_end = count.checked_add(1).and_then(|words| words.checked_mul(4));
        let (sizes, blocks) =
            sizes_end.and_then(|end| directory.split_at_checked(end)).ok_or_else(cut)?;
        self.blocks = blocks.chunks_exact(4).filter_map(|word| u32_at(word, 0)).collect();
        let mut first_block = 0usize;
        for size in sizes.chunks_exact(4).skip(1) {
            let size_bytes = match u32_at(size, 0).ok_or_else(cut)? {
                u32::MAX => 0,
                size_bytes => usize::try_from(size_bytes).map_err(|_| cut())?,
            };
            self.streams.push((size_bytes, first_block));
            first_block = first_block.saturating_add(size_bytes.div_ceil(self.block_bytes));
        }
        Ok(())
    }

    /// A stream by its number; `None` when the file has none or an empty one.
    pub(crate) fn stream(&self, index: usize) -> Option<Stream> {
        let (size_bytes, first_block) = *self.streams.get(index)?;
        (size_bytes > 0).then(|| Stream {
            file: self.file.clone(),
            block_bytes: self.block_bytes,
            size_bytes,
            first_block,
            blocks: self.blocks.clone(),
            copy_budget: self.copy_budget.clone(),
        })
    }
}

impl Stream {
    pub(crate) fn len(&self) -> usize {
        self.size_bytes
    }

    /// The whole stream: a part of the file where its blocks lie in a row, else a copy.
    pub(crate) fn read(&self) -> Result<Arc<MappedFile>, PdbError> {
        if let Some(part) = self.in_a_row() {
            return Ok(part);
        }
        let bytes = self.copy(0, self.size_bytes)?;
        Ok(MappedFile::unpacked(self.file.path(), bytes))
    }

    fn in_a_row(&self) -> Option<Arc<MappedFile>> {
        let count = self.size_bytes.div_ceil(self.block_bytes);
        let end = self.first_block.checked_add(count)?;
        let blocks = self.blocks.get(self.first_block..end)?;
        let is_next = |pair: &[u32]| match pair {
            [first, second] => first.checked_add(1) == Some(*second),
            _ => true,
        };
        if !blocks.windows(2).all(is_next) {
            return None;
        }
        let start = usize::try_from(*blocks.first()?).ok()?.checked_mul(self.block_bytes)?;
        self.file.part(start..start.checked_add(self.size_bytes)?)
    }

    /// Copies a part of the stream; an error when the stream or the file ends before.
    pub(crate) fn copy(&self, offset: usize, size_bytes: usize) -> Result<Vec<u8>, PdbError> {
        let mut bytes = Vec::new();
        self.append(offset, size_bytes, &mut bytes).ok_or(PdbError::Cut("stream"))??;
        Ok(bytes)
    }

    fn append(
        &self,
        mut offset: usize,
        size_bytes: usize,
        bytes: &mut Vec<u8>,
    ) -> Option<Result<(), PdbError>> {
        let end = offset.checked_add(size_bytes).filter(|end| *end <= self.size_bytes)?;
        if !self.spend(size_bytes) {
            return Some(Err(PdbError::TooMuch("streams that share blocks")));
        }
        while offset < end {
            let within = offset.checked_rem(self.block_bytes)?;
            let index = self.first_block.checked_add(offset.checked_div(self.block_bytes)?)?;
            let block = usize::try_from(*self.blocks.get(index)?).ok()?;
            let start = block.checked_mul(self.block_bytes)?.checked_add(within)?;
            let left = self.block_bytes.checked_sub(within)?.min(end.checked_sub(offset)?);
            bytes.extend_from_slice(self.file.get(start..start.checked_add(left)?)?);
            offset = offset.checked_add(left)?;
        }
        Some(Ok(()))
    }

    /// Small reads, of which lookups make many, are free: they are not kept.
    fn spend(&self, size_bytes: usize) -> bool {
        let spend = |left: usize| left.checked_sub(size_bytes);
        size_bytes <= self.block_bytes
            || self.copy_budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }
}
