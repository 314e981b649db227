//! The functions that run at an address, and their variables.

use gimli::{
    AttributeValue, DW_TAG_GNU_call_site, DW_TAG_GNU_call_site_parameter, DW_TAG_call_site,
    DW_TAG_call_site_parameter, DW_TAG_formal_parameter, DW_TAG_inlined_subroutine,
    DW_TAG_lexical_block, DW_TAG_subprogram, DW_TAG_variable,
};

use super::location::At;
use super::{DwarfInfo, Entry, Reader, Unit};
use crate::{FrameState, Scope, Variable};

/// Nesting of scopes that is followed.
const MAX_DEPTH: isize = 512;
/// Entries of one function that are looked at.
const MAX_ENTRIES: usize = 1 << 20;
const MAX_VARIABLES: usize = 4_096;

/// What a call passed in a register.
pub(super) struct CallSite<'a> {
    pub(super) unit: &'a Unit,
    /// The calling function.
    pub(super) function: Entry,
    /// Computes the value in the calling function's frame.
    pub(super) value: gimli::Expression<Reader>,
}

/// A function or inline part that holds an address, outermost first.
struct Found<'a> {
    unit: &'a Unit,
    entry: Entry,
    /// Its variables, parameters and those of the blocks that hold the address.
    variables: Vec<Entry>,
}

impl DwarfInfo {
    /// See [`crate::DebugInfo::variables`].
    pub(crate) fn variables(&self, rva: u64, frame: &dyn FrameState) -> Vec<Scope> {
        let Some(address) = self.image_base.checked_add(rva) else { return Vec::new() };
        let found = self.scopes(address);
        let Some(function) = found.first() else { return Vec::new() };
        let at = At { info: self, unit: function.unit, function: &function.entry, address, frame };
        let mut scopes: Vec<Scope> = found.iter().map(|one| self.scope(one, &at)).collect();
        scopes.reverse();
        scopes
    }

    /// See [`crate::DebugInfo::inline_starts`].
    pub(crate) fn inline_starts(&self, rva: u64) -> Vec<u64> {
        let Some(address) = self.image_base.checked_add(rva) else { return Vec::new() };
        let mut starts: Vec<u64> = self
            .scopes(address)
            .iter()
            .skip(1)
            .map(|one| self.start(one, address).unwrap_or(rva))
            .collect();
        starts.reverse();
        starts
    }

    /// Where the part that holds `address` starts.
    fn start(&self, found: &Found<'_>, address: u64) -> Option<u64> {
        let ranges = self.ranges_of_entry(found.unit, &found.entry);
        let range = ranges.iter().find(|range| range.begin <= address && address < range.end)?;
        self.rva(range.begin)
    }

