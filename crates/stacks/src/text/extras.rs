//! What has frames and is no thread: asyncio's tasks, greenlets, thread states without a thread.

use super::frame::{items, python_item};
use super::thread::stack;
use super::{Look, counted, printable};
use crate::document::{Awaited, Interpreter, PythonFrame};

/// Tasks that are not running, with their stacks under `--all`, else their number.
pub(super) fn tasks(python: &Interpreter, look: &Look) -> String {
    let stacks = python.tasks.iter().filter(|task| !task.is_current).map(|task| {
        let name = printable(task.name.as_deref().unwrap_or("?"));
        let state = printable(task.state.as_deref().unwrap_or("state not known"));
        let waits = task.waits_for.as_ref().map(awaited).unwrap_or_default();
        (format!("Task \"{name}\", {state}{waits}"), task.frames.as_slice())
    });
    section(stacks.collect(), "asyncio task", look)
}

/// `, waits for Task "reader"`.
fn awaited(what: &Awaited) -> String {
    let kind = printable(what.type_name.as_deref().unwrap_or("something"));
    let name = what.name.as_deref().map(|name| format!(" \"{}\"", printable(name)));
    format!(", waits for {kind}{}", name.unwrap_or_default())
}

/// Greenlets that are not running.
pub(super) fn greenlets(python: &Interpreter, look: &Look) -> String {
    let suspended = python.greenlets.iter().filter(|greenlet| greenlet.is_suspended);
    let stacks = suspended.map(|greenlet| {
        let address = printable(greenlet.address.as_deref().unwrap_or("?"));
        (format!("Greenlet {address}"), greenlet.frames.as_slice())
    });
    section(stacks.collect(), "suspended greenlet", look)
}

fn section(stacks: Vec<(String, &[PythonFrame])>, what: &str, look: &Look) -> String {
    if stacks.is_empty() {
        return String::new();
    }
    let heading = counted(stacks.len(), what);
    if !look.is_all {
        return format!("\n{heading}: --all shows their stacks\n");
    }
    let mut out = String::new();
    for (title, frames) in stacks {
        out.push_str(&format!("\n{}\n", look.paint.strong(&title)));
        let frames = frames.iter().map(|frame| python_item(frame, look));
        out.push_str(&stack(frames.collect(), look));
    }
    out
}

/// Python threads of which no native thread is known.
pub(super) fn unmatched_threads(python: &Interpreter, look: &Look) -> String {
    let mut out = String::new();
    for thread in &python.unmatched_threads {
        let id = thread.thread_id.map(|id| format!(" {id}")).unwrap_or_default();
        let state = printable(thread.tstate.as_deref().unwrap_or("?"));
        let title = format!("Python thread{id} at {state}, whose native thread is not known");
        out.push_str(&format!("\n{}\n", look.paint.strong(&title)));
        out.push_str(&stack(thread.frames.iter().flat_map(|f| items(f, look)).collect(), look));
    }
    out
}
