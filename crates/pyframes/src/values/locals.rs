//! Local variables: names from code objects, values from frames.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use lastwords_format::streams::python::{PythonStream, PythonThread};

use super::{Reader, plausible};
use crate::details::{FrameLocals, Greenlet, LocalsLimits, REDACTED, Task, Variable, VariableKind};
use crate::layout::values::{CELL_CONTENTS, SIZE, VariableNames};
use crate::secrets::Secrets;
use crate::source::Fault;

/// Variables of one frame, and characters of a name.
const MAX_VARIABLES: usize = 256;
const MAX_NAME: usize = 128;
/// `CO_VARARGS`, `CO_VARKEYWORDS`.
const HAS_VARIABLE_ARGUMENTS: u64 = 4;
const HAS_KEYWORD_ARGUMENTS: u64 = 8;
/// `CO_FAST_HIDDEN`, `CO_FAST_CELL`, `CO_FAST_FREE` (3.11 and later).
const IS_HIDDEN: u8 = 0x10;
const IS_CELL: u8 = 0x40;
const IS_FREE: u8 = 0x80;

/// A slot of a frame.
#[derive(Debug, Clone)]
struct Slot {
    name: String,
    kind: VariableKind,
    /// The value may stand in a cell.
    may_be_cell: bool,
    is_hidden: bool,
}

/// The slots of a code object.
#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    is_cut: bool,
}

/// Reads variables frame by frame, within one budget.
pub(super) struct LocalsReader<'r, 'm> {
    reader: &'r mut Reader<'m>,
    limits: &'r LocalsLimits,
    secrets: &'r Secrets,
    codes: HashMap<u64, Result<Rc<Slots>, Fault>>,
    met: HashSet<u64>,
    frames: Vec<FrameLocals>,
    bytes_left: usize,
}

impl<'r, 'm> LocalsReader<'r, 'm> {
    pub fn new(reader: &'r mut Reader<'m>, limits: &'r LocalsLimits, secrets: &'r Secrets) -> Self {
        let bytes_left = limits.max_total_bytes;
        let (codes, met, frames) = (HashMap::new(), HashSet::new(), Vec::new());
        Self { reader, limits, secrets, codes, met, frames, bytes_left }
    }

    /// The frames of all threads: the first thread's, then the one's that holds the GIL.
    pub fn read_threads(&mut self, stream: &PythonStream, first: Option<u64>) {
        let is_first = |thread: &PythonThread| {
            first.is_some_and(|id| thread.native_thread_id == Some(id) || thread.thread_id == id)
        };
        let mut threads: Vec<&PythonThread> = stream.threads.iter().collect();
        threads.sort_by_key(|thread| (!is_first(thread), !thread.holds_gil));
        for frame in threads.into_iter().flat_map(|thread| &thread.frames) {
            self.frame(frame.frame, frame.code);
        }
    }

    /// The frames of suspended tasks and greenlets.
    pub fn read_chains(&mut self, tasks: &[Task], greenlets: &[Greenlet]) {
        let of_tasks = tasks.iter().flat_map(|task| &task.frames);
        let of_greenlets = greenlets.iter().flat_map(|greenlet| &greenlet.frames);
        for frame in of_tasks.chain(of_greenlets) {
            if let Ok(raw) = self.reader.frames.raw_frame(frame.frame) {
                self.frame(frame.frame, raw.code);
            }
        }
    }

    pub fn into_frames(self) -> Vec<FrameLocals> {
        self.frames
    }

    fn frame(&mut self, frame: u64, code: u64) {
        if !self.met.insert(frame) {
            return;
        }
        if self.bytes_left == 0 {
            return self.reader.note_limit("max_total_bytes");
        }
        match self.variables(frame, code) {
            Ok(found) if !found.variables.is_empty() => self.frames.push(found),
            Ok(_) => {}
            Err(fault) => {
                let place = format!("frame at {frame:#x}");
                self.reader.note(place, "its variables", &fault);
            }
        }
    }

    fn variables(&mut self, frame: u64, code: u64) -> Result<FrameLocals, Fault> {
        let slots = self.slots(code)?;
        let start = frame.saturating_add(self.reader.layout.stack.locals);
        let values = self.reader.words(start, slots.slots.len())?;
        let mut found = FrameLocals { frame, variables: Vec::new(), is_cut: slots.is_cut };
        let mut left = self.limits.max_frame_bytes.min(self.bytes_left);
        for (slot, value) in slots.slots.iter().zip(values) {
            let value = self.value(value & !self.reader.layout.stack.tag_bits, slot);
            let Some(value) = value.filter(|_| !slot.is_hidden) else { continue };
            if left <= slot.name.len() {
                found.is_cut = true;
                self.reader.note_limit("max_frame_bytes");
                break;
            }
            let variable = self.variable(slot, value, left);
            let used = variable.name.len().saturating_add(variable.value.len());
            left = left.saturating_sub(used);
            self.bytes_left = self.bytes_left.saturating_sub(used);
            found.variables.push(variable);
        }
        Ok(found)
    }

    /// The object in a slot; `None` = the variable has no value.
    fn value(&mut self, value: u64, slot: &Slot) -> Option<u64> {
        if value == 0 || !slot.may_be_cell {
            return (value != 0).then_some(value);
        }
        let is_cell = self.reader.type_of(value).is_ok_and(|of| of.built_in() == "cell");
        if !is_cell {
            return Some(value);
        }
        self.reader.field(value, CELL_CONTENTS).ok().filter(|contents| *contents != 0)
    }

