//! Tasks of asyncio: all of an interpreter, of all event loops, and who waits for whom.
//!
//! Until 3.13 the module `asyncio.tasks` knows them: the weak set `_scheduled_tasks` (until 3.11
//! `_all_tasks`), the set `_eager_tasks`, and `_current_tasks` by event loop. From 3.14 on those
//! made in C hang on lists of their threads and of their interpreter, whose place `_asyncio`
//! tells (`layout::values::asyncio_offsets`); the weak set holds others.

mod registry;
mod task;
mod waiters;

use std::collections::{HashMap, HashSet};

use lastwords_format::streams::python::{FrameOwner, PythonStream};

use super::Reader;
use super::read::Interpreter;
use crate::details::{ChainFrame, DetailsOptions, Task, TaskState};
use crate::layout::values::{TaskFields, asyncio_offsets};

/// What the search for tasks knows.
pub(super) struct Tasks<'a> {
    pub fields: Option<TaskFields>,
    pub stream: &'a PythonStream,
    pub options: &'a DetailsOptions,
    /// Where each frame of a thread's stack is: index of its thread, its own index.
    on_stack: HashMap<u64, (usize, usize)>,
}

/// The tasks that there are.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pub tasks: Vec<u64>,
    met: HashSet<u64>,
    /// The tasks that event loops, or threads (3.14), run just now.
    pub current: HashSet<u64>,
}

impl Reader<'_> {
    /// Tasks of one interpreter; `known` were found before.
    pub(in crate::values) fn tasks(
        &mut self,
        interpreter: &Interpreter,
        threads: &[u64],
        stream: &PythonStream,
        options: &DetailsOptions,
        known: &[Task],
    ) -> Vec<Task> {
        let Some(module) = interpreter.asyncio_tasks else { return Vec::new() };
        let offsets = match (self.layout.task, interpreter.asyncio_module) {
            (None, Some(module)) => self.asyncio_offsets(module),
            _ => None,
        };
        let max = options.max_tasks.saturating_sub(known.len());
        let mut registry = Registry::default();
        if let Some(offsets) = &offsets {
            self.linked_tasks(interpreter.address, threads, offsets, max, &mut registry);
        }
        self.registered_tasks(module, max, &mut registry);
        let fields = self.layout.task.or(offsets.map(|offsets| offsets.task));
        let on_stack = on_stack(stream);
        let mut search = Tasks { fields, stream, options, on_stack };
        let mut tasks: Vec<Task> = Vec::new();
        for address in &registry.tasks {
            match self.task(*address, &mut search) {
                Ok(mut task) => {
                    task.is_current = registry.current.contains(address);
                    tasks.push(task);
                }
                Err(fault) => {
                    self.note(format!("task at {address:#x}"), "the task", &fault);
                }
            }
        }
        for task in &mut tasks {
            self.complete(task, &search);
        }
        tasks
    }

    fn asyncio_offsets(&mut self, module: u64) -> Option<asyncio_offsets::AsyncioOffsets> {
        let definition = crate::layout::values::MODULE_DEFINITION;
        let definition = self.field(module, definition).ok()?;
        let found = asyncio_offsets::find(self.source(), definition);
        if found.is_none() {
            let message = "its offsets were not found; its tasks are missing".to_owned();
            let place = format!("module _asyncio at {module:#x}");
            self.frames.soft_errors.push("python_details_partial", place, message);
        }
        found
    }

    /// Where a task stands, and who waits for it.
    fn complete(&mut self, task: &mut Task, search: &Tasks<'_>) {
        let coroutine = std::mem::take(&mut task.coroutine);
        let frame = coroutine.and_then(|object| self.generator_frame(object).ok().flatten());
        let place = frame.and_then(|frame| search.on_stack.get(&frame).copied());
        if let Some((thread, index)) = place {
            self.running(task, search, thread, index);
        } else {
            if task.is_current {
                task.running_on = self.thread_of_loop(task.event_loop, search);
            }
            if let Some(coroutine) = coroutine {
                let chain = self.await_chain(coroutine, search.options.max_chain_frames);
                task.frames = chain.frames;
                task.is_cut = chain.is_cut;
            }
        }
        task.coroutine = coroutine;
        if task.state == TaskState::Pending {
            task.awaited_by = self.tasks_waiting_for(task.address, search);
        }
    }

    /// The coroutines of a task that runs, from its thread's stack.
    fn running(&mut self, task: &mut Task, search: &Tasks<'_>, thread: usize, index: usize) {
        let Some(thread) = search.stream.threads.get(thread) else { return };
        task.running_on = Some(thread.tstate);
        task.is_current = true;
        let newer = thread.frames.get(..=index).unwrap_or_default();
        for frame in newer.iter().filter(|frame| frame.owner == FrameOwner::Generator) {
            if task.frames.len() >= search.options.max_chain_frames {
                task.is_cut = true;
                self.note_limit("max_chain_frames");
                break;
            }
            let owner = self.generator_of(frame.frame);
            task.frames.push(ChainFrame {
                object: owner.map(|owner| owner.object),
                kind: owner.map(|owner| owner.kind),
                ..ChainFrame::from(frame.clone())
            });
        }
    }

    /// `_thread_id` of a loop written in Python: the thread that it runs in.
    fn thread_of_loop(&mut self, event_loop: u64, search: &Tasks<'_>) -> Option<u64> {
        let [id] = self.attributes(event_loop, ["_thread_id"]);
        let id = self.exact_u64(id?)?;
        let threads = search.stream.threads.iter();
        threads.filter(|thread| thread.thread_id == id).map(|thread| thread.tstate).next()
    }
}

fn on_stack(stream: &PythonStream) -> HashMap<u64, (usize, usize)> {
    let mut places = HashMap::new();
    for (thread, state) in stream.threads.iter().enumerate() {
        for (index, frame) in state.frames.iter().enumerate() {
            places.insert(frame.frame, (thread, index));
        }
    }
    places
}
