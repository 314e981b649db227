//! Where encoders put what a stream only points to: strings, contexts, records.

/// A place in the dump file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Location {
    /// Size in bytes.
    pub size: u32,
    /// File offset.
    pub rva: u32,
}

/// A file that only grows. Encoders append what their stream refers to, then return the
/// stream's own bytes.
pub trait Sink {
    /// Why appending failed.
    type Error;

    /// Appends bytes at an offset that is a multiple of 8.
    ///
    /// # Errors
    /// Whatever the file says, for example that the disk is full.
    fn append(&mut self, bytes: &[u8]) -> Result<Location, Self::Error>;

    /// Appends a `MINIDUMP_STRING`: `u32` length in bytes, UTF-16LE text, terminating zero.
    ///
    /// # Errors
    /// As [`Sink::append`].
    fn append_utf16(&mut self, text: &str) -> Result<Location, Self::Error> {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.append_counted(&units, &[0, 0])
    }

    /// Appends a Crashpad `MinidumpUTF8String`: `u32` length in bytes, UTF-8 text, zero.
    ///
    /// # Errors
    /// As [`Sink::append`].
    fn append_utf8(&mut self, text: &str) -> Result<Location, Self::Error> {
        self.append_counted(text.as_bytes(), &[0])
    }

    /// Appends `u32` length, text, terminator; the terminator is not counted.
    ///
    /// # Errors
    /// As [`Sink::append`].
    fn append_counted(&mut self, text: &[u8], terminator: &[u8]) -> Result<Location, Self::Error> {
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(terminator);
        self.append(&bytes)
    }
}
