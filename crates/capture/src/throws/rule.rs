//! One step of a stack walk on x86-64, in one word: where the caller's frame is and where `rbp` is
//! kept. That is all that compiled code needs: return addresses stand right below the frame.
//!
//! | bits | field | meaning |
//! |---|---|---|
//! | 0-1 | kind | 0 unknown: the walk ends here, 1 a frame |
//! | 2-3 | cfa | 0 `rsp` + offset, 1 `rbp` + offset, 2 what stands at `rbp` + offset |
//! | 4-5 | rbp | 0 unchanged, 1 saved at CFA + offset, 2 saved at `rbp` + offset |
//! | 8-31 | rbp_offset | signed |
//! | 32-63 | cfa_offset | signed |

/// See above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule(pub(super) u64);

/// Where the canonical frame address (DWARF 5, section 6.4) comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cfa {
    Rsp(i32),
    Rbp(i32),
    /// Functions that align their stack keep it in a slot (GCC's `DRAP`).
    At(i32),
}

/// Where the caller's `rbp` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rbp {
    Same,
    InFrame(i32),
    InSlot(i32),
}

const FRAME: u64 = 1;
/// What fits into 24 bits with a sign.
const MOST_RBP_OFFSET: i32 = 1 << 23;

impl Rule {
    /// The walk ends here.
    pub(super) const UNKNOWN: Self = Self(0);

    /// A frame; [`Rule::UNKNOWN`] if an offset is out of range.
    pub(super) fn frame(cfa: Cfa, rbp: Rbp) -> Self {
        let (cfa_code, cfa_offset) = match cfa {
            Cfa::Rsp(offset) => (0, offset),
            Cfa::Rbp(offset) => (1, offset),
            Cfa::At(offset) => (2, offset),
        };
        let (rbp_code, rbp_offset) = match rbp {
            Rbp::Same => (0, 0),
            Rbp::InFrame(offset) => (1, offset),
            Rbp::InSlot(offset) => (2, offset),
        };
        if !(-MOST_RBP_OFFSET..MOST_RBP_OFFSET).contains(&rbp_offset) {
            return Self::UNKNOWN;
        }
        let rbp_bits = u64::from(rbp_offset.cast_unsigned() & 0x00ff_ffff) << 8;
        let cfa_bits = u64::from(cfa_offset.cast_unsigned()) << 32;
        Self(FRAME | (cfa_code << 2) | (rbp_code << 4) | rbp_bits | cfa_bits)
    }

    #[inline]
    pub(super) fn is_frame(self) -> bool {
        self.0 & 3 == FRAME
    }

    #[inline]
    pub(super) fn cfa(self) -> Cfa {
        let offset = ((self.0 >> 32) & 0xffff_ffff) as u32;
        let offset = offset.cast_signed();
        match (self.0 >> 2) & 3 {
            0 => Cfa::Rsp(offset),
            1 => Cfa::Rbp(offset),
            _ => Cfa::At(offset),
        }
    }

    #[inline]
    pub(super) fn rbp(self) -> Rbp {
        // Shifting up and down again spreads the sign.
        let word = (self.0 & 0xffff_ff00) as u32;
        let offset = word.cast_signed() >> 8;
        match (self.0 >> 4) & 3 {
            0 => Rbp::Same,
            1 => Rbp::InFrame(offset),
            _ => Rbp::InSlot(offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_rule_says_what_was_packed() {
        for (cfa, rbp) in [
            (Cfa::Rsp(8), Rbp::Same),
            (Cfa::Rbp(16), Rbp::InFrame(-16)),
            (Cfa::At(-8), Rbp::InSlot(0)),
            (Cfa::Rsp(i32::MAX), Rbp::InFrame(-MOST_RBP_OFFSET)),
            (Cfa::Rbp(i32::MIN), Rbp::InSlot(MOST_RBP_OFFSET - 1)),
        ] {
            let rule = Rule::frame(cfa, rbp);
            assert!(rule.is_frame());
            assert_eq!((rule.cfa(), rule.rbp()), (cfa, rbp));
        }
        assert_eq!(Rule::frame(Cfa::Rsp(8), Rbp::InFrame(MOST_RBP_OFFSET)), Rule::UNKNOWN);
        assert!(!Rule::UNKNOWN.is_frame());
    }
}
