//! Binary annotations of an inlined call: which code is its, and from which lines.
//!
//! A list of numbers in 1, 2 or 4 bytes (high bits 0, 10, 110), big-endian: operations with their
//! operands. An operation that moves the code offset starts a line with the values of before: line
//! changes hold for the *next* one. A line's code goes up to the next line, unless it is given.
//! Signed operands have their sign in bit 0.
//!
//! | | operation | operands |
//! |---|---|---|
//! | 0 | end (padding) | |
//! | 1 | code offset is | offset |
//! | 2 | code chunk | base |
//! | 3 | code offset moves | distance; starts a line |
//! | 4 | code length of the last line | length; the code offset moves behind it |
//! | 5 | file | offset in the checksums |
//! | 6 | line moves | signed |
//! | 7, 8, 9, 13 | line end, range kind, column start, column end | one |
//! | 10 | column end moves | signed |
//! | 11 | code offset and line move | bits 0 to 3 code, the rest signed lines; both hold for the line that it starts |
//! | 12 | code length, and code offset moves | length, distance; starts a line, does not move behind it |
//!
//! Source: Microsoft, `cvinfo.h` (`BinaryAnnotationOpcode`). That 3 takes the line of before shows in
//! compiled `assert`s, which carry their line in the code (`tests/pdb.rs`).

/// Lines of one inlined call beyond this are left out.
const MAX_LINES: usize = 1 << 20;

/// Code of an inlined function, from one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InlineLine {
    /// From the start of the function that has the code.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Added to the line at which the inlined function starts.
    pub(crate) line_delta: i64,
    /// Offset in the checksums; `None`: the file of the inlined function.
    pub(crate) file: Option<u32>,
}

/// The line of an inlined call that covers an offset.
pub(crate) fn find_line(annotations: &[u8], offset: u32) -> Option<InlineLine> {
    let mut found = None;
    read_lines(annotations, |line| {
        if line.start <= offset && offset < line.end {
            found.get_or_insert(line);
        }
    });
    found
}

/// Calls back for each line.
fn read_lines(annotations: &[u8], mut each: impl FnMut(InlineLine)) {
    let mut numbers = Numbers { bytes: annotations };
    let mut state = State::default();
    for _ in 0..MAX_LINES {
        match state.step(&mut numbers) {
            Some(Some(line)) => each(line),
            Some(None) => {}
            None => break,
        }
    }
    if let Some(line) = state.open.take() {
        each(line.closed());
    }
}

#[derive(Default)]
struct State {
    base: u32,
    offset: u32,
    line_delta: i64,
    file: Option<u32>,
    open: Option<Open>,
}

/// A line whose end may still be given.
#[derive(Clone, Copy)]
struct Open {
    line: InlineLine,
    has_end: bool,
}

impl Open {
    fn closed(self) -> InlineLine {
        self.line
    }
}

impl State {
    /// Takes one operation; gives the line that it ended. `None` at the end.
    fn step(&mut self, numbers: &mut Numbers<'_>) -> Option<Option<InlineLine>> {
        match numbers.next()? {
            1 => self.offset = numbers.next()?,
            2 => self.base = numbers.next()?,
            3 => {
                self.offset = self.offset.wrapping_add(numbers.next()?);
                return Some(self.start(None));
            }
            4 => self.end_open(numbers.next()?),
            5 => self.file = Some(numbers.next()?),
            6 => self.move_line(numbers.next()?),
            7..=10 | 13 => drop(numbers.next()?),
            11 => {
                let both = numbers.next()?;
                self.move_line(both >> 4);
                self.offset = self.offset.wrapping_add(both & 0xf);
                return Some(self.start(None));
            }
            12 => {
                let length = numbers.next()?;
                self.offset = self.offset.wrapping_add(numbers.next()?);
                return Some(self.start(Some(length)));
            }
            _ => return None,
        }
        Some(None)
    }

