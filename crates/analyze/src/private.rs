//! The streams of lastwords that hold JSON.
//!
//! | stream | type | what |
//! |---|---|---|
//! | LastwordsMetadata | 0x4C570002 | an object: report id, product, version, mechanism, annotations, capture |
//! | LastwordsBreadcrumbs | 0x4C570003 | an array, oldest first |
//! | LastwordsThrows | 0x4C570004 | an array, newest first ([`crate::throws`]) |
//! | LastwordsPythonDetails | 0x4C570008 | an object ([`crate::details`]) |

use minidump::Minidump;
use serde_json::Value;

use crate::soft_errors::SoftErrors;

/// A stream's type, and its name in soft errors.
pub(crate) type Stream = (u32, &'static str);

pub(crate) const METADATA: Stream = (0x4C57_0002, "LastwordsMetadata");
pub(crate) const BREADCRUMBS: Stream = (0x4C57_0003, "LastwordsBreadcrumbs");
pub(crate) const THROWS: Stream = (0x4C57_0004, "LastwordsThrows");
pub(crate) const PYTHON_DETAILS: Stream = (0x4C57_0008, "LastwordsPythonDetails");

/// Our writer stays far below; JSON takes up to 16 times its size in memory.
const MAX_JSON_BYTES: usize = 4 << 20;

/// Reads a stream of JSON; `None` when there is none, or when it cannot be read, which is noted.
///
/// Zero bytes and blanks at its end are padding.
pub(crate) fn read(
    dump: &Minidump<'_, &[u8]>,
    (stream_type, name): Stream,
    soft_errors: &mut SoftErrors,
) -> Option<Value> {
    let parsed = match dump.get_raw_stream(stream_type) {
        Ok(bytes) => parse(bytes),
        Err(minidump::Error::StreamNotFound) => return None,
        Err(error) => Err(format!("the stream cannot be read: {error}")),
    };
    match parsed {
        Ok(value) => Some(value),
        Err(message) => {
            soft_errors.push("stream_malformed", format!("stream {name}"), message);
            None
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > MAX_JSON_BYTES {
        return Err(format!("it has {} bytes, expected at most {MAX_JSON_BYTES}", bytes.len()));
    }
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    let text = bytes.get(..end).unwrap_or(bytes);
    serde_json::from_slice(text).map_err(|error| format!("it is no JSON text: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_no_part_of_the_text() {
        assert_eq!(parse(b"{\"a\":1}\n\0\0"), Ok(serde_json::json!({"a": 1})));
    }

    #[test]
    fn what_is_too_long_too_deep_or_no_text_is_refused() {
        assert!(parse(&vec![b' '; MAX_JSON_BYTES + 1]).unwrap_err().contains("at most"));
        assert!(parse("[".repeat(100_000).as_bytes()).unwrap_err().contains("recursion"));
        assert!(parse(b"{\"a\": \"\xff\xfe\"}").unwrap_err().contains("no JSON text"));
        assert!(parse(b"\0\0").is_err());
    }
}
