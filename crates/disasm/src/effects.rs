//! What one instruction does: the memory it reads and writes, where it goes on, and what it is.

/// Whether memory is read, written, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Read.
    Read,
    /// Written.
    Write,
    /// Read and written.
    ReadWrite,
}

/// How an index register is widened before it is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extend {
    /// All of it counts.
    Whole,
    /// Its low 32 bits, as an unsigned number.
    Unsigned32,
    /// Its low 32 bits, as a signed number.
    Signed32,
}

/// Where an operand lies: `base + index * scale + displacement`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whole register, in lower case, as in minidump contexts; `None` where there is none.
    pub base: Option<String>,
    /// As `base`.
    pub index: Option<String>,
    /// How the index is widened.
    pub extend: Extend,
    /// 1, 2, 4, 8 or 16; minus that where the index is subtracted.
    pub scale: u64,
    /// Added with wrap-around.
    pub displacement: u64,
    /// Whether only the low 32 bits of the sum count.
    pub is_32_bit: bool,
}

impl Place {
    /// The address, given the registers' values; `None` when one of them is not known.
    pub fn address(&self, mut value: impl FnMut(&str) -> Option<u64>) -> Option<u64> {
        let mut known = |name: &Option<String>| match name {
            Some(name) => value(name),
            None => Some(0),
        };
        let base = known(&self.base)?;
        let index = match self.extend {
            Extend::Whole => known(&self.index)?,
            Extend::Unsigned32 => known(&self.index)? & 0xffff_ffff,
            Extend::Signed32 => i64::from(known(&self.index)? as u32 as i32) as u64,
        };
        let sum = base.wrapping_add(index.wrapping_mul(self.scale)).wrapping_add(self.displacement);
        Some(if self.is_32_bit { sum & 0xffff_ffff } else { sum })
    }

    /// The registers that the address is made of.
    pub fn registers(&self) -> impl Iterator<Item = &str> {
        [&self.base, &self.index].into_iter().flatten().map(String::as_str)
    }
}

/// An operand in memory, also one that the instruction does not name (`push`, `movs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where it lies.
    pub place: Place,
    /// Its size; 0 when it is not known.
    pub size_bytes: u32,
    /// What happens to it.
    pub direction: Direction,
}

/// Where the processor goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Behind the instruction.
    Next,
    /// At one of two places.
    Conditional,
    /// At a fixed address.
    To(u64),
    /// At the address in a register.
    Register(String),
    /// At the address in memory.
    Memory(Place),
}

/// What an instruction is, as far as it explains an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None of these.
    Other,
    /// An integer division.
    Division,
    /// One that programs may not use.
    Privileged,
    /// `int3`, `brk`.
    Breakpoint,
    /// One that is defined to be none: `ud2`, `udf`.
    Undefined,
    /// `int 29h`: Windows' `__fastfail`.
    FastFail,
}

/// What one instruction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects {
    /// In Intel's spelling as rust-minidump writes it, or in ARM's.
    pub text: String,
    /// Number of its bytes.
    pub len: usize,
    /// Operands in memory whose address the registers tell.
    pub accesses: Vec<Access>,
    /// Whether it has further operands in memory, such as relative to a segment.
    pub has_unknown_accesses: bool,
    /// Where it goes on.
    pub flow: Flow,
    /// Whether it is a call.
    pub is_call: bool,
    /// What it is.
    pub kind: Kind,
    /// The alignment that its operands in memory must have; 1 where any will do.
    pub alignment: u64,
}
