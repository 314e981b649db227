//! The function of an address, what is inlined there, and their variables.
//!
//! A procedure's records nest: `S_GPROC32 … S_INLINESITE … S_INLINESITE_END … S_END`. A variable is
//! one record with its place (`S_REGREL32`, `S_BPREL32`, `S_REGISTER`), or `S_LOCAL` followed by
//! one `S_DEFRANGE_*` for each part of the code in which it has a place.

use pdb2::{
    AddressGap, AddressRange, BinaryAnnotation, FallibleIterator, IdData, IdIndex,
    InlineSiteSymbol, MachineType, ModuleInfo, Register, SymbolData,
};

use super::PdbInfo;
use super::registers::{VIRTUAL_FRAME, frame_pointer, register};
use crate::{FrameState, Place, Scope, Variable};

/// Records of one procedure that are looked at, and nesting that is followed.
const MAX_RECORDS: usize = 1 << 20;
const MAX_DEPTH: usize = 256;
const MAX_VARIABLES: usize = 4_096;

/// A variable whose place is not decided yet.
struct Pending {
    variable: Variable,
    size: usize,
    parts: Vec<(u64, Vec<u8>)>,
    is_found: bool,
}

/// A scope that is open, and whether it holds the address.
struct Open {
    holds: bool,
    /// Index in the list of scopes; `None` for blocks.
    scope: Option<usize>,
}

struct Walk<'a> {
    info: &'a PdbInfo,
    frame: Option<&'a dyn FrameState>,
    rva: u64,
    local_base: Option<&'static str>,
    parameter_base: Option<&'static str>,
    /// Bytes of the frame without return address and parameters; 0 when not told.
    frame_bytes: u32,
    scopes: Vec<Scope>,
    open: Vec<Open>,
    pending: Option<(usize, Pending)>,
}

/// The functions that run at an address, innermost first; with their variables when there is a
/// frame.
pub(super) fn scopes(
    info: &PdbInfo,
    rva: u64,
    frame: Option<&dyn FrameState>,
) -> Option<Vec<Scope>> {
    let module = info.module_at(u32::try_from(rva).ok()?)?;
    let mut walk = Walk {
        info,
        frame,
        rva,
        local_base: None,
        parameter_base: None,
        frame_bytes: 0,
        scopes: Vec::new(),
        open: Vec::new(),
        pending: None,
    };
    walk.run(&module);
    walk.finish_pending();
    let mut scopes = walk.scopes;
    for scope in &mut scopes {
        scope.variables.sort_by_key(|variable| !variable.is_parameter);
    }
    scopes.reverse();
    Some(scopes)
}

