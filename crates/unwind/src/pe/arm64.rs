//! Windows on AArch64: `.pdata` and `.xdata`.
//!
//! An entry: 4 begin, 4 information: bits 0 and 1 flag; 0: address of a record; 1: packed; 2: packed,
//! without prologue. Packed: bits 2 to 12 size of the function in 4 bytes, the rest see `arm64_codes`.
//!
//! A record:
//!
//! | bits | field |
//! |---|---|
//! | 0 to 17 | size of the function, in 4 bytes |
//! | 18, 19 | version, 0 |
//! | 20 | X: an exception handler's address follows |
//! | 21 | E: there is one epilogue, at the end |
//! | 22 to 26 | epilogues; with E: index of the epilogue's first code |
//! | 27 to 31 | words of codes |
//!
//! When the last two are 0, a word follows with 16 bits of epilogues and 8 of words. Then (without
//! E) a word per epilogue: bits 0 to 17 its start in 4 bytes, 22 to 31 index of its first code; then
//! the codes. Every code stands for one instruction, so what was interrupted in a prologue or an epilogue
//! is undone as far as it was done. Source: Microsoft, "ARM64 exception handling".

use std::ops::Range;

use lastwords_symbols::Image;
use minidump_unwind::FrameWalker;

use super::arm64_codes::{Operation, decode, instructions, unpack};
use crate::bytes::u32_at;
use crate::caller::Caller;

const ENTRY_BYTES: usize = 8;
/// Header and extension, epilogues and codes at most.
const MAX_RECORD_BYTES: usize = 8 + 0xffff * 4 + 255 * 4;
const INSTRUCTION_BYTES: u32 = 4;
/// What minidump-unwind steps back from a return address.
const CALL_BYTES: u64 = 4;
const FRAME: u8 = 29;
const LINK: u8 = 30;

const NAMES: [&str; 31] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "fp", "lr",
];

/// Whether an entry covers an address.
pub(super) fn covers(image: &Image, rva: u32) -> bool {
    find(image, rva).is_some()
}

/// What the entries cover.
pub(super) fn ranges(image: &Image) -> Vec<Range<u64>> {
    let table = image.cfi_sections().exception_table.map_or(&[][..], |table| table.bytes);
    let begins = table.chunks_exact(ENTRY_BYTES).filter_map(|entry| u32_at(entry, 0));
    let range = |begin: u32| {
        let size_bytes = find(image, begin)?.size_bytes;
        Some(begin.into()..u64::from(begin).checked_add(size_bytes.into())?)
    };
    begins.filter_map(range).collect()
}

/// The caller of the frame whose instruction lies at `rva`. `None` when the file does not tell.
pub(super) fn caller(image: &Image, rva: u32, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
    let machine = Machine::new(walker)?;
    let is_exact = !walker.has_grand_callee();
    let Some(function) = find(image, rva) else {
        // Only the newest frame can be a leaf.
        return if is_exact { machine.leave() } else { None };
    };
    let operations = function.to_undo(rva.checked_sub(function.begin)?, is_exact)?;
    machine.undo(&operations)
}

/// One function's information.
struct Function {
    begin: u32,
    size_bytes: u32,
    /// The prologue, last instruction first.
    prologue: Vec<Operation>,
    has_prologue: bool,
    /// Start in bytes, and what the epilogue undoes.
    epilogues: Vec<(u32, Vec<Operation>)>,
}

impl Function {
    /// What has been done, and not undone again, at an offset.
    fn to_undo(&self, offset: u32, is_exact: bool) -> Option<Vec<Operation>> {
        let instruction = usize::try_from(offset / INSTRUCTION_BYTES).ok()?;
        let all = || self.prologue.clone();
        if !is_exact {
            return Some(all());
        }
        let length = instructions(&self.prologue);
        if self.has_prologue && instruction < length {
            let undone = length.checked_sub(instruction)?;
            return Some(self.prologue.get(undone..)?.to_vec());
        }
        for (start, operations) in &self.epilogues {
            let passed = offset.checked_sub(*start).map(|bytes| bytes / INSTRUCTION_BYTES);
            let passed = passed.and_then(|passed| usize::try_from(passed).ok());
            // The return is an instruction, too.
            let Some(passed) = passed.filter(|passed| *passed <= instructions(operations)) else {
                continue;
            };
            return Some(operations.get(passed..)?.to_vec());
        }
        Some(all())
    }
}

fn find(image: &Image, rva: u32) -> Option<Function> {
    let table = image.cfi_sections().exception_table?.bytes;
    let word =
        |index: usize, at: usize| u32_at(table, index.checked_mul(ENTRY_BYTES)?.checked_add(at)?);
    let (mut low, mut high) = (0usize, table.len() / ENTRY_BYTES);
    while low < high {
        let middle = low.midpoint(high);
        if word(middle, 0)? <= rva {
            low = middle.checked_add(1)?;
        } else {
            high = middle;
        }
    }
    let index = low.checked_sub(1)?;
    let (begin, information) = (word(index, 0)?, word(index, 4)?);
    let function = match information & 3 {
        0 => read_record(image, begin, information)?,
        flag @ (1 | 2) => read_packed(begin, information, flag == 1)?,
        _ => return None,
    };
    (rva.checked_sub(begin)? < function.size_bytes).then_some(function)
}

