//! Windows on x64: `.pdata` and `.xdata`.
//!
//! | `RUNTIME_FUNCTION` | | `UNWIND_INFO` | |
//! |---|---|---|---|
//! | 0 | begin | 0 | bits 0 to 2 version, 3 to 7 flags (4: chained) |
//! | 4 | end | 1 | size of the prologue |
//! | 8 | information; bit 0: of another entry | 2 | number of codes |
//! | | | 3 | bits 0 to 3 frame register, 4 to 7 its offset from the stack pointer, in 16 bytes |
//! | | | 4 | codes, 2 bytes each; then, if chained, a `RUNTIME_FUNCTION` (aligned to 4) |
//!
//! All addresses are relative to the image. A code: 1 offset in the prologue behind which it holds,
//! bits 0 to 3 operation, 4 to 7 its operand:
//!
//! | operation | slots | meaning |
//! |---|---|---|
//! | 0 | 1 | push of a register |
//! | 1 | 2 or 3 | stack of many bytes: in 8 bytes, or (operand 1) in bytes |
//! | 2 | 1 | stack of 8 × operand + 8 bytes |
//! | 3 | 1 | the frame register is set |
//! | 4, 5 | 2, 3 | register saved at an offset, in 8 bytes, in bytes |
//! | 6 | 2; version 2: 1 | (version 2) epilogue |
//! | 7 | 3; version 2: 2 | |
//! | 8, 9 | 2, 3 | vector register saved |
//! | 10 | 1 | machine frame: what an interrupt pushes; operand 1: with an error code |
//!
//! A function without entry is a leaf: it has only its return address on the stack. Source: Microsoft,
//! "x64 exception handling".

use std::ops::Range;

use lastwords_symbols::Image;
use minidump_unwind::FrameWalker;

use crate::bytes::{u16_at, u32_at};
use crate::caller::Caller;
use crate::code::{Step, epilogue};

const ENTRY_BYTES: usize = 12;
const CHAINED: u8 = 4;
/// Entries that continue each other; compilers emit 2 or 3.
const MAX_CHAIN: usize = 32;
/// The longest epilogue, with reserve.
const EPILOGUE_BYTES: usize = 96;
const WORD: u64 = 8;

const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
/// Beside those that minidump-unwind hands on by itself.
const CALLEE_SAVED: [u8; 2] = [6, 7];

/// A `RUNTIME_FUNCTION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    begin: u32,
    end: u32,
    info: u32,
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self { begin: u32_at(bytes, 0)?, end: u32_at(bytes, 4)?, info: u32_at(bytes, 8)? })
    }
}

/// Whether an entry covers an address.
pub(super) fn covers(image: &Image, rva: u32) -> bool {
    find(image, rva).is_some()
}

/// What the entries cover.
pub(super) fn ranges(image: &Image) -> Vec<Range<u64>> {
    let table = image.cfi_sections().exception_table.map_or(&[][..], |table| table.bytes);
    let entries = table.chunks_exact(ENTRY_BYTES).filter_map(Entry::read);
    entries.map(|entry| entry.begin.into()..entry.end.into()).collect()
}

/// Size of the prologue of what begins at an address.
pub(super) fn prologue_bytes(image: &Image, rva: u32) -> Option<u8> {
    read(image, find(image, rva)?.info, 4).get(1).copied()
}

/// The caller of the frame whose instruction lies at `rva`. `None` when the file does not tell.
pub(super) fn caller(image: &Image, rva: u32, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
    let mut machine = Machine::new(walker)?;
    let is_exact = !walker.has_grand_callee();
    let Some(entry) = find(image, rva) else {
        // Only the newest frame can be a leaf.
        return if is_exact { machine.leave() } else { None };
    };
    if is_exact && let Some(steps) = steps_to_end(image, rva) {
        for step in steps {
            machine.step(step)?;
        }
        return machine.leave();
    }
    machine.unwind(image, rva, entry)
}

fn find(image: &Image, rva: u32) -> Option<Entry> {
    let table = image.cfi_sections().exception_table?.bytes;
    let entry = |index: usize| {
        let at = index.checked_mul(ENTRY_BYTES)?;
        Entry::read(table.get(at..at.checked_add(ENTRY_BYTES)?)?)
    };
    let (mut low, mut high) = (0usize, table.len() / ENTRY_BYTES);
    while low < high {
        let middle = low.midpoint(high);
        if entry(middle)?.begin <= rva {
            low = middle.checked_add(1)?;
        } else {
            high = middle;
        }
    }
    let mut found = entry(low.checked_sub(1)?).filter(|entry| rva < entry.end)?;
    if found.info & 1 != 0 {
        // The information is that of another entry.
        found.info = Entry::read(read(image, found.info & !1, ENTRY_BYTES))?.info;
    }
    Some(found)
}

