//! The lists of the garbage collector: every container object of an interpreter.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::NAMES;
use crate::details::DetailsOptions;
use crate::layout::Field;
use crate::layout::values::{GC_GENERATIONS, GC_HEAD_SIZE, GC_NEXT};
use crate::source::Fault;
use crate::values::Reader;
use crate::values::types::Type;

/// Low bits of a link are the collector's marks.
const LINK_BITS: u64 = 3;
/// Types of objects; more of them are not told apart, but not looked at either.
const MAX_TYPES: usize = 16_384;

/// The type of a greenlet, and the one of the package that it is based on.
pub(super) type Greenlet = (Rc<Type>, Rc<Type>);

impl Reader<'_> {
    /// The greenlets among the container objects of the interpreter.
    pub(super) fn collected_objects(
        &mut self,
        interpreter: u64,
        options: &DetailsOptions,
    ) -> Vec<(u64, Greenlet)> {
        let mut search = Search {
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
    /// Types met, and those of them that are greenlets.
    types: HashMap<u64, Option<Greenlet>>,
    met: HashSet<u64>,
    found: Vec<(u64, Greenlet)>,
    max: usize,
}

impl Search {
    fn list(&mut self, reader: &mut Reader<'_>, head: u64) -> Result<(), Fault> {
        let object_type = reader.frames.objects.layout.object_type.offset;
        let next = Field { offset: GC_NEXT, width: 8 };
        let of = Field { offset: GC_HEAD_SIZE.saturating_add(object_type), width: 8 };
        let mut node = reader.field(head, next)? & !LINK_BITS;
        while node != head && node != 0 {
            if self.met.len() >= self.max {
                reader.note_limit("max_collected_objects");
                break;
            }
            if !self.met.insert(node) {
                break;
            }
            let record = reader.object(node, &[next, of])?;
            if let Some(of) = self.greenlet_type(reader, record.get(of)?) {
                self.found.push((node.saturating_add(GC_HEAD_SIZE), of));
            }
            node = record.get(next)? & !LINK_BITS;
        }
        Ok(())
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
