//! Rounds of a recursion, so that each is shown once.

/// Frames of one round; longer rounds are shown as they are.
const MOST_ROUND: usize = 24;
/// Fewer rounds are shown rather than a line that says so.
const LEAST_ROUNDS: usize = 3;

/// A run of the stack: frames as they stand, or rounds of the same frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: usize,
    /// Frames of one round.
    pub(crate) length: usize,
    /// 1 = not repeated.
    pub(crate) rounds: usize,
}

/// Splits a stack into runs; `keys` tell which frames are the same.
pub(crate) fn runs<K: PartialEq>(keys: &[K]) -> Vec<Run> {
    let mut found: Vec<Run> = Vec::new();
    let mut at = 0_usize;
    while at < keys.len() {
        let best = (1..=MOST_ROUND)
            .map(|length| Run { start: at, length, rounds: rounds(keys, at, length) })
            .filter(|run| run.rounds >= LEAST_ROUNDS)
            .max_by_key(|run| {
                (run.length.saturating_mul(run.rounds), std::cmp::Reverse(run.length))
            });
        let run = best.unwrap_or(Run { start: at, length: 1, rounds: 1 });
        at = at.saturating_add(run.length.saturating_mul(run.rounds));
        found.push(run);
    }
    found
}

fn rounds<K: PartialEq>(keys: &[K], start: usize, length: usize) -> usize {
    let mut chunks = keys.get(start..).unwrap_or_default().chunks_exact(length);
    let Some(first) = chunks.next() else { return 0 };
    chunks.take_while(|chunk| *chunk == first).count().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(usize, usize, usize)> {
        let keys: Vec<char> = text.chars().collect();
        runs(&keys).iter().map(|run| (run.start, run.length, run.rounds)).collect()
    }

    #[test]
    fn rounds_of_several_frames_are_found() {
        assert_eq!(of("mabababz"), [(0, 1, 1), (1, 2, 3), (7, 1, 1)]);
        assert_eq!(of("aaaaa"), [(0, 1, 5)]);
        assert_eq!(of("abab"), [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 1)], "too few");
        assert_eq!(of(""), []);
    }
}
