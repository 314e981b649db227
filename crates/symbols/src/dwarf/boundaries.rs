//! The addresses at which an answer of the DWARF can change: starts and ends of functions, of inlined
//! calls, of units, and the rows of line programs.

use gimli::{Range, Section, UnitRef, UnitType};

use super::depth::is_unit_safe;
use super::lookup::{DwarfFiles, Parsed};
use super::sections::Reader;
use crate::boundaries::Boundaries;

/// Units may share a line program; all together may run over this many times the section.
const MAX_LINE_REUSE: usize = 4;

/// Adds the boundaries of all units. A unit that cannot be read is left out, as in lookups.
pub(super) fn collect<'a>(parsed: &Parsed<'a>, files: &'a DwarfFiles, found: &mut Boundaries) {
    let dwarf = &*parsed.dwarf;
    let mut line_budget = dwarf.debug_line.reader().len().saturating_mul(MAX_LINE_REUSE);
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        let is_split = matches!(header.type_(), UnitType::Skeleton(_));
        if !is_split && !matches!(header.type_(), UnitType::Compilation) {
            continue;
        }
        let Ok(unit) = dwarf.unit(header) else { continue };
        let unit = UnitRef::new(dwarf, &unit);
        line_budget = add_lines(unit, line_budget, found);
        add_entries(unit, found);
        if let Some(id) = unit.dwo_id {
            add_split_entries(parsed, files, id, unit, found);
        }
    }
}

/// The budget that is left.
fn add_lines(unit: UnitRef<'_, Reader<'_>>, budget: usize, found: &mut Boundaries) -> usize {
    let Some(program) = unit.line_program.clone() else { return budget };
    let Some(left) = budget.checked_sub(program.header().raw_program_buf().len()) else {
        found.is_cut = true;
        return budget;
    };
    let mut rows = program.rows();
    while let Ok(Some((_, row))) = rows.next_row() {
        found.add(row.address());
    }
    left
}

fn add_split_entries<'a>(
    parsed: &Parsed<'a>,
    files: &'a DwarfFiles,
    id: gimli::DwoId,
    skeleton: UnitRef<'_, Reader<'a>>,
    found: &mut Boundaries,
) {
    let Some(split) = parsed.split_dwarf(files, id, &parsed.dwarf) else { return };
    let Ok(Some(header)) = split.units().next() else { return };
    let Ok(mut unit) = split.unit(header) else { return };
    unit.copy_relocated_attributes(skeleton.unit);
    add_entries(UnitRef::new(&split, &unit), found);
}

fn add_entries(unit: UnitRef<'_, Reader<'_>>, found: &mut Boundaries) {
    if !is_unit_safe(unit) {
        return;
    }
    if let Ok(mut ranges) = unit.unit_ranges() {
        add_ranges(|| ranges.next(), found);
    }
    let mut entries = unit.entries();
    while let Ok(Some(entry)) = entries.next_dfs() {
        if !matches!(entry.tag(), gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine) {
            continue;
        }
        if let Ok(mut ranges) = unit.die_ranges(entry) {
            add_ranges(|| ranges.next(), found);
        }
    }
}

fn add_ranges(mut next: impl FnMut() -> gimli::Result<Option<Range>>, found: &mut Boundaries) {
    while let Ok(Some(range)) = next() {
        found.add(range.begin);
        found.add(range.end);
    }
}
