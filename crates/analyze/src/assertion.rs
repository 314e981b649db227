//! What a failed assertion said: the stream AssertionInfo (Breakpad's `MDRawAssertionInfo`).

use minidump::{Minidump, MinidumpAssertion};
use serde_json::{Map, Value};

use crate::panics::caught;

/// `MD_ASSERTION_INFO_TYPE_INVALID_PARAMETER` and `MD_ASSERTION_INFO_TYPE_PURE_VIRTUAL_CALL`.
const INVALID_PARAMETER: u32 = 1;
const PURE_VIRTUAL_CALL: u32 = 2;

/// Fills `crash_info.assertion`, which minidump-processor leaves empty.
pub(crate) fn complete(document: &mut Map<String, Value>, dump: &Minidump<'_, &[u8]>) {
    let stream = caught(|| dump.get_stream::<MinidumpAssertion>()).ok().and_then(Result::ok);
    let Some(text) = stream.and_then(|assertion| text(&assertion)) else { return };
    let Some(crash) = document.get_mut("crash_info").and_then(Value::as_object_mut) else { return };
    let entry = crash.entry("assertion").or_insert(Value::Null);
    if entry.is_null() {
        *entry = Value::String(text);
    }
}

/// `expression (function, file:line)`, as far as the parts are known.
fn text(assertion: &MinidumpAssertion) -> Option<String> {
    let known = |part: Option<String>| part.filter(|text| !text.is_empty());
    let kind = match assertion.raw._type {
        INVALID_PARAMETER => Some("invalid parameter".to_owned()),
        PURE_VIRTUAL_CALL => Some("pure virtual call".to_owned()),
        _ => None,
    };
    let what: Vec<String> = kind.into_iter().chain(known(assertion.expression())).collect();
    let file = known(assertion.file()).map(|file| match assertion.raw.line {
        0 => file,
        line => format!("{file}:{line}"),
    });
    let place: Vec<String> = known(assertion.function()).into_iter().chain(file).collect();
    match (what.is_empty(), place.is_empty()) {
        (true, true) => None,
        (true, false) => Some(place.join(", ")),
        (false, true) => Some(what.join(": ")),
        (false, false) => Some(format!("{} ({})", what.join(": "), place.join(", "))),
    }
}
