//! What a Python function of the application adds to dumps, as it answered the last time.

use std::io;
use std::time::Duration;

use super::{Area, AreaReader};

pub(super) const OFFSET: usize = 1_417_216;
pub(super) const SIZE: usize = 69_632;
const RANGES_OFFSET: usize = 8;
const STREAMS_OFFSET: usize = 1032;
const HEADER_SIZE: usize = 1160;
const BYTES_OFFSET: usize = 4096;
const RANGE_SIZE: usize = 16;
const STREAM_SIZE: usize = 8;
/// Most ranges of memory.
pub const MOST_RANGES: usize = 64;
/// Most bytes of all ranges.
pub const MOST_MEMORY: u64 = 64 * 1024 * 1024;
/// Most streams.
pub const MOST_STREAMS: usize = 16;
/// Most bytes of all streams.
pub const MOST_STREAM_BYTES: usize = 65_536;

/// Memory and streams for every dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Address, bytes.
    pub memory: Vec<(u64, u64)>,
    /// Stream type, content.
    pub streams: Vec<(u32, Vec<u8>)>,
    /// The process died while they were written: they are left out, because they may be mixed.
    pub is_torn: bool,
}

impl Additions {
    /// Whether they keep to the limits.
    fn fits(&self) -> bool {
        let memory = self.memory.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(*length));
        let is_range =
            |(start, length): &(u64, u64)| *length > 0 && start.checked_add(*length).is_some();
        self.memory.len() <= MOST_RANGES
            && self.memory.iter().all(is_range)
            && memory <= MOST_MEMORY
            && self.streams.len() <= MOST_STREAMS
            && self.stream_bytes() <= MOST_STREAM_BYTES
    }

    fn stream_bytes(&self) -> usize {
        self.streams.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(bytes.len()))
    }

    fn header(&self) -> Vec<u8> {
        let count = |length: usize| u16::try_from(length).unwrap_or(0).to_ne_bytes();
        let mut out = Vec::with_capacity(HEADER_SIZE);
        out.extend([0; 4]);
        out.extend(count(self.memory.len()));
        out.extend(count(self.streams.len()));
        for (address, length) in &self.memory {
            out.extend(address.to_ne_bytes());
            out.extend(length.to_ne_bytes());
        }
        out.resize(STREAMS_OFFSET, 0);
        for (stream_type, bytes) in &self.streams {
            out.extend(stream_type.to_ne_bytes());
            out.extend(u32::try_from(bytes.len()).unwrap_or(0).to_ne_bytes());
        }
        out
    }
}

impl Area {
    /// Replaces all additions; false, and nothing changed, when they exceed the limits.
    pub(crate) fn set_additions(&self, additions: &Additions) -> bool {
        if !additions.fits() {
            return false;
        }
        let header = additions.header();
        self.guarded(OFFSET, || {
            self.write(OFFSET.wrapping_add(4), header.get(4..).unwrap_or(&[]));
            let mut at = OFFSET.wrapping_add(BYTES_OFFSET);
            for (_, bytes) in &additions.streams {
                self.write(at, bytes);
                at = at.saturating_add(bytes.len());
            }
        });
        true
    }

    /// Copies them to another memory file, if there are any.
    pub(super) fn copy_additions_to(&self, fd: std::ffi::c_int) -> io::Result<()> {
        let is_empty = self.read(OFFSET.wrapping_add(4), 4) == [0; 4];
        if is_empty { Ok(()) } else { self.copy_to(fd, OFFSET, SIZE) }
    }
}

impl AreaReader {
    /// What the application adds to dumps. Bounded, whatever stands there.
    #[must_use]
    pub fn additions(&self) -> Additions {
        for _ in 0..10 {
            match self.whole_additions() {
                Ok(Some(additions)) => return additions,
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => return Additions::default(),
            }
        }
        Additions { is_torn: true, ..Additions::default() }
    }

    /// `None` while they are being written, or when they are not what was ever written.
    fn whole_additions(&self) -> io::Result<Option<Additions>> {
        let before = u32::from_ne_bytes(self.read(OFFSET)?);
        let header = self.read::<HEADER_SIZE>(OFFSET)?;
        let mut additions = parse(&header);
        let mut at = OFFSET.wrapping_add(BYTES_OFFSET);
        if additions.as_ref().is_some_and(|found| !found.streams.is_empty()) {
            let bytes = Box::new(self.read::<MOST_STREAM_BYTES>(at)?);
            at = 0;
            for (_, stream) in additions.iter_mut().flat_map(|found| &mut found.streams) {
                let end = at.saturating_add(stream.len());
                stream.copy_from_slice(bytes.get(at..end).unwrap_or(&[]));
                at = end;
            }
        }
        let is_whole = before.is_multiple_of(2) && before == u32::from_ne_bytes(self.read(OFFSET)?);
        Ok(additions.filter(|_| is_whole))
    }
}

