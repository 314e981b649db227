//! What x86 and x86-64 instructions do, by iced-x86; their text by yaxpeax-x86, as in
//! minidump-stackwalk's documents.

use iced_x86::{
    Code, CodeSize, Decoder, DecoderOptions, EncodingKind, FlowControl, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};
use yaxpeax_arch::{Decoder as _, U8Reader};

use crate::effects::{Access, Direction, Effects, Extend, Flow, Kind, Place};

/// Decodes the instruction at the start of `code`; `None` when it is none, or cut.
pub(crate) fn effects(bits: u32, address: u64, code: &[u8]) -> Option<Effects> {
    let mut decoder = Decoder::with_ip(bits, code, address, DecoderOptions::NONE);
    let decoded = decoder.decode();
    if decoded.is_invalid() {
        return None;
    }
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(&decoded).used_memory();
    let accesses: Vec<Access> = used.iter().filter_map(|used| access(bits, used)).collect();
    let touched = used.iter().filter(|used| direction(used.access()).is_some()).count();
    Some(Effects {
        text: text(bits, code)?,
        len: decoded.len(),
        has_unknown_accesses: touched > accesses.len(),
        accesses,
        flow: flow(bits, &decoded),
        is_call: matches!(decoded.flow_control(), FlowControl::Call | FlowControl::IndirectCall),
        kind: kind(&decoded),
        alignment: alignment(&decoded),
    })
}

fn text(bits: u32, code: &[u8]) -> Option<String> {
    let mut reader = U8Reader::new(code);
    match bits {
        32 => {
            let decoder = yaxpeax_x86::protected_mode::InstDecoder::default();
            decoder.decode(&mut reader).ok().map(|one| one.to_string())
        }
        _ => {
            let decoder = yaxpeax_x86::amd64::InstDecoder::default();
            decoder.decode(&mut reader).ok().map(|one| one.to_string())
        }
    }
}

fn direction(access: OpAccess) -> Option<Direction> {
    match access {
        OpAccess::Read | OpAccess::CondRead => Some(Direction::Read),
        OpAccess::Write | OpAccess::CondWrite => Some(Direction::Write),
        OpAccess::ReadWrite | OpAccess::ReadCondWrite => Some(Direction::ReadWrite),
        OpAccess::None | OpAccess::NoMemAccess => None,
    }
}

fn access(bits: u32, used: &UsedMemory) -> Option<Access> {
    let direction = direction(used.access())?;
    // Where fs and gs begin stands in no context; a vector of indices is many places.
    if matches!(used.segment(), Register::FS | Register::GS) || used.vsib_size() != 0 {
        return None;
    }
    Some(Access {
        place: Place {
            base: name(used.base()),
            index: name(used.index()),
            extend: Extend::Whole,
            scale: u64::from(used.scale()),
            displacement: used.displacement(),
            is_32_bit: bits == 32 || used.address_size() == CodeSize::Code32,
        },
        size_bytes: u32::try_from(used.memory_size().size()).unwrap_or(0),
        direction,
    })
}

/// The whole register in the names of minidump contexts; the bits of a context's width count.
fn name(register: Register) -> Option<String> {
    match register {
        Register::None | Register::RIP | Register::EIP => None,
        register if register.is_gpr32() || register.is_gpr64() => {
            Some(format!("{register:?}").to_ascii_lowercase())
        }
        register => Some(format!("{:?}", register.full_register()).to_ascii_lowercase()),
    }
}

fn flow(bits: u32, decoded: &iced_x86::Instruction) -> Flow {
    match decoded.flow_control() {
        FlowControl::Next => Flow::Next,
        FlowControl::ConditionalBranch => Flow::Conditional,
        FlowControl::UnconditionalBranch | FlowControl::Call => match decoded.op0_kind() {
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                Flow::To(decoded.near_branch_target())
            }
            _ => Flow::Conditional,
        },
        FlowControl::IndirectBranch | FlowControl::IndirectCall => indirect(bits, decoded),
        FlowControl::Return => Flow::Memory(Place {
            base: Some(if bits == 32 { "esp" } else { "rsp" }.to_owned()),
            index: None,
            extend: Extend::Whole,
            scale: 1,
            displacement: 0,
            is_32_bit: bits == 32,
        }),
        _ => Flow::Conditional,
    }
}

