//! One task, made in C or in Python.

use super::Tasks;
use crate::details::{Awaited, Task, TaskState};
use crate::layout::values::TaskFields;
use crate::source::Fault;
use crate::values::{Reader, implausible};

pub(super) const TASK: &str = "_asyncio.Task";
pub(super) const FUTURE: &str = "_asyncio.Future";
/// A class of asyncio, of which tasks may be made where the C module is not there.
const MAX_STATE: usize = 16;

impl Reader<'_> {
    pub(super) fn task(&mut self, address: u64, search: &mut Tasks<'_>) -> Result<Task, Fault> {
        let of = self.type_of(address)?;
        if self.is_based_on(&of, TASK) {
            let Some(fields) = search.fields else {
                return Err(implausible("a task", address, of.address, "one of a known layout"));
            };
            return self.c_task(address, &fields, search);
        }
        self.python_task(address, search)
    }

    fn c_task(
        &mut self,
        address: u64,
        fields: &TaskFields,
        search: &Tasks<'_>,
    ) -> Result<Task, Fault> {
        let state = fields.state.unwrap_or(fields.name);
        let waiter = fields.waiter.unwrap_or(fields.name);
        let wanted = [fields.event_loop, fields.coroutine, fields.name, state, waiter];
        let record = self.structure(address, &wanted)?;
        let state = fields.state.map(|field| record.get(field)).transpose()?;
        let waiter = fields.waiter.map(|field| record.get(field)).transpose()?;
        let coroutine = record.get(fields.coroutine)?;
        Ok(Task {
            address,
            name: self.task_name(record.get(fields.name)?, search.options.max_text),
            state: match state {
                Some(0) => TaskState::Pending,
                Some(1) => TaskState::Cancelled,
                Some(2) => TaskState::Finished,
                _ => TaskState::Unknown,
            },
            event_loop: record.get(fields.event_loop)?,
            coroutine: (coroutine != 0).then_some(coroutine),
            waits_for: waiter.filter(|at| *at != 0).map(|at| self.awaited(at, search)),
            ..Task::default()
        })
    }

    /// Attributes of `asyncio.tasks._PyTask`.
    fn python_task(&mut self, address: u64, search: &Tasks<'_>) -> Result<Task, Fault> {
        let names = ["_coro", "_state", "_name", "_loop", "_fut_waiter"];
        let [coroutine, state, name, event_loop, waiter] = self.attributes(address, names);
        let (Some(_), Some(state)) = (coroutine, state) else {
            let of = self.type_of(address)?;
            return Err(implausible("the type of an object", address, of.address, "a task"));
        };
        let state = self.exact_text(state, MAX_STATE)?.text;
        let waiter =
            waiter.filter(|at| !self.type_of(*at).is_ok_and(|of| of.built_in() == "NoneType"));
        Ok(Task {
            address,
            name: name.and_then(|name| self.task_name(name, search.options.max_text)),
            state: match state.as_str() {
                "PENDING" => TaskState::Pending,
                "CANCELLED" => TaskState::Cancelled,
                "FINISHED" => TaskState::Finished,
                _ => TaskState::Unknown,
            },
            event_loop: event_loop.unwrap_or(0),
            coroutine,
            waits_for: waiter.map(|at| self.awaited(at, search)),
            ..Task::default()
        })
    }

    /// From 3.12 on a name that nobody gave is a number until somebody asks for it.
    fn task_name(&mut self, name: u64, max_text: usize) -> Option<String> {
        if name == 0 {
            return None;
        }
        if let Some(number) = self.exact_u64(name) {
            return Some(format!("Task-{number}"));
        }
        self.exact_text(name, max_text).ok().map(|text| text.text)
    }

    fn awaited(&mut self, address: u64, search: &Tasks<'_>) -> Awaited {
        let Ok(of) = self.type_of(address) else {
            return Awaited { address, ..Awaited::default() };
        };
        let fields = search.fields.filter(|_| self.is_based_on(&of, TASK));
        let name = fields.and_then(|fields| self.field(address, fields.name).ok());
        let name = name.and_then(|name| self.task_name(name, search.options.max_text));
        Awaited { address, type_name: self.full_name(&of), name }
    }
}
