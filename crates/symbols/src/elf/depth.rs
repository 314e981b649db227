//! Refuses DWARF that would make its reader run for ever, or recurse too deep.
//!
//! `addr2line` recurses over nested inline frames and expands every range list that an entry
//! refers to, without limits. So each compilation unit is counted through once, iteratively,
//! before an address of it is looked up; that costs about as much as finding its functions.

use gimli::{
    AttributeValue, DebugAddrBase, DebugLocListsBase, DebugRngListsBase, DebugStrOffsetsBase,
    Dwarf, Range, Section, Unit, UnitHeader, UnitRef, UnitType,
};

use super::ElfError;
use super::sections::Reader;

/// Nesting of debugging information entries; compilers emit some dozens.
const MAX_DEPTH: isize = 512;
/// Address ranges of all units together, and of the functions of one unit.
const MAX_RANGES: usize = 4 << 20;
/// How often the line programs may be run over, in multiples of their section, to find the
/// addresses of units that do not tell them.
const MAX_LINE_REUSE: usize = 4;

/// What is known of each unit, by address.
pub(crate) struct DepthGuard<'a> {
    units: Vec<(UnitHeader<Reader<'a>>, Option<bool>)>,
    ranges: Vec<(Range, usize)>,
    /// Units without ranges: any address may be theirs.
    rangeless: Vec<usize>,
}

impl<'a> DepthGuard<'a> {
    /// Reads the root entry of every unit.
    pub(crate) fn new(dwarf: &Dwarf<Reader<'a>>) -> Result<Self, ElfError> {
        let mut guard = Self { units: Vec::new(), ranges: Vec::new(), rangeless: Vec::new() };
        let mut line_budget = dwarf.debug_line.reader().len().saturating_mul(MAX_LINE_REUSE);
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            if !matches!(header.type_(), UnitType::Compilation | UnitType::Skeleton(_)) {
                continue;
            }
            // Units that cannot be read are left out by addr2line as well.
            let Ok(unit) = without_lines(dwarf, header) else { continue };
            if !guard.add_unit(dwarf, header, &unit)? {
                line_budget = line_budget
                    .checked_sub(line_bytes(dwarf, header))
                    .ok_or(ElfError::TooMuch("line programs of units without addresses"))?;
            }
        }
        Ok(guard)
    }

    /// Adds a unit; false when it has no ranges.
    fn add_unit(
        &mut self,
        dwarf: &Dwarf<Reader<'a>>,
        header: UnitHeader<Reader<'a>>,
        unit: &Unit<Reader<'a>>,
    ) -> Result<bool, ElfError> {
        let index = self.units.len();
        let before = self.ranges.len();
        if let Ok(mut ranges) = dwarf.unit_ranges(unit) {
            while let Ok(Some(range)) = ranges.next() {
                self.ranges.push((range, index));
                if self.ranges.len() > MAX_RANGES {
                    return Err(ElfError::TooMuch("address ranges of compilation units"));
                }
            }
        }
        let has_ranges = self.ranges.len() > before;
        if !has_ranges {
            self.rangeless.push(index);
        }
        // The unit itself, with the tables of its line program, is read again when it is needed.
        self.units.push((header, None));
        Ok(has_ranges)
    }

    /// Whether every unit that may hold `address` is safe to read. The first call for a unit
    /// counts it through.
    pub(crate) fn is_safe(&mut self, dwarf: &Dwarf<Reader<'a>>, address: u64) -> bool {
        let Self { units, ranges, rangeless } = self;
        let covering = ranges
            .iter()
            .filter(|(range, _)| range.begin <= address && address < range.end)
            .map(|(_, index)| *index);
        covering.chain(rangeless.iter().copied()).all(|index| match units.get_mut(index) {
            Some((header, verdict)) => *verdict.get_or_insert_with(|| {
                // addr2line leaves out what cannot be read.
                let unit = dwarf.unit(*header).ok();
                unit.is_none_or(|unit| is_unit_safe(UnitRef::new(dwarf, &unit)))
            }),
            None => false,
        })
    }
}

