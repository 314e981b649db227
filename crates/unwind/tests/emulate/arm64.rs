//! AArch64.

use super::{GARBAGE, RETURN_ADDRESS, STACK, State, Step, number};

pub const NAMES: [&str; 32] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "x29", "x30", "sp",
];

/// At the first instruction of a function.
pub fn entry() -> State {
    let values = NAMES.iter().zip(1u64..).map(|(name, index)| (*name, 0x1111_0000_0000 + index));
    let mut state = State { registers: values.collect(), memory: Default::default() };
    state.registers.insert("sp", STACK);
    state.registers.insert("x30", RETURN_ADDRESS);
    state
}

fn name(text: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|name| *name == text.trim())
}

/// Address of `[sp]`, `[sp, #n]`, `[sp, #n]!` or `[sp], #n`; the stack pointer moves as it says.
fn memory(state: &mut State, text: &str) -> Option<u64> {
    let (inside, behind) = text.split_once('[')?.1.split_once(']')?;
    let (base, offset) = inside.split_once(',').unwrap_or((inside, "0"));
    let (base, offset) = (name(base)?, number(offset)?);
    let old = state.get(base);
    let address = old.wrapping_add_signed(offset);
    if behind.starts_with('!') {
        state.registers.insert(base, address);
    } else if let Some(after) = behind.strip_prefix(',') {
        state.registers.insert(base, old.wrapping_add_signed(number(after)?));
    }
    Some(address)
}

pub fn run(state: &mut State, mnemonic: &str, operands: &str) -> Step {
    let parts: Vec<_> = operands.split(',').map(str::trim).collect();
    let is_on_stack = operands.contains("[sp");
    match mnemonic {
        "stp" | "str" | "ldp" | "ldr" if is_on_stack => {
            let count = if mnemonic.ends_with('p') { 2 } else { 1 };
            let values: Vec<_> = parts[..count].iter().map(|part| name(part)).collect();
            let is_frame = parts[0].starts_with('d') || values[0].is_some();
            let Some(mut address) = memory(state, operands) else { return Step::Body };
            for register in values {
                match register {
                    Some(register) if mnemonic.starts_with("st") => {
                        let value = state.get(register);
                        state.memory.insert(address, value);
                    }
                    Some(register) => {
                        let value = state.load(address);
                        state.registers.insert(register, value);
                    }
                    None => {}
                }
                address += 8;
            }
            return if is_frame { Step::Frame } else { Step::Body };
        }
        "sub" | "add" if ["sp", "x29"].contains(&parts[0]) => {
            let base = name(parts[1]).map_or(GARBAGE, |base| state.get(base));
            // What is not a constant is the size of a dynamic array, or of a large frame.
            let bytes = number(parts[2]).map_or(0x40, |bytes| match parts.get(3) {
                Some(&"lsl #12") => bytes << 12,
                _ => bytes,
            });
            let bytes = if mnemonic == "sub" { -bytes } else { bytes };
            state.registers.insert(name(parts[0]).unwrap(), base.wrapping_add_signed(bytes));
            if number(parts[2]).is_none() {
                return Step::Body;
            }
        }
        "mov" if ["sp", "x29"].contains(&parts[0]) => {
            let value = name(parts[1]).map_or(GARBAGE, |other| state.get(other));
            if parts[0] == "sp" && value == GARBAGE {
                // A dynamic array.
                state.registers.insert("sp", state.get("sp") - 0x40);
                return Step::Body;
            }
            state.registers.insert(name(parts[0]).unwrap(), value);
        }
        "ret" | "b" | "br" => return Step::Leave,
        "bl" | "blr" => {
            state.registers.insert("x30", GARBAGE);
            return Step::Body;
        }
        _ if mnemonic.starts_with("st") || mnemonic.starts_with("cmp") => return Step::Body,
        _ => {
            let whole = parts[0].replace('w', "x");
            if let Some(register) = name(&whole).filter(|register| *register != "sp") {
                state.registers.insert(register, GARBAGE);
            }
            return Step::Body;
        }
    }
    Step::Frame
}
