//! One frame: a line that can be read aloud, its source line, its variables.
//!
//! Python frames are written as Python's own tracebacks write them, so that editors and terminals
//! which know that form lead to the place.

use super::Look;
use super::clean::printable;
use super::source::SourceLine;
use crate::document::{Frame, Inline, PythonFrame, UnknownFrames};

/// What is shown of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What makes two calls the same for a reader.
    pub(super) key: String,
    pub(super) lines: Vec<String>,
}

impl Item {
    /// A line that is no call.
    pub(super) fn remark(line: String) -> Self {
        Self { key: line.clone(), lines: vec![line] }
    }
}

/// Languages by the ending of their files; headers named `.h` are of C or C++.
const LANGUAGES: &[(&str, &str)] = &[
    ("c", "C"),
    ("h", "C"),
    ("cc", "C++"),
    ("cpp", "C++"),
    ("cxx", "C++"),
    ("hh", "C++"),
    ("hpp", "C++"),
    ("hxx", "C++"),
    ("tcc", "C++"),
    ("m", "Objective-C"),
    ("mm", "Objective-C++"),
    ("rs", "Rust"),
    ("s", "Assembly"),
    ("pyx", "Cython"),
    ("pxd", "Cython"),
    ("f90", "Fortran"),
    ("f", "Fortran"),
    ("go", "Go"),
    ("swift", "Swift"),
];

/// The calls of one frame, newest first: what was inlined in it, then itself.
pub(super) fn items(frame: &Frame, look: &Look) -> Vec<Item> {
    let mut items = Vec::new();
    items.extend(frame.omitted_frames.map(omitted));
    if look.is_native {
        items.extend(frame.unknown_frames.as_ref().map(|gap| unknown(gap, look)));
    }
    match &frame.python {
        Some(python) if frame.is_python() => items.push(python_item(python, look)),
        _ if frame.is_python() => {}
        _ => {
            let inlines = frame.inlines.iter().flatten();
            items.extend(inlines.map(|inline| inline_item(inline, look)));
            items.push(native_item(frame, look));
        }
    }
    items
}

fn omitted(count: u64) -> Item {
    Item::remark(format!("  … {count} frames are left out here"))
}

fn unknown(gap: &UnknownFrames, look: &Look) -> Item {
    let count = match gap.about {
        0 => "perhaps unknown native frames".to_owned(),
        1 => "about 1 unknown native frame".to_owned(),
        more => format!("about {more} unknown native frames"),
    };
    let extent = gap.stack_bytes.map(|bytes| format!(", {bytes} bytes of stack"));
    let text = format!("  … {count}{}", extent.unwrap_or_default());
    Item::remark(look.paint.warning(&text))
}

/// `File "/app/worker.py", line 88, in Worker.run`.
pub(super) fn python_item(python: &PythonFrame, look: &Look) -> Item {
    let name = python.qualname.as_deref().or(python.name.as_deref()).unwrap_or("?");
    let file = python.file.as_deref().unwrap_or("?");
    let line = python.line.map(|line| format!(", line {line}")).unwrap_or_default();
    let mut remarks = Vec::new();
    if look.is_native && python.placement.as_deref() == Some("unplaced") {
        remarks.push("its place among the native frames is not known");
    }
    if python.is_partial {
        remarks.push("partly read");
    }
    let place = format!("File \"{}\"{line}, in ", printable(file));
    let first =
        format!("  {place}{}{}", look.paint.python(&printable(name)), remark(&remarks, look));
    let mut lines = vec![first];
    lines.extend(source_lines(python, look));
    for local in python.locals.iter().flatten() {
        let text = format!("      {} = {}", printable(&local.name), printable(&local.value));
        lines.push(look.paint.faint(&text));
    }
    Item { key: format!("{file}:{line}:{name}"), lines }
}