/// A unit as far as its address ranges need it: names, and the tables of the line program,
/// are what makes reading all units slow.
fn without_lines<'a>(
    dwarf: &Dwarf<Reader<'a>>,
    header: UnitHeader<Reader<'a>>,
) -> gimli::Result<Unit<Reader<'a>>> {
    let (encoding, file_type) = (header.encoding(), dwarf.file_type);
    let mut unit = Unit {
        abbreviations: dwarf.abbreviations(&header)?,
        name: None,
        comp_dir: None,
        low_pc: 0,
        str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(encoding, file_type),
        addr_base: DebugAddrBase(0),
        loclists_base: DebugLocListsBase::default_for_encoding_and_file(encoding, file_type),
        rnglists_base: DebugRngListsBase::default_for_encoding_and_file(encoding, file_type),
        line_program: None,
        dwo_id: None,
        header,
    };
    let mut low_pc = None;
    let mut entries = unit.header.entries(&unit.abbreviations);
    entries.next_dfs()?;
    let root = entries.current().ok_or(gimli::Error::MissingUnitDie)?;
    for attribute in root.attrs() {
        match attribute.value() {
            AttributeValue::DebugAddrBase(base) => unit.addr_base = base,
            AttributeValue::DebugRngListsBase(base) => unit.rnglists_base = base,
            value if attribute.name() == gimli::DW_AT_low_pc => low_pc = Some(value),
            _ => {}
        }
    }
    if let Some(address) = low_pc.map(|value| dwarf.attr_address(&unit, value)).transpose()? {
        unit.low_pc = address.unwrap_or_default();
    }
    Ok(unit)
}

/// Size of a unit's line program; of one that cannot be read, which nobody runs, 0.
fn line_bytes<'a>(dwarf: &Dwarf<Reader<'a>>, header: UnitHeader<Reader<'a>>) -> usize {
    let unit = dwarf.unit(header).ok();
    let lines = unit.as_ref().and_then(|unit| unit.line_program.as_ref());
    lines.map_or(0, |lines| lines.header().raw_program_buf().len())
}

/// Counts through the entries of one unit.
pub(crate) fn is_unit_safe(unit: UnitRef<'_, Reader<'_>>) -> bool {
    count_entries(unit).unwrap_or(false)
}

fn count_entries(unit: UnitRef<'_, Reader<'_>>) -> gimli::Result<bool> {
    let mut range_budget = MAX_RANGES;
    let mut entries = unit.entries_raw(None)?;
    while !entries.is_empty() {
        if entries.next_depth() > MAX_DEPTH {
            return Ok(false);
        }
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        let attributes = abbreviation.attributes();
        if !attributes.iter().any(|attribute| attribute.name() == gimli::DW_AT_ranges) {
            entries.skip_attributes(attributes)?;
            continue;
        }
        for attribute in attributes {
            let attribute = entries.read_attribute(*attribute)?;
            if attribute.name() != gimli::DW_AT_ranges {
                continue;
            }
            let Some(left) = spend_ranges(unit, attribute.value(), range_budget)? else {
                return Ok(false);
            };
            range_budget = left;
        }
    }
    Ok(true)
}

/// The budget that is left after a range list was gone through; `None` when it is used up.
fn spend_ranges<'a>(
    unit: UnitRef<'_, Reader<'a>>,
    list: AttributeValue<Reader<'a>>,
    budget: usize,
) -> gimli::Result<Option<usize>> {
    let Some(offset) = unit.attr_ranges_offset(list)? else {
        return Ok(Some(budget));
    };
    let mut left = budget;
    let mut ranges = unit.ranges(offset)?;
    while ranges.next()?.is_some() {
        let Some(less) = left.checked_sub(1) else { return Ok(None) };
        left = less;
    }
    Ok(Some(left))
}
