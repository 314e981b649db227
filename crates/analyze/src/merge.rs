//! One stack out of two: Python frames at their place among the native ones.
//!
//! A Python frame carries an anchor: the address of an object on the C stack that its native
//! evaluation frame owns. Native frame *i* owns the addresses from its stack pointer up to the
//! stack pointer of frame *i + 1* (its CFA), so an anchor lies in exactly one native frame,
//! and that one is replaced by the Python frames with this anchor. No name and no program
//! counter is asked, so stripped interpreters need nothing special.
//!
//! ```text
//!   native            owns                 Python, anchor      merged
//!   step()            7f00..7f40                               step()
//!   glue_call()       7f40..7fa0                               glue_call()
//!   _PyEval_Eval…     7fa0..80e0           run    7fb0         run
//!                                          main   7fb0         main
//!   start_thread()    80e0..8100                               start_thread()
//! ```
//!
//! The order of the native frames and the order of the Python frames are never changed, and
//! no frame of either side is dropped except the replaced evaluation frames.

/// One native frame, as far as the merge needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NativeSpan {
    /// Its stack pointer.
    pub(crate) sp: u64,
    /// Its CFA; `None` for the last frame of a walk.
    pub(crate) cfa: Option<u64>,
    /// It may be replaced: it is an evaluation frame of the interpreter.
    pub(crate) is_evaluation: bool,
    /// It follows from rules, not from a guess.
    pub(crate) is_exact: bool,
    /// Native frames before it could not be walked.
    pub(crate) gap: Option<Gap>,
    /// It stands for an evaluation frame that was not walked; it is never shown.
    pub(crate) is_stand_in: bool,
}

/// Native frames that could not be walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// How many there are, about; 0 = perhaps none.
    pub(crate) about: usize,
    /// The part of the stack that they own, where its ends are known.
    pub(crate) stack_bytes: Option<u64>,
}

impl Gap {
    /// Nothing is known but that there is one.
    const UNKNOWN: Self = Self { about: 1, stack_bytes: None };
    /// A guess led over this place.
    pub(crate) const PERHAPS: Self = Self { about: 0, stack_bytes: None };
}

/// Where a Python frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Where its native evaluation frame is, or would be.
    Anchored,
    /// Its place among the native frames is not known.
    Unplaced,
}

/// One frame of the merged stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// Index into the native frames.
    Native {
        /// Index into the native frames.
        index: usize,
        /// Native frames before it could not be walked.
        gap: Option<Gap>,
    },
    /// Index into the Python frames.
    Python {
        /// Index into the Python frames.
        index: usize,
        /// How far its place is known.
        placement: Placement,
        /// Native frames before it could not be walked.
        gap: Option<Gap>,
        /// The native frame that it stands for; all frames of one activation share it.
        instead_of: Option<usize>,
    },
}

/// Python frames with one anchor: indices `start..end`.
#[derive(Debug, Clone, Copy)]
struct Group {
    anchor: Option<u64>,
    start: usize,
    end: usize,
}

/// Where a group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the stead of this native frame.
    Instead(usize),
    /// Behind this native frame, which is not an evaluation frame.
    Behind(usize),
    /// Behind all native frames: the walk ended below the anchor.
    AtEnd,
    /// Not known.
    None,
}

/// Merges native frames with Python frames, given by their anchors; both newest first.
pub(crate) fn merge(native: &[NativeSpan], anchors: &[Option<u64>]) -> Vec<Item> {
    let groups = groups_of(anchors);
    let places = places_of(native, &groups);
    let mut out = Vec::with_capacity(native.len().saturating_add(anchors.len()));
    let mut next = 0;
    emit_unplaced(&mut out, &groups, &places, &mut next);
    for (index, span) in native.iter().enumerate() {
        let before = out.len();
        emit_group(&mut out, &groups, &places, &mut next, Place::Instead(index), span.gap);
        if out.len() == before && !span.is_stand_in {
            out.push(Item::Native { index, gap: span.gap });
        }
        let gap = Some(Gap::UNKNOWN);
        emit_group(&mut out, &groups, &places, &mut next, Place::Behind(index), gap);
    }
    // Where no native frame was asked for, none is missing.
    let gap = (!native.is_empty()).then_some(Gap::UNKNOWN);
    emit_group(&mut out, &groups, &places, &mut next, Place::AtEnd, gap);
    out
}

