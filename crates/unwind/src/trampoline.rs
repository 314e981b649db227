//! Where a signal trampoline stands, as the symbol cache keeps it: nothing, or
//!
//! | size | type | field | meaning |
//! |---|---|---|---|
//! | 1 | u8 | code | 0: told by call frame information; else 1 more than the place in `CODES` |
//! | 8 | u64 | start | in bytes above the module's base |

use lastwords_symbols::Answer;

use crate::signal::{CODES, Trampoline};

/// A trampoline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundTrampoline {
    /// In bytes above the module's base.
    pub(crate) start_rva: u64,
    /// Its code, if that told what it is.
    pub(crate) code: Option<Trampoline>,
}

/// The trampoline at an address, if there is one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TrampolineAt(pub(crate) Option<FoundTrampoline>);

impl Answer for TrampolineAt {
    fn encode(&self) -> Option<Vec<u8>> {
        let Some(found) = self.0 else { return Some(Vec::new()) };
        let number = match found.code {
            None => 0,
            Some(code) => {
                let index = CODES.iter().position(|known| *known == code)?;
                u8::try_from(index).ok()?.checked_add(1)?
            }
        };
        Some([&[number][..], &found.start_rva.to_le_bytes()].concat())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let Some((number, start)) = bytes.split_first() else { return Some(Self(None)) };
        let start_rva = u64::from_le_bytes(start.try_into().ok()?);
        let code = match number.checked_sub(1) {
            None => None,
            Some(index) => Some(*CODES.get(usize::from(index))?),
        };
        Some(Self(Some(FoundTrampoline { start_rva, code })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trampolines_come_back_as_they_were() {
        let codes = CODES.into_iter().map(Some).chain([None]);
        let found = codes.map(|code| Some(FoundTrampoline { start_rva: 1 << 40, code }));
        for found in found.chain([None]) {
            let bytes = TrampolineAt(found).encode().unwrap();
            assert_eq!(TrampolineAt::decode(&bytes), Some(TrampolineAt(found)));
        }
        assert_eq!(TrampolineAt::decode(&[7, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(TrampolineAt::decode(&[0, 0]), None, "cut");
    }
}
