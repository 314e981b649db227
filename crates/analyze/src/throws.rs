//! Exceptions of C++ (and Rust panics) that were thrown before the crash, with the stack of each
//! throw: the stream `LastwordsThrows`.
//!
//! The stream is a JSON array, newest first, of objects `{"tid", "time_ns", "type", "what",
//! "exception", "primary", "class", "pcs", "is_uncaught"}`. `class` is `cpp`, `cpp_dependent`
//! (a rethrown `std::exception_ptr`: another header for the same object, whose header's address
//! is `primary`), `rust` or `foreign`; `pcs` are return addresses, newest first. All may be absent.

use lastwords_symbols::demangle;
use minidump::format::CONTEXT_AMD64;
use minidump::{MinidumpContext, MinidumpContextValidity, MinidumpRawContext};
use minidump_unwind::{FrameTrust, StackFrame};
use serde_json::{Map, Value, json};

use crate::soft_errors::SoftErrors;
use crate::state::Threads;
use crate::walk::Walker;

/// The rings of all threads together hold fewer.
const MAX_THROWS: usize = 1_024;
const MAX_FRAMES_OF_THROW: usize = 256;
/// All throws together: each frame is looked up and 2 KB in the document.
const MAX_FRAMES: usize = 8_192;
const MAX_TEXT_BYTES: usize = 8 << 10;

const CLASSES: &[&str] = &["cpp", "cpp_dependent", "rust", "foreign"];

/// One throw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Throw {
    thread_id: Option<u64>,
    time_ns: Option<u64>,
    type_name: Option<String>,
    what: Option<String>,
    exception: Option<u64>,
    primary: Option<u64>,
    class: &'static str,
    is_uncaught: bool,
    /// `throw;`: the same object once more, set by [`mark_rethrows`].
    is_rethrow: bool,
    /// Return addresses, newest first.
    pub(crate) pcs: Vec<u64>,
}

/// Reads the array; what is no throw is left out and noted.
pub(crate) fn decode(stream: Option<&Value>, soft_errors: &mut SoftErrors) -> Vec<Throw> {
    let Some(stream) = stream else { return Vec::new() };
    let Some(entries) = stream.as_array() else {
        let message = "it is no JSON array";
        soft_errors.push("stream_malformed", "stream LastwordsThrows", message);
        return Vec::new();
    };
    let mut frames_left = MAX_FRAMES;
    let throws: Vec<Throw> = entries
        .iter()
        .take(MAX_THROWS)
        .filter_map(Value::as_object)
        .map(|entry| decode_one(entry, &mut frames_left))
        .collect();
    let left_out = entries.len().saturating_sub(throws.len());
    if left_out > 0 {
        let message = format!("{left_out} of {} throws were left out", entries.len());
        soft_errors.push("throws_cut", "stream LastwordsThrows", message);
    }
    throws
}

fn decode_one(entry: &Map<String, Value>, frames_left: &mut usize) -> Throw {
    let text = |key| entry.get(key).and_then(Value::as_str).map(cut);
    let class = text("class");
    let addresses = entry.get("pcs").and_then(Value::as_array).into_iter().flatten();
    let most = MAX_FRAMES_OF_THROW.min(*frames_left);
    let pcs: Vec<u64> = addresses.take(most).map_while(address).filter(|pc| *pc != 0).collect();
    *frames_left = frames_left.saturating_sub(pcs.len());
    Throw {
        thread_id: entry.get("tid").and_then(Value::as_u64),
        time_ns: entry.get("time_ns").and_then(Value::as_u64),
        type_name: text("type").map(type_name),
        what: text("what").map(ToOwned::to_owned),
        exception: entry.get("exception").and_then(address),
        primary: entry.get("primary").and_then(address),
        class: CLASSES.iter().find(|known| Some(**known) == class).copied().unwrap_or("foreign"),
        is_uncaught: entry.get("is_uncaught").and_then(Value::as_bool).unwrap_or(false),
        is_rethrow: false,
        pcs,
    }
}

/// A number, or the text `0x…`.
fn address(value: &Value) -> Option<u64> {
    let text = value.as_str().map(|text| text.trim_start_matches("0x"));
    value.as_u64().or_else(|| u64::from_str_radix(text?, 16).ok())
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or(text)
}