fn read(image: &Image, rva: u32, size: usize) -> &[u8] {
    match image.image_base().checked_add(u64::from(rva)) {
        Some(address) => image.bytes_at(address, size),
        None => &[],
    }
}

/// What is left of the epilogue in which `rva` lies.
fn steps_to_end(image: &Image, rva: u32) -> Option<Vec<Step>> {
    let is_entry = |target: u64| {
        let target = u32::try_from(target).ok();
        let entry = target.and_then(|target| find(image, target));
        let is_further_part =
            |entry: Entry| Info::read(image, entry.info).is_some_and(|info| info.is_chained);
        entry.is_none_or(|entry| Some(entry.begin) == target && !is_further_part(entry))
    };
    epilogue(read(image, rva, EPILOGUE_BYTES), u64::from(rva), is_entry)
}

/// `UNWIND_INFO`, without its codes.
struct Info<'a> {
    version: u8,
    is_chained: bool,
    frame_register: u8,
    frame_offset: u64,
    codes: &'a [u8],
    /// Address behind the codes.
    behind: u32,
}

impl<'a> Info<'a> {
    fn read(image: &'a Image, rva: u32) -> Option<Self> {
        let [head, _, count, frame] = *read(image, rva, 4) else { return None };
        let bytes = usize::from(count).checked_mul(2)?;
        let codes = read(image, rva.checked_add(4)?, bytes);
        let aligned = u32::from(count).checked_next_multiple_of(2)?.checked_mul(2)?;
        (codes.len() == bytes).then_some(Self {
            version: head & 7,
            is_chained: head >> 3 & CHAINED != 0,
            frame_register: frame & 0xf,
            frame_offset: u64::from(frame >> 4).checked_mul(16)?,
            codes,
            behind: rva.checked_add(4)?.checked_add(aligned)?,
        })
    }
}

/// The registers, as far as they are computed.
struct Machine<'a> {
    walker: &'a (dyn FrameWalker + Send),
    rsp: u64,
    restored: [Option<u64>; 16],
    /// Return address and stack pointer of a machine frame.
    interrupted: Option<(u64, u64)>,
}

impl<'a> Machine<'a> {
    fn new(walker: &'a (dyn FrameWalker + Send)) -> Option<Self> {
        let rsp = walker.get_callee_register("rsp")?;
        Some(Self { walker, rsp, restored: [None; 16], interrupted: None })
    }

    fn register(&self, number: u8) -> Option<u64> {
        let index = usize::from(number);
        match self.restored.get(index)? {
            Some(value) => Some(*value),
            None => self.walker.get_callee_register(NAMES.get(index)?),
        }
    }

    fn restore(&mut self, number: u8, address: u64) -> Option<()> {
        let value = self.walker.get_register_at_address(address)?;
        *self.restored.get_mut(usize::from(number))? = Some(value);
        Some(())
    }

    fn pop(&mut self, number: u8) -> Option<()> {
        self.restore(number, self.rsp)?;
        self.rsp = self.rsp.checked_add(WORD)?;
        Some(())
    }

    fn step(&mut self, step: Step) -> Option<()> {
        match step {
            Step::Add(bytes) => self.rsp = self.rsp.checked_add_signed(bytes)?,
            Step::Lea(base, offset) => {
                self.rsp = self.register(base)?.checked_add_signed(offset)?;
            }
            Step::Pop(number) => self.pop(number)?,
        }
        Some(())
    }

    fn unwind(mut self, image: &Image, rva: u32, mut entry: Entry) -> Option<Caller> {
        let mut offset = rva.checked_sub(entry.begin);
        for _ in 0..MAX_CHAIN {
            let info = Info::read(image, entry.info)?;
            self.undo(&info, offset)?;
            if !info.is_chained {
                return match self.interrupted {
                    Some(_) => self.resume(),
                    None => self.leave(),
                };
            }
            entry = Entry::read(read(image, info.behind, ENTRY_BYTES))?;
            // The prologue of what is continued was executed as a whole.
            offset = None;
        }
        None
    }

