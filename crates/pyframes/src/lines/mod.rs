//! From an instruction to its place in the source: the line tables of code objects.

mod v3_10;
mod v3_11;
mod v3_9;

/// Where in the source an instruction comes from. A part that the table does not tell is
/// `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Location {
    /// 1-based.
    pub line: Option<u32>,
    /// 1-based line on which the expression ends (3.11 and later).
    pub end_line: Option<u32>,
    /// 0-based, in UTF-8 bytes (3.11 and later).
    pub column: Option<u32>,
    /// Exclusive, in UTF-8 bytes (3.11 and later).
    pub end_column: Option<u32>,
}

/// The form of a line table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineTableFormat {
    /// CPython 3.9: pairs of deltas (`co_lnotab`).
    V3_9,
    /// CPython 3.10: pairs of deltas (PEP 626).
    V3_10,
    /// CPython 3.11 and later: the location table (PEP 657).
    V3_11,
}

/// The location of the instruction at byte offset `lasti`.
///
/// `first_line` is `co_firstlineno`; a frame that has not started (`lasti` < 0) is there.
/// `None` when the table ends before the instruction, or is malformed up to there; a table of
/// 3.9 covers every instruction.
#[must_use]
pub fn locate(
    format: LineTableFormat,
    first_line: i32,
    table: &[u8],
    lasti: i32,
) -> Option<Location> {
    let Ok(offset) = u64::try_from(lasti) else {
        return Some(Location { line: line_number(first_line.into()), ..Location::default() });
    };
    match format {
        LineTableFormat::V3_9 => Some(v3_9::locate(first_line, table, offset)),
        LineTableFormat::V3_10 => v3_10::locate(first_line, table, offset),
        LineTableFormat::V3_11 => v3_11::locate(first_line, table, offset),
    }
}

/// Lines are 1-based; compilers of other languages may write others, which say nothing.
fn line_number(line: i64) -> Option<u32> {
    u32::try_from(line).ok().filter(|line| *line != 0)
}
