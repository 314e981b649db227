//! What ARM64 instructions do, from the operands that yaxpeax-arm decodes.
//!
//! The direction of an access follows from the first letters of its name: `ld…` reads, `st…`
//! writes, and the atomic ones (`swp`, `cas`, `ldadd` and its like) do both.

use yaxpeax_arch::{Decoder, U8Reader};
use yaxpeax_arm::armv8::a64::{InstDecoder, Operand, SIMDSizeCode, ShiftStyle, SizeCode};

use crate::effects::{Access, Direction, Effects, Extend, Flow, Kind, Place};

type Instruction = yaxpeax_arm::armv8::a64::Instruction;

/// `ldaxr`, `ldar` … only read; these loads write too.
const ATOMIC: &[&str] =
    &["ldadd", "ldclr", "ldeor", "ldset", "ldsmax", "ldsmin", "ldumax", "ldumin", "swp", "cas"];

/// Decodes the instruction at the start of `code`; `None` when it is none, or cut.
pub(crate) fn effects(address: u64, code: &[u8]) -> Option<Effects> {
    let word = code.get(..4)?;
    let decoded = InstDecoder::default().decode(&mut U8Reader::new(word)).ok()?;
    let text = decoded.to_string();
    let mnemonic = text.split([' ', '.']).next().unwrap_or_default();
    let access = access(&decoded, mnemonic, address);
    Some(Effects {
        len: word.len(),
        has_unknown_accesses: access.is_none() && direction(mnemonic).is_some(),
        accesses: access.into_iter().collect(),
        flow: flow(&decoded, mnemonic, address),
        is_call: mnemonic.starts_with("bl"),
        kind: kind(mnemonic),
        alignment: alignment(mnemonic, &decoded),
        text,
    })
}

fn direction(mnemonic: &str) -> Option<Direction> {
    if ATOMIC.iter().any(|name| mnemonic.starts_with(name)) {
        Some(Direction::ReadWrite)
    } else if mnemonic.starts_with("ld") {
        Some(Direction::Read)
    } else if mnemonic.starts_with("st") {
        Some(Direction::Write)
    } else {
        None
    }
}

fn access(decoded: &Instruction, mnemonic: &str, address: u64) -> Option<Access> {
    let direction = direction(mnemonic)?;
    let place = decoded.operands.iter().find_map(|operand| place(*operand, address))?;
    Some(Access { place, size_bytes: size(decoded, mnemonic), direction })
}

fn place(operand: Operand, address: u64) -> Option<Place> {
    let plain = |base, displacement: i64| Place {
        base,
        index: None,
        extend: Extend::Whole,
        scale: 1,
        displacement: displacement as u64,
        is_32_bit: false,
    };
    match operand {
        Operand::RegPreIndex(base, offset, _) => Some(plain(Some(name(base)), offset.into())),
        Operand::RegPostIndex(base, _) | Operand::RegPostIndexReg(base, _) => {
            Some(plain(Some(name(base)), 0))
        }
        Operand::PCOffset(offset) => {
            Some(plain(None, address.wrapping_add_signed(offset).cast_signed()))
        }
        Operand::RegRegOffset(base, index, size, style, amount) => Some(Place {
            index: (index != 31).then(|| name(index)),
            extend: extend(size, style),
            scale: 1_u64.checked_shl(amount.into()).unwrap_or(1),
            ..plain(Some(name(base)), 0)
        }),
        _ => None,
    }
}

fn extend(size: SizeCode, style: ShiftStyle) -> Extend {
    match (size, style) {
        (_, ShiftStyle::SXTW) => Extend::Signed32,
        (_, ShiftStyle::UXTW) => Extend::Unsigned32,
        (SizeCode::X, _) => Extend::Whole,
        (SizeCode::W, _) => Extend::Unsigned32,
    }
}

/// As minidump contexts name it; 31 is the stack pointer where a base stands.
fn name(register: u16) -> String {
    match register {
        29 => "fp".to_owned(),
        30 => "lr".to_owned(),
        31 => "sp".to_owned(),
        number => format!("x{number}"),
    }
}

