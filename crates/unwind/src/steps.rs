//! Steps: what an unwinder does at one address, so that it can be kept in the symbol cache.
//!
//! Exception tables of Windows, compact unwind information and `.ARM.exidx` are no rules like DWARF's but
//! programs, run on the registers at hand together with the code of prologues and epilogues. All of
//! them only add constants to registers and to words of the stack. So they are watched while they
//! unwind a frame whose registers and words are numbers far apart from each other: each address that they
//! read and each value that they give is one of these and an offset. A second frame with other numbers
//! must show the same, or the unwinder is asked anew each time.
//!
//! Little-endian, unaligned; nothing (1 byte, 0) where the file says nothing:
//!
//! | size | type | field | meaning |
//! |---|---|---|---|
//! | 1 | u8 | kind | 1 |
//! | 1 | u8 | reads | words that are read, each at a sum of what was there before |
//! | 9 each | sum | | |
//! | 9 | sum | CFA | the caller's stack pointer |
//! | 9 | sum | return address | moved as `Caller` has it |
//! | 1 | u8 | registers | of the caller |
//! | 1 each, 9 | u8, sum | | DWARF number, value; base 255: lost |
//!
//! A sum: base (u8), offset (i64). The base is the DWARF number of a register; from 64 on the words read.

use std::cell::{Cell, RefCell};

use gimli::Register;
use lastwords_symbols::{Answer, Architecture, register_name};
use minidump_unwind::FrameWalker;

use crate::caller::Caller;
use crate::registers::Registers;
use crate::unwinder::Unwinder;

/// Base of the first word read; no architecture has so many registers.
const WORDS: u8 = 64;
/// Words read for one frame: all registers of AArch64 that are saved, with reserve.
const MAX_WORDS: u8 = 48;
/// Words that are read at words.
const MAX_DEPTH: usize = 8;
const LOST: u8 = u8::MAX;
const SUM_BYTES: usize = 9;

/// A register or a word, and a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    base: u8,
    offset: i64,
}

/// How the caller of a frame is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    reads: Vec<Sum>,
    cfa: Sum,
    return_address: Sum,
    registers: Vec<(u8, Option<Sum>)>,
}

impl Steps {
    /// As rules of a `STACK CFI` record: name (`.cfa`, `.ra`, `$rbx`) and value in postfix notation.
    /// `None` when they have a register without a name there.
    pub(crate) fn to_rules(&self, architecture: Architecture) -> Option<Vec<(String, String)>> {
        let say = |sum| self.say(sum, architecture, true, 0);
        let mut rules = vec![
            (".cfa".to_owned(), self.say(self.cfa, architecture, false, 0)?),
            (".ra".to_owned(), say(self.return_address)?),
        ];
        for (number, sum) in &self.registers {
            let own = Sum { base: *number, offset: 0 };
            let Some(sum) = sum.filter(|sum| *sum != own) else { continue };
            let name = register_name(architecture, Register((*number).into()))?;
            rules.push((name.to_owned(), say(sum)?));
        }
        Some(rules)
    }

    /// `has_cfa`: it may be said relative to the CFA.
    fn say(&self, sum: Sum, of: Architecture, has_cfa: bool, depth: usize) -> Option<String> {
        let base = match sum.base.checked_sub(WORDS) {
            _ if has_cfa && sum.base == self.cfa.base => {
                return Some(format!(".cfa {} +", sum.offset.checked_sub(self.cfa.offset)?));
            }
            None => register_name(of, Register(sum.base.into()))?.to_owned(),
            Some(_) if depth > MAX_DEPTH => return None,
            Some(index) => {
                let read = *self.reads.get(usize::from(index))?;
                format!("{} ^", self.say(read, of, has_cfa, depth.checked_add(1)?)?)
            }
        };
        Some(if sum.offset == 0 { base } else { format!("{base} {} +", sum.offset) })
    }
}

/// What watching an unwinder has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// The file says nothing of the address.
    Nothing,
    Steps(Steps),
    /// It does more than steps can tell.
    Opaque,
}

/// Watches an unwinder at an address; `is_newest`: whether the frame is the stack's first, which may
/// stand in a prologue or an epilogue.
pub(crate) fn watch(
    unwinder: &Unwinder,
    registers: Registers,
    rva: u64,
    is_newest: bool,
) -> Watched {
    let look = |layout| {
        let probe = Probe::new(layout, registers, is_newest);
        let caller = unwinder.caller(rva, &probe);
        probe.explain(caller)
    };
    match (look(Layout::Upwards), look(Layout::Downwards)) {
        (first, second) if first == second => first,
        _ => Watched::Opaque,
    }
}