/// The source name of what `std::type_info::name` gives; any other text as it is.
fn type_name(name: &str) -> String {
    let symbol = format!("_ZTI{}", name.trim_start_matches('*'));
    let demangled = demangle(&symbol);
    demangled.strip_prefix("typeinfo for ").unwrap_or(name).to_owned()
}

/// The code around each return address of `throw`, as frames with names.
pub(crate) fn frames(throw: &Throw, walker: &mut Walker<'_>) -> Vec<StackFrame> {
    let frame_at = |pc: &u64| {
        let raw = CONTEXT_AMD64 { rip: *pc, ..CONTEXT_AMD64::default() };
        let valid = MinidumpContextValidity::Some(["rip"].into());
        let context = MinidumpContext { raw: MinidumpRawContext::Amd64(raw), valid };
        let mut frame = StackFrame::from_context(context, FrameTrust::PreWalked);
        frame.instruction = pc.saturating_sub(1);
        frame
    };
    let named = |frame| walker.walk(frame, None, 1).frames;
    throw.pcs.iter().map(frame_at).flat_map(named).collect()
}

/// Marks throws whose newest frame is `__cxa_rethrow`; libstdc++'s own terminate handler rethrows
/// what it is about to print.
pub(crate) fn mark_rethrows(throws: &mut [Throw], frames: &[Vec<Value>]) {
    for (throw, frames) in throws.iter_mut().zip(frames) {
        let newest = frames.first().and_then(|frame| frame.get("function")?.as_str());
        throw.is_rethrow = newest.is_some_and(|name| name.starts_with("__cxa_rethrow"));
    }
}

/// The key `throws`; `frames` are the documents' frames of each throw.
pub(crate) fn to_json(
    throws: &[Throw],
    frames: Vec<Vec<Value>>,
    threads: &Threads<'_>,
) -> Vec<Value> {
    let index_of =
        |id: u64| threads.list.iter().position(|thread| u64::from(thread.raw.thread_id) == id);
    let of_throw = |(index, (throw, frames)): (usize, (&Throw, Vec<Value>))| {
        json!({
            "thread": throw.thread_id.and_then(index_of),
            "thread_id": throw.thread_id,
            "time_ns": throw.time_ns,
            "type": throw.type_name,
            "what": throw.what,
            "class": throw.class,
            "exception": throw.exception.map(crate::python::hex),
            "primary": primary_of(throws, index),
            "is_uncaught": throw.is_uncaught,
            "frames": frames,
        })
    };
    throws.iter().zip(frames).enumerate().map(of_throw).collect()
}

/// Index of the throw that made the object that a dependent exception stands for, or that was
/// rethrown.
///
/// An address may be used again, so the newest older throw counts. Without an address it is
/// the newest older one with the same type and text.
fn primary_of(throws: &[Throw], index: usize) -> Option<usize> {
    let throw = throws.get(index)?;
    let address = match throw.class {
        "cpp_dependent" => throw.primary,
        _ if throw.is_rethrow => Some(throw.exception?),
        _ => return None,
    };
    let is_primary = |other: &Throw| match address {
        Some(address) => other.exception == Some(address),
        None => other.type_name == throw.type_name && other.what == throw.what,
    };
    let older = throws.iter().enumerate().skip(index.saturating_add(1));
    let mut candidates = older.filter(|(_, other)| other.class == "cpp" && !other.is_rethrow);
    candidates.find(|(_, other)| is_primary(other)).map(|(index, _)| index)
}

/// Functions of the C++ runtime through which a program dies of an exception.
const TERMINATE: &[&str] = &["std::terminate", "__cxxabiv1::__terminate", "std::__terminate"];

