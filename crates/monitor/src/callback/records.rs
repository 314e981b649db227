//! What the child says, in the machine's byte order.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | kind | 1 memory, 2 stream, 3 problem |
//! | 4 | 4 | u32 | stream_type | of a stream |
//! | 8 | 8 | u64 | address | of memory |
//! | 16 | 8 | u64 | length | of memory, or of the bytes that follow |
//! | 24 | | bytes | | of a stream, or text of a problem |

/// Bytes before the bytes.
pub(super) const HEADER_SIZE: usize = 24;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Memory { address: u64, length: u64 },
    Stream { stream_type: u32, bytes: Vec<u8> },
    Problem(String),
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, stream_type, address, length, bytes): (u32, u32, u64, u64, &[u8]) = match self {
            Self::Memory { address, length } => (1, 0, *address, *length, &[]),
            Self::Stream { stream_type, bytes } => {
                (2, *stream_type, 0, u64::try_from(bytes.len()).unwrap_or(0), bytes)
            }
            Self::Problem(text) => {
                (3, 0, 0, u64::try_from(text.len()).unwrap_or(0), text.as_bytes())
            }
        };
        let mut out = Vec::with_capacity(HEADER_SIZE.saturating_add(bytes.len()));
        out.extend(kind.to_ne_bytes());
        out.extend(stream_type.to_ne_bytes());
        out.extend(address.to_ne_bytes());
        out.extend(length.to_ne_bytes());
        out.extend(bytes);
        out
    }
}

/// All records that arrived whole.
pub(super) fn parse(bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let Some((record, behind)) = first(rest) {
        records.push(record);
        rest = behind;
    }
    records
}

fn first(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (kind, rest) = bytes.split_first_chunk::<4>()?;
    let (stream_type, rest) = rest.split_first_chunk::<4>()?;
    let (address, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let length = u64::from_ne_bytes(*length);
    if u32::from_ne_bytes(*kind) == 1 {
        let address = u64::from_ne_bytes(*address);
        return Some((Record::Memory { address, length }, rest));
    }
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let record = match u32::from_ne_bytes(*kind) {
        2 => Record::Stream {
            stream_type: u32::from_ne_bytes(*stream_type),
            bytes: payload.to_vec(),
        },
        3 => Record::Problem(String::from_utf8_lossy(payload).into_owned()),
        _ => return None,
    };
    Some((record, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrived_whole_counts() {
        let records = [
            Record::Memory { address: 5, length: u64::MAX },
            Record::Stream { stream_type: 7, bytes: b"abc".to_vec() },
            Record::Problem("no".to_owned()),
        ];
        let bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
        assert_eq!(parse(&bytes), records);
        for cut in 0..bytes.len() {
            let parsed = parse(&bytes[..cut]);
            assert!(parsed.len() < 3 && records.starts_with(&parsed), "cut after {cut}");
        }
        assert_eq!(parse(&[9; 64]), []);
    }

    #[test]
    fn damaged_records_hold_no_more_than_what_arrived() {
        let records = [
            Record::Stream { stream_type: 7, bytes: vec![5; 100] },
            Record::Memory { address: 5, length: 6 },
            Record::Problem("no".to_owned()),
        ];
        let whole: Vec<u8> = records.iter().flat_map(Record::encode).collect();
        for at in 0..whole.len() {
            for value in [0, 1, 2, 3, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
                let held: usize = parse(&bytes).iter().map(|record| record.encode().len()).sum();
                // A character that is none takes three bytes.
                assert!(held <= 3 * whole.len(), "{value} at {at}: {held}");
            }
        }
    }
}
