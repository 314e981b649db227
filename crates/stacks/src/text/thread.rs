//! One thread: its title and its stack.

use super::Look;
use super::clean::printable;
use super::fold::runs;
use super::frame::{Item, items};
use crate::document::{Exception, Frame, Thread};

/// The thread as it is printed, with a line break at its end.
pub(super) fn thread(thread: &Thread, has_crashed: bool, look: &Look) -> String {
    let mut out = title(thread, has_crashed, look);
    let shown = thread.frames.iter().filter(|frame| is_shown(frame, look));
    let mut items: Vec<Item> = shown.flat_map(|frame| items(frame, look)).collect();
    if look.is_native && thread.is_whole == Some(false) {
        items.push(Item::remark(look.paint.warning("  … older native frames are not known")));
    }
    out.push_str(&stack(items, look));
    let folded = thread.frames.iter().filter(|frame| is_folded(frame, look)).count();
    if folded > 0 {
        let frames = super::counted(folded, "frame");
        let note = format!("  ({frames} of the interpreter's call plumbing: --all)\n");
        out.push_str(&look.paint.faint(&note));
    }
    if thread.python.as_ref().is_some_and(|python| python.is_cut) {
        let note = "  [the Python frames are not complete]\n";
        out.push_str(&look.paint.warning(note));
    }
    out
}

fn is_shown(frame: &Frame, look: &Look) -> bool {
    (frame.is_python() || look.is_native || look.is_all) && !is_folded(frame, look)
}

fn is_folded(frame: &Frame, look: &Look) -> bool {
    frame.plumbing && !look.is_all
}

/// The calls in the order that is wanted; rounds of a recursion once.
pub(super) fn stack(mut items: Vec<Item>, look: &Look) -> String {
    if items.is_empty() {
        return "  no frames\n".to_owned();
    }
    if !look.is_newest_first {
        items.reverse();
    }
    let mut out = String::new();
    let mut add = |items: &[Item]| {
        for line in items.iter().flat_map(|item| &item.lines) {
            out.push_str(line);
            out.push('\n');
        }
    };
    if look.is_all {
        add(&items);
        return out;
    }
    let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
    for run in runs(&keys) {
        let end = run.start.saturating_add(run.length);
        add(items.get(run.start..end).unwrap_or_default());
        if let Some(more) = run.rounds.checked_sub(1).filter(|more| *more > 0) {
            let what = match run.length {
                1 => "this frame".to_owned(),
                length => format!("these {length} frames"),
            };
            let note = format!("  [{what} repeated {more} more times: --all]");
            add(&[Item::remark(look.paint.faint(&note))]);
        }
    }
    out
}

/// `Thread 4713 "worker-1" (python3.11), holds the GIL, handling KeyError: 'x'`.
fn title(thread: &Thread, has_crashed: bool, look: &Look) -> String {
    let id = thread.thread_id.map(|id| format!(" {id}")).unwrap_or_default();
    let python = thread.python.as_ref();
    let name = python.and_then(|python| python.name.as_deref());
    let own = thread.thread_name.as_deref().filter(|own| Some(*own) != name);
    let mut title = format!("Thread{id}");
    if let Some(name) = name {
        title.push_str(&format!(" \"{}\"", printable(name)));
    }
    if let Some(own) = own {
        title.push_str(&format!(" ({})", printable(own)));
    }
    let mut facts = Vec::new();
    if has_crashed {
        facts.push("crashed here".to_owned());
    }
    facts.extend(python.into_iter().flat_map(python_facts));
    let facts = facts.iter().map(|fact| format!(", {fact}")).collect::<String>();
    format!("{}{facts}\n", look.paint.strong(&title))
}

fn python_facts(python: &crate::document::PythonThread) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(id) = python.interpreter_id.filter(|id| *id != 0) {
        facts.push(format!("interpreter {id}"));
    }
    let states = [
        (python.holds_gil, "holds the GIL"),
        (python.waits_for_gil, "waits for the GIL"),
        (python.collects_garbage, "collects garbage"),
    ];
    facts.extend(states.iter().filter(|(is, _)| *is).map(|(_, text)| (*text).to_owned()));
    let raising = python.pending_exception.as_ref().and_then(exception);
    let raising = raising.or_else(|| python.exception_type.as_deref().map(printable));
    facts.extend(raising.map(|text| format!("raising {text}")));
    let handling = python.handled_exception.as_ref().and_then(exception);
    facts.extend(handling.map(|text| format!("handling {text}")));
    facts
}

fn exception(exception: &Exception) -> Option<String> {
    let name = printable(exception.name.as_deref()?);
    match exception.text.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => Some(format!("{name}: {}", printable(text))),
        None => Some(name),
    }
}
