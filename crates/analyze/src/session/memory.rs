//! Bytes of the process: from the dump, else from the modules' own files where they cannot differ.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use minidump::Module;
use serde_json::{Value, json};

use super::debuggee::Debuggee;
use crate::Error;
use crate::large;

/// Bytes of one request.
const MAX_READ_BYTES: u64 = 4 << 20;
/// Bytes that one search looks at.
const MAX_SEARCHED_BYTES: u64 = 1 << 30;
const CHUNK_BYTES: u64 = 1 << 20;
const MAX_HITS: usize = 4_096;

/// The dump's file, where it is too large to be held in memory: memory is read from it then.
pub(super) struct WholeFile {
    file: Option<Mutex<File>>,
    ranges: Vec<large::Range>,
    size_bytes: u64,
}

impl WholeFile {
    /// `held`: bytes of the dump that are in memory.
    pub(super) fn open(path: &Path, held: usize) -> Self {
        let size_bytes = std::fs::metadata(path).map_or(held as u64, |metadata| metadata.len());
        let mut whole = Self { file: None, ranges: Vec::new(), size_bytes };
        if size_bytes == held as u64 {
            return whole;
        }
        let Ok(mut file) = File::open(path) else { return whole };
        let mut start = [0_u8; 4];
        let is_plain = file.read_exact(&mut start).is_ok() && matches!(&start, b"MDMP" | b"PMDM");
        if !is_plain {
            return whole;
        }
        if let Some(ranges) = large::ranges(&mut file, size_bytes) {
            whole.ranges = ranges;
            whole.file = Some(Mutex::new(file));
        }
        whole
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The ranges that only the file holds, as start and size.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|range| (range.start, range.size))
    }

    fn read(&self, address: u64, size: u64) -> Option<Vec<u8>> {
        let file = self.file.as_ref()?;
        let at = self.ranges.partition_point(|range| range.start <= address).checked_sub(1)?;
        let range = self.ranges.get(at)?;
        let skipped = address.checked_sub(range.start)?;
        let left = range.size.checked_sub(skipped).filter(|left| *left > 0)?;
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(range.offset.checked_add(skipped)?)).ok()?;
        let mut bytes = Vec::new();
        (&mut *file).take(size.min(left)).read_to_end(&mut bytes).ok()?;
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl Debuggee<'_> {
    /// Up to `size` bytes at `address`, as far as they follow each other; and where they are from.
    pub(super) fn piece(&self, address: u64, size: u64) -> Option<(Vec<u8>, &'static str)> {
        if let Some(bytes) = self.in_dump(address, size) {
            return Some((bytes, "dump"));
        }
        if let Some(bytes) = self.file.read(address, size) {
            return Some((bytes, "dump"));
        }
        let (index, module) = self.module_at(address)?;
        let rva = address.checked_sub(module.base_address())?;
        let info = self.info(index);
        let bytes = info.constant_bytes(rva, usize::try_from(size).ok()?)?;
        Some((bytes, "image"))
    }

    fn in_dump(&self, address: u64, size: u64) -> Option<Vec<u8>> {
        let part = |base: u64, bytes: &[u8]| {
            let skipped = usize::try_from(address.checked_sub(base)?).ok()?;
            let rest = bytes.get(skipped..).filter(|rest| !rest.is_empty())?;
            let size = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
            rest.get(..size).map(<[u8]>::to_vec)
        };
        let listed = self.threads.memory.memory_at_address(address);
        if let Some(found) = listed.and_then(|memory| part(memory.base_address(), memory.bytes())) {
            return Some(found);
        }
        self.threads.list.iter().find_map(|thread| {
            let stack = thread.stack_memory(&self.threads.memory)?;
            part(stack.base_address(), stack.bytes())
        })
    }

    /// Exactly `size` bytes.
    pub(super) fn read_exactly(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            let at = address.checked_add(bytes.len() as u64)?;
            let left = size.saturating_sub(bytes.len()) as u64;
            bytes.extend(self.piece(at, left)?.0);
        }
        Some(bytes)
    }

    /// `[address, hexadecimal digits, source]` of each piece that is there.
    pub(super) fn memory(&self, address: u64, size: u64) -> Value {
        let mut pieces: Vec<Value> = Vec::new();
        let end = address.saturating_add(size.min(MAX_READ_BYTES));
        let mut at = address;
        while at < end {
            let left = end.saturating_sub(at);
            match self.piece(at, left) {
                Some((bytes, source)) => {
                    pieces.push(json!([at, hex(&bytes), source]));
                    at = at.saturating_add(bytes.len() as u64);
                }
                None => at = self.next_known(at).map_or(end, |next| next.min(end)),
            }
        }
        json!({"pieces": pieces, "is_cut": size > MAX_READ_BYTES})
    }

    /// The next address above `at` that may be known.
    fn next_known(&self, at: u64) -> Option<u64> {
        let listed = self.threads.memory.by_addr().map(|memory| memory.base_address());
        let stacks =
            self.threads.list.iter().filter_map(|thread| {
                Some(thread.stack_memory(&self.threads.memory)?.base_address())
            });
        let modules = self.state.modules.iter().map(|module| module.base_address());
        // Images change from readable to not at pages.
        let in_module = self.module_at(at).map(|_| (at | 0xfff).saturating_add(1));
        let file = self.file.ranges().map(|(start, _)| start);
        listed.chain(stacks).chain(modules).chain(file).chain(in_module).filter(|n| *n > at).min()
    }

    pub(super) fn search(
        &self,
        address: u64,
        size: u64,
        pattern: &str,
        max: usize,
    ) -> Result<Value, Error> {
        let pattern = unhex(pattern).filter(|pattern| !pattern.is_empty()).ok_or_else(|| {
            Error::Request { reason: "pattern is no even number of hexadecimal digits".to_owned() }
        })?;
        let end = address.saturating_add(size);
        let (mut at, mut looked_at, mut hits) = (address, 0_u64, Vec::new());
        let max = max.min(MAX_HITS);
        while at < end && looked_at < MAX_SEARCHED_BYTES && hits.len() < max {
            let Some((bytes, _)) = self.piece(at, CHUNK_BYTES.min(end.saturating_sub(at))) else {
                at = self.next_known(at).unwrap_or(end);
                continue;
            };
            let found = bytes.windows(pattern.len()).enumerate();
            let found = found.filter(|(_, window)| *window == pattern.as_slice());
            hits.extend(found.map(|(offset, _)| at.saturating_add(offset as u64)));
            let step = bytes.len() as u64;
            looked_at = looked_at.saturating_add(step);
            // The next piece begins early enough for a hit across the border.
            let overlap = (pattern.len() as u64).saturating_sub(1);
            let is_last = step < CHUNK_BYTES;
            at = at.saturating_add(if is_last { step } else { step.saturating_sub(overlap) });
        }
        hits.truncate(max);
        Ok(json!({"hits": hits, "is_cut": looked_at >= MAX_SEARCHED_BYTES || hits.len() >= max}))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        write!(text, "{byte:02x}").ok();
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some((high << 4) | low),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}