fn indirect(bits: u32, decoded: &iced_x86::Instruction) -> Flow {
    if decoded.op0_kind() == OpKind::Register {
        return name(decoded.op0_register()).map_or(Flow::Conditional, Flow::Register);
    }
    if matches!(decoded.memory_segment(), Register::FS | Register::GS) {
        return Flow::Conditional;
    }
    Flow::Memory(Place {
        base: if decoded.is_ip_rel_memory_operand() { None } else { name(decoded.memory_base()) },
        index: name(decoded.memory_index()),
        extend: Extend::Whole,
        scale: u64::from(decoded.memory_index_scale()),
        displacement: decoded.memory_displacement64(),
        is_32_bit: bits == 32,
    })
}

fn kind(decoded: &iced_x86::Instruction) -> Kind {
    match decoded.mnemonic() {
        Mnemonic::Div | Mnemonic::Idiv => Kind::Division,
        Mnemonic::Int3 => Kind::Breakpoint,
        Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => Kind::Undefined,
        Mnemonic::Int if decoded.code() == Code::Int_imm8 && decoded.immediate8() == 0x29 => {
            Kind::FastFail
        }
        Mnemonic::Int if decoded.immediate8() == 3 => Kind::Breakpoint,
        Mnemonic::Cli
        | Mnemonic::Sti
        | Mnemonic::In
        | Mnemonic::Insb
        | Mnemonic::Insw
        | Mnemonic::Insd
        | Mnemonic::Out
        | Mnemonic::Outsb
        | Mnemonic::Outsw
        | Mnemonic::Outsd => Kind::Privileged,
        _ if decoded.is_privileged() => Kind::Privileged,
        _ => Kind::Other,
    }
}

