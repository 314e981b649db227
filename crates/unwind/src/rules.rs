//! Rules: what call frame information says at one address, taken out of its file so that it can be
//! kept in the symbol cache. Little-endian, unaligned:
//!
//! | size | type | field | meaning |
//! |---|---|---|---|
//! | 1 | u8 | flags | bit 0: a signal frame, bit 1: 64-bit DWARF, bit 2: big-endian |
//! | 1 | u8 | address size | in bytes |
//! | 2 | u16 | version | of the DWARF |
//! | 2 | u16 | return address | DWARF number of the register |
//! | … | value | CFA | register and offset, expression, or lost |
//! | 2 | u16 | count | of registers |
//! | … | u16, value | registers | DWARF number and rule, in the order of the file |
//!
//! A value is a tag (u8) and what belongs to it:
//!
//! | tag | rule | followed by |
//! |---|---|---|
//! | 0 | undefined | |
//! | 1 | same value | |
//! | 2 | saved at CFA + offset | i64 |
//! | 3 | is CFA + offset | i64 |
//! | 4 | is a register | u16 |
//! | 5 | saved where an expression says | size (u16), bytes |
//! | 6 | is what an expression says | size (u16), bytes |
//! | 7 | a constant | u64 |
//! | 8 | lost: cannot be read, or has no meaning here | |
//! | 9 | register + offset (CFA only) | u16, i64 |

use gimli::{CfaRule, Encoding, Format, Register, RegisterRule, RunTimeEndian, UnwindExpression};
use lastwords_symbols::Answer;

/// Registers that rules are kept of; an architecture has some dozens.
const MAX_REGISTERS: usize = 256;

/// What an FDE says about one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameRules {
    pub(crate) cfa: Rule,
    /// Every register with a rule.
    pub(crate) registers: Vec<(Register, Rule)>,
    pub(crate) return_address: Register,
    /// The frame was made by a signal: its caller did not call, it was interrupted.
    pub(crate) is_signal: bool,
    pub(crate) encoding: Encoding,
    pub(crate) endian: RunTimeEndian,
}

/// How one value is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Undefined,
    SameValue,
    Offset(i64),
    ValOffset(i64),
    Register(Register),
    Expression(Vec<u8>),
    ValExpression(Vec<u8>),
    Constant(u64),
    Lost,
    /// Of the CFA only.
    RegisterAndOffset(Register, i64),
}

impl FrameRules {
    /// The rule of a register; `None` when the file says nothing of it.
    pub(crate) fn register(&self, register: Register) -> Option<&Rule> {
        self.registers.iter().find(|(other, _)| *other == register).map(|(_, rule)| rule)
    }
}

impl Rule {
    /// `read` gives the bytes of an expression.
    pub(crate) fn of_cfa(
        rule: &CfaRule<usize>,
        read: impl Fn(&UnwindExpression<usize>) -> Option<Vec<u8>>,
    ) -> Self {
        match rule {
            CfaRule::RegisterAndOffset { register, offset } => {
                Self::RegisterAndOffset(*register, *offset)
            }
            CfaRule::Expression(expression) => {
                read(expression).map_or(Self::Lost, Self::ValExpression)
            }
        }
    }

