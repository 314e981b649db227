//! Which text on stderr was the reason of a crash?
//!
//! A thread that gives up says why, and aborts. A panic that somebody caught says the same and goes on.
//! So a text counts only for a signal that code raises when it gives up (`SIGABRT`; `SIGILL` and
//! `SIGTRAP` of a trap instruction), in the thread that wrote it, soon after, and when the C library
//! did not give a reason of its own for the abort.

use lastwords_capture::shared::Words;
use serde_json::{Value, json};

use crate::scrub;
use crate::snapshot::Crash;

/// Between the text and the signal lies at most the printing of a backtrace.
const MOST_AGE_NS: u64 = 10_000_000_000;

/// `mechanism.last_words` of the report; `None` when the text was no reason.
pub(crate) fn document(words: &Words, crash: &Crash, crash_time_ns: u64) -> Option<Value> {
    let is_giving_up = matches!(crash.signal, libc::SIGABRT | libc::SIGILL | libc::SIGTRAP);
    let is_fresh = crash_time_ns.saturating_sub(words.time_ns) <= MOST_AGE_NS;
    let is_reason = is_giving_up && is_fresh && crash.abort_message.is_none();
    let text = scrub::text(words.text.trim());
    is_reason.then(|| json!({"source": words.source.name(), "text": text}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastwords_capture::shared::Source;
    use lastwords_format::context::amd64::Registers;

    fn crash(signal: i32) -> Crash {
        Crash {
            thread_id: 1,
            signal,
            code: 0,
            address: None,
            access: None,
            registers: Registers::default(),
            abort_message: None,
            stack_overflow: None,
        }
    }

    fn words() -> Words {
        let text = "\nthread 'main' panicked at a.rs:1:2:\nno token=abc\n".to_owned();
        Words { source: Source::RustPanic, text, time_ns: 5_000_000_000, is_torn: false }
    }

    #[test]
    fn the_reason_of_an_abort_is_told_without_secrets() {
        let told = document(&words(), &crash(libc::SIGABRT), 6_000_000_000);
        let text = "thread 'main' panicked at a.rs:1:2:\nno token=[scrubbed]";
        assert_eq!(told, Some(json!({"source": "rust_panic", "text": text})));
    }

    #[test]
    fn a_panic_that_was_caught_is_no_reason_of_a_later_fault() {
        assert_eq!(document(&words(), &crash(libc::SIGSEGV), 5_000_000_001), None);
        assert_eq!(document(&words(), &crash(libc::SIGABRT), 15_000_000_001), None);
        let assertion = Crash { abort_message: Some("x".into()), ..crash(libc::SIGABRT) };
        assert_eq!(document(&words(), &assertion, 5_000_000_001), None);
    }
}
