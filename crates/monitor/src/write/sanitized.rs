//! Stack words and registers without what they may tell: kept are addresses and small numbers,
//! which a stack trace needs; text and data become a pattern. What looks like an address by
//! chance stays, so secrets are probably gone, not certainly.

use lastwords_format::context::amd64::{FXSAVE_SIZE, Registers};

/// What stands for a word that was taken out: the pattern of Breakpad and Crashpad.
pub(super) const DEFACED: u64 = 0x0def_aced_0def_aced;
/// Numbers up to this size, positive or negative, say nothing.
const SMALL: u64 = 4096;
const WORD: usize = size_of::<u64>();
/// FXSAVE: control and status words (Intel SDM volume 1, 10.5.1); data registers follow.
const FXSAVE_CONTROL: usize = 32;

/// Sanitises memory that was read from `start`: word by word, where words are aligned in the
/// process; a part of a word at either end is zeroed.
pub(super) fn stack(start: u64, bytes: &mut [u8], is_mapped: impl Fn(u64) -> bool) {
    let to_word = usize::try_from(start.wrapping_neg() % 8).unwrap_or(0).min(bytes.len());
    let (head, words) = bytes.split_at_mut(to_word);
    head.fill(0);
    let mut words = words.chunks_exact_mut(WORD);
    for place in &mut words {
        let value = place.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
        place.copy_from_slice(&word(value, &is_mapped).to_le_bytes());
    }
    words.into_remainder().fill(0);
}

fn word(value: u64, is_mapped: &impl Fn(u64) -> bool) -> u64 {
    let is_small = value <= SMALL || value.wrapping_neg() <= SMALL;
    if is_small || is_mapped(value) { value } else { DEFACED }
}

/// Sanitises general registers, and empties floating point and vector registers.
pub(super) fn registers(registers: &Registers, is_mapped: impl Fn(u64) -> bool) -> Registers {
    let mut out = registers.clone();
    let Registers { rax, rcx, rdx, rbx, rbp, rsi, rdi, .. } = &mut out;
    for register in [rax, rcx, rdx, rbx, rbp, rsi, rdi] {
        *register = word(*register, &is_mapped);
    }
    let Registers { r8, r9, r10, r11, r12, r13, r14, r15, .. } = &mut out;
    for register in [r8, r9, r10, r11, r12, r13, r14, r15] {
        *register = word(*register, &is_mapped);
    }
    let mut fxsave = [0; FXSAVE_SIZE];
    for (to, from) in fxsave.iter_mut().zip(registers.fxsave).take(FXSAVE_CONTROL) {
        *to = from;
    }
    out.fxsave = fxsave;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_mapped(address: u64) -> bool {
        (0x7000_0000..0x7000_1000).contains(&address)
    }

    #[test]
    fn text_becomes_a_pattern_and_addresses_stay() {
        let words = [0x7000_0010, 7, u64::MAX - 6, u64::from_le_bytes(*b"password"), 0x6FFF_FFFF];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(b"tail");
        stack(0x7000_0000, &mut bytes, is_mapped);
        let expected = [0x7000_0010, 7, u64::MAX - 6, DEFACED, DEFACED];
        let mut expected: Vec<u8> = expected.iter().flat_map(|word| word.to_le_bytes()).collect();
        expected.extend([0; 4]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn words_are_those_of_the_process() {
        let mut bytes = b"abc".to_vec();
        bytes.extend(0x7000_0020_u64.to_le_bytes());
        stack(0x7000_0005, &mut bytes, is_mapped);
        assert_eq!(bytes[..3], [0; 3]);
        assert_eq!(bytes[3..], 0x7000_0020_u64.to_le_bytes());
        let mut short = b"ab".to_vec();
        stack(0x7000_0005, &mut short, is_mapped);
        assert_eq!(short, [0; 2]);
    }

    #[test]
    fn registers_keep_where_they_are_and_lose_data() {
        let given = Registers {
            rip: 0x1234_5678,
            rsp: 0x7fff_0000,
            rax: u64::from_le_bytes(*b"password"),
            r9: 0x7000_0001,
            fxsave: [0x55; FXSAVE_SIZE],
            ..Default::default()
        };
        let kept = registers(&given, is_mapped);
        assert_eq!(
            (kept.rip, kept.rsp, kept.rax, kept.r9),
            (0x1234_5678, 0x7fff_0000, DEFACED, 0x7000_0001)
        );
        assert_eq!((kept.fxsave[31], kept.fxsave[32]), (0x55, 0));
        assert!(kept.fxsave[32..].iter().all(|byte| *byte == 0));
    }
}
