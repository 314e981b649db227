//! What the header of a C++ exception tells of its state.
//!
//! `struct __cxa_refcounted_exception` of libstdc++ (`unwind-cxx.h`) and `__cxa_exception` of
//! libc++abi (`cxa_exception.h`), offsets counted back from the `_Unwind_Exception`:
//!
//! | back | size | type | field |
//! |---|---|---|---|
//! | 96 | 4 | i32 | libstdc++: `referenceCount` |
//! | 88 | 8 | u64 | libc++abi: `referenceCount`; of a dependent exception `primaryException` |
//! | 80 | 8 | u64 | `exceptionType`; of a dependent exception of libstdc++ `primaryException` |
//! | 40 | 4 | i32 | `handlerCount`: handlers at work on it, negative while it is rethrown |
//! | 0 | 8 | u64 | `_Unwind_Exception.exception_class` |
//! | -24 | 8 | u64 | the unwinder's second private word: where the handler is, once one was found |
//!
//! An exception that was freed keeps its handler count. What tells it from a living one is the
//! reference count, or the first exception: there the C library's list of free memory begins.

use super::layout::Class;

/// Bytes of the header before the `_Unwind_Exception`.
pub const BEFORE: u64 = 96;
/// Bytes of the header.
pub const SIZE: usize = 128;
/// Size of `_Unwind_Exception`: the object follows it.
pub const UNWIND_SIZE: u64 = 32;
pub(super) const TYPE: u64 = 80;
pub(super) const LIBCXX_PRIMARY: u64 = 88;
pub(super) const HANDLER_COUNT: u64 = 40;
/// More references than this are none.
const MOST_REFERENCES: u64 = 0xffff;
const MOST_HANDLERS: i32 = 64;

/// A copy of an exception's header, from [`BEFORE`] bytes before the `_Unwind_Exception` on.
#[derive(Debug, Clone, Copy)]
pub struct Header(pub [u8; SIZE]);

impl Header {
    fn word(&self, back: u64) -> u64 {
        let at = usize::try_from(BEFORE.wrapping_sub(back)).unwrap_or(SIZE);
        let bytes = self.0.get(at..).and_then(|bytes| bytes.first_chunk::<8>());
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    }

    /// Whether the exception is still the one that was recorded, and one or more handlers are at
    /// work on it. The C++ runtime itself counts as one when nobody else has caught it.
    #[must_use]
    pub fn is_handled(&self, class: Class, object: u64, type_info: u64) -> bool {
        let own_class = self.word(0);
        let is_libcxx = own_class >> 32 == u64::from(u32::from_be_bytes(*b"CLNG"));
        let references = if is_libcxx { self.word(88) } else { self.word(96) & 0xffff_ffff };
        let primary = if is_libcxx { self.word(LIBCXX_PRIMARY) } else { self.word(TYPE) };
        let is_alive = match class {
            Class::Cpp => {
                (1..=MOST_REFERENCES).contains(&references) && self.word(TYPE) == type_info
            }
            Class::CppDependent => primary == object && object != 0,
            Class::Rust | Class::Foreign => false,
        };
        let [c0, c1, c2, c3, ..] = self.word(HANDLER_COUNT).to_ne_bytes();
        let handlers = i32::from_ne_bytes([c0, c1, c2, c3]);
        is_alive && Class::of(own_class) == class && (1..=MOST_HANDLERS).contains(&handlers)
    }

    /// Whether the unwinder has found a handler for it, even if that is only the end of a function
    /// that must not throw.
    #[must_use]
    pub fn has_handler(&self) -> bool {
        let bytes = self.0.last_chunk::<8>();
        bytes.is_some_and(|bytes| *bytes != [0; 8])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;

    fn header(class: &[u8; 8], changes: &[(usize, &[u8])]) -> Header {
        let mut bytes = [0; SIZE];
        bytes[0] = 1;
        bytes[96..104].copy_from_slice(&u64::from_be_bytes(*class).to_ne_bytes());
        bytes[16] = 0x77;
        bytes[56] = 1;
        for (at, value) in changes {
            bytes[*at..*at + value.len()].copy_from_slice(value);
        }
        Header(bytes)
    }

    #[test]
    fn a_living_exception_with_a_handler_is_handled() {
        let class = b"GNUCC++\0";
        assert!(header(class, &[]).is_handled(Class::Cpp, 0, 0x77));
        assert!(!header(class, &[(56, &[0])]).is_handled(Class::Cpp, 0, 0x77), "no handler");
        assert!(!header(class, &[(56, &[0xff; 4])]).is_handled(Class::Cpp, 0, 0x77), "rethrown");
        assert!(!header(class, &[]).is_handled(Class::Cpp, 0, 0x78), "another type");
    }

    #[test]
    fn a_freed_exception_is_not_handled() {
        let freed: [(usize, &[u8]); 2] = [(0, &[0; 8]), (0, &0x5555_5555_5555_u64.to_ne_bytes())];
        for change in freed {
            assert!(!header(b"GNUCC++\0", &[change]).is_handled(Class::Cpp, 0, 0x77));
        }
        let libcxx = header(b"CLNGC++\0", &[(8, &0x1234_5678_9abc_def0_u64.to_ne_bytes())]);
        assert!(!libcxx.is_handled(Class::Cpp, 0, 0x77));
        assert!(header(b"CLNGC++\0", &[(8, &[1])]).is_handled(Class::Cpp, 0, 0x77));
    }

    #[test]
    fn a_dependent_exception_stands_for_its_primary_one() {
        let gnu = header(b"GNUCC++\x01", &[]);
        assert!(gnu.is_handled(Class::CppDependent, 0x77, 0));
        assert!(!gnu.is_handled(Class::CppDependent, 0x78, 0));
        let libcxx = header(b"CLNGC++\x01", &[(8, &[0x99])]);
        assert!(libcxx.is_handled(Class::CppDependent, 0x99, 0));
    }
}
