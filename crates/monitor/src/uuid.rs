//! Random ids (RFC 9562) as bytes and as text.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};

/// A random UUID, version 4 (RFC 9562, 5.4).
pub(crate) fn new_uuid() -> io::Result<[u8; 16]> {
    let mut id = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut id)?;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut id;
    *version = (*version & 0x0F) | 0x40;
    *variant = (*variant & 0x3F) | 0x80;
    Ok(id)
}

pub(crate) fn uuid_text(id: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (position, byte) in id.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// UUID bytes; zeros when the text is none.
pub(crate) fn parse_uuid(text: &str) -> [u8; 16] {
    let digits: Vec<u8> =
        text.bytes().filter_map(|c| char::from(c).to_digit(16)?.try_into().ok()).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |sum, digit| (sum << 4) | digit);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_survive_the_way_through_text() {
        let id = new_uuid().unwrap();
        let text = uuid_text(id);
        assert_eq!((text.len(), &text[14..15]), (36, "4"));
        assert_eq!(parse_uuid(&text), id);
        assert_eq!(parse_uuid("nonsense \u{20ac}"), parse_uuid("ee"));
    }
}
