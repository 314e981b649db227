//! The area as the monitor sees it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::{
    ABORT_MESSAGE_OFFSET, CONFIG_OFFSET, CONFIG_SIZE, FORKED_OFFSET, INTERPRETER_OFFSET, KEY_SIZE,
    Kind, LIFE_OFFSET, Life, MAGIC, PRIVATE_OFFSET, SLOT_COUNT, SLOT_KEY, SLOT_VALUE, Source,
    THROW_TABLE_OFFSET, VALUE_SIZE, VERSION, WORDS_OFFSET, WORDS_SLOT_SIZE, WORDS_SLOTS,
    WORDS_TEXT, WORDS_TEXT_SIZE, slot_offset,
};

/// One annotation as the monitor reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its name.
    pub key: String,
    /// Its value as text.
    pub value: String,
    /// How to read the text.
    pub kind: Kind,
    /// The value was longer than the slot.
    pub is_cut: bool,
    /// The process died while writing this slot: key or value may be mixed.
    pub is_torn: bool,
}

/// What a thread said on stderr before it gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Who wrote it.
    pub source: Source,
    /// The text, not scrubbed; at most 1,000 bytes.
    pub text: String,
    /// `CLOCK_REALTIME` of its first byte.
    pub time_ns: u64,
    /// It was being written.
    pub is_torn: bool,
}

/// The area as the monitor reads it. Reads the file instead of mapping it: no unsafe code, and
/// the process may write or die meanwhile.
#[derive(Debug)]
pub struct AreaReader {
    file: File,
}

