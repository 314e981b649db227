//! Names by pattern: `*` = any text, `?` = one character; case does not count.

/// A pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    units: Vec<char>,
}

impl Pattern {
    /// Any text is a pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { units: text.chars().flat_map(char::to_lowercase).collect() }
    }

    /// Whether a whole name matches; takes time in the product of both lengths at most.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
        let (mut at, mut in_name) = (0_usize, 0_usize);
        // The last star, and where in the name it was met.
        let mut star: Option<(usize, usize)> = None;
        while in_name < name.len() {
            let unit = self.units.get(at);
            if unit == Some(&'*') {
                star = Some((at, in_name));
                at = at.saturating_add(1);
            } else if unit.is_some_and(|unit| *unit == '?' || Some(unit) == name.get(in_name)) {
                at = at.saturating_add(1);
                in_name = in_name.saturating_add(1);
            } else if let Some((star_at, met)) = star {
                star = Some((star_at, met.saturating_add(1)));
                at = star_at.saturating_add(1);
                in_name = met.saturating_add(1);
            } else {
                return false;
            }
        }
        self.units.get(at..).unwrap_or_default().iter().all(|unit| *unit == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_marks_match_what_shells_match() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        assert!(matches("*alloc*", "PyMem_RawMalloc"));
        assert!(matches("m?in", "MAIN") && !matches("m?in", "min"));
        assert!(matches("", "") && matches("***", "x") && !matches("", "x"));
        assert!(matches("a*b*c", "aXbYbc") && !matches("a*b*c", "aXbYbcd"));
        assert!(!matches("foo", "foobar"));
    }
}
