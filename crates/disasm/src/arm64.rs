//! ARM64, by yaxpeax-arm.

use yaxpeax_arch::{Decoder, U8Reader};
use yaxpeax_arm::armv8::a64::{InstDecoder, Opcode, Operand};

use crate::{Instruction, TARGET_MARK, hex, unknown};

/// Decodes `code` at `address`; an unaligned rest is left out.
pub(crate) fn disassemble(address: u64, code: &[u8], max: usize) -> Vec<Instruction> {
    let decoder = InstDecoder::default();
    let words = code.chunks_exact(4).take(max).enumerate();
    words
        .map(|(index, word)| {
            let here = address.wrapping_add((index as u64).wrapping_mul(4));
            let decoded = decoder.decode(&mut U8Reader::new(word));
            decoded
                .map_or_else(|_| unknown(here, &reversed(word)), |one| describe(&one, here, word))
        })
        .collect()
}

/// The word as debuggers write it: a number, most significant byte first.
fn reversed(word: &[u8]) -> Vec<u8> {
    word.iter().rev().copied().collect()
}

fn describe(
    decoded: &yaxpeax_arm::armv8::a64::Instruction,
    address: u64,
    word: &[u8],
) -> Instruction {
    let text = decoded.to_string();
    let (mnemonic, operands) = text.split_once(' ').unwrap_or((&text, ""));
    let target = decoded.operands.iter().find_map(|operand| match operand {
        Operand::PCOffset(offset) => {
            Some(page(decoded.opcode, address).wrapping_add_signed(*offset))
        }
        _ => None,
    });
    let operands = match target {
        Some(_) => mark(operands),
        None => operands.to_owned(),
    };
    Instruction {
        address,
        bytes: hex(&reversed(word)),
        len: word.len(),
        mnemonic: mnemonic.to_owned(),
        operands,
        target,
        memory: None,
        is_end: matches!(decoded.opcode, Opcode::B | Opcode::BR | Opcode::RET),
    }
}

/// What offsets are relative to.
fn page(opcode: Opcode, address: u64) -> u64 {
    if opcode == Opcode::ADRP { address & !0xfff } else { address }
}

/// Replaces the relative offset, which yaxpeax-arm writes last as `$+0x10`.
fn mark(operands: &str) -> String {
    match operands.rfind('$') {
        Some(at) => {
            let (before, offset) = operands.split_at(at);
            let end = offset.find([',', ']', ' ']).unwrap_or(offset.len());
            let after = offset.get(end..).unwrap_or_default();
            format!("{before}{TARGET_MARK}{after}")
        }
        None => operands.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(word: u32) -> Instruction {
        disassemble(0x1_0000_1000, &word.to_le_bytes(), 1).remove(0)
    }

    #[test]
    fn words_are_written_as_numbers_and_branches_have_a_target() {
        let add = one(0x9100_4020);
        assert_eq!((add.bytes.as_str(), add.mnemonic.as_str()), ("91004020", "add"));
        assert_eq!(add.operands, "x0, x1, #0x10");
        let call = one(0x9400_0004);
        assert_eq!((call.mnemonic.as_str(), call.target), ("bl", Some(0x1_0000_1010)));
        assert_eq!(call.operands, TARGET_MARK.to_string());
        let page = one(0xb000_0008);
        assert_eq!((page.mnemonic.as_str(), page.target), ("adrp", Some(0x1_0000_2000)));
        assert!(one(0xd65f_03c0).is_end);
    }

    #[test]
    fn a_word_that_is_no_instruction_is_told() {
        assert_eq!(one(0x0000_0000).mnemonic, "udf");
        assert_eq!(one(0xffff_ffff).mnemonic, "???");
    }
}