impl Steps {
    /// Finds the caller with the registers and the memory at hand.
    pub(crate) fn caller(
        &self,
        registers: Registers,
        walker: &(dyn FrameWalker + Send),
    ) -> Option<Caller> {
        let mut words = Vec::with_capacity(self.reads.len());
        let value = |words: &[u64], sum: Sum| {
            let base = match sum.base.checked_sub(WORDS) {
                Some(index) => *words.get(usize::from(index))?,
                None => walker.get_callee_register(registers.name(Register(sum.base.into()))?)?,
            };
            Some(registers.add(base, sum.offset))
        };
        for read in &self.reads {
            let word = walker.get_register_at_address(value(&words, *read)?)?;
            words.push(word);
        }
        let mut restored = Vec::with_capacity(self.registers.len());
        for (number, sum) in &self.registers {
            let name = registers.name(Register((*number).into()))?;
            match sum.map(|sum| value(&words, sum)) {
                None => restored.push((name, None)),
                Some(Some(value)) => restored.push((name, Some(value))),
                // A register that is not known is not handed on.
                Some(None) => {}
            }
        }
        let cfa = value(&words, self.cfa)?;
        let return_address = value(&words, self.return_address)?;
        Some(Caller::Frame { cfa, return_address, registers: restored })
    }
}

/// Which numbers stand for registers and words.
#[derive(Clone, Copy)]
enum Layout {
    Upwards,
    Downwards,
}

impl Layout {
    /// Both fit into 32 bits, for all bases.
    const ORIGIN: i64 = 0x0400_0000;
    const UPWARDS: i64 = 0x0210_0000;
    const DOWNWARDS: i64 = 0x0200_0000;
    const BASES: i64 = 112;

    fn number(self, base: u8) -> Option<u64> {
        let base = i64::from(base);
        let number = match self {
            Self::Upwards => base.checked_mul(Self::UPWARDS),
            Self::Downwards => Self::BASES.checked_sub(base)?.checked_mul(Self::DOWNWARDS),
        };
        u64::try_from(number?.checked_add(Self::ORIGIN)?).ok()
    }

    /// The sum that a value is: with the base whose number is nearest.
    fn sum(self, value: u64, bases: u8) -> Option<Sum> {
        let distance = |base: u8| {
            let number = self.number(base)?;
            i64::try_from(i128::from(value).checked_sub(i128::from(number))?).ok()
        };
        let sums = (0..bases).filter_map(|base| Some(Sum { base, offset: distance(base)? }));
        sums.min_by_key(|sum| sum.offset.unsigned_abs())
    }
}

/// A frame in which every register and every word is known by its number.
struct Probe {
    layout: Layout,
    registers: Registers,
    is_newest: bool,
    /// Addresses of the words that were read.
    reads: RefCell<Vec<u64>>,
    is_overrun: Cell<bool>,
}

impl Probe {
    fn new(layout: Layout, registers: Registers, is_newest: bool) -> Self {
        let (reads, is_overrun) = (RefCell::default(), Cell::new(false));
        Self { layout, registers, is_newest, reads, is_overrun }
    }

    fn explain(&self, caller: Option<Caller>) -> Watched {
        let Some(caller) = caller else {
            return if self.is_overrun.get() { Watched::Opaque } else { Watched::Nothing };
        };
        self.steps(caller).map_or(Watched::Opaque, Watched::Steps)
    }

    fn steps(&self, caller: Caller) -> Option<Steps> {
        let Caller::Frame { cfa, return_address, registers } = caller else { return None };
        let addresses = self.reads.borrow();
        let bases = |words: usize| WORDS.checked_add(u8::try_from(words).ok()?);
        // A word is read at what was there before it.
        let read = |(index, address): (usize, &u64)| self.layout.sum(*address, bases(index)?);
        let reads: Vec<Sum> = addresses.iter().enumerate().map(read).collect::<Option<_>>()?;
        let bases = bases(addresses.len())?;
        let sum = |value: u64| self.layout.sum(value, bases);
        let register = |(name, value): (&str, Option<u64>)| {
            let value = match value {
                Some(value) => Some(sum(value)?),
                None => None,
            };
            Some((self.registers.number(name)?, value))
        };
        Some(Steps {
            reads,
            cfa: sum(cfa)?,
            return_address: sum(return_address)?,
            registers: registers.into_iter().map(register).collect::<Option<_>>()?,
        })
    }
}

impl FrameWalker for Probe {
    fn get_instruction(&self) -> u64 {
        0
    }

    fn has_grand_callee(&self) -> bool {
        !self.is_newest
    }

    fn get_grand_callee_parameter_size(&self) -> u32 {
        0
    }

