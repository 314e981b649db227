//! Whether a walk is right, told by the anchors, and where it has to begin anew.
//!
//! In one build of the interpreter an anchor lies equally far below the end of its evaluation
//! frame, whoever called that: the *distance*. So each anchor tells where a frame of the walk must
//! end. A walk that meets that place is right up to there, even if it had to guess on the way: a
//! wrong guess does not lead to the very word again. A walk that guessed and does not meet it is not
//! believed from its first guess on, and begins anew behind the evaluation frame.

use crate::merge::NativeSpan;

/// What is to be done with a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Frames up to this index are right; those behind it have no anchor that could tell.
    Right {
        /// Index of the last frame that an anchor confirms; 0 = the newest frame.
        confirmed: usize,
    },
    /// The frames from index `keep` on are not right.
    Wrong {
        /// Frames that are right.
        keep: usize,
        /// The anchor of the evaluation frame behind which the walk begins anew.
        anchor: u64,
    },
}

/// The distance of a frame's end from an anchor, where the walk to it needed no guess.
pub(crate) fn distances(spans: &[NativeSpan], anchors: &[Option<u64>]) -> Vec<u64> {
    // Where a frame ends is where its caller begins, so that must be exact too.
    let exact = spans.iter().skip(1).take_while(|caller| caller.is_exact).count();
    let mut exact = spans.iter().take(exact);
    let mut found = Vec::new();
    let mut span = exact.next();
    for anchor in distinct(anchors) {
        while let Some(one) = span {
            if one.cfa.is_none_or(|cfa| anchor < cfa) {
                break;
            }
            span = exact.next();
        }
        let Some(one) = span.filter(|one| one.is_evaluation && one.sp <= anchor) else { continue };
        found.extend(one.cfa.and_then(|cfa| cfa.checked_sub(anchor)));
    }
    found
}

/// Looks at a walk. `distance` is `None` where none is known.
pub(crate) fn check(
    spans: &[NativeSpan],
    anchors: &[Option<u64>],
    distance: Option<u64>,
) -> Verdict {
    let mut confirmed = 0_usize;
    for anchor in distinct(anchors) {
        let end = distance.and_then(|distance| anchor.checked_add(distance));
        let behind = spans.get(confirmed..).unwrap_or_default();
        let holder = behind
            .iter()
            .position(|span| span.sp <= anchor && span.cfa.is_some_and(|cfa| anchor < cfa));
        let holder = holder.map(|index| confirmed.saturating_add(index));
        let next = confirmed.saturating_add(1);
        // The frame that was confirmed last is right, whatever it was found by.
        let guess = spans.iter().skip(next).position(|span| !span.is_exact);
        let guess = guess.map(|index| next.saturating_add(index));
        match holder {
            Some(index) => {
                let is_met = end.is_some() && spans.get(index).and_then(|span| span.cfa) == end;
                // Its end is its caller's beginning.
                let is_exact = guess.is_none_or(|guess| guess > index.saturating_add(1));
                if !is_met && !is_exact {
                    let most = index.saturating_add(1);
                    return Verdict::Wrong { keep: guess.map_or(most, |g| g.min(most)), anchor };
                }
                confirmed = index;
            }
            None => {
                let below = spans.iter().take_while(|span| span.sp <= anchor).count();
                return Verdict::Wrong { keep: guess.unwrap_or(below).min(below), anchor };
            }
        }
    }
    Verdict::Right { confirmed }
}

/// Anchors grow with age; those that do not are not believed.
fn distinct(anchors: &[Option<u64>]) -> impl Iterator<Item = u64> {
    let mut last = 0;
    anchors.iter().flatten().copied().filter(move |anchor| {
        let is_next = *anchor > last;
        last = last.max(*anchor);
        is_next
    })
}

/// The distance that most anchors have.
pub(crate) fn most_common(mut distances: Vec<u64>) -> Option<u64> {
    distances.sort_unstable();
    let runs = distances.chunk_by(|a, b| a == b);
    runs.max_by_key(|run| run.len()).and_then(|run| run.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(sp: u64, cfa: u64, is_evaluation: bool, is_exact: bool) -> NativeSpan {
        NativeSpan { sp, cfa: Some(cfa), is_evaluation, is_exact, gap: None, is_stand_in: false }
    }

    /// Leaf, evaluation (anchor 0x130), C, evaluation (anchor 0x230), start.
    fn walk() -> Vec<NativeSpan> {
        vec![
            span(0x100, 0x120, false, true),
            span(0x120, 0x150, true, true),
            span(0x150, 0x220, false, true),
            span(0x220, 0x250, true, true),
            span(0x250, 0x280, false, true),
        ]
    }

    const ANCHORS: [Option<u64>; 3] = [Some(0x130), Some(0x130), Some(0x230)];

    #[test]
    fn a_walk_without_guesses_is_right_and_teaches_the_distance() {
        assert_eq!(distances(&walk(), &ANCHORS), [0x20, 0x20]);
        assert_eq!(check(&walk(), &ANCHORS, Some(0x20)), Verdict::Right { confirmed: 3 });
        assert_eq!(check(&walk(), &ANCHORS, None), Verdict::Right { confirmed: 3 });
        assert_eq!(check(&walk(), &[], None), Verdict::Right { confirmed: 0 });
    }

    #[test]
    fn a_guess_that_meets_the_next_evaluation_frame_is_right() {
        let mut spans = walk();
        spans[2].is_exact = false;
        assert_eq!(check(&spans, &ANCHORS, Some(0x20)), Verdict::Right { confirmed: 3 });
        assert!(distances(&spans, &ANCHORS).is_empty(), "a guess does not tell where a frame ends");
    }

    #[test]
    fn a_guess_that_misses_it_costs_everything_from_the_guess_on() {
        let mut spans = walk();
        spans[2].is_exact = false;
        spans[3].cfa = Some(0x248);
        let wrong = |anchor| Verdict::Wrong { keep: 2, anchor };
        assert_eq!(check(&spans, &ANCHORS, Some(0x20)), wrong(0x230));
        // Without a distance nothing tells where the frame before the guess ends.
        assert_eq!(check(&spans, &ANCHORS, None), wrong(0x130));
    }

    #[test]
    fn a_walk_that_ends_below_an_anchor_goes_on_there() {
        let spans = &walk()[..3];
        assert_eq!(check(spans, &ANCHORS, Some(0x20)), Verdict::Wrong { keep: 3, anchor: 0x230 });
    }

    #[test]
    fn the_distance_of_the_many_counts() {
        assert_eq!(most_common(vec![0x90, 0x20, 0x90]), Some(0x90));
        assert_eq!(most_common(vec![]), None);
    }
}
