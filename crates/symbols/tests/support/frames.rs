//! Frames as tests compare them.

use lastwords_symbols::SourceFrame;
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub function: String,
    /// `?:0` without a line.
    pub place: String,
}

pub fn is_equal(ours: &Frame, theirs: &Frame) -> bool {
    ours.place == theirs.place && name(ours) == name(theirs)
}

/// The name without return type, template and parameter lists. What `decltype` prints before it
/// is an expression, which demanglers spell in their own ways.
pub fn name(frame: &Frame) -> String {
    let text = frame.function.replace("(anonymous namespace)", "{anonymous}");
    let text = text.replace("`anonymous namespace'", "{anonymous}");
    let text = name_anonymous(&text);
    let text = match text.strip_prefix("decltype") {
        Some(rest) => after_brackets(rest.trim_start()),
        None => &text,
    };
    let end = text.find(['<', '(']).filter(|at| *at > 0).unwrap_or(text.len());
    text[..end].trim_end().rsplit([' ', '`']).next().unwrap().to_owned()
}

/// LLVM leaves `?A0x` and the hash of a file as PDBs spell it.
fn name_anonymous(text: &str) -> String {
    let mut parts = text.split("?A0x");
    let mut named = parts.next().unwrap().to_owned();
    for part in parts {
        named += "{anonymous}";
        named += part.trim_start_matches(|letter: char| letter.is_ascii_hexdigit());
    }
    named
}

fn after_brackets(text: &str) -> &str {
    let mut depth = 0usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text[at + 1..].trim_start();
        }
    }
    text
}

pub fn our_frame(frame: &SourceFrame) -> Frame {
    let function = frame.function.as_deref().unwrap_or("?");
    let file = frame.file.as_deref().unwrap_or("?");
    new_frame(function, file, u64::from(frame.line.unwrap_or(0)))
}

/// A frame of the corpus' reference files.
pub fn their_frame(frame: &Value) -> Frame {
    let known = |key: &str| match frame[key].as_str().unwrap() {
        "" | "??" => "?",
        text => text,
    };
    new_frame(known("fn"), known("file"), frame["line"].as_u64().unwrap())
}

/// The names of compilers' clones are written in three ways, and llvm-symbolizer guesses a file
/// from the symbol table where it knows no line.
pub fn new_frame(function: &str, file: &str, line: u64) -> Frame {
    let function = function.split(" [clone ").next().unwrap();
    let function = function.split(" (.").next().unwrap();
    let clone = [".part.", ".cold", ".constprop.", ".isra."].iter().find_map(|c| function.find(c));
    let function = function[..clone.unwrap_or(function.len())].to_owned();
    let place = if line == 0 { "?:0".to_owned() } else { format!("{file}:{line}") };
    Frame { function, place }
}
