//! Watches an unwinder: a frame in which every register and every word is known by its number.

use std::cell::{Cell, RefCell};

use minidump_unwind::FrameWalker;

use crate::caller::Caller;
use crate::registers::Registers;
use crate::steps::{MAX_WORDS, Steps, Sum, WORDS, Watched};
use crate::unwinder::Unwinder;

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

#[cfg(test)]
mod tests {
    use super::*;

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
