//! x86 and x86-64, by iced-x86, in MASM's spelling.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, FormatterOutput, FormatterTextKind,
    MasmFormatter, OpKind, Register, SymbolResolver, SymbolResult,
};

use crate::{Instruction, MemoryOperand, TARGET_MARK, hex, unknown};

/// Names the fixed addresses of an instruction, and no other number.
struct Marks;

impl SymbolResolver for Marks {
    fn symbol(
        &mut self,
        instruction: &iced_x86::Instruction,
        operand: u32,
        _: Option<u32>,
        address: u64,
        _: u32,
    ) -> Option<SymbolResult<'_>> {
        let is_fixed = match instruction.try_op_kind(operand).ok()? {
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => true,
            OpKind::Memory => is_fixed_memory(instruction),
            _ => false,
        };
        is_fixed.then(|| SymbolResult::with_string(address, TARGET_MARK.to_string()))
    }
}

/// Memory at an address that stands in the instruction.
fn is_fixed_memory(instruction: &iced_x86::Instruction) -> bool {
    let is_absolute = instruction.memory_base() == Register::None
        && instruction.memory_index() == Register::None
        && instruction.segment_prefix() == Register::None;
    instruction.is_ip_rel_memory_operand() || is_absolute
}

/// Mnemonic and operands apart.
#[derive(Default)]
struct Parts {
    mnemonic: String,
    operands: String,
}

impl FormatterOutput for Parts {
    fn write(&mut self, text: &str, kind: FormatterTextKind) {
        match kind {
            FormatterTextKind::Mnemonic | FormatterTextKind::Prefix => {
                self.mnemonic.push_str(text);
            }
            _ => {
                // A space between a prefix and its mnemonic is the mnemonic's.
                if self.operands.is_empty() && text.trim().is_empty() {
                    self.mnemonic.push(' ');
                } else {
                    self.operands.push_str(text);
                }
            }
        }
    }
}

/// Decodes `code` at `address`.
pub(crate) fn disassemble(bits: u32, address: u64, code: &[u8], max: usize) -> Vec<Instruction> {
    let mut decoder = Decoder::with_ip(bits, code, address, DecoderOptions::NONE);
    let mut formatter = formatter();
    let mut out = Vec::new();
    let mut position = 0_usize;
    while out.len() < max && position < code.len() {
        let here = address.wrapping_add(position as u64);
        if decoder.set_position(position).is_err() {
            break;
        }
        decoder.set_ip(here);
        let decoded = decoder.decode();
        let rest = code.get(position..).unwrap_or_default();
        if decoded.is_invalid() {
            // An instruction has at most 15 bytes: with fewer left, it may only be cut off.
            if decoder.last_error() == iced_x86::DecoderError::NoMoreBytes {
                break;
            }
            out.push(unknown(here, rest.get(..1).unwrap_or_default()));
            position = position.saturating_add(1);
            continue;
        }
        let bytes = rest.get(..decoded.len()).unwrap_or_default();
        out.push(describe(&decoded, here, bytes, &mut formatter));
        position = position.saturating_add(decoded.len().max(1));
    }
    out
}

fn formatter() -> MasmFormatter {
    let mut formatter = MasmFormatter::with_options(Some(Box::new(Marks)), None);
    let options = formatter.options_mut();
    options.set_show_branch_size(false);
    options.set_rip_relative_addresses(false);
    options.set_signed_immediate_operands(false);
    options.set_masm_symbol_displ_in_brackets(true);
    options.set_masm_displ_in_brackets(true);
    options.set_masm_add_ds_prefix32(false);
    options.set_memory_size_options(iced_x86::MemorySizeOptions::Always);
    formatter
}

fn describe(
    decoded: &iced_x86::Instruction,
    address: u64,
    bytes: &[u8],
    formatter: &mut MasmFormatter,
) -> Instruction {
    let mut parts = Parts::default();
    formatter.format(decoded, &mut parts);
    Instruction {
        address,
        bytes: hex(bytes),
        len: bytes.len(),
        mnemonic: parts.mnemonic.trim().to_owned(),
        target: target(decoded),
        operands: parts.operands.trim().to_owned(),
        memory: memory(decoded),
        is_end: matches!(
            decoded.flow_control(),
            FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
        ),
    }
}

