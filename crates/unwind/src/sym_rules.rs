//! `STACK CFI` records of what unwinds otherwise than DWARF: exception tables of Windows, compact unwind
//! information, `.ARM.exidx`.
//!
//! | of | rows |
//! |---|---|
//! | AArch64 | where the answer for a stack's first frame changes, instruction by instruction |
//! | x64's exception table | where the answer changes in the prologue |
//! | the others | one a function: complete frames |
//!
//! On x86-64 epilogues are left out: an address in the middle of an instruction, which a step back from a
//! return address leads to, may look like one.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use lastwords_symbols::{Architecture, Image, ModuleSymbols};

use crate::probe::watch;
use crate::registers::Registers;
use crate::steps::Watched;
use crate::unwinder::Unwinder;
use crate::ways::WayKind;

/// Addresses of one file that are asked about; a program of 64 MiB for AArch64 has as many. Nor more than
/// the file has bytes, of which it may claim any number.
const MAX_ADDRESSES: u64 = 16 << 20;

/// How much was written, and how much not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SymRules {
    /// `STACK CFI INIT` records.
    pub frames: u64,
    /// Functions whose rules this notation cannot say.
    pub left_out: u64,
}

/// Rules of a row by name.
type Rules = Vec<(String, String)>;

/// Writes the records of a module's images that [`ModuleSymbols::write_sym`] does not write.
///
/// # Errors
/// The output failed.
pub fn write_stack_cfi(symbols: &ModuleSymbols, out: &mut dyn Write) -> io::Result<SymRules> {
    let unwinders: Vec<_> = symbols.images().flat_map(Unwinder::all).collect();
    let mut report = SymRules::default();
    let mut seen = BTreeSet::new();
    let size = |image: &Arc<Image>| std::fs::metadata(image.path()).map_or(0, |file| file.len());
    let bytes = symbols.images().map(size).fold(0, u64::saturating_add);
    let mut left = bytes.saturating_mul(2).min(MAX_ADDRESSES);
    for unwinder in &unwinders {
        for range in unwinder.ranges() {
            if range.is_empty() || !seen.insert(range.start) {
                continue;
            }
            for part in without_dwarf(&unwinders, unwinder, range, &mut left) {
                match rows(unwinder, &part, &mut left) {
                    // Padding, or a note that there is other information.
                    Some(rows) if rows.is_empty() => {}
                    Some(rows) => {
                        write_rows(&part, &rows, out)?;
                        report.frames = report.frames.saturating_add(1);
                    }
                    None => report.left_out = report.left_out.saturating_add(1),
                }
            }
        }
    }
    Ok(report)
}

/// The parts of which DWARF says nothing: its rules have been written.
fn without_dwarf(
    unwinders: &[Unwinder],
    unwinder: &Unwinder,
    range: Range<u64>,
    left: &mut u64,
) -> Vec<Range<u64>> {
    let is_dwarf = |other: &&Unwinder| other.way().kind == WayKind::Dwarf;
    let dwarf: Vec<&Unwinder> = unwinders.iter().filter(is_dwarf).collect();
    if dwarf.is_empty() {
        return vec![range];
    }
    let step = instruction_bytes(unwinder.way().architecture);
    let mut parts: Vec<Range<u64>> = Vec::new();
    for at in range.clone().step_by(step) {
        let Some(now) = left.checked_sub(1) else { break };
        *left = now;
        if dwarf.iter().any(|other| other.covers(at)) {
            continue;
        }
        let end = range.end.min(at.saturating_add(step as u64));
        match parts.last_mut().filter(|part| part.end == at) {
            Some(part) => part.end = end,
            None => parts.push(at..end),
        }
    }
    parts
}

/// The least size of an instruction.
fn instruction_bytes(architecture: Architecture) -> usize {
    match architecture {
        Architecture::Aarch64 => 4,
        Architecture::Arm => 2,
        Architecture::X86 | Architecture::X86_64 => 1,
    }
}

/// Addresses and rules from there on; none where nothing is said. `None` when they cannot be written.
fn rows(unwinder: &Unwinder, range: &Range<u64>, left: &mut u64) -> Option<Vec<(u64, Rules)>> {
    let way = unwinder.way();
    let is_newest = way.architecture == Architecture::Aarch64;
    let (step, end) = if is_newest {
        (4, range.end)
    } else {
        let prologue = unwinder.prologue_bytes(range.start).unwrap_or(0);
        (1, range.start.checked_add(prologue)?.checked_add(1)?.min(range.end))
    };
    let mut rows: Vec<(u64, Rules)> = Vec::new();
    let mut at = range.start;
    while at < end {
        *left = left.checked_sub(1)?;
        match watch(unwinder, Registers::of(way.architecture), at, is_newest) {
            Watched::Steps(steps) => {
                let rules = steps.to_rules(way.architecture)?;
                if rows.last().is_none_or(|(_, last)| *last != rules) {
                    rows.push((at, rules));
                }
            }
            Watched::Nothing if rows.is_empty() => return Some(rows),
            Watched::Nothing | Watched::Opaque => return None,
        }
        at = at.checked_add(step)?;
    }
    Some(rows)
}

fn write_rows(range: &Range<u64>, rows: &[(u64, Rules)], out: &mut dyn Write) -> io::Result<()> {
    let mut before: &[(String, String)] = &[];
    for (at, rules) in rows {
        match before {
            [] => {
                let size = range.end.saturating_sub(range.start);
                write!(out, "STACK CFI INIT {at:x} {size:x}")?;
            }
            _ => write!(out, "STACK CFI {at:x}")?,
        }
        for (name, value) in rules.iter().filter(|rule| !before.contains(rule)) {
            write!(out, " {name}: {value}")?;
        }
        // A register without a rule any more has its own value again.
        let has = |name: &str| rules.iter().any(|(other, _)| other == name);
        for (name, _) in before.iter().filter(|(name, _)| !has(name)) {
            write!(out, " {name}: {name}")?;
        }
        writeln!(out)?;
        before = rules;
    }
    Ok(())
}