    /// Undoes the codes of a prologue that were executed; all without an offset.
    fn undo(&mut self, info: &Info<'_>, offset: Option<u32>) -> Option<()> {
        let mut base = self.rsp;
        let mut at = 0usize;
        let is_executed = |code: u16| offset.is_none_or(|offset| u32::from(code & 0xff) <= offset);
        // Registers are saved relative to the frame register as soon as that is set.
        if info.frame_register != 0 && has_set_frame(info, &is_executed) {
            base = self.register(info.frame_register)?.checked_sub(info.frame_offset)?;
        }
        while let Some(code) = u16_at(info.codes, at) {
            let (operation, operand) = ((code >> 8 & 0xf) as u8, (code >> 12) as u8);
            let slots = slots(operation, operand, info.version);
            if is_executed(code) {
                let argument = info.codes.get(at.checked_add(2)?..)?;
                self.undo_one(operation, operand, argument, base, info)?;
            }
            at = at.checked_add(slots.checked_mul(2)?)?;
        }
        Some(())
    }

    fn undo_one(
        &mut self,
        operation: u8,
        operand: u8,
        argument: &[u8],
        base: u64,
        info: &Info<'_>,
    ) -> Option<()> {
        let small = || u16_at(argument, 0).map(u64::from);
        let large = || u32_at(argument, 0).map(u64::from);
        match operation {
            0 => self.pop(operand)?,
            1 if operand == 0 => self.rsp = self.rsp.checked_add(small()?.checked_mul(WORD)?)?,
            1 => self.rsp = self.rsp.checked_add(large()?)?,
            2 => {
                let bytes = u64::from(operand).checked_mul(WORD)?.checked_add(WORD)?;
                self.rsp = self.rsp.checked_add(bytes)?;
            }
            3 => {
                let frame = self.register(info.frame_register)?;
                self.rsp = frame.checked_sub(info.frame_offset)?;
            }
            4 => self.restore(operand, base.checked_add(small()?.checked_mul(WORD)?)?)?,
            5 => self.restore(operand, base.checked_add(large()?)?)?,
            10 => self.machine_frame(operand)?,
            // Epilogues and vector registers.
            _ => {}
        }
        Some(())
    }

    /// What the processor pushes: (error code,) rip, cs, flags, rsp, ss.
    fn machine_frame(&mut self, operand: u8) -> Option<()> {
        let frame = self.rsp.checked_add(u64::from(operand & 1).checked_mul(WORD)?)?;
        let rip = self.walker.get_register_at_address(frame)?;
        let rsp = self.walker.get_register_at_address(frame.checked_add(3 * WORD)?)?;
        self.interrupted = Some((rip, rsp));
        Some(())
    }

    /// Returns to the caller.
    fn leave(mut self) -> Option<Caller> {
        let return_address = self.walker.get_register_at_address(self.rsp)?;
        self.rsp = self.rsp.checked_add(WORD)?;
        Some(self.finish(return_address))
    }

    /// Goes back to what was interrupted: the address is exact, and must survive the step back.
    fn resume(mut self) -> Option<Caller> {
        let (rip, rsp) = self.interrupted?;
        self.rsp = rsp;
        Some(self.finish(rip.checked_add(1)?))
    }

    fn finish(self, return_address: u64) -> Caller {
        let restored = self.restored.iter().zip(NAMES).filter(|(_, name)| *name != "rsp");
        let mut registers: Vec<_> =
            restored.filter_map(|(value, name)| value.map(|value| (name, Some(value)))).collect();
        for number in CALLEE_SAVED {
            let name = NAMES.get(usize::from(number)).copied().unwrap_or_default();
            let is_restored = registers.iter().any(|(other, _)| *other == name);
            if let Some(value) = self.walker.get_callee_register(name).filter(|_| !is_restored) {
                registers.push((name, Some(value)));
            }
        }
        Caller::Frame { cfa: self.rsp, return_address, registers }
    }
}

fn has_set_frame(info: &Info<'_>, is_executed: &impl Fn(u16) -> bool) -> bool {
    let mut at = 0usize;
    while let Some(code) = u16_at(info.codes, at) {
        let (operation, operand) = ((code >> 8 & 0xf) as u8, (code >> 12) as u8);
        if operation == 3 {
            return is_executed(code);
        }
        let slots = slots(operation, operand, info.version);
        at = at.saturating_add(slots.saturating_mul(2));
    }
    // The register was set by what this continues.
    info.is_chained
}

fn slots(operation: u8, operand: u8, version: u8) -> usize {
    match operation {
        1 if operand != 0 => 3,
        1 | 4 | 8 => 2,
        5 | 9 => 3,
        6 if version < 2 => 2,
        7 if version < 2 => 3,
        7 => 2,
        _ => 1,
    }
}
