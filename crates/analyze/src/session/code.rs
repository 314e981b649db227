//! Instructions.

use lastwords_disasm::{Machine, disassemble};
use serde_json::{Value, json};

use super::debuggee::Debuggee;
use crate::machine::machine;

/// The longest instruction.
const MAX_INSTRUCTION_BYTES: u64 = 15;

impl Debuggee<'_> {
    pub(super) fn code(&self, address: u64, max: usize) -> Value {
        let system = &self.state.system_info;
        let context = self.state.requesting_thread.and_then(|index| self.state.threads.get(index));
        let context = context.and_then(|thread| thread.frames.first()).map(|frame| &frame.context);
        // The lowest bit tells that the address is one of Thumb.
        let (machine, address) = match machine(system.os, system.cpu, self.dump.endian, context) {
            Some(Machine::Arm) if address & 1 == 1 => (Machine::Thumb, address & !1),
            Some(Machine::Thumb) => (Machine::Thumb, address & !1),
            Some(machine) => (machine, address),
            None => {
                return json!({"instructions": [], "unsupported": system.cpu.to_string()});
            }
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