fn source_lines(python: &PythonFrame, look: &Look) -> Vec<String> {
    let (Some(file), Some(line)) = (&python.file, python.line) else { return Vec::new() };
    let ends_here = python.end_line.is_none_or(|end| end == line);
    let columns = python.column.map(|from| (from, python.end_column.filter(|_| ends_here)));
    let columns = columns.filter(|(_, to)| to.is_some() || !ends_here);
    let Some(SourceLine { text, marked }) = look.sources.line(file, line, columns) else {
        return Vec::new();
    };
    let mut lines = vec![format!("    {text}")];
    if let Some((before, inside)) = marked {
        let marks = format!("    {}{}", " ".repeat(before), "^".repeat(inside));
        lines.push(look.paint.warning(&marks));
    }
    lines
}

fn inline_item(inline: &Inline, look: &Look) -> Item {
    let name = inline.function.as_deref().unwrap_or("?");
    let text = native_line(name, inline.file.as_deref(), inline.line, look);
    Item { key: format!("inline {name}"), lines: vec![format!("{text} (inlined)")] }
}

fn native_item(frame: &Frame, look: &Look) -> Item {
    let module = frame.module.as_deref().map(printable);
    let trust = match frame.trust.as_deref() {
        Some("context" | "cfi" | "prewalked") => None,
        Some("frame_pointer") => Some("found by frame pointer"),
        Some("scan" | "cfi_scan") => Some("a guess: found by scanning the stack"),
        _ => Some("it is not known how far this is right"),
    };
    let remarks = remark(trust.as_slice(), look);
    let Some(name) = &frame.function else {
        let text = match (&module, frame.module_offset.as_deref().and_then(number)) {
            (Some(module), Some(offset)) => format!("{module}+{offset:#x}"),
            _ => format!("code at {}", printable(frame.offset.as_deref().unwrap_or("?"))),
        };
        let line = format!("  Binary {}{remarks}", look.paint.native(&text));
        return Item { key: text, lines: vec![line] };
    };
    let line = native_line(name, frame.file.as_deref(), frame.line, look);
    let module = module.map(|module| format!(" ({module})")).unwrap_or_default();
    Item { key: format!("{name}{module}"), lines: vec![format!("{line}{module}{remarks}")] }
}

/// `C++ Solver::step at …/src/solver.cpp:88`.
fn native_line(name: &str, file: Option<&str>, line: Option<u32>, look: &Look) -> String {
    let place = file.map(|file| {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        format!(" at {}{line}", short_path(file))
    });
    let language = language(name, file);
    format!("  {language} {}{}", look.paint.native(&printable(name)), place.unwrap_or_default())
}

fn language(name: &str, file: Option<&str>) -> &'static str {
    let Some(file) = file else { return "Native" };
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let known = LANGUAGES.iter().find(|(known, _)| Some(*known) == ending.as_deref());
    match known {
        // C has no names with `::` or parameters.
        Some((_, "C")) if name.contains("::") || name.contains('(') => "C++",
        Some((_, language)) => language,
        None => "Native",
    }
}

fn number(hex: &str) -> Option<u64> {
    u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok()
}

fn remark<T: AsRef<str>>(remarks: &[T], look: &Look) -> String {
    if remarks.is_empty() {
        return String::new();
    }
    let words: Vec<&str> = remarks.iter().map(AsRef::as_ref).collect();
    format!(" {}", look.paint.warning(&format!("[{}]", words.join("; "))))
}

/// The last three parts of a path, which may be of another system than this one.
fn short_path(path: &str) -> String {
    const SHOWN_PARTS: usize = 3;
    let separator = if path.contains('\\') && !path.contains('/') { '\\' } else { '/' };
    let parts: Vec<&str> = path.split(separator).collect();
    match parts.len().checked_sub(SHOWN_PARTS).and_then(|start| parts.get(start..)) {
        Some(shown) if parts.len() > SHOWN_PARTS.saturating_add(1) => {
            let tail = shown.join(&separator.to_string());
            format!("…{separator}{}", printable(&tail))
        }
        _ => printable(path),
    }
}
