//! Instructions.

use lastwords_disasm::{Machine, disassemble};
use minidump::system_info::Cpu;
use serde_json::{Value, json};

use super::debuggee::Debuggee;

/// The longest instruction.
const MAX_INSTRUCTION_BYTES: u64 = 15;

impl Debuggee<'_> {
    pub(super) fn code(&self, address: u64, max: usize) -> Value {
        let machine = match self.state.system_info.cpu {
            Cpu::X86 => Machine::X86,
            Cpu::X86_64 => Machine::X86_64,
            Cpu::Arm64 => Machine::Arm64,
            other => return json!({"instructions": [], "unsupported": other.to_string()}),
        };
        let max = max.min(lastwords_disasm::MAX_INSTRUCTIONS);
        let wanted = (max as u64).saturating_mul(MAX_INSTRUCTION_BYTES);
        let mut bytes = Vec::new();
        let mut source = None;
        while (bytes.len() as u64) < wanted {
            let at = address.saturating_add(bytes.len() as u64);
            let Some((piece, from)) = self.piece(at, wanted.saturating_sub(bytes.len() as u64))
            else {
                break;
            };
            source.get_or_insert(from);
            bytes.extend(piece);
        }
        json!({
            "instructions": disassemble(machine, address, &bytes, max),
            "source": source,
        })
    }
}
