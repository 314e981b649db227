//! From a return address to its rule: the call frame information of the loaded module that holds
//! it (`.eh_frame`, LSB Core "Exception Frames"), read by gimli on slices of the module's segments.
//!
//! Runs in a thread that throws, so it neither allocates nor waits; the tables of gimli are made
//! small enough for small stacks.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, NativeEndian, Register, RegisterRule,
    UnwindContext, UnwindContextStorage, UnwindSection, UnwindTableRow, X86_64,
};

use super::images::{self, Image};
use super::rule::{Cfa, Rbp, Rule};

type Reader<'a> = EndianSlice<'a, NativeEndian>;

const POINTER_SIZE: u8 = 8;
/// DWARF operations of the two expressions that GCC writes for a realigned stack.
const DW_OP_BREG6: u8 = 0x76;
const DW_OP_DEREF: u8 = 0x06;

/// Tables of x86-64: 17 registers; GCC nests two rows at the most.
struct Small;

impl UnwindContextStorage<usize> for Small {
    type Rules = [(Register, RegisterRule<usize>); 20];
    type Stack = [UnwindTableRow<usize, Self>; 3];
}

/// The rule at a return address; [`Rule::UNKNOWN`] when there is none that fits.
#[cold]
pub(super) fn rule_at(return_address: usize) -> Rule {
    // The call is what the rule is about; the address behind it may be another function's.
    let Some(call) = return_address.checked_sub(1) else { return Rule::UNKNOWN };
    images::with_image_of(call, |image| read(image, call)).flatten().unwrap_or(Rule::UNKNOWN)
}

fn read(image: &Image<'_>, address: usize) -> Option<Rule> {
    let address = u64::try_from(address).ok()?;
    let header_address = u64::try_from(image.header).ok()?;
    // SAFETY: the module is that of a running function; its unwind tables are constants.
    let header_bytes = unsafe { image.segments.bytes(image.header) };
    let bases = BaseAddresses::default().set_eh_frame_hdr(header_address);
    let header = EhFrameHdr::new(header_bytes, NativeEndian).parse(&bases, POINTER_SIZE).ok()?;
    let gimli::Pointer::Direct(frames_address) = header.eh_frame_ptr() else { return None };
    // SAFETY: as above.
    let frames_bytes = unsafe { image.segments.bytes(usize::try_from(frames_address).ok()?) };
    let bases = bases.set_eh_frame(frames_address);
    let frames = EhFrame::new(frames_bytes, NativeEndian);
    rule_in(&header, &frames, &bases, address)
}

/// The part that reads bytes only.
fn rule_in(
    header: &gimli::ParsedEhFrameHdr<Reader<'_>>,
    frames: &EhFrame<Reader<'_>>,
    bases: &BaseAddresses,
    address: u64,
) -> Option<Rule> {
    let table = header.table()?;
    let gimli::Pointer::Direct(fde) = table.lookup(address, bases).ok()? else { return None };
    // Not `fde_for_address`: gimli 0.34 subtracts here without a check.
    let offset = usize::try_from(fde.checked_sub(bases.eh_frame.section?)?).ok()?;
    let fde = frames.fde_from_offset(bases, offset.into(), EhFrame::cie_from_offset).ok()?;
    if !fde.contains(address) || fde.is_signal_trampoline() {
        return None;
    }
    let mut context = UnwindContext::<usize, Small>::new_in();
    let row = fde.unwind_info_for_address(frames, bases, &mut context, address).ok()?;
    if row.register(fde.cie().return_address_register()) != Some(RegisterRule::Offset(-8)) {
        return None;
    }
    Some(Rule::frame(cfa_of(row.cfa(), frames)?, rbp_of(row.register(X86_64::RBP), frames)?))
}

fn cfa_of(rule: &CfaRule<usize>, frames: &EhFrame<Reader<'_>>) -> Option<Cfa> {
    match rule {
        CfaRule::RegisterAndOffset { register, offset } => {
            let offset = i32::try_from(*offset).ok()?;
            match *register {
                X86_64::RSP => Some(Cfa::Rsp(offset)),
                X86_64::RBP => Some(Cfa::Rbp(offset)),
                _ => None,
            }
        }
        CfaRule::Expression(expression) => {
            let bytes = expression.get(frames).ok()?.0.slice();
            let (offset, rest) = breg6(bytes)?;
            (rest == [DW_OP_DEREF]).then_some(Cfa::At(offset))
        }
    }
}

fn rbp_of(rule: Option<RegisterRule<usize>>, frames: &EhFrame<Reader<'_>>) -> Option<Rbp> {
    match rule {
        None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => Some(Rbp::Same),
        Some(RegisterRule::Offset(offset)) => Some(Rbp::InFrame(i32::try_from(offset).ok()?)),
        Some(RegisterRule::Expression(expression)) => {
            let bytes = expression.get(frames).ok()?.0.slice();
            breg6(bytes).filter(|(_, rest)| rest.is_empty()).map(|(offset, _)| Rbp::InSlot(offset))
        }
        Some(_) => None,
    }
}

/// `DW_OP_breg6 N` at the start: N, if it takes one byte, and what follows.
fn breg6(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (&[operation, number], rest) = bytes.split_first_chunk()?;
    // A signed LEB128 of one byte: 7 bits, bit 6 is the sign.
    let is_short = operation == DW_OP_BREG6 && number & 0x80 == 0;
    let value = (number << 1).cast_signed() >> 1;
    is_short.then_some((i32::from(value), rest))
}

#[cfg(test)]
mod tests;