fn size(decoded: &Instruction, mnemonic: &str) -> u32 {
    // `ldaddalb`, `ldrsb`: the size stands in the name; `ldclrl` ends in a letter of another kind.
    let is_pair = ["ldp", "stp", "ldnp", "stnp", "ldxp", "stxp", "ldaxp", "stlxp", "casp"]
        .iter()
        .any(|pair| mnemonic.starts_with(pair));
    match mnemonic.as_bytes().last() {
        Some(b'b') if mnemonic != "ldrab" => return 1,
        Some(b'h') => return 2,
        Some(b'w') => return if is_pair { 8 } else { 4 },
        _ => {}
    }
    // The status of an exclusive store comes first.
    let is_exclusive_store = mnemonic.starts_with("stx") || mnemonic.starts_with("stlx");
    let operand = decoded.operands.get(usize::from(is_exclusive_store));
    let one = operand.map_or(0, |operand| operand_size(*operand));
    if is_pair { one.saturating_mul(2) } else { one }
}

fn operand_size(operand: Operand) -> u32 {
    match operand {
        Operand::Register(size, _) | Operand::RegisterOrSP(size, _) => general_size(size),
        Operand::RegisterPair(size, _) => general_size(size),
        Operand::SIMDRegister(size, _) => vector_size(size),
        Operand::SIMDRegisterGroup(size, _, _, count) => {
            vector_size(size).saturating_mul(count.into())
        }
        Operand::SIMDRegisterGroupLane(_, size, count, _) => {
            vector_size(size).saturating_mul(count.into())
        }
        _ => 0,
    }
}

fn general_size(size: SizeCode) -> u32 {
    match size {
        SizeCode::X => 8,
        SizeCode::W => 4,
    }
}

fn vector_size(size: SIMDSizeCode) -> u32 {
    match size {
        SIMDSizeCode::B => 1,
        SIMDSizeCode::H => 2,
        SIMDSizeCode::S => 4,
        SIMDSizeCode::D => 8,
        SIMDSizeCode::Q => 16,
    }
}

fn flow(decoded: &Instruction, mnemonic: &str, address: u64) -> Flow {
    let register = decoded.operands.iter().find_map(|operand| match operand {
        Operand::Register(_, number) if *number < 31 => Some(name(*number)),
        _ => None,
    });
    let offset = decoded.operands.iter().find_map(|operand| match operand {
        Operand::PCOffset(offset) => Some(address.wrapping_add_signed(*offset)),
        _ => None,
    });
    match mnemonic {
        "ret" | "retaa" | "retab" => Flow::Register(register.unwrap_or_else(|| "lr".to_owned())),
        "br" | "blr" | "braa" | "brab" | "braaz" | "brabz" | "blraa" | "blrab" | "blraaz"
        | "blrabz" => register.map_or(Flow::Conditional, Flow::Register),
        "bl" => offset.map_or(Flow::Conditional, Flow::To),
        // `b.eq` has lost its condition here: an operand tells it.
        "b" => match (offset, decoded.operands.first()) {
            (Some(to), Some(Operand::PCOffset(_))) if !is_conditional(decoded) => Flow::To(to),
            _ => Flow::Conditional,
        },
        "cbz" | "cbnz" | "tbz" | "tbnz" | "eret" | "svc" => Flow::Conditional,
        _ => Flow::Next,
    }
}

fn is_conditional(decoded: &Instruction) -> bool {
    decoded.to_string().starts_with("b.")
}

fn kind(mnemonic: &str) -> Kind {
    match mnemonic {
        "brk" => Kind::Breakpoint,
        "udf" => Kind::Undefined,
        "hvc" | "smc" | "eret" | "hlt" | "drps" => Kind::Privileged,
        _ => Kind::Other,
    }
}