/// Intel SDM 3, table 2-18 ff.: operands of 16 bytes of SSE's own encoding must be aligned but for
/// these; of VEX and EVEX only those of the moves whose names say so.
fn alignment(decoded: &iced_x86::Instruction) -> u64 {
    let size = decoded.memory_size().size() as u64;
    let is_aligned_move = matches!(
        decoded.mnemonic(),
        Mnemonic::Vmovaps
            | Mnemonic::Vmovapd
            | Mnemonic::Vmovdqa
            | Mnemonic::Vmovdqa32
            | Mnemonic::Vmovdqa64
            | Mnemonic::Vmovntps
            | Mnemonic::Vmovntpd
            | Mnemonic::Vmovntdq
            | Mnemonic::Vmovntdqa
    );
    let is_unaligned = matches!(
        decoded.mnemonic(),
        Mnemonic::Movups
            | Mnemonic::Movupd
            | Mnemonic::Movdqu
            | Mnemonic::Lddqu
            | Mnemonic::Pcmpestri
            | Mnemonic::Pcmpestrm
            | Mnemonic::Pcmpistri
            | Mnemonic::Pcmpistrm
    );
    let is_vector = (0..decoded.op_count()).any(|at| decoded.op_register(at).is_xmm());
    let is_sse = decoded.encoding() == EncodingKind::Legacy && size == 16 && is_vector;
    if is_aligned_move || (is_sse && !is_unaligned) { size.max(1) } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bits: u32, code: &[u8]) -> Effects {
        effects(bits, 0x40_1000, code).unwrap()
    }

    fn only(bits: u32, code: &[u8]) -> Access {
        let mut all = one(bits, code).accesses;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn operands_have_direction_size_and_place() {
        // mov dword [eax + ecx * 4 + 0x10], 1
        let write = only(32, &[0xc7, 0x44, 0x88, 0x10, 1, 0, 0, 0]);
        assert_eq!((write.direction, write.size_bytes), (Direction::Write, 4));
        let value = |name: &str| match name {
            "eax" => Some(0xffff_fff0),
            "ecx" => Some(2),
            _ => None,
        };
        assert_eq!(write.place.address(value), Some(8), "32 bits wrap");
        // add qword [rbx], rcx
        let both = only(64, &[0x48, 0x01, 0x0b]);
        assert_eq!((both.direction, both.size_bytes), (Direction::ReadWrite, 8));
        // movzx eax, byte [rdi]: no subset of opcodes is left out.
        let read = only(64, &[0x0f, 0xb6, 0x07]);
        assert_eq!((read.direction, read.size_bytes), (Direction::Read, 1));
        // lea rax, [rdi]; mov rax, fs:[0]
        assert!(one(64, &[0x48, 0x8d, 0x07]).accesses.is_empty());
        let segment = one(64, &[0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0]);
        assert!(segment.accesses.is_empty() && segment.has_unknown_accesses);
    }

    #[test]
    fn a_place_relative_to_the_instruction_needs_no_register() {
        // mov eax, [rip + 0x10]
        let read = only(64, &[0x8b, 0x05, 0x10, 0, 0, 0]);
        assert_eq!(read.place.address(|_| None), Some(0x40_1016));
    }

    #[test]
    fn pushes_and_calls_write_the_stack() {
        let push = only(64, &[0x50]);
        assert_eq!(push.direction, Direction::Write);
        assert_eq!(push.place.address(|_| Some(0x1000)), Some(0xff8));
        let call = one(64, &[0xff, 0xd0]);
        assert_eq!(call.flow, Flow::Register("rax".into()));
        assert!(call.is_call);
        let slot = one(64, &[0xff, 0x60, 0x18]);
        assert!(matches!(slot.flow, Flow::Memory(place) if place.displacement == 0x18));
        assert_eq!(one(64, &[0xe8, 0, 0, 0, 0]).flow, Flow::To(0x40_1005));
        assert_eq!(one(64, &[0x74, 0]).flow, Flow::Conditional);
        assert!(matches!(one(32, &[0xc3]).flow, Flow::Memory(place) if place.is_32_bit));
    }

    #[test]
    fn kinds_explain_exceptions() {
        assert_eq!(one(64, &[0xf7, 0xf9]).kind, Kind::Division);
        assert_eq!(one(64, &[0xf4]).kind, Kind::Privileged);
        assert_eq!(one(64, &[0xcc]).kind, Kind::Breakpoint);
        assert_eq!(one(64, &[0x0f, 0x0b]).kind, Kind::Undefined);
        assert_eq!(one(64, &[0xcd, 0x29]).kind, Kind::FastFail);
        assert_eq!(one(64, &[0x90]).kind, Kind::Other);
    }

    #[test]
    fn alignment_is_told_of_the_instructions_that_need_it() {
        assert_eq!(one(64, &[0x0f, 0x28, 0x07]).alignment, 16, "movaps");
        assert_eq!(one(64, &[0x0f, 0x10, 0x07]).alignment, 1, "movups");
        assert_eq!(one(64, &[0x0f, 0x58, 0x07]).alignment, 16, "addps");
        assert_eq!(one(64, &[0xc5, 0xfc, 0x28, 0x07]).alignment, 32, "vmovaps");
        assert_eq!(one(64, &[0xc5, 0xf8, 0x58, 0x07]).alignment, 1, "vaddps");
        assert_eq!(one(64, &[0x48, 0x0f, 0xc7, 0x0f]).alignment, 1, "cmpxchg16b has its own rule");
        assert_eq!(one(64, &[0x8b, 0x07]).alignment, 1, "mov");
    }

    #[test]
    fn what_is_cut_or_no_instruction_has_no_effects() {
        assert_eq!(effects(64, 0, &[0x48, 0x8b]), None);
        assert_eq!(effects(64, 0, &[]), None);
        assert_eq!(effects(64, 0, &[0x06]), None);
    }

    #[test]
    fn the_text_is_spelled_as_minidump_stackwalk_does() {
        assert_eq!(one(32, &[0xc7, 0x00, 1, 0, 0, 0]).text, "mov dword [eax], 0x1");
        assert_eq!(one(64, &[0x48, 0x8b, 0x47, 0x10]).text, "mov rax, qword [rdi + 0x10]");
    }
}