    /// `read` gives the bytes of an expression.
    pub(crate) fn of_register(
        rule: &RegisterRule<usize>,
        read: impl Fn(&UnwindExpression<usize>) -> Option<Vec<u8>>,
    ) -> Self {
        match rule {
            RegisterRule::Undefined => Self::Undefined,
            RegisterRule::SameValue => Self::SameValue,
            RegisterRule::Offset(offset) => Self::Offset(*offset),
            RegisterRule::ValOffset(offset) => Self::ValOffset(*offset),
            RegisterRule::Register(register) => Self::Register(*register),
            RegisterRule::Expression(bytes) => read(bytes).map_or(Self::Lost, Self::Expression),
            RegisterRule::ValExpression(bytes) => {
                read(bytes).map_or(Self::Lost, Self::ValExpression)
            }
            RegisterRule::Constant(value) => Self::Constant(*value),
            RegisterRule::Architectural => Self::Lost,
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let tag: u8 = match self {
            Self::Undefined => 0,
            Self::SameValue => 1,
            Self::Offset(_) => 2,
            Self::ValOffset(_) => 3,
            Self::Register(_) => 4,
            Self::Expression(_) => 5,
            Self::ValExpression(_) => 6,
            Self::Constant(_) => 7,
            Self::Lost => 8,
            Self::RegisterAndOffset(..) => 9,
        };
        out.push(tag);
        match self {
            Self::Undefined | Self::SameValue | Self::Lost => {}
            Self::Offset(offset) | Self::ValOffset(offset) => out.extend(offset.to_le_bytes()),
            Self::Register(register) => out.extend(register.0.to_le_bytes()),
            Self::Expression(bytes) | Self::ValExpression(bytes) => {
                out.extend(u16::try_from(bytes.len()).ok()?.to_le_bytes());
                out.extend(bytes);
            }
            Self::Constant(value) => out.extend(value.to_le_bytes()),
            Self::RegisterAndOffset(register, offset) => {
                out.extend(register.0.to_le_bytes());
                out.extend(offset.to_le_bytes());
            }
        }
        Some(())
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        Some(match input.u8()? {
            0 => Self::Undefined,
            1 => Self::SameValue,
            2 => Self::Offset(input.i64()?),
            3 => Self::ValOffset(input.i64()?),
            4 => Self::Register(Register(input.u16()?)),
            5 => Self::Expression(input.sized()?),
            6 => Self::ValExpression(input.sized()?),
            7 => Self::Constant(input.i64()?.cast_unsigned()),
            8 => Self::Lost,
            9 => Self::RegisterAndOffset(Register(input.u16()?), input.i64()?),
            _ => return None,
        })
    }
}

/// The rules of one file at an address, if it has any.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileRules(pub(crate) Option<FrameRules>);

impl Answer for FileRules {
    fn encode(&self) -> Option<Vec<u8>> {
        let Some(rules) = &self.0 else { return Some(Vec::new()) };
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let mut out = vec![
            flag(rules.is_signal, 1)
                | flag(rules.encoding.format == Format::Dwarf64, 2)
                | flag(rules.endian == RunTimeEndian::Big, 4),
            rules.encoding.address_size,
        ];
        out.extend(rules.encoding.version.to_le_bytes());
        out.extend(rules.return_address.0.to_le_bytes());
        rules.cfa.write(&mut out)?;
        let count = u16::try_from(rules.registers.len()).ok()?;
        out.extend(count.to_le_bytes());
        for (register, rule) in &rules.registers {
            out.extend(register.0.to_le_bytes());
            rule.write(&mut out)?;
        }
        (rules.registers.len() <= MAX_REGISTERS).then_some(out)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self(None));
        }
        let mut input = Input(bytes);
        let flags = input.u8()?;
        let encoding = Encoding {
            address_size: input.u8()?,
            version: input.u16()?,
            format: if flags & 2 != 0 { Format::Dwarf64 } else { Format::Dwarf32 },
        };
        let return_address = Register(input.u16()?);
        let cfa = Rule::read(&mut input)?;
        let count = usize::from(input.u16()?);
        if count > MAX_REGISTERS {
            return None;
        }
        let mut registers = Vec::with_capacity(count);
        for _ in 0..count {
            registers.push((Register(input.u16()?), Rule::read(&mut input)?));
        }
        let is_signal = flags & 1 != 0;
        let endian = if flags & 4 != 0 { RunTimeEndian::Big } else { RunTimeEndian::Little };
        let rules = FrameRules { cfa, registers, return_address, is_signal, encoding, endian };
        input.0.is_empty().then_some(Self(Some(rules)))
    }
}

/// Bytes that are read from the front.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn sized(&mut self) -> Option<Vec<u8>> {
        let size = usize::from(self.u16()?);
        let (bytes, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> FrameRules {
        let all = [
            Rule::Undefined,
            Rule::SameValue,
            Rule::Offset(-16),
            Rule::ValOffset(i64::MIN),
            Rule::Register(Register(3)),
            Rule::Expression(vec![1, 2, 3]),
            Rule::ValExpression(Vec::new()),
            Rule::Constant(u64::MAX),
            Rule::Lost,
        ];
        FrameRules {
            cfa: Rule::RegisterAndOffset(Register(7), -8),
            registers: (0..).map(Register).zip(all).collect(),
            return_address: Register(16),
            is_signal: true,
            encoding: Encoding { address_size: 8, format: Format::Dwarf64, version: 4 },
            endian: RunTimeEndian::Big,
        }
    }

    #[test]
    fn rules_come_back_as_they_were() {
        let mut plain = rules();
        plain.cfa = Rule::ValExpression(vec![0x77, 8]);
        plain.is_signal = false;
        plain.encoding.format = Format::Dwarf32;
        plain.endian = RunTimeEndian::Little;
        for rules in [Some(rules()), Some(plain), None] {
            let bytes = FileRules(rules.clone()).encode().unwrap();
            assert_eq!(FileRules::decode(&bytes).unwrap().0, rules);
        }
    }

    #[test]
    fn bytes_that_are_cut_or_too_long_are_no_rules() {
        let bytes = FileRules(Some(rules())).encode().unwrap();
        for len in 1..bytes.len() {
            assert!(FileRules::decode(&bytes[..len]).is_none(), "{len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(FileRules::decode(&longer).is_none());
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let mut large = rules();
        large.registers = vec![(Register(1), Rule::SameValue); MAX_REGISTERS + 1];
        assert!(FileRules(Some(large)).encode().is_none());
        let mut long = rules();
        long.cfa = Rule::ValExpression(vec![0; 1 << 16]);
        assert!(FileRules(Some(long)).encode().is_none());
    }
}
