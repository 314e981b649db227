//! `_Py_AsyncioDebug`: the offsets that `_asyncio` of CPython 3.14 tells of itself
//! (`Py_AsyncioModuleDebugOffsets`, `Modules/_asynciomodule.c`, 3.14.10).
//!
//! It stands in the section `.AsyncioDebug`, behind the `.data` of the module's file; no symbol
//! leads to it, and section headers are not in memory. So it is looked for behind the module's
//! definition, which stands in `.data`, by what its members say of each other.
//!
//! | offset | member | meaning |
//! |---|---|---|
//! | 0 | task_object | size, task_name (8), task_awaited_by (16), task_is_task (24), task_awaited_by_is_set (32), task_coro (40), task_node (48) |
//! | 56 | interpreter_state | size, asyncio_tasks_head (64) |
//! | 72 | thread_state | size, asyncio_running_loop (80), asyncio_running_task (88), asyncio_tasks_head (96) |

use super::{AwaitedBy, Field, TaskFields, byte, int, word};
use crate::source::Source;

const WORDS: usize = 13;
/// `.data` of `_asyncio` has 5 KiB.
const MAX_DISTANCE: u64 = 64 * 1024;
const PAGE: u64 = 4096;
const MAX_TASK_SIZE: u64 = 1024;
const INTERPRETER_SIZES: std::ops::Range<u64> = 4096..1 << 24;
const THREAD_SIZES: std::ops::Range<u64> = 256..1 << 16;

/// What 3.14 tells of tasks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsyncioOffsets {
    pub task: TaskFields,
    /// Where `struct llist_node` lies in a task: next, previous.
    pub node: u64,
    /// Heads of lists of tasks, in the interpreter state and in the thread state.
    pub interpreter_tasks: Field,
    pub thread_tasks: Field,
    /// The task that the thread runs.
    pub running_task: Field,
}

/// Looks for the offsets behind `definition`, the module's `PyModuleDef`.
pub(crate) fn find(source: &mut Source<'_>, definition: u64) -> Option<AsyncioOffsets> {
    let start = definition.checked_sub(definition % 8)?;
    let mut words: Vec<u64> = Vec::new();
    let mut address = start;
    while address < start.saturating_add(MAX_DISTANCE) {
        let to_page_end = PAGE.checked_sub(address % PAGE)?;
        let Ok(bytes) = source.bytes(address, usize::try_from(to_page_end).ok()?) else { break };
        words.extend(bytes.chunks_exact(8).map(little_endian));
        address = address.saturating_add(to_page_end);
    }
    words.windows(WORDS).find_map(decode)
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn decode(words: &[u64]) -> Option<AsyncioOffsets> {
    let [task_size, name, awaited_by, is_task, is_set, coroutine, node, rest @ ..] = words else {
        return None;
    };
    let [interpreter_size, interpreter_tasks, thread_size, running_loop, running_task, tasks] =
        rest
    else {
        return None;
    };
    let is_in = |offset: &u64, size: &u64, width: u64| {
        *offset >= 16 && offset.checked_add(width).is_some_and(|end| end <= *size)
    };
    let in_task = [name, awaited_by, coroutine].into_iter().all(|at| is_in(at, task_size, 8));
    let is_told = in_task
        && *task_size <= MAX_TASK_SIZE
        && is_in(is_task, task_size, 1)
        && is_in(is_set, task_size, 1)
        && is_in(node, task_size, 16)
        && INTERPRETER_SIZES.contains(interpreter_size)
        && is_in(interpreter_tasks, interpreter_size, 16)
        && THREAD_SIZES.contains(thread_size)
        && is_in(running_loop, thread_size, 8)
        && *running_task == running_loop.saturating_add(8)
        && is_in(tasks, thread_size, 16);
    // What is not told is known only where the rest is as it was.
    let is_known = (*awaited_by, *coroutine) == (96, 128);
    is_told.then(|| AsyncioOffsets {
        task: TaskFields {
            event_loop: word(16),
            callback0: word(24),
            callbacks: word(40),
            coroutine: word(*coroutine),
            name: word(*name),
            state: is_known.then_some(int(104)),
            waiter: is_known.then_some(word(120)),
            awaited_by: Some(AwaitedBy { tasks: word(*awaited_by), is_set: byte(*is_set) }),
        },
        node: *node,
        interpreter_tasks: word(*interpreter_tasks),
        thread_tasks: word(*tasks),
        running_task: word(*running_task),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it stands in `_asyncio` of 3.14.10.
    const TOLD: [u64; WORDS] =
        [168, 136, 96, 108, 109, 128, 152, 0x37248, 10880, 936, 864, 872, 880];

    #[test]
    fn the_structure_is_known_by_what_its_members_say_of_each_other() {
        let offsets = decode(&TOLD).expect("it is one");
        assert_eq!((offsets.task.coroutine, offsets.node), (word(128), 152));
        assert_eq!(offsets.task.waiter, Some(word(120)));
        for index in 0..WORDS {
            let mut damaged = TOLD;
            damaged[index] = 1 << 40;
            assert!(decode(&damaged).is_none(), "{index}");
            damaged[index] = 0;
            assert!(decode(&damaged).is_none(), "{index}");
        }
        let mut moved = TOLD;
        moved[5] = 120;
        assert_eq!(decode(&moved).expect("it is one").task.waiter, None);
    }
}