/// Splits the frames where the anchor changes.
///
/// A frame without an anchor belongs to the activation that runs it: that of its callee, or,
/// when it is the newest frame, that of its caller.
fn groups_of(anchors: &[Option<u64>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, anchor) in anchors.iter().enumerate() {
        let end = index.saturating_add(1);
        match groups.last_mut() {
            Some(last) if anchor.is_none() || last.anchor == *anchor || last.anchor.is_none() => {
                last.end = end;
                last.anchor = last.anchor.or(*anchor);
            }
            _ => groups.push(Group { anchor: *anchor, start: index, end }),
        }
    }
    groups
}

/// Anchors grow with age; one that does not is not believed.
fn places_of(native: &[NativeSpan], groups: &[Group]) -> Vec<Place> {
    let mut places = Vec::with_capacity(groups.len());
    let mut first = 0;
    let mut newest = 0;
    for group in groups {
        let place = match group.anchor {
            Some(anchor) if anchor > newest => place_of(native, first, anchor),
            _ => Place::None,
        };
        match place {
            // The end of the last frame is not known, so it takes one group only.
            Place::Instead(index) if native.get(index).is_some_and(|span| span.cfa.is_none()) => {
                first = native.len();
            }
            Place::Instead(index) | Place::Behind(index) => first = index,
            Place::AtEnd => first = native.len(),
            Place::None => {}
        }
        if place != Place::None {
            newest = group.anchor.unwrap_or(newest);
        }
        places.push(place);
    }
    places
}

/// Finds the native frame, from index `first` on, that owns the address `anchor`.
fn place_of(native: &[NativeSpan], first: usize, anchor: u64) -> Place {
    for (index, span) in native.iter().enumerate().skip(first) {
        // Stack pointers grow with age.
        if span.sp > anchor {
            break;
        }
        let is_inside = span.sp <= anchor && span.cfa.is_some_and(|cfa| anchor < cfa);
        if is_inside {
            let can_replace = span.is_evaluation;
            return if can_replace { Place::Instead(index) } else { Place::Behind(index) };
        }
    }
    match native.last() {
        // Without a caller its end is not known; an evaluation frame owns what comes next.
        Some(last) if last.cfa.is_none() && last.sp <= anchor && first < native.len() => {
            let index = native.len().saturating_sub(1);
            if last.is_evaluation { Place::Instead(index) } else { Place::AtEnd }
        }
        Some(last) if last.sp <= anchor => Place::AtEnd,
        Some(_) => Place::None,
        None => Place::AtEnd,
    }
}

/// Emits the groups at `place`, and the unplaced ones behind them.
fn emit_group(
    out: &mut Vec<Item>,
    groups: &[Group],
    places: &[Place],
    next: &mut usize,
    place: Place,
    gap: Option<Gap>,
) {
    while let Some(group) = groups.get(*next).filter(|_| places.get(*next) == Some(&place)) {
        let instead_of = match place {
            Place::Instead(index) => Some(index),
            Place::Behind(_) | Place::AtEnd | Place::None => None,
        };
        push_frames(out, group, Placement::Anchored, gap, instead_of);
        *next = next.saturating_add(1);
        emit_unplaced(out, groups, places, next);
    }
}

fn emit_unplaced(out: &mut Vec<Item>, groups: &[Group], places: &[Place], next: &mut usize) {
    while let Some(group) = groups.get(*next).filter(|_| places.get(*next) == Some(&Place::None)) {
        push_frames(out, group, Placement::Unplaced, None, None);
        *next = next.saturating_add(1);
    }
}

fn push_frames(
    out: &mut Vec<Item>,
    group: &Group,
    placement: Placement,
    gap: Option<Gap>,
    instead_of: Option<usize>,
) {
    for index in group.start..group.end {
        let gap = gap.filter(|_| index == group.start);
        out.push(Item::Python { index, placement, gap, instead_of });
    }
}