/// The epilogue of a packed entry mirrors its prologue, but for x29, and ends the function.
fn read_packed(begin: u32, packed: u32, has_prologue: bool) -> Option<Function> {
    let prologue = unpack(packed)?;
    let size_bytes = (packed >> 2 & 0x7ff).checked_mul(INSTRUCTION_BYTES)?;
    let mirrored = |one: &Operation| !matches!(one, Operation::SetFrame(_));
    let epilogue: Vec<_> = prologue.iter().copied().filter(mirrored).collect();
    let length = u32::try_from(epilogue.len()).ok()?.checked_add(1)?;
    let start = size_bytes.checked_sub(length.checked_mul(INSTRUCTION_BYTES)?);
    let epilogues = start.into_iter().map(|start| (start, epilogue.clone())).collect();
    Some(Function { begin, size_bytes, prologue, has_prologue, epilogues })
}

fn read_record(image: &Image, begin: u32, rva: u32) -> Option<Function> {
    let address = image.image_base().checked_add(u64::from(rva))?;
    let record = image.bytes_at(address, MAX_RECORD_BYTES);
    let header = u32_at(record, 0)?;
    let mut at = 4usize;
    let (mut count, mut words) = (header >> 22 & 0x1f, header >> 27);
    if count == 0 && words == 0 {
        let extension = u32_at(record, at)?;
        (count, words) = (extension & 0xffff, extension >> 16 & 0xff);
        at = at.checked_add(4)?;
    }
    let is_single = header >> 21 & 1 != 0;
    let scopes = if is_single { 0 } else { usize::try_from(count).ok()? };
    let codes_at = at.checked_add(scopes.checked_mul(4)?)?;
    let codes_bytes = usize::try_from(words).ok()?.checked_mul(4)?;
    let codes = record.get(codes_at..codes_at.checked_add(codes_bytes)?)?;
    let size_bytes = (header & 0x3_ffff).checked_mul(INSTRUCTION_BYTES)?;
    let from = |index: u32| decode(codes.get(usize::try_from(index).ok()?..)?);
    let mut epilogues = Vec::new();
    if is_single {
        epilogues.extend(from(count).and_then(|epilogue| {
            let length = u32::try_from(instructions(&epilogue)).ok()?.checked_add(1)?;
            let start = size_bytes.checked_sub(length.checked_mul(INSTRUCTION_BYTES)?)?;
            Some((start, epilogue))
        }));
    } else {
        let scopes = record.get(at..codes_at)?.chunks_exact(4);
        epilogues.extend(scopes.filter_map(|scope| {
            let scope = u32_at(scope, 0)?;
            let start = (scope & 0x3_ffff).checked_mul(INSTRUCTION_BYTES)?;
            Some((start, from(scope >> 22)?))
        }));
    }
    Some(Function { begin, size_bytes, prologue: decode(codes)?, has_prologue: true, epilogues })
}

/// The registers, as far as they are computed.
struct Machine<'a> {
    walker: &'a (dyn FrameWalker + Send),
    sp: u64,
    restored: [Option<u64>; 31],
    interrupted: Option<(u64, u64)>,
}

impl<'a> Machine<'a> {
    fn new(walker: &'a (dyn FrameWalker + Send)) -> Option<Self> {
        let sp = walker.get_callee_register("sp")?;
        Some(Self { walker, sp, restored: [None; 31], interrupted: None })
    }

    fn register(&self, number: u8) -> Option<u64> {
        let index = usize::from(number);
        match self.restored.get(index)? {
            Some(value) => Some(*value),
            None => self.walker.get_callee_register(NAMES.get(index)?),
        }
    }

    fn restore(&mut self, number: Option<u8>, address: u64) -> Option<()> {
        let Some(number) = number else { return Some(()) };
        let value = self.walker.get_register_at_address(address)?;
        *self.restored.get_mut(usize::from(number))? = Some(value);
        Some(())
    }

    fn undo(mut self, operations: &[Operation]) -> Option<Caller> {
        for operation in operations {
            match *operation {
                Operation::Allocate(bytes) => self.sp = self.sp.checked_add(bytes)?,
                Operation::Save { first, second, offset } => {
                    let address = self.sp.checked_add(offset)?;
                    self.restore(first, address)?;
                    self.restore(second, address.checked_add(8)?)?;
                }
                Operation::Push { first, second, bytes } => {
                    self.restore(first, self.sp)?;
                    self.restore(second, self.sp.checked_add(8)?)?;
                    self.sp = self.sp.checked_add(bytes)?;
                }
                Operation::SetFrame(offset) => {
                    self.sp = self.register(FRAME)?.checked_sub(offset)?;
                }
                Operation::MachineFrame => {
                    let sp = self.walker.get_register_at_address(self.sp)?;
                    let pc = self.walker.get_register_at_address(self.sp.checked_add(8)?)?;
                    self.interrupted = Some((pc, sp));
                }
                Operation::Context => self.context()?,
                Operation::Nothing | Operation::EndOfPart => {}
            }
        }
        self.leave()
    }

    /// `CONTEXT`: x0 to x30 from 8 on, then sp and pc.
    fn context(&mut self) -> Option<()> {
        let context = self.sp;
        let word = |index: u64| context.checked_add(8)?.checked_add(index.checked_mul(8)?);
        for number in 0..=LINK {
            self.restore(Some(number), word(u64::from(number))?)?;
        }
        let sp = self.walker.get_register_at_address(word(31)?)?;
        self.interrupted = Some((self.walker.get_register_at_address(word(32)?)?, sp));
        Some(())
    }

    fn leave(mut self) -> Option<Caller> {
        let return_address = match self.interrupted {
            Some((pc, sp)) => {
                self.sp = sp;
                pc.checked_add(CALL_BYTES)?
            }
            None => self.register(LINK)?,
        };
        let restored = self.restored.iter().zip(NAMES);
        let registers =
            restored.filter_map(|(value, name)| value.map(|value| (name, Some(value)))).collect();
        Some(Caller::Frame { cfa: self.sp, return_address, registers })
    }
}