/// Fills `crash_info.cpp_exception` when the process died of `std::terminate`.
///
/// What the writer says of it counts first; else the newest throw that is marked as uncaught;
/// else, with `std::terminate` on the crashing thread's stack, that thread's newest throw.
pub(crate) fn complete(
    document: &mut Map<String, Value>,
    throws: &[Throw],
    metadata: Option<&Value>,
    crashed_thread_id: Option<u32>,
) {
    let said = metadata.and_then(|all| all.pointer("/mechanism/cpp_exception"));
    let said = said.filter(|said| said.is_object());
    let is_of_crashed = |throw: &Throw| throw.thread_id == crashed_thread_id.map(u64::from);
    let uncaught = throws.iter().position(|throw| throw.is_uncaught && is_of_crashed(throw));
    let index = uncaught.or_else(|| {
        let has_died_so = said.is_some() || has_terminated(document);
        throws.iter().position(is_of_crashed).filter(|_| has_died_so)
    });
    // A rethrow says where the exception went through, its first throw where it came from.
    let rethrown = |index: &usize| throws.get(*index).is_some_and(|throw| throw.is_rethrow);
    let origin = index.filter(rethrown).and_then(|index| primary_of(throws, index));
    let index = origin.or(index);
    let throw = index.and_then(|index| throws.get(index));
    let text = |key| said.and_then(|said| said.get(key)).and_then(Value::as_str).map(cut);
    let value = (said.is_some() || throw.is_some()).then(|| {
        json!({
            "type": text("type").map(type_name).or_else(|| throw?.type_name.clone()),
            "what": text("what").map(ToOwned::to_owned).or_else(|| throw?.what.clone()),
            "throw": index,
        })
    });
    if let Some(crash) = document.get_mut("crash_info").and_then(Value::as_object_mut) {
        crash.insert("cpp_exception".into(), value.unwrap_or(Value::Null));
    }
}

/// Whether `std::terminate` is among the newest frames of the crashing thread.
fn has_terminated(document: &Map<String, Value>) -> bool {
    const SEARCHED_FRAMES: usize = 32;
    let frames = document.get("crashing_thread").and_then(|thread| thread.get("frames"));
    let frames = frames.and_then(Value::as_array).into_iter().flatten().take(SEARCHED_FRAMES);
    let mut names = frames.filter_map(|frame| frame.get("function")?.as_str());
    names.any(|name| TERMINATE.iter().any(|known| name.starts_with(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_type_info_are_made_readable_and_others_are_kept() {
        assert_eq!(type_name("St13runtime_error"), "std::runtime_error");
        assert_eq!(type_name("N3app5ErrorE"), "app::Error");
        assert_eq!(type_name("PKc"), "char const*");
        assert_eq!(type_name("*N12_GLOBAL__N_15LocalE"), "(anonymous namespace)::Local");
        assert_eq!(type_name("std::runtime_error"), "std::runtime_error");
        assert_eq!(type_name("Error"), "Error");
        assert_eq!(type_name(""), "");
    }

    fn throw(class: &'static str, exception: u64, primary: Option<u64>, what: &str) -> Throw {
        let what = Some(what.to_owned());
        Throw { class, exception: Some(exception), primary, what, ..Throw::default() }
    }

    #[test]
    fn a_dependent_exception_leads_to_the_newest_older_throw_of_its_object() {
        let throws = [
            throw("cpp", 0x10, None, "newer at the same address"),
            throw("cpp_dependent", 0x90, Some(0x10), "a"),
            throw("cpp", 0x20, None, "a"),
            throw("cpp", 0x10, None, "a"),
            throw("cpp", 0x10, None, "older"),
            throw("cpp_dependent", 0x91, None, "older"),
        ];
        assert_eq!(primary_of(&throws, 1), Some(3));
        assert_eq!(primary_of(&throws, 0), None);
        assert_eq!(primary_of(&throws, 5), None, "nothing older");
        let mut without_address = throws;
        without_address[1].primary = None;
        assert_eq!(primary_of(&without_address, 1), Some(2));
    }

    #[test]
    fn what_is_no_throw_is_counted_and_floods_are_bounded() {
        let mut errors = SoftErrors::default();
        let pcs: Vec<Value> = (1..=400_u64).map(|pc| json!(format!("{pc:#x}"))).collect();
        let one = json!({"tid": -1, "type": 7, "class": "odd", "pcs": pcs});
        let mut entries = vec![one; 2_000];
        entries.insert(0, json!("text"));
        let throws = decode(Some(&Value::Array(entries)), &mut errors);
        assert_eq!(throws.len(), MAX_THROWS - 1);
        assert_eq!(throws[0].pcs.len(), MAX_FRAMES_OF_THROW);
        assert_eq!(throws[0].class, "foreign");
        assert_eq!((throws[0].thread_id, throws[0].type_name.as_deref()), (None, None));
        assert_eq!(throws.iter().map(|throw| throw.pcs.len()).sum::<usize>(), MAX_FRAMES);
        assert!(decode(Some(&json!({})), &mut errors).is_empty());
        let codes: Vec<_> = errors.into_list().iter().map(|error| error.code).collect();
        assert_eq!(codes, ["throws_cut", "stream_malformed"]);
    }
}
