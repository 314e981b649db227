//! `CommentStreamA` (10) and `CommentStreamW` (11): text for people, shown by debuggers when they
//! open the dump.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | | bytes | text | A: UTF-8; W: UTF-16LE; both end with a zero |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_STREAM_TYPE`; ProcDump puts its command line there, then
//! `*** ` and the reason.

/// Encodes `CommentStreamA`.
#[must_use]
pub fn encode_a(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| *byte != 0).chain([0]).collect()
}

/// Encodes `CommentStreamW`.
#[must_use]
pub fn encode_w(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().filter(|unit| *unit != 0).chain([0]);
    units.flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_ends_at_its_only_zero() {
        assert_eq!(encode_a("a\0\u{e9}"), [b'a', 0xC3, 0xA9, 0]);
        assert_eq!(encode_w("a\0\u{e9}"), [b'a', 0, 0xE9, 0, 0, 0]);
    }
}
