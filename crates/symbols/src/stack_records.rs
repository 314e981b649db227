//! The few records of a `.sym` file that unwind one address, as the text of a `.sym` file: what
//! [`breakpad_symbols`] reads and evaluates as it does the whole file.

use std::fmt::Write;

use breakpad_symbols::SymbolFile;

use crate::breakpad::BreakpadSymbols;
use crate::cache::Answer;

/// What a `.sym` file says about unwinding at one address.
pub(crate) enum StackRecords {
    /// Nothing.
    None,
    /// `STACK WIN` and `STACK CFI` records.
    Text(String),
    /// Records that cannot be written down: ask the file itself.
    Unwritable,
}

impl Answer for StackRecords {
    fn encode(&self) -> Option<Vec<u8>> {
        match self {
            Self::None => Some(Vec::new()),
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Unwritable => None,
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match std::str::from_utf8(bytes).ok()? {
            "" => Some(Self::None),
            text => Some(Self::Text(text.to_owned())),
        }
    }
}

impl StackRecords {
    /// The records of `symbols` that cover the address `rva` bytes above the module's base.
    pub(crate) fn of(symbols: &BreakpadSymbols, rva: u64) -> Self {
        let file = symbols.file();
        match write(file, rva) {
            Some(text) if text.is_empty() => Self::None,
            // What is read back must be what was there.
            Some(text) if parse(&text).is_some_and(|own| is_same(file, &own, rva)) => {
                Self::Text(text)
            }
            _ => Self::Unwritable,
        }
    }
}

/// Reads records again.
pub(crate) fn read(text: &str) -> Option<BreakpadSymbols> {
    parse(text).map(BreakpadSymbols::from_file)
}

fn parse(text: &str) -> Option<SymbolFile> {
    SymbolFile::from_bytes(text.as_bytes()).ok()
}

/// `None` for a program that is no plain text.
fn write(file: &SymbolFile, rva: u64) -> Option<String> {
    let mut text = String::new();
    let tables = [(&file.win_stack_framedata_info, 4), (&file.win_stack_fpo_info, 0)];
    for (table, number) in tables {
        let Some(info) = table.get(rva) else { continue };
        // The type of this field has no public name; what it holds can be printed.
        let printed = format!("{:?}", info.program_string_or_base_pointer);
        let argument = match printed.as_str() {
            "AllocatesBasePointer(true)" => "1",
            "AllocatesBasePointer(false)" => "0",
            other => other.strip_prefix("ProgramString(\"")?.strip_suffix("\")")?,
        };
        if argument.contains('\\') {
            return None;
        }
        let has_program = u8::from(number == 4);
        let sizes = [
            info.prologue_size,
            info.epilogue_size,
            info.parameter_size,
            info.saved_register_size,
            info.local_size,
            info.max_stack_size,
        ];
        write!(text, "STACK WIN {number} {:x} {:x}", info.address, info.size).ok()?;
        for size in sizes {
            write!(text, " {size:x}").ok()?;
        }
        writeln!(text, " {has_program} {argument}").ok()?;
    }
    if let Some(info) = file.cfi_stack_info.get(rva) {
        let (address, rules) = (info.init.address, &info.init.rules);
        writeln!(text, "STACK CFI INIT {address:x} {:x} {rules}", info.size).ok()?;
        for added in info.add_rules.iter().filter(|added| added.address <= rva) {
            writeln!(text, "STACK CFI {:x} {}", added.address, added.rules).ok()?;
        }
    }
    Some(text)
}

fn is_same(file: &SymbolFile, own: &SymbolFile, rva: u64) -> bool {
    let (cfi, own_cfi) = (file.cfi_stack_info.get(rva), own.cfi_stack_info.get(rva));
    let is_same_cfi = match (cfi, own_cfi) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            let used = a.add_rules.iter().filter(|added| added.address <= rva);
            a.init == b.init && a.size == b.size && used.eq(&b.add_rules)
        }
        _ => false,
    };
    is_same_cfi
        && file.win_stack_framedata_info.get(rva) == own.win_stack_framedata_info.get(rva)
        && file.win_stack_fpo_info.get(rva) == own.win_stack_fpo_info.get(rva)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYM: &str = "MODULE windows x86 5A9832E5287241C1838ED98914E9B7FF1 a.pdb
FUNC 1000 40 0 f
STACK WIN 4 1000 40 3 1 c 8 10 0 1 $T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + =
STACK WIN 0 2000 40 0 0 10 4 8 0 0 1
STACK WIN 0 3000 40 0 0 10 4 8 0 0 0
STACK WIN 4 4000 40 3 1 c 8 10 0 1 $T0 \\ =
STACK CFI INIT 1000 40 .cfa: $esp 4 + .ra: .cfa 4 - ^
STACK CFI 1001 .cfa: $esp 8 +
STACK CFI 1003 $ebp: .cfa 8 - ^
STACK CFI INIT 5000 10 .cfa:  $esp   4 +  .ra: .cfa -4 + ^
";

    fn records(rva: u64) -> StackRecords {
        StackRecords::of(&read(SYM).unwrap(), rva)
    }

    #[test]
    fn records_of_one_address_are_read_as_the_whole_file_is() {
        let whole = parse(SYM).unwrap();
        for (rva, lines) in
            [(0x1000, 2), (0x1002, 3), (0x103f, 4), (0x2000, 1), (0x3001, 1), (0x5000, 1)]
        {
            let StackRecords::Text(text) = records(rva) else { panic!("{rva:x}") };
            assert_eq!(text.lines().count(), lines, "{text}");
            assert!(is_same(&whole, &parse(&text).unwrap(), rva));
            let bytes = records(rva).encode().unwrap();
            assert!(
                matches!(StackRecords::decode(&bytes), Some(StackRecords::Text(again)) if again == text)
            );
        }
    }

    #[test]
    fn an_address_without_records_and_what_cannot_be_written_are_told_apart() {
        assert!(matches!(records(0x6000), StackRecords::None));
        assert!(records(0x6000).encode().unwrap().is_empty());
        assert!(matches!(records(0x4000), StackRecords::Unwritable));
        assert!(records(0x4000).encode().is_none());
        assert!(StackRecords::decode(b"\xff").is_none());
    }
}
