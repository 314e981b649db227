//! The text inside an exception object of the C++ standard library, read from outside.
//!
//! `std::runtime_error` and `std::logic_error` hold a virtual table and then a pointer to their text,
//! in libstdc++ (`__cow_string`) as in libc++ (`__libcpp_refstring`). Which part of an object they
//! are, the run-time type information tells (Itanium C++ ABI, 2.9.5).

use lastwords_pyframes::Memory;

const TEXT_OFFSET: u64 = 8;
const MOST_TEXT: usize = 1024;
const MOST_NAME: usize = 256;
const MOST_BASES: u64 = 8;
/// Types looked at for one object: bases of bases, which damage can make endless.
const MOST_TYPES: usize = 64;
const WITH_TEXT: [&[u8]; 2] = [b"St13runtime_error", b"St11logic_error"];

/// The text of an object of a type; `None` when the type keeps none where it is known.
pub(super) fn text(memory: &dyn Memory, type_info: u64, object: u64) -> Option<String> {
    if type_info == 0 || object == 0 {
        return None;
    }
    let mut left = MOST_TYPES;
    let offset = offset_of_text(memory, type_info, &mut left)?;
    let place = object.wrapping_add(offset).wrapping_add(TEXT_OFFSET);
    let bytes = string(memory, word(memory, place)?, MOST_TEXT)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn word(memory: &dyn Memory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(address, &mut bytes).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

/// A string up to its zero, or to the first byte that cannot be read.
fn string(memory: &dyn Memory, address: u64, most: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < most {
        let at = address.checked_add(u64::try_from(text.len()).ok()?)?;
        // Up to the next boundary of 16 bytes: pages end there.
        let length = usize::try_from(16_u64.wrapping_sub(at % 16)).ok()?;
        let mut bytes = [0; 16];
        let part = bytes.get_mut(..length)?;
        if memory.read(at, part).is_err() {
            break;
        }
        match part.iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(part.get(..end)?);
                return Some(text);
            }
            None => text.extend_from_slice(part),
        }
    }
    (!text.is_empty()).then_some(text)
}

fn name(memory: &dyn Memory, type_info: u64) -> Option<Vec<u8>> {
    string(memory, word(memory, type_info.checked_add(8)?)?, MOST_NAME)
}

/// Where the part with a text starts in an object of the type. `left` is how many more types may be
/// looked at, by all branches together.
fn offset_of_text(memory: &dyn Memory, type_info: u64, left: &mut usize) -> Option<u64> {
    *left = left.checked_sub(1)?;
    if WITH_TEXT.contains(&name(memory, type_info)?.as_slice()) {
        return Some(0);
    }
    let type_of_type = word(memory, word(memory, type_info)?.checked_sub(8)?)?;
    match name(memory, type_of_type)?.as_slice() {
        b"N10__cxxabiv120__si_class_type_infoE" => {
            offset_of_text(memory, word(memory, type_info.checked_add(16)?)?, left)
        }
        b"N10__cxxabiv121__vmi_class_type_infoE" => {
            let count = (word(memory, type_info.checked_add(16)?)? >> 32).min(MOST_BASES);
            (0..count).find_map(|index| {
                let base = type_info.checked_add(24)?.checked_add(index.checked_mul(16)?)?;
                let flags = word(memory, base.checked_add(8)?)?.cast_signed();
                // Bit 0: virtual, so its place is not constant.
                let inner = offset_of_text(memory, word(memory, base)?, left);
                let offset = inner?.checked_add_signed(flags >> 8)?;
                (flags & 1 == 0).then_some(offset)
            })
        }
        _ => None,
    }
}