impl Walk<'_> {
    fn run(&mut self, module: &ModuleInfo<'_>) -> Option<()> {
        let mut symbols = module.symbols().ok()?;
        let mut left = MAX_RECORDS.saturating_mul(16);
        while left > 0 {
            left = left.saturating_sub(1);
            let symbol = symbols.next().ok()??;
            if self.open.is_empty() {
                let Ok(SymbolData::Procedure(procedure)) = symbol.parse() else { continue };
                let start = self.info.rva(procedure.offset);
                let holds = start.is_some_and(|start| {
                    start <= self.rva && self.rva < start.saturating_add(procedure.len.into())
                });
                if !holds {
                    symbols.skip_to(procedure.end).ok()?;
                    continue;
                }
                self.begin(Some(procedure.name.to_string().into_owned()), false, start);
                self.open.push(Open { holds: true, scope: Some(0) });
                continue;
            }
            if symbol.ends_scope() {
                self.finish_pending();
                self.open.pop();
                if self.open.is_empty() {
                    return Some(());
                }
                continue;
            }
            let starts_scope = symbol.starts_scope();
            match symbol.parse() {
                Ok(data) => self.record(module, &data),
                // Its end will come all the same.
                Err(_) if starts_scope => self.open.push(Open { holds: false, scope: None }),
                Err(_) => {}
            }
            if self.open.len() > MAX_DEPTH {
                return None;
            }
        }
        Some(())
    }

    fn begin(
        &mut self,
        function: Option<String>,
        is_inline: bool,
        start_rva: Option<u64>,
    ) -> usize {
        self.scopes.push(Scope { function, is_inline, start_rva, variables: Vec::new() });
        self.scopes.len().saturating_sub(1)
    }

    fn is_in(&self) -> bool {
        self.open.iter().all(|open| open.holds)
    }

    fn record(&mut self, module: &ModuleInfo<'_>, data: &SymbolData<'_>) {
        match data {
            SymbolData::FrameProcedure(frame) => {
                let machine = self.info.machine;
                let flags = &frame.flags;
                self.frame_bytes = frame.frame_byte_count;
                self.local_base = frame_pointer(machine, flags.encoded_local_base_pointer);
                self.parameter_base = frame_pointer(machine, flags.encoded_param_base_pointer);
            }
            SymbolData::Block(block) => {
                self.finish_pending();
                let start = self.info.rva(block.offset);
                let holds = start.is_some_and(|start| {
                    start <= self.rva && self.rva < start.saturating_add(block.len.into())
                });
                self.open.push(Open { holds: holds && self.is_in(), scope: None });
            }
            SymbolData::InlineSite(site) => {
                self.finish_pending();
                let start = self.inline_start(site);
                let holds = start.is_some() && self.is_in();
                let scope = holds.then(|| {
                    let name = self.inlinee(module, site.inlinee);
                    self.begin(name, true, start)
                });
                self.open.push(Open { holds, scope });
            }
            SymbolData::Procedure(_) | SymbolData::Thunk(_) | SymbolData::SeparatedCode(_) => {
                self.open.push(Open { holds: false, scope: None });
            }
            other if self.is_in() => self.variable(other),
            _ => {}
        }
    }

    /// The start of the code of an inline site that holds the address; `None` when none does.
    fn inline_start(&self, site: &InlineSiteSymbol<'_>) -> Option<u64> {
        let procedure = self.scopes.first()?.start_rva?;
        let wanted = self.rva.checked_sub(procedure)?;
        let (mut base, mut offset) = (0_u64, 0_u64);
        let mut ranges: Vec<(u64, Option<u64>)> = Vec::new();
        let mut annotations = site.annotations.iter();
        while let (Ok(Some(annotation)), true) = (annotations.next(), ranges.len() < 65_536) {
            match annotation {
                BinaryAnnotation::CodeOffset(value) => offset = value.into(),
                BinaryAnnotation::ChangeCodeOffsetBase(value) => base = value.into(),
                BinaryAnnotation::ChangeCodeOffset(delta)
                | BinaryAnnotation::ChangeCodeOffsetAndLineOffset(delta, _) => {
                    offset = offset.saturating_add(delta.into());
                    close(&mut ranges, base.saturating_add(offset));
                    ranges.push((base.saturating_add(offset), None));
                }
                BinaryAnnotation::ChangeCodeLength(length) => {
                    end(&mut ranges, length.into());
                    offset = offset.saturating_add(length.into());
                }
                BinaryAnnotation::ChangeCodeLengthAndCodeOffset(length, delta) => {
                    offset = offset.saturating_add(delta.into());
                    close(&mut ranges, base.saturating_add(offset));
                    ranges.push((base.saturating_add(offset), None));
                    end(&mut ranges, length.into());
                    offset = offset.saturating_add(length.into());
                }
                _ => {}
            }
        }
        let at = ranges
            .iter()
            .position(|(start, stop)| *start <= wanted && stop.is_some_and(|stop| wanted < stop))?;
        // Lines of one stretch of code follow each other: its start is that of the first.
        let mut first = at;
        while let Some(before) = first.checked_sub(1)
            && ranges
                .get(before)
                .is_some_and(|(_, stop)| *stop == ranges.get(first).map(|(s, _)| *s))
        {
            first = before;
        }
        ranges.get(first).and_then(|(start, _)| procedure.checked_add(*start))
    }

    fn inlinee(&self, module: &ModuleInfo<'_>, id: IdIndex) -> Option<String> {
        // Ids of other modules are told by the stream of imports, which is seldom there.
        let _ = module;
        let ids = self.info.file.borrow_mut().id_information().ok()?;
        let mut finder = ids.finder();
        let mut items = ids.iter();
        while let Ok(Some(_)) = items.next() {
            finder.update(&items);
            if finder.max_index() >= id {
                break;
            }
        }
        let (name, around) = match finder.find(id).ok()?.parse().ok()? {
            IdData::Function(function) => (function.name.to_string().into_owned(), None),
            IdData::MemberFunction(member) => {
                (member.name.to_string().into_owned(), Some(u64::from(member.parent.0)))
            }
            _ => return None,
        };
        let class = around.and_then(|id| self.info.describe(id)).map(|of| of.name);
        Some(class.map_or_else(|| name.clone(), |class| format!("{class}::{name}")))
    }

    fn variable(&mut self, data: &SymbolData<'_>) {
        match data {
            SymbolData::Local(local) => {
                let name = local.name.to_string().into_owned();
                let is_gone = local.flags.isoptimizedout;
                let reason = if is_gone { "optimized out" } else { "optimized out here" };
                let place = Place::Gone(reason.to_owned());
                self.add(name, local.flags.isparam, local.type_index.0, place, String::new());
            }
            SymbolData::RegisterRelative(one) => {
                let (place, words) = self.relative(one.register, one.offset.into());
                let name = one.name.to_string().into_owned();
                // Parameters of x64 stand in the caller's frame, above the return address.
                let is_above = self.local_base == Some("rsp")
                    && self.frame_bytes > 0
                    && i64::from(one.offset) > i64::from(self.frame_bytes);
                let is_parameter = one.slot.is_some() || is_above;
                self.add(name, is_parameter, one.type_index.0, place, words);
            }
            SymbolData::BasePointerRelative(one) => {
                let (place, words) = self.by_frame(one.offset.into(), one.offset > 0);
                let name = one.name.to_string().into_owned();
                // Parameters of x86 stand above the saved frame pointer.
                let is_parameter = one.offset > 0 && self.info.machine == MachineType::X86;
                self.add(name, is_parameter, one.type_index.0, place, words);
            }
            SymbolData::RegisterVariable(one) => {
                let (place, words) = self.in_register(one.register);
                let name = one.name.to_string().into_owned();
                self.add(name, one.slot.is_some(), one.type_index.0, place, words);
            }
            other => self.range(other),
        }
    }

    fn add(&mut self, name: String, is_parameter: bool, index: u32, place: Place, words: String) {
        self.finish_pending();
        let scope = self.open.iter().rev().find_map(|open| open.scope);
        let Some(scope) = scope.filter(|_| self.frame.is_some()) else { return };
        let size = self.info.describe(index.into()).and_then(|of| of.size).unwrap_or(8);
        let pending = Pending {
            variable: Variable {
                name,
                is_parameter,
                type_id: Some(index.into()),
                place,
                whereabouts: words,
            },
            size: usize::try_from(size).unwrap_or(0),
            parts: Vec::new(),
            is_found: false,
        };
        self.pending = Some((scope, pending));
    }

    /// A place of the variable before, for a part of the code.
    fn range(&mut self, data: &SymbolData<'_>) {
        let found = match data {
            SymbolData::DefRangeRegister(one) if self.covers(&one.range, &one.gaps) => {
                self.in_register(one.register)
            }
            SymbolData::DefRangeFramePointerRelative(one) if self.covers(&one.range, &one.gaps) => {
                self.by_frame(one.offset.into(), self.is_pending_parameter())
            }
            SymbolData::DefRangeFramePointerRelativeFullScope(one) => {
                self.by_frame(one.offset.into(), self.is_pending_parameter())
            }
            SymbolData::DefRangeRegisterRelative(one) if self.covers(&one.range, &one.gaps) => {
                let (place, words) =
                    self.relative(one.base_register, one.offset_base_pointer.into());
                let offset = u64::from(one.offset_parent);
                let is_part = one.spilled_udt_member & 1 != 0;
                if is_part {
                    self.part(offset, &place);
                    return;
                }
                (place, words)
            }
            SymbolData::DefRangeSubFieldRegister(one) if self.covers(&one.range, &one.gaps) => {
                let (place, _) = self.in_register(one.register);
                self.part((one.offset & 0xfff).into(), &place);
                return;
            }
            _ => return,
        };
        if let Some((_, pending)) = &mut self.pending
            && !pending.is_found
        {
            (pending.variable.place, pending.variable.whereabouts) = found;
            pending.is_found = true;
        }
    }

    fn is_pending_parameter(&self) -> bool {
        self.pending.as_ref().is_some_and(|(_, pending)| pending.variable.is_parameter)
    }

    /// A part of a variable, at an offset in it.
    fn part(&mut self, offset: u64, place: &Place) {
        let bytes = match place {
            Place::Bytes(bytes) => Some(bytes.clone()),
            Place::Address(address) => self.frame.and_then(|frame| frame.memory(*address, 8)),
            _ => None,
        };
        if let (Some(bytes), Some((_, pending))) = (bytes, &mut self.pending) {
            pending.parts.push((offset, bytes));
        }
    }

    fn finish_pending(&mut self) {
        let Some((scope, mut pending)) = self.pending.take() else { return };
        if !pending.is_found && !pending.parts.is_empty() {
            pending.variable.whereabouts = "in parts".to_owned();
            pending.variable.place = assembled(pending.size.min(65_536), &mut pending.parts);
        }
        if let Place::Bytes(bytes) = &mut pending.variable.place {
            bytes.resize(pending.size.clamp(1, 65_536), 0);
        }
        if let Some(scope) = self.scopes.get_mut(scope)
            && scope.variables.len() < MAX_VARIABLES
        {
            scope.variables.push(pending.variable);
        }
    }

    fn covers(&self, range: &AddressRange, gaps: &[AddressGap]) -> bool {
        let Some(start) = self.info.rva(range.offset) else { return false };
        let Some(into) = self.rva.checked_sub(start) else { return false };
        into < u64::from(range.cb_range)
            && !gaps.iter().any(|gap| {
                let start = u64::from(gap.gap_start_offset);
                start <= into && into < start.saturating_add(gap.cb_range.into())
            })
    }

    fn in_register(&self, number: Register) -> (Place, String) {
        let Some((name, size)) = register(self.info.machine, number.0) else {
            return (Place::Gone(format!("in register {}", number.0)), String::new());
        };
        let words = format!("@{name}");
        let Some(low) = self.frame.and_then(|frame| frame.register(&name)) else {
            let reason = format!("in {words}, which is not known in this frame");
            return (Place::Gone(reason), words);
        };
        let mut bytes = low.to_le_bytes().to_vec();
        if size == 16 {
            let high = self.frame.and_then(|frame| frame.register(&format!("{name}h")));
            bytes.extend(high.unwrap_or(0).to_le_bytes());
        }
        bytes.truncate(size);
        (Place::Bytes(bytes), words)
    }

    fn relative(&self, number: Register, offset: i64) -> (Place, String) {
        if number.0 == VIRTUAL_FRAME {
            return self.by_frame(offset, offset > 0);
        }
        match register(self.info.machine, number.0) {
            Some((name, _)) => self.by_register(&name, offset),
            None => (Place::Gone(format!("by register {}", number.0)), String::new()),
        }
    }

    fn by_register(&self, name: &str, offset: i64) -> (Place, String) {
        let sign = if offset < 0 { '-' } else { '+' };
        let words = format!("@{name}{sign}{:#x}", offset.unsigned_abs());
        match self.frame.and_then(|frame| frame.register(name)) {
            Some(base) => (Place::Address(self.wrapped(base, offset)), words),
            None => (Place::Gone(format!("by @{name}, which is not known in this frame")), words),
        }
    }

    /// By the frame pointer that the procedure names; on x86 the virtual one else, which is
    /// two words below the frame's end.
    fn by_frame(&self, offset: i64, is_parameter: bool) -> (Place, String) {
        let base = if is_parameter { self.parameter_base } else { self.local_base };
        if let Some(name) = base {
            return self.by_register(name, offset);
        }
        let size = self.info.pointer_bytes().saturating_mul(2);
        let end = self.frame.and_then(FrameState::cfa);
        match end.and_then(|end| end.checked_sub(size)) {
            Some(base) => (Place::Address(self.wrapped(base, offset)), "frame".to_owned()),
            None => (Place::Gone("the frame's end is not known".to_owned()), String::new()),
        }
    }

    fn wrapped(&self, base: u64, offset: i64) -> u64 {
        let address = base.wrapping_add_signed(offset);
        if self.info.pointer_bytes() == 4 { address & 0xffff_ffff } else { address }
    }
}