    fn variable(&mut self, slot: &Slot, value: u64, left: usize) -> Variable {
        let (name, kind) = (slot.name.clone(), slot.kind);
        if self.secrets.covers(&name) {
            return Variable { name, kind, value: REDACTED.to_owned(), is_redacted: true };
        }
        let room = left.saturating_sub(name.len());
        let shown = self.reader.show(value, self.limits, self.secrets, room);
        Variable { name, kind, value: shown.text, is_redacted: shown.is_redacted }
    }

    fn slots(&mut self, code: u64) -> Result<Rc<Slots>, Fault> {
        if let Some(known) = self.codes.get(&code) {
            return known.clone();
        }
        let read = self.reader.slots(code).map(Rc::new);
        self.codes.insert(code, read.clone());
        read
    }
}

impl Reader<'_> {
    fn slots(&mut self, code: u64) -> Result<Slots, Fault> {
        // Refuses what is no code object.
        self.frames.codes.get(&mut self.frames.objects, code)?;
        let fields = self.layout.code;
        let wanted = [fields.flags, fields.argument_count, fields.keyword_only_count];
        let record = self.structure(code, &wanted)?;
        let flags = record.get(fields.flags)?;
        let variadic = [HAS_VARIABLE_ARGUMENTS, HAS_KEYWORD_ARGUMENTS];
        let variadic = variadic.iter().filter(|flag| flags & **flag != 0).count();
        let arguments = record
            .get(fields.argument_count)?
            .saturating_add(record.get(fields.keyword_only_count)?);
        let arguments = usize::try_from(arguments).unwrap_or(0).saturating_add(variadic);
        match fields.names {
            VariableNames::Together { names, kinds } => {
                let record = self.structure(code, &[names, kinds])?;
                self.slots_together(record.get(names)?, record.get(kinds)?, arguments)
            }
            VariableNames::Split { variables, cells, free, .. } => {
                let record = self.structure(code, &[variables, cells, free])?;
                let tuples = [variables, cells, free];
                let [variables, cells, free] = tuples.map(|field| record.get(field));
                self.slots_split([variables?, cells?, free?], arguments)
            }
        }
    }

    fn slots_together(&mut self, names: u64, kinds: u64, arguments: usize) -> Result<Slots, Fault> {
        let (names, is_cut) = self.variable_names(names)?;
        let kinds = self.byte_string(kinds, MAX_VARIABLES)?.bytes;
        let slot = |(index, (name, kind)): (usize, (String, u8))| Slot {
            name,
            kind: match (index < arguments, kind & IS_FREE, kind & IS_CELL) {
                (true, _, _) => VariableKind::Argument,
                (false, 0, 0) => VariableKind::Local,
                (false, 0, _) => VariableKind::Cell,
                (false, _, _) => VariableKind::Free,
            },
            may_be_cell: kind & (IS_CELL | IS_FREE) != 0,
            is_hidden: kind & IS_HIDDEN != 0,
        };
        let slots = names.into_iter().zip(kinds).enumerate().map(slot).collect();
        Ok(Slots { slots, is_cut })
    }

    /// Until 3.10 an argument that inner functions use has an empty slot and a cell.
    fn slots_split(&mut self, tuples: [u64; 3], arguments: usize) -> Result<Slots, Fault> {
        let [variables, cells, free] = tuples;
        let (variables, is_cut) = self.variable_names(variables)?;
        let arguments: Vec<String> = variables.iter().take(arguments).cloned().collect();
        let mut slots = Slots { slots: Vec::new(), is_cut };
        let of_kind = |names: Vec<String>, kind: VariableKind| {
            let arguments = arguments.clone();
            names.into_iter().map(move |name| Slot {
                kind: if kind != VariableKind::Free && arguments.contains(&name) {
                    VariableKind::Argument
                } else {
                    kind
                },
                name,
                may_be_cell: kind != VariableKind::Local,
                is_hidden: false,
            })
        };
        slots.slots.extend(of_kind(variables, VariableKind::Local));
        if slots.is_cut {
            return Ok(slots);
        }
        for (tuple, kind) in [(cells, VariableKind::Cell), (free, VariableKind::Free)] {
            let (names, is_cut) = self.variable_names(tuple)?;
            slots.slots.extend(of_kind(names, kind));
            slots.is_cut |= is_cut;
        }
        Ok(slots)
    }

    /// The `str` objects of a tuple, and whether there are more.
    fn variable_names(&mut self, tuple: u64) -> Result<(Vec<String>, bool), Fault> {
        let items = self.tuple_items(tuple, MAX_VARIABLES)?;
        let count = plausible(self.field(tuple, SIZE)?).unwrap_or(usize::MAX);
        let is_cut = count > items.len();
        let mut names = Vec::new();
        for item in items {
            names.push(self.exact_text(item, MAX_NAME)?.text);
        }
        Ok((names, is_cut))
    }

    /// Up to `max` items of the tuple at `address`, if it is one.
    pub(super) fn tuple_items(&mut self, address: u64, max: usize) -> Result<Vec<u64>, Fault> {
        let of = self.type_of(address)?;
        if of.built_in() != "tuple" {
            let expected = "tuple";
            return Err(super::implausible("the type of an object", address, of.address, expected));
        }
        let count = plausible(self.field(address, SIZE)?).unwrap_or(0);
        self.words(address.saturating_add(self.layout.tuple_items), count.min(max))
    }
}
