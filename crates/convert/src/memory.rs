//! The memory of a dump: pieces that do not overlap, by address, their bytes where they are.

use std::borrow::Cow;

/// Pieces of one dump beyond this are left out.
const MAX_PIECES: usize = 1 << 20;

/// Bytes at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) address: u64,
    pub(crate) bytes: Cow<'a, [u8]>,
}

impl Piece<'_> {
    pub(crate) fn end(&self) -> u64 {
        self.address.saturating_add(size(self.bytes.len()))
    }
}

/// All pieces.
#[derive(Debug, Default)]
pub(crate) struct Memory<'a> {
    pieces: Vec<Piece<'a>>,
}

impl<'a> Memory<'a> {
    /// Takes pieces in the order of their worth: where two overlap, the first holds.
    pub(crate) fn new(pieces: impl IntoIterator<Item = Piece<'a>>) -> Self {
        let mut ranked: Vec<(usize, Piece<'a>)> =
            pieces.into_iter().take(MAX_PIECES).filter(is_usable).enumerate().collect();
        ranked.sort_by_key(|(rank, piece)| (piece.address, *rank));
        let mut memory = Self::default();
        for (_, piece) in ranked {
            memory.push(piece);
        }
        memory
    }

    /// Adds what of a piece lies behind what is there.
    fn push(&mut self, mut piece: Piece<'a>) {
        let behind = self.pieces.last().map_or(0, Piece::end);
        if let Some(overlap) = behind.checked_sub(piece.address).filter(|overlap| *overlap > 0) {
            let Ok(overlap) = usize::try_from(overlap) else { return };
            let rest = match piece.bytes {
                Cow::Borrowed(bytes) => bytes.get(overlap..).map(Cow::Borrowed),
                Cow::Owned(bytes) => bytes.get(overlap..).map(|bytes| Cow::Owned(bytes.to_vec())),
            };
            let Some(rest) = rest.filter(|rest| !rest.is_empty()) else { return };
            piece = Piece { address: behind, bytes: rest };
        }
        self.pieces.push(piece);
    }

    /// The same with other bytes at some places; they hold wherever they lie.
    pub(crate) fn overlaid(self, over: Vec<Piece<'a>>) -> Self {
        let mut all: Vec<Piece<'a>> = Vec::new();
        for piece in self.pieces {
            cut_around(piece, &over, &mut all);
        }
        all.extend(over);
        all.sort_by_key(|piece| piece.address);
        let mut memory = Self::default();
        for piece in all {
            memory.push(piece);
        }
        memory
    }

    pub(crate) fn pieces(&self) -> &[Piece<'a>] {
        &self.pieces
    }

    /// Exactly so many bytes, if one piece, or neighbours, hold them.
    pub(crate) fn read(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut found = Vec::new();
        let mut at = address;
        while found.len() < length {
            let behind = self.pieces.partition_point(|piece| piece.address <= at);
            let piece = self.pieces.get(behind.checked_sub(1)?)?;
            let into = usize::try_from(at.checked_sub(piece.address)?).ok()?;
            let wanted = length.checked_sub(found.len())?;
            let rest = piece.bytes.get(into..)?;
            let taken = rest.get(..wanted.min(rest.len())).filter(|taken| !taken.is_empty())?;
            found.extend_from_slice(taken);
            at = at.checked_add(size(taken.len()))?;
        }
        Some(found)
    }

    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let bytes: [u8; 8] = self.read(address, 8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.pieces.iter().fold(0, |sum, piece| sum.saturating_add(size(piece.bytes.len())))
    }
}

fn is_usable(piece: &Piece<'_>) -> bool {
    let size = size(piece.bytes.len());
    size > 0 && piece.address.checked_add(size).is_some()
}

/// The parts of a piece that none of the others covers.
fn cut_around<'a>(piece: Piece<'a>, over: &[Piece<'a>], into: &mut Vec<Piece<'a>>) {
    let hit = over.iter().find(|other| other.address < piece.end() && piece.address < other.end());
    let Some(other) = hit else { return into.push(piece) };
    let before = other.address.saturating_sub(piece.address);
    let after = other.end().saturating_sub(piece.address);
    let part = |from: u64, to: u64| {
        let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?;
        let bytes = match &piece.bytes {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(range)?),
            Cow::Owned(bytes) => Cow::Owned(bytes.get(range)?.to_vec()),
        };
        let address = piece.address.checked_add(from)?;
        (!bytes.is_empty()).then_some(Piece { address, bytes })
    };
    let length = size(piece.bytes.len());
    let parts = [part(0, before.min(length)), part(after.min(length), length)];
    for part in parts.into_iter().flatten() {
        cut_around(part, over, into);
    }
}

pub(crate) fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(address: u64, bytes: &[u8]) -> Piece<'_> {
        Piece { address, bytes: Cow::Borrowed(bytes) }
    }

    #[test]
    fn overlapping_pieces_are_joined_without_doubles() {
        let memory = Memory::new([
            piece(0x10, b"abcd"),
            piece(0x12, b"CDEF"),
            piece(0x11, b"xy"),
            piece(u64::MAX, b"beyond"),
        ]);
        assert_eq!(memory.read(0x10, 6).as_deref(), Some(&b"abcdEF"[..]));
        assert_eq!(memory.read(0x10, 7), None);
        assert_eq!(memory.size_bytes(), 6);
    }

    #[test]
    fn overlaid_bytes_hold() {
        let memory = Memory::new([piece(0x10, b"abcdefgh")]);
        let memory = memory.overlaid(vec![piece(0x12, b"XY"), piece(0x17, b"ZZ")]);
        assert_eq!(memory.read(0x10, 9).as_deref(), Some(&b"abXYefgZZ"[..]));
    }
}
