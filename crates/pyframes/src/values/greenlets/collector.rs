//! The lists of the garbage collector: every container object of an interpreter.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::NAMES;
use crate::details::DetailsOptions;
use crate::layout::values::{GC_GENERATIONS, GC_HEAD_SIZE, GC_NEXT};
use crate::source::Fault;
use crate::values::types::Type;
use crate::values::{Reader, little_endian};

const PAGE: u64 = 4096;
/// Pages that are kept at a time: objects lie side by side, so lists come back to them.
const MAX_PAGES: usize = 2_048;
/// Low bits of a link are the collector's marks.
const LINK_BITS: u64 = 3;
/// Types of objects; more of them are not told apart, but not looked at either.
const MAX_TYPES: usize = 16_384;

/// The type of a greenlet, and the one of the package that it is based on.
pub(super) type Greenlet = (Rc<Type>, Rc<Type>);

/// Pages of the target, read once.
#[derive(Default)]
struct Pages {
    pages: HashMap<u64, Vec<u8>>,
}

impl Pages {
    /// The word at a multiple of 8.
    fn word(&mut self, reader: &mut Reader<'_>, address: u64) -> Result<u64, Fault> {
        let offset = address % PAGE;
        let page = address.saturating_sub(offset);
        if !self.pages.contains_key(&page) {
            if self.pages.len() >= MAX_PAGES {
                self.pages.clear();
            }
            let size = usize::try_from(PAGE).unwrap_or(0);
            let bytes = reader.source().unrecorded(page, size)?;
            self.pages.insert(page, bytes);
        }
        let offset = usize::try_from(offset).unwrap_or(0);
        let bytes = self.pages.get(&page).and_then(|page| page.get(offset..offset.checked_add(8)?));
        Ok(bytes.map_or(0, little_endian))
    }
}

impl Reader<'_> {
    /// The greenlets among the container objects of the interpreter.
    pub(super) fn collected_objects(
        &mut self,
        interpreter: u64,
        options: &DetailsOptions,
    ) -> Vec<(u64, Greenlet)> {
        let mut search = Search {
            pages: Pages::default(),
            types: HashMap::new(),
            met: HashSet::new(),
            found: Vec::new(),
            max: options.max_collected_objects,
        };
        let collector = interpreter.saturating_add(self.layout.interpreter_gc);
        for generation in GC_GENERATIONS {
            let head = collector.saturating_add(generation);
            if let Err(fault) = search.list(self, head) {
                self.note(format!("list of objects at {head:#x}"), "greenlets", &fault);
            }
        }
        search.found
    }
}

struct Search {
    pages: Pages,
    /// Types met, and those of them that are greenlets.
    types: HashMap<u64, Option<Greenlet>>,
    met: HashSet<u64>,
    found: Vec<(u64, Greenlet)>,
    max: usize,
}

impl Search {
    fn list(&mut self, reader: &mut Reader<'_>, head: u64) -> Result<(), Fault> {
        let object_type = reader.frames.objects.layout.object_type.offset;
        let mut node = self.next(reader, head)?;
        while node != head && node != 0 {
            if self.met.len() >= self.max {
                reader.note_limit("max_collected_objects");
                break;
            }
            if !self.met.insert(node) || !node.is_multiple_of(8) {
                break;
            }
            let object = node.saturating_add(GC_HEAD_SIZE);
            let of = self.pages.word(reader, object.saturating_add(object_type))?;
            if let Some(of) = self.greenlet_type(reader, of) {
                self.found.push((object, of));
            }
            node = self.next(reader, node)?;
        }
        Ok(())
    }

    fn next(&mut self, reader: &mut Reader<'_>, node: u64) -> Result<u64, Fault> {
        Ok(self.pages.word(reader, node.saturating_add(GC_NEXT))? & !LINK_BITS)
    }

    fn greenlet_type(&mut self, reader: &mut Reader<'_>, of: u64) -> Option<Greenlet> {
        if let Some(known) = self.types.get(&of) {
            return known.clone();
        }
        if self.types.len() >= MAX_TYPES {
            reader.note_limit("max_types");
            return None;
        }
        let read = reader.type_at(of).ok();
        let found = read.and_then(|of| {
            let base = reader.base_named(&of, &NAMES)?;
            Some((of, base))
        });
        self.types.insert(of, found.clone());
        found
    }
}