/// Ranges, and streams of zeros as long as theirs; `None` when they exceed the limits.
fn parse(header: &[u8; HEADER_SIZE]) -> Option<Additions> {
    let two = |at: usize| header.get(at..)?.first_chunk().map(|two| u16::from_ne_bytes(*two));
    let (ranges, streams) = (usize::from(two(4)?), usize::from(two(6)?));
    if ranges > MOST_RANGES || streams > MOST_STREAMS {
        return None;
    }
    let ranges = header.get(RANGES_OFFSET..STREAMS_OFFSET)?.chunks_exact(RANGE_SIZE).take(ranges);
    let lists = header.get(STREAMS_OFFSET..)?.chunks_exact(STREAM_SIZE).take(streams);
    let range = |bytes: &[u8]| {
        let (address, length) = bytes.split_first_chunk()?;
        let length = u64::from_ne_bytes(*length.first_chunk()?);
        Some((u64::from_ne_bytes(*address), length))
    };
    let mut streams = Vec::new();
    for bytes in lists {
        let (stream_type, length) = bytes.split_first_chunk()?;
        let length = u32::from_ne_bytes(*length.first_chunk()?);
        let length = usize::try_from(length).ok().filter(|length| *length <= MOST_STREAM_BYTES)?;
        streams.push((u32::from_ne_bytes(*stream_type), vec![0; length]));
    }
    let memory = ranges.map(range).collect::<Option<Vec<_>>>()?;
    let additions = Additions { memory, streams, is_torn: false };
    additions.fits().then_some(additions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::FromRawFd;
    use std::sync::atomic::Ordering;

    fn reader(area: &Area) -> AreaReader {
        // SAFETY: a fresh duplicate, owned by the file.
        let file = unsafe { File::from_raw_fd(libc::dup(area.fd)) };
        AreaReader::new(file).unwrap()
    }

    fn some() -> Additions {
        Additions {
            memory: vec![(0x1000, 16), (0x7fff_0000_0000, 4096)],
            streams: vec![(0x1_0001, b"one".to_vec()), (0x1234_5678, vec![7; 4000])],
            is_torn: false,
        }
    }

    #[test]
    fn the_last_answer_is_read() {
        let area = Area::new().unwrap();
        assert_eq!(reader(&area).additions(), Additions::default());
        assert!(area.set_additions(&some()));
        assert_eq!(reader(&area).additions(), some());
        let other = Additions { memory: vec![(5, 5)], ..Additions::default() };
        assert!(area.set_additions(&other));
        assert_eq!(reader(&area).additions(), other);
    }

    #[test]
    fn limits_hold_and_the_old_answer_stays() {
        let area = Area::new().unwrap();
        let full = Additions {
            memory: vec![(1, MOST_MEMORY / 64); MOST_RANGES],
            streams: vec![(0x1_0000, vec![9; MOST_STREAM_BYTES / MOST_STREAMS]); MOST_STREAMS],
            is_torn: false,
        };
        assert!(area.set_additions(&full));
        let wrong = [
            Additions { memory: vec![(1, 1); MOST_RANGES + 1], ..Additions::default() },
            Additions { memory: vec![(1, MOST_MEMORY + 1)], ..Additions::default() },
            Additions { memory: vec![(1, 0)], ..Additions::default() },
            Additions { memory: vec![(u64::MAX, 1)], ..Additions::default() },
            Additions { streams: vec![(1, Vec::new()); MOST_STREAMS + 1], ..Additions::default() },
            Additions {
                streams: vec![(1, vec![0; MOST_STREAM_BYTES + 1])],
                ..Additions::default()
            },
        ];
        for additions in wrong {
            assert!(!area.set_additions(&additions), "{:?}", additions.memory);
        }
        assert_eq!(reader(&area).additions(), full);
    }

    #[test]
    fn what_death_cut_or_broke_is_left_out_and_told() {
        let torn = Additions { is_torn: true, ..Additions::default() };
        let area = Area::new().unwrap();
        area.set_additions(&some());
        area.sequence(OFFSET).fetch_or(1, Ordering::SeqCst);
        assert_eq!(reader(&area).additions(), torn);
        area.set_additions(&some());
        assert_eq!(reader(&area).additions(), some());
        area.write(OFFSET + STREAMS_OFFSET + 4, &u32::MAX.to_ne_bytes());
        assert_eq!(reader(&area).additions(), torn);
        area.write(OFFSET + 4, &u32::MAX.to_ne_bytes());
        assert_eq!(reader(&area).additions(), torn);
    }

    #[test]
    fn a_child_keeps_the_answer() {
        let mut area = Area::new().unwrap();
        area.set_additions(&some());
        let parents = reader(&area);
        area.detach().unwrap();
        assert_eq!(reader(&area).additions(), some());
        area.set_additions(&Additions::default());
        assert_eq!(parents.additions(), some());
    }
}
