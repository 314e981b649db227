//! Runs compiled functions in mind, instruction by instruction, as far as their frames go: what pushes, saves,
//! restores or moves the stack pointer is done, what else writes a register leaves garbage in it.
//!
//! Code is gone through in the order in which it lies. Behind a return, or a jump out of the function, the
//! frame is again as it was behind the prologue.

pub mod arm64;
pub mod x86_64;

use std::collections::HashMap;

/// Where the stack of the function under test begins.
pub const STACK: u64 = 0x7000_0000_8000;
pub const RETURN_ADDRESS: u64 = 0x10_0000_4444;
pub const GARBAGE: u64 = 0xdead_beef_dead_beef;

/// A function's instructions: address, mnemonic and operands.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub code: Vec<(u64, String, String)>,
}

/// Registers and memory before one instruction.
#[derive(Clone, Debug)]
pub struct State {
    pub registers: HashMap<&'static str, u64>,
    pub memory: HashMap<u64, u64>,
}

impl State {
    pub fn get(&self, register: &str) -> u64 {
        self.registers[register]
    }

    pub fn push(&mut self, sp: &'static str, value: u64) {
        let address = self.get(sp) - 8;
        self.registers.insert(sp, address);
        self.memory.insert(address, value);
    }

    pub fn pop(&mut self, sp: &'static str) -> u64 {
        let address = self.get(sp);
        self.registers.insert(sp, address + 8);
        self.load(address)
    }

    pub fn load(&self, address: u64) -> u64 {
        self.memory.get(&address).copied().unwrap_or(GARBAGE)
    }

    /// The stack from its pointer up to above the caller's frame.
    pub fn stack(&self, sp: &str) -> (u64, Vec<u8>) {
        let start = self.get(sp) & !7;
        let words = (start..STACK + 0x400).step_by(8);
        (start, words.flat_map(|address| self.load(address).to_le_bytes()).collect())
    }
}

/// The functions of a listing of `llvm-objdump -d --no-show-raw-insn`.
pub fn functions(listing: &str) -> Vec<Function> {
    let mut found: Vec<Function> = Vec::new();
    for line in listing.lines() {
        if let Some((_, name)) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            found.push(Function { name: name.to_owned(), code: Vec::new() });
        } else if let (Some((address, code)), Some(function)) =
            (line.split_once(":"), found.last_mut())
            && let Ok(address) = u64::from_str_radix(address.trim(), 16)
        {
            let code = code.split(['#', ';']).next().map_or(code, |head| {
                // `#` marks numbers on ARM, comments on x86.
                if code.contains(", #") { code.split(';').next().unwrap() } else { head }
            });
            let (mnemonic, operands) =
                code.trim().split_once(['\t', ' ']).unwrap_or((code.trim(), ""));
            function.code.push((address, mnemonic.to_owned(), operands.trim().to_owned()));
        }
    }
    found
}

/// A number as the disassembler writes it: `0x10`, `-0x10`, `16`, with or without `#`.
pub fn number(text: &str) -> Option<i64> {
    let text = text.trim().trim_start_matches('#');
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits.trim()),
        None => (1, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(sign * value)
}

/// The address that a jump or call names.
pub fn target(operands: &str) -> Option<u64> {
    let word = operands.split_whitespace().next()?;
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// Every state, before every instruction of a function that `run` does.
pub fn states(
    function: &Function,
    entry: State,
    mut run: impl FnMut(&mut State, &str, &str) -> Step,
) -> Vec<(u64, State)> {
    let range = function.code[0].0..=function.code.last().unwrap().0;
    let mut state = entry;
    let mut complete: Option<State> = None;
    let mut found = Vec::new();
    for (address, mnemonic, operands) in &function.code {
        if mnemonic.starts_with("nop") || mnemonic == "int3" || mnemonic == "udf" {
            continue;
        }
        let before = state.clone();
        found.push((*address, before.clone()));
        match run(&mut state, mnemonic, operands) {
            Step::Frame => {}
            Step::Body => drop(complete.get_or_insert(before)),
            Step::Leave => {
                let is_inside = target(operands).is_some_and(|target| range.contains(&target));
                if !is_inside {
                    state = complete.clone().unwrap_or(before);
                }
            }
        }
    }
    found
}

/// What an instruction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes or takes down the frame.
    Frame,
    /// Something else: the frame is complete.
    Body,
    /// A return or a jump.
    Leave,
}
