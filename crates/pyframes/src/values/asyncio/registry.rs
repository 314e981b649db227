//! Where asyncio keeps its tasks.

use super::Registry;
use crate::layout::values::asyncio_offsets::AsyncioOffsets;
use crate::layout::values::{SET_MASK, SET_TABLE, WEAKREF_OBJECT, WORD};
use crate::source::Fault;
use crate::values::Reader;

/// Event loops that run at the same time.
const MAX_LOOPS: usize = 1_024;

impl Registry {
    fn add(&mut self, task: u64) {
        if self.met.insert(task) {
            self.tasks.push(task);
        }
    }
}

impl Reader<'_> {
    /// Tasks that the module `asyncio.tasks` knows; its dict is at `module`.
    pub(super) fn registered_tasks(&mut self, module: u64, max: usize, registry: &mut Registry) {
        let names = ["_scheduled_tasks", "_all_tasks", "_eager_tasks", "_current_tasks"];
        let found = self.lookup_all(module, names).unwrap_or_else(|fault| {
            self.note("module asyncio.tasks".to_owned(), "its tasks", &fault);
            [None; 4]
        });
        let [scheduled, all, eager, current] = found;
        let sets = [
            (scheduled.or(all), true, "a weak set of tasks"),
            (eager, false, "the set of eager tasks"),
        ];
        for (set, is_weak, what) in sets {
            let Some(set) = set else { continue };
            if let Err(fault) = self.tasks_of_set(set, is_weak, max, registry) {
                self.note(format!("object at {set:#x}"), what, &fault);
            }
        }
        for (_, task) in
            current.and_then(|dict| self.dict(dict, MAX_LOOPS).ok()).unwrap_or_default().items
        {
            registry.current.insert(task);
            registry.add(task);
        }
    }

    fn tasks_of_set(
        &mut self,
        set: u64,
        is_weak: bool,
        max: usize,
        registry: &mut Registry,
    ) -> Result<(), Fault> {
        let set = if is_weak { self.attributes(set, ["data"])[0] } else { Some(set) };
        let Some(set) = set else { return Ok(()) };
        let of = self.type_of(set)?;
        if of.built_in() != "set" {
            let what = "the type of an object";
            return Err(crate::values::implausible(what, set, of.address, "set"));
        }
        let record = self.object(set, &[SET_MASK, SET_TABLE])?;
        let items = self.set_items(record.get(SET_TABLE)?, record.get(SET_MASK)?, max)?;
        if items.len() >= max {
            self.note_limit("max_tasks");
        }
        for item in items {
            let task = if is_weak { self.field(item, WEAKREF_OBJECT)? } else { item };
            // The target of a weak reference that has died is None.
            let is_gone = is_weak && self.type_of(task).is_ok_and(|of| of.built_in() == "NoneType");
            if !is_gone {
                registry.add(task);
            }
        }
        Ok(())
    }

    /// Tasks on the lists of 3.14.
    pub(super) fn linked_tasks(
        &mut self,
        interpreter: u64,
        threads: &[u64],
        offsets: &AsyncioOffsets,
        max: usize,
        registry: &mut Registry,
    ) {
        let of_threads = threads.iter().map(|thread| (*thread, offsets.thread_tasks));
        let heads = of_threads.chain([(interpreter, offsets.interpreter_tasks)]);
        for (state, field) in heads.collect::<Vec<_>>() {
            let head = state.saturating_add(field.offset);
            if let Err(fault) = self.linked_list(head, offsets.node, max, registry) {
                self.note(format!("list at {head:#x}"), "tasks", &fault);
            }
        }
        for thread in threads {
            match self.field(*thread, offsets.running_task) {
                Ok(task) if task != 0 => {
                    registry.current.insert(task);
                    registry.add(task);
                }
                _ => {}
            }
        }
    }

    fn linked_list(
        &mut self,
        head: u64,
        node_offset: u64,
        max: usize,
        registry: &mut Registry,
    ) -> Result<(), Fault> {
        let mut node = self.structure(head, &[WORD])?.get(WORD)?;
        while node != head && node != 0 {
            if registry.tasks.len() >= max {
                self.note_limit("max_tasks");
                break;
            }
            let task = node.saturating_sub(node_offset);
            let before = registry.tasks.len();
            registry.add(task);
            if registry.tasks.len() == before {
                break;
            }
            node = self.structure(node, &[WORD])?.get(WORD)?;
        }
        Ok(())
    }
}
