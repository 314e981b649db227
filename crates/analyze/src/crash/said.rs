//! Detectors: what the program, its libraries and the system said themselves.

use minidump::system_info::Os;
use serde_json::Value;

use super::fault::Fault;
use super::finding::{Confidence, Finding};
use super::scene::Scene;

/// Texts of annotations and messages in evidence.
const MAX_TEXT_CHARS: usize = 200;
/// Frames among which names are looked for.
const MAX_FRAMES: usize = 16;

/// glibc's and macOS' words for a heap that is broken.
const HEAP_WORDS: &[&str] = &[
    "free(): ",
    "malloc(): ",
    "realloc(): ",
    "double free",
    "corrupted size vs. prev_size",
    "corrupted double-linked list",
    "munmap_chunk(): ",
    "malloc_consolidate(): ",
    "pointer being freed was not allocated",
    "heap corruption",
];
const STACK_WORDS: &[&str] = &["stack smashing detected", "stack buffer overflow"];
const HEAP_FUNCTIONS: &[&str] =
    &["malloc_printerr", "RtlReportFatalFailure", "RtlpLogHeapFailure", "malloc_error_break"];
const STACK_FUNCTIONS: &[&str] = &["__stack_chk_fail", "__report_gsfailure"];
const PURE_FUNCTIONS: &[&str] = &["__cxa_pure_virtual", "_purecall"];
const OOM_FUNCTIONS: &[&str] =
    &["rust_oom", "mozalloc_handle_oom", "OnNoMemory", "OutOfMemory", "oom_handler"];
const OOM_ANNOTATIONS: &[&str] = &["OOMAllocationSize", "oom-size", "out-of-memory"];
/// `FAST_FAIL_…` codes of winnt.h by what they guard.
const FAST_FAIL_STACK: &[u64] = &[0, 2];
const FAST_FAIL_HEAP: &[u64] = &[3, 29, 35, 50];
const FAST_FAIL_FATAL_APP_EXIT: u64 = 7;
/// STATUS_NO_MEMORY, STATUS_COMMITMENT_LIMIT, and Chromium's `base::win::kOomExceptionCode`.
const OOM_STATUS: &[u32] = &[0xC000_0017, 0xC000_012D, 0xE000_0008];

fn cut(text: &str) -> String {
    text.trim().chars().take(MAX_TEXT_CHARS).collect()
}

fn mechanism<'a>(scene: &Scene<'a>, path: &str) -> Option<&'a str> {
    let metadata = scene.document.get("lastwords")?.pointer("/metadata/mechanism")?;
    metadata.pointer(path)?.as_str().filter(|text| !text.is_empty())
}

/// What was written before the end, by whom it was found.
fn texts<'a>(scene: &Scene<'a>) -> Vec<(&'static str, &'a str)> {
    let mut all = Vec::new();
    all.extend(mechanism(scene, "/abort_message").map(|text| ("the C library", text)));
    all.extend(mechanism(scene, "/last_words/text").map(|text| ("the thread", text)));
    let annotation = |key: &str| scene.document.get("annotations")?.get(key)?.as_str();
    for key in ["MozCrashReason", "abort_message", "assert"] {
        all.extend(annotation(key).map(|text| ("an annotation", text)));
    }
    let records = scene.document.get("mac_crash_info").and_then(|info| info.get("records"));
    for record in records.and_then(Value::as_array).into_iter().flatten() {
        for key in ["message", "message2"] {
            let text = record.get(key).and_then(Value::as_str);
            all.extend(text.map(|text| ("a library", text)));
        }
    }
    all
}

fn said(scene: &Scene<'_>, words: &[&str]) -> Option<String> {
    let found =
        texts(scene).into_iter().find(|(_, text)| words.iter().any(|word| text.contains(word)));
    found.map(|(who, text)| format!("{who} said: {}", cut(text)))
}

/// The frame of the crashing thread whose function is one of `names`.
fn frame(scene: &Scene<'_>, names: &[&str]) -> Option<String> {
    let frames = scene.document.get("crashing_thread")?.get("frames")?.as_array()?;
    frames.iter().take(MAX_FRAMES).enumerate().find_map(|(index, frame)| {
        let function = frame.get("function")?.as_str()?;
        let is_one = names
            .iter()
            .any(|name| function.split("::").any(|part| part.trim_end_matches("()") == *name));
        is_one.then(|| format!("frame {index} is {}", cut(function)))
    })
}

fn evidence(found: [Option<String>; 2]) -> Option<Vec<String>> {
    let all: Vec<String> = found.into_iter().flatten().collect();
    (!all.is_empty()).then_some(all)
}

fn fast_fail(scene: &Scene<'_>, codes: &[u64]) -> Option<String> {
    let code = scene.parameters.first().filter(|_| scene.fault == Fault::FailFast)?;
    codes.contains(code).then(|| format!("the system ended it by __fastfail with code {code}"))
}

/// An assertion that failed.
pub(crate) fn assertion(scene: &Scene<'_>) -> Option<Finding> {
    let text = match scene.told("assertion").and_then(Value::as_str) {
        Some(text) => format!("the dump says: {}", cut(text)),
        None => {
            said(scene, &["Assertion", "assertion failed", "MOZ_ASSERT", "MOZ_RELEASE_ASSERT"])?
        }
    };
    Some(Finding::new("assertion", Confidence::High, "An assertion failed", vec![text]))
}

