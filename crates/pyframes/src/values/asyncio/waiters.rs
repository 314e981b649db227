//! Who waits for a task: what its callbacks lead to.
//!
//! | callback | made by | leads to |
//! |---|---|---|
//! | built-in method whose `self` is a task | `await task` | that task |
//! | bound method of a `TaskGroup` | `TaskGroup` | its `_parent_task` |
//! | bound method of a task | a task written in Python | that task |
//! | function with a future in its closure | `gather`, `wait`, `shield` | who waits for that future |
//! | `functools.partial` with a future | `wait_for` until 3.11 | who waits for that future |
//!
//! From 3.14 on `await task` is told by the task itself, too (`task_awaited_by`).

use std::collections::HashSet;

use super::Tasks;
use super::task::{FUTURE, TASK};
use crate::layout::values::{
    BUILTIN_SELF, CELL_CONTENTS, LIST_ITEMS, METHOD_SELF, PARTIAL_ARGUMENTS, SET_MASK, SET_TABLE,
    SIZE, TaskFields,
};
use crate::source::Fault;
use crate::values::{Reader, plausible};

/// Callbacks of one future, cells of one closure, arguments of one `partial`.
const MAX_CALLBACKS: usize = 64;
const MAX_CELLS: usize = 16;
/// Futures between a task and who waits for it: gather in wait_for in shield.
const MAX_DEPTH: usize = 4;

/// The tasks that wait for one.
#[derive(Default)]
struct Waiting {
    tasks: Vec<u64>,
    met: HashSet<u64>,
}

impl Waiting {
    fn add(&mut self, task: u64) {
        if self.tasks.len() < MAX_CALLBACKS && !self.tasks.contains(&task) {
            self.tasks.push(task);
        }
    }
}

impl Reader<'_> {
    pub(super) fn tasks_waiting_for(&mut self, task: u64, search: &Tasks<'_>) -> Vec<u64> {
        let Some(fields) = search.fields else { return Vec::new() };
        let mut waiting = Waiting::default();
        // What cannot be read leads to nobody.
        let _ = self.told_waiters(task, &fields, &mut waiting);
        let _ = self.waiters(task, &fields, &mut waiting, 0);
        waiting.tasks.retain(|other| *other != task);
        waiting.tasks
    }

    /// `task_awaited_by` (3.14): a task, or a set of tasks.
    fn told_waiters(
        &mut self,
        task: u64,
        fields: &TaskFields,
        waiting: &mut Waiting,
    ) -> Result<(), Fault> {
        let Some(told) = fields.awaited_by else { return Ok(()) };
        if !self.is_future(task) {
            return Ok(());
        }
        let record = self.structure(task, &[told.tasks, told.is_set])?;
        let tasks = record.get(told.tasks)?;
        let tasks = match (tasks, record.get(told.is_set)?) {
            (0, _) => Vec::new(),
            (task, 0) => vec![task],
            (set, _) => {
                let record = self.object(set, &[SET_MASK, SET_TABLE])?;
                let (table, mask) = (record.get(SET_TABLE)?, record.get(SET_MASK)?);
                self.set_items(table, mask, MAX_CALLBACKS)?
            }
        };
        for task in tasks {
            if self.is_task(task) {
                waiting.add(task);
            } else if self.is_future(task) {
                self.waiters(task, fields, waiting, 1)?;
            }
        }
        Ok(())
    }

    fn waiters(
        &mut self,
        future: u64,
        fields: &TaskFields,
        waiting: &mut Waiting,
        depth: usize,
    ) -> Result<(), Fault> {
        if depth > MAX_DEPTH || !waiting.met.insert(future) || !self.is_future(future) {
            return Ok(());
        }
        let record = self.structure(future, &[fields.callback0, fields.callbacks])?;
        let mut callbacks = Vec::new();
        callbacks.extend(Some(record.get(fields.callback0)?).filter(|callback| *callback != 0));
        callbacks.extend(self.more_callbacks(record.get(fields.callbacks)?).unwrap_or_default());
        for callback in callbacks {
            let futures = self.callback(callback, waiting).unwrap_or_default();
            for future in futures {
                self.waiters(future, fields, waiting, depth.saturating_add(1))?;
            }
        }
        Ok(())
    }

    /// Callbacks behind the first: a list of (callback, context).
    fn more_callbacks(&mut self, list: u64) -> Result<Vec<u64>, Fault> {
        if list == 0 || self.type_of(list)?.built_in() != "list" {
            return Ok(Vec::new());
        }
        let record = self.object(list, &[SIZE, LIST_ITEMS])?;
        let count = plausible(record.get(SIZE)?).unwrap_or(0).min(MAX_CALLBACKS);
        let pairs = self.words(record.get(LIST_ITEMS)?, count)?;
        let mut callbacks = Vec::new();
        for pair in pairs {
            callbacks.extend(self.tuple_items(pair, 1)?);
        }
        Ok(callbacks)
    }

    /// Notes the tasks that a callback wakes; gives the futures that it completes.
    fn callback(&mut self, callback: u64, waiting: &mut Waiting) -> Result<Vec<u64>, Fault> {
        let of = self.type_of(callback)?;
        match of.built_in() {
            "builtin_function_or_method" => {
                let task = self.structure(callback, &[BUILTIN_SELF])?.get(BUILTIN_SELF)?;
                if self.is_task(task) {
                    waiting.add(task);
                }
                Ok(Vec::new())
            }
            "method" => {
                let object = self.structure(callback, &[METHOD_SELF])?.get(METHOD_SELF)?;
                let [parent, coroutine] = self.attributes(object, ["_parent_task", "_coro"]);
                let task = if coroutine.is_some() { Some(object) } else { parent };
                if let Some(task) = task.filter(|task| coroutine.is_some() || self.is_task(*task)) {
                    waiting.add(task);
                }
                Ok(Vec::new())
            }
            "function" => self.futures_in_closure(callback),
            _ if self.is_based_on(&of, "functools.partial") => {
                let arguments = self.field(callback, PARTIAL_ARGUMENTS)?;
                let arguments = self.tuple_items(arguments, MAX_CELLS)?;
                Ok(arguments.into_iter().filter(|item| self.is_future(*item)).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn futures_in_closure(&mut self, function: u64) -> Result<Vec<u64>, Fault> {
        let closure = self.layout.function.closure;
        let closure = self.field(function, closure)?;
        if closure == 0 {
            return Ok(Vec::new());
        }
        let mut futures = Vec::new();
        for cell in self.tuple_items(closure, MAX_CELLS)? {
            let contents = self.field(cell, CELL_CONTENTS)?;
            // A task in a closure is one that is waited for, not one that waits.
            if contents != 0 && self.is_future(contents) && !self.is_task(contents) {
                futures.push(contents);
            }
        }
        Ok(futures)
    }

    fn is_task(&mut self, object: u64) -> bool {
        object != 0 && self.type_of(object).is_ok_and(|of| self.is_based_on(&of, TASK))
    }

    fn is_future(&mut self, object: u64) -> bool {
        object != 0 && self.type_of(object).is_ok_and(|of| self.is_based_on(&of, FUTURE))
    }
}
