//! `AssertionInfo` (0x47670002): what a failed assertion said, 776 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 256 | u16[128] | expression | UTF-16, cut and ended by a zero; the whole message when it has no parts |
//! | 256 | 256 | u16[128] | function | empty = not known |
//! | 512 | 256 | u16[128] | file | empty = not known |
//! | 768 | 4 | u32 | line | 0 = not known |
//! | 772 | 4 | u32 | type | 0 |
//!
//! Source: Breakpad's `minidump_format.h`, `MDRawAssertionInfo`.

use crate::Writer;

const TEXT_UNITS: usize = 128;

/// A failed assertion, or another reason to abort.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assertion {
    /// What should have been true, or the whole message.
    pub expression: String,
    /// Where it stands.
    pub function: String,
    /// Source file.
    pub file: String,
    /// 1-based; 0 = not known.
    pub line: u32,
}

impl Assertion {
    /// Takes glibc's message apart: ``PROGRAM: FILE:LINE: FUNCTION: Assertion `X' failed.``
    /// (`assert/assert.c`). Any other message is kept whole.
    #[must_use]
    pub fn parse(message: &str) -> Self {
        Self::parse_parts(message)
            .unwrap_or_else(|| Self { expression: message.to_owned(), ..Self::default() })
    }

    fn parse_parts(message: &str) -> Option<Self> {
        let (place, rest) = message.split_once(": Assertion `")?;
        let expression = rest.rsplit_once("' failed.")?.0.to_owned();
        let (_program, place) = place.split_once(": ")?;
        let (place, function) = place.split_once(": ").unwrap_or((place, ""));
        let (file, line) = place.rsplit_once(':')?;
        let line = line.parse().ok()?;
        Some(Self { expression, function: function.to_owned(), file: file.to_owned(), line })
    }

    /// Encodes the stream.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        for text in [&self.expression, &self.function, &self.file] {
            let units = text.encode_utf16().take(TEXT_UNITS.saturating_sub(1));
            let padded = units.chain(std::iter::repeat(0)).take(TEXT_UNITS);
            padded.for_each(|unit| {
                out.u16(unit);
            });
        }
        out.u32(self.line).u32(0);
        out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glibcs_message_is_taken_apart() {
        let message = "app: src/grid.cpp:42: void Grid::set(int): Assertion `i < n' failed.";
        let parsed = Assertion::parse(message);
        assert_eq!(parsed.expression, "i < n");
        assert_eq!((parsed.file.as_str(), parsed.line), ("src/grid.cpp", 42));
        assert_eq!(parsed.function, "void Grid::set(int)");
    }

    #[test]
    fn another_message_is_kept_whole() {
        let parsed = Assertion::parse("free(): double free detected in tcache 2");
        assert_eq!(parsed.expression, "free(): double free detected in tcache 2");
        assert_eq!((parsed.file.as_str(), parsed.line), ("", 0));
    }

    #[test]
    fn a_long_text_is_cut_and_ended() {
        let bytes = Assertion { expression: "x".repeat(500), ..Default::default() }.encode();
        assert_eq!(bytes.len(), 776);
        assert_eq!(bytes[252..256], [b'x', 0, 0, 0]);
    }
}