    fn move_line(&mut self, encoded: u32) {
        let magnitude = i64::from(encoded >> 1);
        let delta = if encoded & 1 == 0 { magnitude } else { 0i64.saturating_sub(magnitude) };
        self.line_delta = self.line_delta.saturating_add(delta);
    }

    /// Starts a line at the code offset, and ends the one before.
    fn start(&mut self, length: Option<u32>) -> Option<InlineLine> {
        let start = self.base.wrapping_add(self.offset);
        let before = self.open.take().map(|mut open| {
            if !open.has_end {
                open.line.end = start;
            }
            open.closed()
        });
        let end = length.map_or(start, |length| start.saturating_add(length));
        let line = InlineLine { start, end, line_delta: self.line_delta, file: self.file };
        self.open = Some(Open { line, has_end: length.is_some() });
        before
    }

    fn end_open(&mut self, length: u32) {
        if let Some(open) = self.open.as_mut().filter(|open| !open.has_end) {
            open.line.end = open.line.start.saturating_add(length);
            open.has_end = true;
        }
        self.offset = self.offset.wrapping_add(length);
    }
}

struct Numbers<'a> {
    bytes: &'a [u8],
}

impl Numbers<'_> {
    fn next(&mut self) -> Option<u32> {
        let (value, rest) = match *self.bytes {
            [a, ref rest @ ..] if a & 0x80 == 0 => (u32::from(a), rest),
            [a, b, ref rest @ ..] if a & 0xc0 == 0x80 => {
                (u32::from_be_bytes([0, 0, a & 0x3f, b]), rest)
            }
            [a, b, c, d, ref rest @ ..] if a & 0xe0 == 0xc0 => {
                (u32::from_be_bytes([a & 0x1f, b, c, d]), rest)
            }
            _ => return None,
        };
        self.bytes = rest;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(annotations: &[u8]) -> Vec<(u32, u32, i64)> {
        let mut found = Vec::new();
        read_lines(annotations, |line| found.push((line.start, line.end, line.line_delta)));
        found
    }

    #[test]
    fn microsofts_lines_end_at_the_next_and_change_line_afterwards() {
        // As Visual C++ 14.13 wrote them for `SignalCrashEventAndWait` of Breakpad's client.
        let bytes = [
            0x03, 0x64, 0x06, 0x02, 0x03, 0x20, 0x06, 0x02, 0x03, 0x1a, 0x06, 0x0a, 0x0c, 0x18,
            0x0a, 0x06, 0x0e, 0x0c, 0x02, 0x1c, 0x00,
        ];
        let expected =
            [(0x64, 0x84, 0), (0x84, 0x9e, 1), (0x9e, 0xa8, 2), (0xa8, 0xc0, 7), (0xc4, 0xc6, 14)];
        assert_eq!(lines(&bytes), expected);
    }

    #[test]
    fn clangs_lines_change_with_their_code_and_have_a_length_at_the_end() {
        // Code +3 and line +1; code +5; length 4; then code +2 behind that, line -1.
        let bytes = [0x0b, 0x23, 0x03, 0x05, 0x04, 0x04, 0x0b, 0x32, 0x04, 0x01];
        assert_eq!(lines(&bytes), [(3, 8, 1), (8, 12, 1), (14, 15, 0)]);
    }

    #[test]
    fn numbers_of_two_and_four_bytes_are_read() {
        let bytes = [0x0c, 0x0c, 0x80, 0xe8, 0x0c, 0xc0, 0x01, 0x00, 0x00, 0x0f];
        assert_eq!(lines(&bytes), [(0xe8, 0xf4, 0), (0xf7, 0x100f7, 0)]);
    }

    #[test]
    fn cut_and_unknown_operations_end_the_list() {
        assert_eq!(lines(&[0x03]), []);
        assert_eq!(lines(&[0x03, 0x05, 0x7f, 0x03, 0x05]), [(5, 5, 0)]);
        assert_eq!(lines(&[0x03, 0xff]), []);
    }
}
