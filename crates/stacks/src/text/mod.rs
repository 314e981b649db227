//! The page that a person reads; the same without colour.

mod clean;
mod extras;
mod fold;
mod frame;
mod paint;
mod source;
mod thread;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use self::extras::{greenlets, tasks, unmatched_threads};
use self::paint::Paint;
use self::source::SourceFiles;
use self::thread::thread;
use crate::arguments::Arguments;
use crate::document::Document;

pub(crate) use self::clean::printable;

/// How the page is made.
#[derive(Debug)]
pub(crate) struct Look {
    is_native: bool,
    is_all: bool,
    is_newest_first: bool,
    paint: Paint,
    sources: SourceFiles,
}

impl Look {
    /// Colours only on a terminal. `pid`: whose root folder source files are looked for in. Without
    /// any Python, native stacks are all there is to show.
    pub(crate) fn new(arguments: &Arguments, document: &Document, pid: Option<i32>) -> Self {
        Self {
            is_native: arguments.is_native || document.python.is_none(),
            is_all: arguments.is_all,
            is_newest_first: arguments.is_newest_first,
            paint: Paint::for_stdout(),
            sources: SourceFiles::new(!arguments.has_no_source, pid),
        }
    }

    #[cfg(test)]
    fn plain(is_all: bool, is_newest_first: bool) -> Self {
        Self {
            is_native: true,
            is_all,
            is_newest_first,
            paint: Paint::None,
            sources: SourceFiles::new(true, None),
        }
    }
}

/// The whole page.
pub(crate) fn page(document: &Document, title: &str, look: &Look) -> String {
    let mut out = headline(document, title, look);
    let crashed = document.crash_info.crashing_thread.filter(|_| is_crash(document));
    let mut without_python = 0_usize;
    for (index, one) in document.threads.iter().enumerate() {
        let has_python = one.frames.iter().any(crate::document::Frame::is_python);
        if !look.is_native && !has_python && !look.is_all {
            without_python = without_python.saturating_add(1);
            continue;
        }
        out.push('\n');
        out.push_str(&thread(one, crashed == Some(index), look));
    }
    if without_python > 0 {
        let threads = counted(without_python, "thread");
        writeln!(out, "\n{threads} without Python frames: --native shows them").ok();
    }
    if let Some(python) = &document.python {
        out.push_str(&unmatched_threads(python, look));
        out.push_str(&tasks(python, look));
        out.push_str(&greenlets(python, look));
    }
    out.push_str(&missing(document, look));
    out
}

fn is_crash(document: &Document) -> bool {
    let reason = document.crash_info.reason.as_deref();
    reason.is_some_and(|reason| reason != "DUMP_REQUESTED")
}

fn headline(document: &Document, title: &str, look: &Look) -> String {
    let mut facts = vec![look.paint.strong(&printable(title))];
    match &document.python {
        Some(python) => {
            let version = python.version.as_deref().unwrap_or("of unknown version");
            let free_threaded =
                if python.free_threaded == Some(true) { " free-threaded" } else { "" };
            let debug = if python.debug_build == Some(true) { " debug build" } else { "" };
            facts.push(format!("CPython {}{free_threaded}{debug}", printable(version)));
        }
        None => facts.push("no Python found".to_owned()),
    }
    facts.push(counted(document.threads.len(), "thread"));
    if is_crash(document) {
        facts.extend(document.crash_info.reason.as_deref().map(printable));
    }
    if let Some(time) = document.lastwords.stacks.stopped_us {
        facts.push(format!("stood still for {}.{} ms", time / 1000, time % 1000 / 100));
    }
    if document.python.as_ref().is_some_and(|python| python.finalizing == Some(true)) {
        facts.push("the interpreter is shutting down".to_owned());
    }
    facts.join(", ") + "\n"
}

/// What could not be had, as footnotes.
fn missing(document: &Document, look: &Look) -> String {
    const MOST_SHOWN: usize = 12;
    let mut out = String::new();
    let most = if look.is_all { usize::MAX } else { MOST_SHOWN };
    for error in document.soft_errors.iter().take(most) {
        if out.is_empty() {
            out.push_str("\nNot available\n");
        }
        let place = error.r#where.as_deref().filter(|place| !place.is_empty());
        let place = place.map(|place| format!("{}: ", printable(place))).unwrap_or_default();
        let message = printable(error.message.as_deref().unwrap_or("no message"));
        let code = printable(error.code.as_deref().unwrap_or("no code"));
        writeln!(out, "  {place}{message} [{code}]").ok();
    }
    if let Some(more) = document.soft_errors.len().checked_sub(most).filter(|more| *more > 0) {
        writeln!(out, "  {more} more: --all").ok();
    }
    out
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
