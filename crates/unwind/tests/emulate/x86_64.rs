//! x86-64, in Intel's syntax.

use super::{GARBAGE, RETURN_ADDRESS, STACK, State, Step, number};

pub const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// At the first instruction of a function.
pub fn entry() -> State {
    let values = NAMES.iter().zip(1u64..).map(|(name, index)| (*name, 0x1111_0000_0000 + index));
    let mut state = State { registers: values.collect(), memory: Default::default() };
    state.registers.insert("rsp", STACK);
    state.memory.insert(STACK, RETURN_ADDRESS);
    state
}

fn name(text: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|name| *name == text.trim())
}

/// The register that an operand of any width is a part of.
fn whole(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let is_part = |name: &&str| {
        let short = &name[1..];
        let classic = [format!("e{short}"), short.to_owned(), format!("{}l", &short[..1])];
        let numbered = ["d", "w", "b"].map(|suffix| format!("{name}{suffix}"));
        *name == text || classic.iter().chain(&numbered).any(|part| part == text)
    };
    NAMES.into_iter().find(is_part)
}

/// `[base + number]` of an operand.
fn memory(state: &State, text: &str) -> Option<u64> {
    let inside = text.split_once('[')?.1.split_once(']')?.0;
    let (base, offset) = match inside.split_once([' ', '+', '-']) {
        None => (inside, 0),
        Some((base, rest)) => {
            let sign = if rest.trim_start().starts_with('-') { -1 } else { 1 };
            (base, sign * number(rest.trim_start_matches(['+', '-', ' ']))?)
        }
    };
    Some(state.get(name(base)?).wrapping_add_signed(offset))
}

pub fn run(state: &mut State, mnemonic: &str, operands: &str) -> Step {
    let (first, second) = operands.split_once(',').unwrap_or((operands, ""));
    match (mnemonic, name(first)) {
        ("push", Some(register)) => state.push("rsp", state.get(register)),
        ("pop", Some(register)) => {
            let value = state.pop("rsp");
            state.registers.insert(register, value);
        }
        ("sub" | "add", Some("rsp")) => {
            // What is not a constant is the size of a dynamic array, or of a large frame.
            let bytes = number(second).unwrap_or(0x40);
            let bytes = if mnemonic == "sub" { -bytes } else { bytes };
            state.registers.insert("rsp", state.get("rsp").wrapping_add_signed(bytes));
            if number(second).is_none() {
                return Step::Body;
            }
        }
        ("lea", Some(register @ ("rsp" | "rbp"))) => {
            let Some(address) = memory(state, second) else { return Step::Body };
            state.registers.insert(register, address);
        }
        ("mov", Some(register @ ("rsp" | "rbp"))) if name(second).is_some() => {
            let value = state.get(name(second).unwrap());
            if register == "rsp" && value == GARBAGE {
                // A dynamic array.
                state.registers.insert("rsp", state.get("rsp") - 0x40);
                return Step::Body;
            }
            state.registers.insert(register, value);
        }
        ("mov", None) if first.starts_with("qword") && name(second).is_some() => {
            let Some(address) = memory(state, first) else { return Step::Body };
            let value = state.get(name(second).unwrap());
            state.memory.insert(address, value);
        }
        ("movaps" | "movapd" | "movups", None) if first.contains('[') => {}
        ("ret" | "jmp", _) => return Step::Leave,
        ("call" | "cmp" | "test", _) => return Step::Body,
        _ => {
            if let Some(register) = whole(first).filter(|register| *register != "rsp") {
                state.registers.insert(register, GARBAGE);
            }
            // Restoring a vector register is a part of an epilogue.
            return if mnemonic.starts_with("mova") { Step::Frame } else { Step::Body };
        }
    }
    Step::Frame
}
