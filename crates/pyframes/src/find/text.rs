//! Finding a text among many bytes.

/// A text to look for, prepared (Horspool 1980).
pub(super) struct Needle<'t> {
    text: &'t [u8],
    /// How far the search moves on, by the byte under the text's end.
    skips: [usize; 256],
}

impl<'t> Needle<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        let last = text.len().saturating_sub(1);
        let mut skips = [text.len().max(1); 256];
        for (index, byte) in text.iter().take(last).enumerate() {
            if let Some(skip) = skips.get_mut(usize::from(*byte)) {
                *skip = last.saturating_sub(index);
            }
        }
        Self { text, skips }
    }

    /// Where the text begins first, at or behind `from`.
    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let (last, before) = self.text.split_last()?;
        let mut end = from.checked_add(before.len())?;
        while let Some(byte) = bytes.get(end) {
            let start = end.saturating_sub(before.len());
            if byte == last && bytes.get(start..end) == Some(before) {
                return Some(start);
            }
            end = end.saturating_add(*self.skips.get(usize::from(*byte))?);
        }
        None
    }

    /// Every place where it begins.
    pub(super) fn find_all<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.find(bytes, from)?;
            from = found.saturating_add(1);
            Some(found)
        })
    }

    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        self.find(bytes, 0).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        let needle = Needle::new(b"abab");
        let places = |bytes: &[u8]| needle.find_all(bytes).collect::<Vec<_>>();
        assert_eq!(places(b"abab"), [0]);
        assert_eq!(places(b"xababab.abab"), [1, 3, 8]);
        assert!(!needle.is_in(b"aba") && !needle.is_in(b""));
        assert_eq!(Needle::new(b"x").find(b"..x", 0), Some(2));
        assert_eq!(Needle::new(b"").find(b"abc", 0), None);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_plain_search_finds(
            text in proptest::collection::vec(0_u8..3, 1..5),
            bytes in proptest::collection::vec(0_u8..3, 0..200),
        ) {
            let plain: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&text)).collect();
            prop_assert_eq!(Needle::new(&text).find_all(&bytes).collect::<Vec<_>>(), plain);
        }
    }
}