fn target(decoded: &iced_x86::Instruction) -> Option<u64> {
    let kinds: Vec<OpKind> = decoded.op_kinds().collect();
    let is_branch = |kind: &OpKind| {
        matches!(kind, OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
    };
    if kinds.iter().any(is_branch) {
        return Some(decoded.near_branch_target());
    }
    if kinds.contains(&OpKind::Memory) && is_fixed_memory(decoded) {
        return Some(decoded.memory_displacement64());
    }
    None
}

fn memory(decoded: &iced_x86::Instruction) -> Option<MemoryOperand> {
    if !decoded.op_kinds().any(|kind| kind == OpKind::Memory) {
        return None;
    }
    let name = |register: Register| {
        (register != Register::None).then(|| format!("{register:?}").to_ascii_lowercase())
    };
    // A displacement relative to the instruction pointer is absolute already.
    let base = if decoded.is_ip_rel_memory_operand() { None } else { name(decoded.memory_base()) };
    let is_address_only = decoded.mnemonic() == iced_x86::Mnemonic::Lea
        || decoded.mnemonic() == iced_x86::Mnemonic::Nop;
    let size = u32::try_from(decoded.memory_size().size()).unwrap_or(0);
    Some(MemoryOperand {
        segment: name(decoded.memory_segment()).unwrap_or_default(),
        base,
        index: name(decoded.memory_index()),
        scale: decoded.memory_index_scale(),
        displacement: decoded.memory_displacement64(),
        size_bytes: if is_address_only { 0 } else { size },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bits: u32, code: &[u8]) -> Instruction {
        disassemble(bits, 0x7ff6_6107_c030, code, 1).remove(0)
    }

    #[test]
    fn text_is_what_windows_debuggers_write() {
        let cmp = one(64, &[0x81, 0x79, 0x60, 0xfe, 0xca, 0xad, 0xab]);
        assert_eq!(cmp.bytes, "817960fecaadab");
        assert_eq!(
            (cmp.mnemonic.as_str(), cmp.operands.as_str()),
            ("cmp", "dword ptr [rcx+60h],0ABADCAFEh")
        );
        let memory = cmp.memory.unwrap();
        assert_eq!(
            (memory.base.as_deref(), memory.displacement, memory.size_bytes),
            (Some("rcx"), 0x60, 4)
        );
        assert_eq!(memory.segment, "ds");
    }

    #[test]
    fn branches_and_fixed_memory_have_a_target() {
        let call = one(64, &[0xe8, 0x0b, 0, 0, 0]);
        assert_eq!(call.target, Some(0x7ff6_6107_c040));
        assert_eq!(call.operands, TARGET_MARK.to_string());
        let lea = one(64, &[0x48, 0x8d, 0x0d, 0x09, 0, 0, 0]);
        assert_eq!(lea.target, Some(0x7ff6_6107_c040));
        assert_eq!(lea.operands, format!("rcx,[{TARGET_MARK}]"));
        assert_eq!(lea.memory.unwrap().size_bytes, 0);
        let absolute = one(32, &[0xa1, 0x00, 0x10, 0x40, 0x00]);
        assert_eq!(absolute.target, Some(0x40_1000));
        assert!(one(64, &[0xc3]).is_end);
    }

    #[test]
    fn bytes_that_are_no_instruction_are_told_and_a_cut_one_is_left_out() {
        let list = disassemble(64, 0, &[0x06, 0x90, 0x48, 0x8d], 9);
        let words: Vec<&str> = list.iter().map(|one| one.mnemonic.as_str()).collect();
        assert_eq!(words, ["???", "nop"]);
    }

    #[test]
    fn prefixes_stand_before_the_mnemonic() {
        let rep = one(64, &[0xf3, 0xa4]);
        assert_eq!(rep.mnemonic, "rep movsb");
    }
}