    fn get_register_at_address(&self, address: u64) -> Option<u64> {
        let mut reads = self.reads.borrow_mut();
        let index = u8::try_from(reads.len()).ok().filter(|index| *index < MAX_WORDS);
        self.is_overrun.set(self.is_overrun.get() || index.is_none());
        reads.push(address);
        self.layout.number(WORDS.checked_add(index?)?)
    }

    fn get_callee_register(&self, name: &str) -> Option<u64> {
        let number = self.registers.number(name);
        self.is_overrun.set(self.is_overrun.get() || number.is_none());
        self.layout.number(number?)
    }

    // It is only asked; nothing is handed over.

    fn set_caller_register(&mut self, _: &str, _: u64) -> Option<()> {
        None
    }

    fn clear_caller_register(&mut self, _: &str) {}

    fn set_cfa(&mut self, _: u64) -> Option<()> {
        None
    }

    fn set_ra(&mut self, _: u64) -> Option<()> {
        None
    }
}

impl Answer for Watched {
    fn encode(&self) -> Option<Vec<u8>> {
        let steps = match self {
            Self::Nothing => return Some(vec![0]),
            Self::Steps(steps) => steps,
            Self::Opaque => return None,
        };
        let mut out = vec![1, u8::try_from(steps.reads.len()).ok()?];
        let fixed = [steps.cfa, steps.return_address];
        for sum in steps.reads.iter().chain(&fixed) {
            out.extend(sum.bytes());
        }
        out.push(u8::try_from(steps.registers.len()).ok()?);
        for (number, sum) in &steps.registers {
            out.push(*number);
            out.extend(sum.unwrap_or(Sum { base: LOST, offset: 0 }).bytes());
        }
        Some(out)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            0 if rest.is_empty() => Some(Self::Nothing),
            1 => read_steps(rest).map(Self::Steps),
            _ => None,
        }
    }
}

fn read_steps(bytes: &[u8]) -> Option<Steps> {
    let (count, rest) = bytes.split_first().filter(|(count, _)| **count <= MAX_WORDS)?;
    let (sums, rest) = rest.split_at_checked(usize::from(*count).checked_mul(SUM_BYTES)?)?;
    let reads = sums.chunks_exact(SUM_BYTES).map(Sum::read).collect::<Option<_>>()?;
    let (cfa, rest) = rest.split_at_checked(SUM_BYTES)?;
    let (return_address, rest) = rest.split_at_checked(SUM_BYTES)?;
    let (count, rest) = rest.split_first()?;
    let entries = rest.chunks(SUM_BYTES.checked_add(1)?);
    let entry = |entry: &[u8]| {
        let (number, sum) = entry.split_first()?;
        let sum = Sum::read(sum)?;
        Some((*number, (sum.base != LOST).then_some(sum)))
    };
    let registers: Vec<_> = entries.map(entry).collect::<Option<_>>()?;
    let is_whole = registers.len() == usize::from(*count);
    let (cfa, return_address) = (Sum::read(cfa)?, Sum::read(return_address)?);
    is_whole.then_some(Steps { reads, cfa, return_address, registers })
}

impl Sum {
    fn bytes(self) -> [u8; SUM_BYTES] {
        let [a, b, c, d, e, f, g, h] = self.offset.to_le_bytes();
        [self.base, a, b, c, d, e, f, g, h]
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (base, offset) = bytes.split_first()?;
        Some(Self { base: *base, offset: i64::from_le_bytes(offset.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Steps {
        let sum = |base, offset| Sum { base, offset };
        Steps {
            reads: vec![sum(7, -8), sum(64, 16)],
            cfa: sum(6, 16),
            return_address: sum(65, 1),
            registers: vec![(6, Some(sum(64, 0))), (3, None)],
        }
    }

    #[test]
    fn steps_come_back_as_they_were() {
        for watched in [Watched::Steps(steps()), Watched::Nothing] {
            let bytes = watched.encode().unwrap_or_default();
            assert_eq!(Watched::decode(&bytes), Some(watched));
            for len in 0..bytes.len() {
                assert_eq!(Watched::decode(bytes.get(..len).unwrap_or_default()), None, "{len}");
            }
        }
        assert_eq!(Watched::Opaque.encode(), None);
    }

    #[test]
    fn numbers_fit_into_32_bits_and_tell_their_base() {
        let bases = WORDS.saturating_add(MAX_WORDS);
        for layout in [Layout::Upwards, Layout::Downwards] {
            for base in 0..bases {
                let Some(number) = layout.number(base) else { panic!("{base}") };
                assert!(u32::try_from(number).is_ok());
                for offset in [-0xff_ff00, -8, 0, 0xff_ff00] {
                    let value = number.wrapping_add_signed(offset);
                    assert_eq!(layout.sum(value, bases), Some(Sum { base, offset }));
                }
            }
        }
    }
}
