//! What somebody wrote into a dump for those who open it.
//!
//! | stream | type | text |
//! |---|---|---|
//! | CommentStreamA | 10 | bytes; read as UTF-8, which ASCII is a part of |
//! | CommentStreamW | 11 | UTF-16 in the dump's byte order |
//!
//! Both end at the first zero (`minidumpapiset.h`: "a string"; ProcDump ends it so).

use minidump::{Endian, Minidump};
use serde_json::Value;

const COMMENT_A: u32 = 10;
const COMMENT_W: u32 = 11;
/// A comment is a few lines; what is longer is cut.
const MAX_COMMENT_BYTES: usize = 64 << 10;

/// The comments of the dump, the wide one last; one that both say is told once.
pub(crate) fn read(dump: &Minidump<'_, &[u8]>) -> Vec<Value> {
    let bytes = |stream_type| {
        let bytes = dump.get_raw_stream(stream_type).ok()?;
        Some(bytes.get(..MAX_COMMENT_BYTES).unwrap_or(bytes))
    };
    let narrow = bytes(COMMENT_A).map(narrow_text);
    let wide = bytes(COMMENT_W).map(|bytes| wide_text(bytes, dump.endian != Endian::Little));
    let mut comments: Vec<String> = narrow.into_iter().chain(wide).collect();
    comments.retain(|text| !text.is_empty());
    comments.dedup();
    comments.into_iter().map(Value::String).collect()
}

fn narrow_text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_owned()
}

fn wide_text(bytes: &[u8], is_big_endian: bool) -> String {
    let unit = |pair: &[u8]| {
        let pair: [u8; 2] = pair.try_into().ok()?;
        Some(if is_big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    };
    let units = bytes.chunks_exact(2).map_while(unit).take_while(|unit| *unit != 0);
    let text = char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER));
    text.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_at_the_first_zero_and_bad_bytes_are_replaced() {
        assert_eq!(narrow_text(b"app --x \xff\r\n\0rest"), "app --x \u{fffd}");
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert_eq!(wide_text(&[wide("Größe 😀"), vec![0, 0, 65, 0]].concat(), false), "Größe 😀");
        assert_eq!(wide_text(&[0xd8, 0x00, 0, 65], true), "\u{fffd}A");
        assert_eq!(wide_text(&[65], false), "");
    }
}