    fn scopes(&self, address: u64) -> Vec<Found<'_>> {
        for unit in self.units_at(address) {
            if let Some(found) = self.scopes_in(unit, address)
                && !found.is_empty()
            {
                return found;
            }
        }
        Vec::new()
    }

    fn scopes_in<'a>(&'a self, unit: &'a Unit, address: u64) -> Option<Vec<Found<'a>>> {
        let offset = self.function_at(unit, address)?;
        let mut entries = unit.entries_raw(Some(offset)).ok()?;
        let mut entry = Entry::default();
        let mut found: Vec<Found<'a>> = Vec::new();
        // Depth of the scope around that holds the address.
        let mut open: Vec<(isize, bool)> = Vec::new();
        let mut left = MAX_ENTRIES;
        while !entries.is_empty() && left > 0 {
            left = left.saturating_sub(1);
            if !entries.read_entry(&mut entry).ok()? {
                continue;
            }
            let depth = entry.depth();
            if !found.is_empty() && depth <= 0 {
                break;
            }
            while open.last().is_some_and(|(outer, _)| *outer >= depth) {
                open.pop();
            }
            let is_around = open.last().is_none_or(|(_, is_in)| *is_in) && depth < MAX_DEPTH;
            match entry.tag() {
                DW_TAG_subprogram | DW_TAG_inlined_subroutine | DW_TAG_lexical_block => {
                    let holds = is_around && self.holds(unit, &entry, address);
                    open.push((depth, holds));
                    if holds && entry.tag() != DW_TAG_lexical_block {
                        found.push(Found { unit, entry: entry.clone(), variables: Vec::new() });
                    }
                }
                DW_TAG_variable | DW_TAG_formal_parameter if is_around => {
                    if let Some(scope) = found.last_mut()
                        && scope.variables.len() < MAX_VARIABLES
                    {
                        scope.variables.push(entry.clone());
                    }
                }
                // Types within a function have members of their own.
                _ if entry.has_children() => open.push((depth, false)),
                _ => {}
            }
        }
        Some(found)
    }

    /// What the call that returns to `returns` passed in a register.
    pub(super) fn call_site(
        &self,
        returns: u64,
        register: gimli::Register,
    ) -> Option<CallSite<'_>> {
        let inside = returns.checked_sub(1)?;
        self.units_at(inside).into_iter().find_map(|unit| {
            let offset = self.function_at(unit, inside)?;
            self.call_site_in(unit, offset, returns, register)
        })
    }

    fn call_site_in<'a>(
        &'a self,
        unit: &'a Unit,
        offset: gimli::UnitOffset,
        returns: u64,
        register: gimli::Register,
    ) -> Option<CallSite<'a>> {
        let function = unit.entry(offset).ok()?;
        let mut entries = unit.entries_raw(Some(offset)).ok()?;
        let mut entry = Entry::default();
        // Depth of the call site whose parameters are looked at.
        let mut site: Option<isize> = None;
        let mut left = MAX_ENTRIES;
        while !entries.is_empty() && left > 0 {
            left = left.saturating_sub(1);
            if !entries.read_entry(&mut entry).ok()? {
                continue;
            }
            let depth = entry.depth();
            if depth <= 0 && left < MAX_ENTRIES.saturating_sub(1) {
                return None;
            }
            if site.is_some_and(|outer| depth <= outer) {
                return None;
            }
            match entry.tag() {
                DW_TAG_call_site | DW_TAG_GNU_call_site
                    if self.return_address(unit, &entry) == Some(returns) =>
                {
                    site = Some(depth);
                }
                DW_TAG_call_site_parameter | DW_TAG_GNU_call_site_parameter if site.is_some() => {
                    if let Some(value) = passed_in(unit, &entry, register) {
                        return Some(CallSite { unit, function, value });
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn return_address(&self, unit: &Unit, entry: &Entry) -> Option<u64> {
        let value = entry
            .attr_value(gimli::DW_AT_call_return_pc)
            .or_else(|| entry.attr_value(gimli::DW_AT_low_pc))?;
        unit.dwarf.attr_address(unit, value).ok()?
    }

    /// The function of a unit that holds an address.
    fn function_at(&self, unit: &Unit, address: u64) -> Option<gimli::UnitOffset> {
        let mut entries = unit.entries_raw(None).ok()?;
        let mut entry = Entry::default();
        let mut left = MAX_ENTRIES.saturating_mul(16);
        while !entries.is_empty() && left > 0 {
            left = left.saturating_sub(1);
            if entries.read_entry(&mut entry).ok()?
                && entry.tag() == DW_TAG_subprogram
                && self.holds(unit, &entry, address)
            {
                return Some(entry.offset());
            }
        }
        None
    }

    fn holds(&self, unit: &Unit, entry: &Entry, address: u64) -> bool {
        let ranges = self.ranges_of_entry(unit, entry);
        ranges.iter().any(|range| range.begin <= address && address < range.end)
    }

    fn scope(&self, found: &Found<'_>, at: &At<'_>) -> Scope {
        let (unit, entry) = (found.unit, &found.entry);
        let mut variables: Vec<Variable> = found
            .variables
            .iter()
            .filter_map(|variable| self.variable(unit, variable, at))
            .collect();
        // Parameters stand first in functions; inline parts may mix them.
        variables.sort_by_key(|variable| !variable.is_parameter);
        Scope {
            function: self.function_name(unit, entry, &[]),
            is_inline: entry.tag() == DW_TAG_inlined_subroutine,
            start_rva: self.start(found, at.address),
            variables,
        }
    }

    fn variable(&self, unit: &Unit, entry: &Entry, at: &At<'_>) -> Option<Variable> {
        let name = self.name(unit, entry)?;
        let type_id = self
            .type_id(unit, entry)
            .or_else(|| self.origin(unit, entry, |unit, entry| self.type_id(unit, entry)));
        let size = type_id.and_then(|id| self.type_ref(Some(id)).size);
        let (place, whereabouts) = at.locate(unit, entry, size);
        Some(Variable {
            name,
            is_parameter: entry.tag() == DW_TAG_formal_parameter,
            type_id,
            place,
            whereabouts,
        })
    }
}

/// The value of a call's parameter, if it was passed in `register`.
fn passed_in(
    unit: &Unit,
    entry: &Entry,
    register: gimli::Register,
) -> Option<gimli::Expression<Reader>> {
    let Some(AttributeValue::Exprloc(place)) = entry.attr_value(gimli::DW_AT_location) else {
        return None;
    };
    let mut operations = place.operations(unit.encoding());
    let is_it = matches!(
        operations.next(),
        Ok(Some(gimli::Operation::Register { register: found })) if found == register
    );
    let value = entry
        .attr_value(gimli::DW_AT_call_value)
        .or_else(|| entry.attr_value(gimli::DW_AT_GNU_call_site_value))?;
    match value {
        AttributeValue::Exprloc(value) if is_it => Some(value),
        _ => None,
    }
}