/// ARM ARM, B2.5: exclusive and atomic accesses must be aligned to their size.
fn alignment(mnemonic: &str, decoded: &Instruction) -> u64 {
    let is_exclusive = ["ldx", "ldax", "stx", "stlx"].iter().any(|name| mnemonic.starts_with(name));
    let is_atomic = ATOMIC.iter().any(|name| mnemonic.starts_with(name));
    if is_exclusive || is_atomic { u64::from(size(decoded, mnemonic)).max(1) } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(word: u32) -> Effects {
        effects(0x1000, &word.to_le_bytes()).unwrap()
    }

    fn address(effects: &Effects, registers: &[(&str, u64)]) -> Option<u64> {
        let value =
            |name: &str| registers.iter().find(|(known, _)| *known == name).map(|(_, v)| *v);
        effects.accesses.first()?.place.address(value)
    }

    fn shape(effects: &Effects) -> (Direction, u32) {
        let access = effects.accesses.first().unwrap();
        (access.direction, access.size_bytes)
    }

    #[test]
    fn loads_and_stores_have_direction_size_and_place() {
        let load = one(0xf940_0801); // ldr x1, [x0, #0x10]
        assert_eq!(shape(&load), (Direction::Read, 8));
        assert_eq!(address(&load, &[("x0", 0)]), Some(0x10));
        assert_eq!(address(&load, &[]), None);
        let byte = one(0x3900_0041); // strb w1, [x2]
        assert_eq!(shape(&byte), (Direction::Write, 1));
        let pair = one(0xa9bf_7bfd); // stp x29, x30, [sp, #-0x10]!
        assert_eq!(shape(&pair), (Direction::Write, 16));
        assert_eq!(address(&pair, &[("sp", 0x2000)]), Some(0x1ff0));
        let post = one(0xf840_8420); // ldr x0, [x1], #8
        assert_eq!(address(&post, &[("x1", 0x3000)]), Some(0x3000));
        let vector = one(0x3dc0_0020); // ldr q0, [x1]
        assert_eq!(shape(&vector), (Direction::Read, 16));
    }

    #[test]
    fn index_registers_are_widened_and_scaled() {
        let signed = one(0xb862_d820); // ldr w0, [x1, w2, sxtw #2]
        assert_eq!(shape(&signed), (Direction::Read, 4));
        let registers = [("x1", 0x1000), ("x2", 0xdead_0000_ffff_ffff)];
        assert_eq!(address(&signed, &registers), Some(0xffc));
        let whole = one(0xf862_7820); // ldr x0, [x1, x2, lsl #3]
        assert_eq!(address(&whole, &[("x1", 0x1000), ("x2", 2)]), Some(0x1010));
    }

    #[test]
    fn atomic_and_exclusive_accesses_must_be_aligned() {
        let add = one(0xb8e0_0041); // ldaddal w0, w1, [x2]
        assert_eq!((shape(&add), add.alignment), ((Direction::ReadWrite, 4), 4));
        let store = one(0xc802_7c20); // stxr w2, x0, [x1]
        assert_eq!((shape(&store), store.alignment), ((Direction::Write, 8), 8));
        assert_eq!(one(0xf940_0801).alignment, 1);
    }

    #[test]
    fn branches_tell_where_they_go() {
        assert_eq!(one(0xd63f_0100).flow, Flow::Register("x8".into())); // blr x8
        assert!(one(0xd63f_0100).is_call);
        assert_eq!(one(0xd65f_03c0).flow, Flow::Register("lr".into())); // ret
        assert_eq!(one(0x9400_0004).flow, Flow::To(0x1010)); // bl
        assert_eq!(one(0x1400_0004).flow, Flow::To(0x1010)); // b
        assert_eq!(one(0x5400_0080).flow, Flow::Conditional); // b.eq
        assert_eq!(one(0xb400_0080).flow, Flow::Conditional); // cbz
        assert_eq!(one(0x9100_4020).flow, Flow::Next); // add
    }

    #[test]
    fn kinds_explain_exceptions() {
        assert_eq!(one(0xd420_0020).kind, Kind::Breakpoint); // brk #1
        assert_eq!(one(0x0000_0000).kind, Kind::Undefined);
        assert_eq!(one(0xd400_0002).kind, Kind::Privileged); // hvc
        assert_eq!(one(0x9ac0_0820).kind, Kind::Other); // udiv never traps
        assert_eq!(effects(0, &[1, 2, 3]), None);
    }
}