/// The heap's own checks failed.
pub(crate) fn heap(scene: &Scene<'_>) -> Option<Finding> {
    let mut found =
        evidence([said(scene, HEAP_WORDS), frame(scene, HEAP_FUNCTIONS)]).unwrap_or_default();
    found.extend(fast_fail(scene, FAST_FAIL_HEAP));
    if scene.fault == Fault::HeapCorruption {
        found.push("the system says so: STATUS_HEAP_CORRUPTION".into());
    }
    if found.is_empty() {
        return None;
    }
    let title = "The heap is broken: something wrote where it must not, or freed twice, \
                 some time before";
    Some(Finding::new("heap_corruption", Confidence::High, title, found))
}

/// The canary of a stack frame was overwritten.
pub(crate) fn stack_protector(scene: &Scene<'_>) -> Option<Finding> {
    let mut found =
        evidence([said(scene, STACK_WORDS), frame(scene, STACK_FUNCTIONS)]).unwrap_or_default();
    found.extend(fast_fail(scene, FAST_FAIL_STACK));
    let title = "A buffer on the stack was overrun: the stack protector found it";
    (!found.is_empty())
        .then(|| Finding::new("stack_buffer_overrun", Confidence::High, title, found))
}

/// An exception of C++ that nobody caught.
pub(crate) fn cpp_exception(scene: &Scene<'_>) -> Option<Finding> {
    let (title, words) = match scene.told("cpp_exception") {
        Some(found) => {
            let part = |key: &str| found.get(key).and_then(Value::as_str);
            let name = part("type").unwrap_or("of a type that is not known");
            let what = part("what").map(|what| format!("what() is: {}", cut(what)));
            (format!("A C++ exception that nobody caught: {}", cut(name)), what)
        }
        None if scene.fault == Fault::Cpp => {
            let words = "the exception's code is 0xe06d7363, MSVC's for C++".to_owned();
            ("A C++ exception that nobody caught".to_owned(), Some(words))
        }
        None => {
            let words = frame(scene, &["terminate", "__terminate"])?;
            ("`std::terminate` ended the program".to_owned(), Some(words))
        }
    };
    let words = words.into_iter().collect();
    Some(Finding::new("uncaught_cpp_exception", Confidence::High, title, words))
}

/// What the runtime of a language gave up for.
pub(crate) fn runtime(scene: &Scene<'_>) -> Option<Finding> {
    let text = mechanism(scene, "/last_words/text").map(|text| format!("it said: {}", cut(text)));
    let (code, title) = match mechanism(scene, "/last_words/source") {
        Some("python_fatal_error") => ("python_fatal_error", "Python gave up: a fatal error"),
        Some("rust_panic") => ("rust_panic", "Rust code panicked"),
        Some("pure_virtual_call") => ("pure_virtual_call", PURE_TITLE),
        _ => {
            let found = vec![frame(scene, PURE_FUNCTIONS)?];
            return Some(Finding::new("pure_virtual_call", Confidence::High, PURE_TITLE, found));
        }
    };
    Some(Finding::new(code, Confidence::High, title, text.into_iter().collect()))
}

const PURE_TITLE: &str =
    "A pure virtual function was called: of an object that is being made, or gone";

/// Python was about to raise an exception when it died.
pub(crate) fn python_exception(scene: &Scene<'_>) -> Option<Finding> {
    let name = scene.document.get("python")?.get("exception")?.as_str()?;
    let words = format!("the crashing thread has a pending {}", cut(name));
    let title = format!("Python was raising {} when the process died", cut(name));
    Some(Finding::new("python_exception", Confidence::Low, title, vec![words]))
}

/// Memory was full.
pub(crate) fn out_of_memory(scene: &Scene<'_>) -> Option<Finding> {
    let mut found: Vec<String> = frame(scene, OOM_FUNCTIONS).into_iter().collect();
    let annotations = scene.document.get("annotations").and_then(Value::as_object);
    for key in OOM_ANNOTATIONS {
        let value = annotations.and_then(|all| all.get(*key)).and_then(Value::as_str);
        found.extend(value.map(|value| format!("annotation {key} = {}", cut(value))));
    }
    if OOM_STATUS.contains(&scene.code) {
        found.push(format!("the exception's code is {:#x}", scene.code));
    }
    let name = scene.told("cpp_exception").and_then(|found| found.get("type")?.as_str());
    if let Some(name) = name.filter(|name| name.contains("bad_alloc")) {
        found.push(format!("the exception that nobody caught is {}", cut(name)));
    }
    found.extend(said(
        scene,
        &["out of memory", "Out of memory", "MemoryError", "memory allocation of"],
    ));
    let title = "An allocation failed: memory was full, or the request too large";
    (!found.is_empty()).then(|| Finding::new("out_of_memory", Confidence::High, title, found))
}

/// The process ended itself, or was ended, and says no more.
pub(crate) fn ended(scene: &Scene<'_>) -> Option<Finding> {
    let reason = scene.told("type").and_then(Value::as_str).unwrap_or("?");
    let words = vec![format!("the exception is {}", cut(reason))];
    let (code, title) = match scene.fault {
        // Crashpad tells SIGABRT of macOS as EXC_SOFTWARE.
        Fault::Abort if scene.code == 6 || matches!(scene.os, Os::MacOs | Os::Ios) => {
            ("abort", "The program ended itself by `abort`")
        }
        Fault::Abort => ("signal_sent", "The signal was sent, by the program or by another one"),
        Fault::FailFast if scene.parameters.first() == Some(&FAST_FAIL_FATAL_APP_EXIT) => {
            ("abort", "The program ended itself by `abort`")
        }
        Fault::FailFast => {
            ("fail_fast", "A check of the system or of the compiler ended the program")
        }
        _ => return None,
    };
    Some(Finding::new(code, Confidence::Medium, title, words))
}