/// One value of parts; what none of them tells is a hole.
fn assembled(size: usize, parts: &mut [(u64, Vec<u8>)]) -> Place {
    let mut bytes = vec![0_u8; size];
    let mut holes = Vec::new();
    let mut end = 0_usize;
    parts.sort_by_key(|(offset, _)| *offset);
    for (offset, part) in parts {
        let start = usize::try_from(*offset).unwrap_or(usize::MAX);
        let Some(place) = bytes.get_mut(start..) else { continue };
        if start > end {
            holes.push((end, start.saturating_sub(end)));
        }
        for (to, from) in place.iter_mut().zip(part.iter()) {
            *to = *from;
        }
        end = end.max(start.saturating_add(part.len()));
    }
    if end < size {
        holes.push((end, size.saturating_sub(end)));
    }
    if holes.is_empty() { Place::Bytes(bytes) } else { Place::Parts(bytes, holes) }
}

/// The line before ends where the next one starts, unless its length was told.
fn close(ranges: &mut [(u64, Option<u64>)], at: u64) {
    if let Some((_, stop)) = ranges.last_mut()
        && stop.is_none()
    {
        *stop = Some(at);
    }
}

fn end(ranges: &mut [(u64, Option<u64>)], length: u64) {
    if let Some((start, stop)) = ranges.last_mut() {
        *stop = start.checked_add(length);
    }
}
