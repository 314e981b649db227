//! The text that glibc leaves before `abort()`: failed assertions, heap and stack checks.
//!
//! `__abort_msg` is a pointer to `struct abort_msg_s`: `u32` size of the mapping, then the text,
//! ended by a zero (glibc, `include/stdlib.h`).

use lastwords_pyframes::Memory;
use lastwords_pyframes::find::symbol_address;

use super::maps::Mapping;
use super::memory::read_available;

const TEXT_OFFSET: u64 = 4;
const MOST_BYTES: u64 = 4096;

/// Address of the pointer in a process that did not tell it.
pub(crate) fn find(mappings: &[Mapping], memory: &dyn Memory) -> Option<u64> {
    let is_libc = |m: &&Mapping| m.offset == 0 && m.path.rsplit('/').next() == Some("libc.so.6");
    let libc = mappings.iter().find(is_libc)?;
    symbol_address(memory, libc.region.start, "__abort_msg")
}

/// Reads the text through the pointer at `address`; `None` when there is none.
pub(crate) fn read(memory: &dyn Memory, address: u64) -> Option<String> {
    let mut pointer = [0; 8];
    memory.read(address, &mut pointer).ok()?;
    let message = u64::from_ne_bytes(pointer);
    if message == 0 {
        return None;
    }
    let bytes = read_available(memory, message.checked_add(TEXT_OFFSET)?, MOST_BYTES);
    let text = bytes.split(|byte| *byte == 0).next()?;
    let text = String::from_utf8_lossy(text).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use lastwords_pyframes::MemoryError;

    struct Bytes(Vec<u8>);

    impl Memory for Bytes {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
            let start = usize::try_from(address).unwrap();
            let bytes = self.0.get(start..start + buffer.len());
            let bytes = bytes.ok_or(MemoryError::new(address, buffer.len(), "not mapped"))?;
            buffer.copy_from_slice(bytes);
            Ok(())
        }
    }

    fn memory(pointer: u64, text: &[u8]) -> Bytes {
        let mut bytes = vec![0; 16];
        bytes[8..16].copy_from_slice(&pointer.to_ne_bytes());
        bytes.extend([0, 16, 0, 0]);
        bytes.extend(text);
        bytes.resize(3 * 4096, 0);
        Bytes(bytes)
    }

    #[test]
    fn the_text_behind_the_pointer_is_read() {
        let memory = memory(16, b"free(): invalid pointer\n\0rest");
        assert_eq!(read(&memory, 8).as_deref(), Some("free(): invalid pointer"));
    }

    #[test]
    fn no_message_and_broken_pointers_are_none() {
        assert_eq!(read(&memory(0, b""), 8), None);
        assert_eq!(read(&memory(1 << 40, b"x"), 8), None);
        assert_eq!(read(&memory(16, b"\0"), 8), None);
    }
}
