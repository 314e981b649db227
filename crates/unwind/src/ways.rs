//! The ways in which a module's files unwind, as the symbol cache keeps them: 3 bytes each.
//!
//! | offset | field | meaning |
//! |---|---|---|
//! | 0 | kind | 0 DWARF, 1 PE's exception table, 2 compact unwind, 3 `.ARM.exidx`, 4 a PDB's frame data |
//! | 1 | architecture | 0 x86, 1 x86-64, 2 ARM, 3 AArch64 |
//! | 2 | container | 1 for ELF, else 0 |

use lastwords_symbols::{Answer, Architecture};

/// A module has a code file and a debug file, each with some ways.
const MAX_WAYS: usize = 16;
const WAY_BYTES: usize = 3;

/// By their numbers in the symbol cache.
const KINDS: [WayKind; 5] = [
    WayKind::Dwarf,
    WayKind::ExceptionTable,
    WayKind::Compact,
    WayKind::ExceptionIndex,
    WayKind::FrameData,
];
const ARCHITECTURES: [Architecture; 4] =
    [Architecture::X86, Architecture::X86_64, Architecture::Arm, Architecture::Aarch64];

/// What tells the caller of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayKind {
    /// `.eh_frame` and `.debug_frame`.
    Dwarf,
    /// PE's `.pdata`.
    ExceptionTable,
    /// Mach-O's `__unwind_info`.
    Compact,
    /// `.ARM.exidx`.
    ExceptionIndex,
    /// Records of 32-bit x86 frames in a PDB.
    FrameData,
}

/// One way of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) kind: WayKind,
    pub(crate) architecture: Architecture,
    pub(crate) is_elf: bool,
}

impl Way {
    /// That of a PDB.
    pub(crate) const FRAME_DATA: Self =
        Self { kind: WayKind::FrameData, architecture: Architecture::X86, is_elf: false };

    fn read(bytes: &[u8]) -> Option<Self> {
        let [kind, architecture, is_elf @ (0 | 1)] = *bytes else { return None };
        Some(Self {
            kind: *KINDS.get(usize::from(kind))?,
            architecture: *ARCHITECTURES.get(usize::from(architecture))?,
            is_elf: is_elf == 1,
        })
    }

    fn bytes(self) -> Option<[u8; WAY_BYTES]> {
        let kind = KINDS.iter().position(|known| *known == self.kind)?;
        let architecture = number_of(self.architecture)?;
        Some([u8::try_from(kind).ok()?, architecture, u8::from(self.is_elf)])
    }
}

fn number_of(architecture: Architecture) -> Option<u8> {
    let index = ARCHITECTURES.iter().position(|known| *known == architecture)?;
    u8::try_from(index).ok()
}

/// The ways of a module, best first.
pub(crate) struct Ways(pub(crate) Vec<Way>);

impl Answer for Ways {
    fn encode(&self) -> Option<Vec<u8>> {
        let bytes: Option<Vec<_>> = self.0.iter().map(|way| way.bytes()).collect();
        bytes.filter(|ways| ways.len() <= MAX_WAYS).map(|ways| ways.concat())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let is_whole = bytes.len().is_multiple_of(WAY_BYTES);
        let is_bounded = bytes.len() / WAY_BYTES <= MAX_WAYS;
        let ways = bytes.chunks(WAY_BYTES).map(Way::read);
        (is_whole && is_bounded).then(|| ways.collect::<Option<_>>().map(Self))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_come_back_as_they_were() {
        let mut ways = vec![Way::FRAME_DATA];
        for kind in KINDS {
            ways.extend(ARCHITECTURES.map(|architecture| Way { kind, architecture, is_elf: true }));
        }
        for some in ways.chunks(MAX_WAYS) {
            let bytes = Ways(some.to_vec()).encode().unwrap();
            assert_eq!(Ways::decode(&bytes).unwrap().0, some);
            assert!(Ways::decode(&bytes[1..]).is_none(), "cut");
        }
        assert!(Ways(ways).encode().is_none(), "too many");
        assert!(Ways::decode(&[5, 0, 0]).is_none() && Ways::decode(&[0, 4, 0]).is_none());
    }
}