impl AreaReader {
    /// Checks magic and version.
    ///
    /// # Errors
    /// When the file is none of ours, or of another version.
    pub fn new(file: File) -> io::Result<Self> {
        let mut start = [0; 12];
        file.read_exact_at(&mut start, 0)?;
        let (magic, version) = start.split_at(8);
        if magic == MAGIC && version == VERSION.to_ne_bytes() {
            return Ok(Self { file });
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the shared area is of another version"))
    }

    pub(super) fn read<const N: usize>(&self, offset: usize) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, u64::try_from(offset).unwrap_or(u64::MAX))?;
        Ok(bytes)
    }

    /// Address of `_PyRuntime` and `PY_VERSION_HEX`; `None` when the SDK did not know them.
    #[must_use]
    pub fn python(&self) -> Option<(u64, u32)> {
        let version = u32::from_ne_bytes(self.read(12).ok()?);
        let address = u64::from_ne_bytes(self.read(16).ok()?);
        (version != 0 && address != 0).then_some((address, version))
    }

    /// Address of the pointer in which glibc keeps the last words of `abort()`; `None` when the C
    /// library has none.
    #[must_use]
    pub fn abort_message(&self) -> Option<u64> {
        self.read(ABORT_MESSAGE_OFFSET).ok().map(u64::from_ne_bytes).filter(|address| *address != 0)
    }

    /// How far the process got.
    #[must_use]
    pub fn life(&self) -> Life {
        Life::from_code(self.word(LIFE_OFFSET))
    }

    /// Whether the main program is Python's own.
    #[must_use]
    pub fn is_interpreter(&self) -> bool {
        self.word(INTERPRETER_OFFSET) == 1
    }

    /// Whether a forked child of the process has run Python.
    #[must_use]
    pub fn has_forked(&self) -> bool {
        self.word(FORKED_OFFSET) == 1
    }

    fn word(&self, offset: usize) -> u32 {
        self.read(offset).map_or(0, u32::from_ne_bytes)
    }

    /// Inode of the memory file, by which its mapping is known in `/proc/PID/maps`.
    ///
    /// # Errors
    /// What `fstat` says.
    pub fn inode(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.ino())
    }

    /// Address of the table of throw rings (`throws/layout.rs`); `None` when throws are not
    /// recorded.
    #[must_use]
    pub fn throw_table(&self) -> Option<u64> {
        self.read(THROW_TABLE_OFFSET).ok().map(u64::from_ne_bytes).filter(|address| *address != 0)
    }

    /// Where the process's arguments and environment stand, as it knew at its start.
    #[must_use]
    pub fn private_ranges(&self) -> Vec<Range<u64>> {
        let bound = |index: usize| {
            let offset = PRIVATE_OFFSET.saturating_add(index.saturating_mul(8));
            self.read(offset).map_or(0, u64::from_ne_bytes)
        };
        let ranges = [bound(0)..bound(1), bound(2)..bound(3)];
        ranges.into_iter().filter(|range| range.start != 0).collect()
    }

    /// The configuration, JSON.
    ///
    /// # Errors
    /// When it could not be read, or was being written all the time.
    pub fn config(&self) -> io::Result<Vec<u8>> {
        for _ in 0..100 {
            let before = u32::from_ne_bytes(self.read(24)?);
            let length = usize::try_from(u32::from_ne_bytes(self.read(28)?)).unwrap_or(0);
            let mut config = vec![0; length.min(CONFIG_SIZE)];
            self.file.read_exact_at(&mut config, CONFIG_OFFSET.try_into().unwrap_or(0))?;
            if before.is_multiple_of(2) && before == u32::from_ne_bytes(self.read(24)?) {
                return Ok(config);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "the settings were being changed"))
    }

    /// All annotations, in the order of their slots.
    #[must_use]
    pub fn annotations(&self) -> Vec<Annotation> {
        (0..SLOT_COUNT).filter_map(|slot| self.annotation(slot).ok().flatten()).collect()
    }

    /// The last words of a thread; `None` when it said none.
    #[must_use]
    pub fn last_words(&self, tid: i32) -> Option<Words> {
        let slots = (0..WORDS_SLOTS).filter_map(|index| self.words(index, tid));
        slots.max_by_key(|words| words.time_ns)
    }

    fn words(&self, index: usize, tid: i32) -> Option<Words> {
        let offset = WORDS_OFFSET.checked_add(index.checked_mul(WORDS_SLOT_SIZE)?)?;
        let number = |at: usize| self.read(offset.checked_add(at)?).ok().map(u32::from_ne_bytes);
        if number(4)?.cast_signed() != tid {
            return None;
        }
        let text = self.read::<WORDS_TEXT_SIZE>(offset.checked_add(WORDS_TEXT)?).ok()?;
        let length = usize::try_from(number(12)?).unwrap_or(0).min(WORDS_TEXT_SIZE);
        let time_ns = self.read(offset.checked_add(16)?).map_or(0, u64::from_ne_bytes);
        Some(Words {
            source: Source::from_code(number(8)?)?,
            text: String::from_utf8_lossy(text.get(..length)?).into_owned(),
            time_ns,
            is_torn: !number(0)?.is_multiple_of(2),
        })
    }

    fn annotation(&self, slot: usize) -> io::Result<Option<Annotation>> {
        let offset = slot_offset(slot);
        let header = self.read::<SLOT_KEY>(offset)?;
        let [s0, s1, s2, s3, is_set, kind, k0, k1, v0, v1, is_cut, ..] = header;
        if is_set == 0 {
            return Ok(None);
        }
        let key = self.read::<KEY_SIZE>(offset.saturating_add(SLOT_KEY))?;
        let value = self.read::<VALUE_SIZE>(offset.saturating_add(SLOT_VALUE))?;
        let sequence = u32::from_ne_bytes([s0, s1, s2, s3]);
        let after = u32::from_ne_bytes(self.read(offset)?);
        let text = |bytes: &[u8], length: [u8; 2]| {
            let end = usize::from(u16::from_ne_bytes(length)).min(bytes.len());
            String::from_utf8_lossy(bytes.get(..end).unwrap_or(&[])).into_owned()
        };
        Ok(Some(Annotation {
            key: text(&key, [k0, k1]),
            value: text(&value, [v0, v1]),
            kind: Kind::from_code(kind),
            is_cut: is_cut != 0,
            is_torn: !sequence.is_multiple_of(2) || sequence != after,
        }))
    }
}

#[cfg(test)]
mod tests;
