//! What is written is read again, and whatever else is in a file does no harm.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use std::path::PathBuf;

use proptest::prelude::*;

use super::draft::{Draft, DraftLimits, Facts};
use super::layout::{CHECKED_FROM, CHECKSUM_AT, SYMBOLICATION, View};
use super::probes::{FileIdentity, Probe};
use crate::file::Links;
use crate::status::{ModuleStatus, SourceProblem, SymbolKind};
use crate::symbols::{SourceFrame, Symbolication};

const LIMITS: DraftLimits = DraftLimits { file_bytes: 1 << 20, entries: 1000 };

fn frame(function: Option<&str>, file: Option<&str>, line: Option<u32>) -> SourceFrame {
    let (function, file) = (function.map(str::to_owned), file.map(str::to_owned));
    SourceFrame { function, file, line, is_inline: line == Some(0) }
}

fn symbolications() -> Vec<Symbolication> {
    let inlined = vec![
        frame(Some("f<int>(char const*)"), Some("/src/größe.cc"), Some(0)),
        frame(Some("g"), None, Some(u32::MAX)),
        frame(None, Some("/src/größe.cc"), None),
        frame(Some(""), Some(""), None),
    ];
    vec![
        Symbolication::default(),
        Symbolication { frames: inlined, function_rva: Some(u64::MAX), parameter_bytes: 12 },
        Symbolication { function_rva: Some(0), ..Symbolication::default() },
    ]
}

fn probes() -> Vec<Probe> {
    let identity = FileIdentity {
        mode: 0o100_644,
        size_bytes: 1 << 40,
        inode: u64::MAX,
        modified: (-1, 999_999_999),
        changed: (i64::MAX, 0),
    };
    vec![
        Probe { path: "/lib/a.so".into(), links: Links::Refuse, identity: Some(identity) },
        Probe { path: odd_path(), links: Links::Follow, identity: None },
    ]
}

/// No UTF-8, where there is such a thing.
fn odd_path() -> PathBuf {
    #[cfg(unix)]
    return PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"/\xff"));
    #[cfg(not(unix))]
    return PathBuf::from("/odd");
}

fn statuses() -> Vec<ModuleStatus> {
    let path = odd_path();
    let kinds =
        [SymbolKind::Dwarf, SymbolKind::Breakpad, SymbolKind::SymbolTable, SymbolKind::CfiOnly];
    let loaded = kinds.map(|kind| ModuleStatus::Loaded { path: path.clone(), kind });
    let mismatched = |found: Option<&str>| ModuleStatus::Mismatched {
        path: path.clone(),
        expected: "aa".into(),
        found: found.map(str::to_owned),
    };
    let mut all = loaded.to_vec();
    all.extend([mismatched(None), mismatched(Some("bb")), ModuleStatus::Missing]);
    all.push(ModuleStatus::Malformed { path, reason: "no".into() });
    all
}

fn problems() -> Vec<SourceProblem> {
    vec![SourceProblem { path: "/x".into(), message: "cannot be listed".into() }]
}

/// A file with something of everything.
fn file() -> Vec<u8> {
    let (probes, problems, statuses) = (probes(), problems(), statuses());
    let facts = Facts {
        key: b"key",
        probes: &probes,
        index: Some((7, &problems)),
        status: &statuses[0],
        judged_status: statuses.last(),
    };
    let mut draft = Draft::new(&facts, LIMITS).unwrap();
    for (rva, found) in (0x1000..).zip(symbolications()) {
        draft.add_symbolication(rva, &found).unwrap();
    }
    draft.add(4, 0x2000, &[1]).unwrap();
    draft.add(2, 0x3000, b"rules").unwrap();
    draft.add(2, 0x2fff, b"rules").unwrap();
    draft.add(2, 0, b"").unwrap();
    draft.finish().unwrap()
}

#[test]
fn everything_is_read_as_it_was_written() {
    let view = View::parse(file()).unwrap();
    assert_eq!(view.key(), b"key");
    assert_eq!(view.probes().unwrap(), probes());
    assert_eq!((view.index_fingerprint(), view.problems()), (Some(7), Some(problems())));
    assert_eq!(view.status().as_ref(), statuses().first());
    assert_eq!(view.judged_status().as_ref(), statuses().last());
    for (rva, found) in (0x1000..).zip(symbolications()) {
        let record = view.find(SYMBOLICATION, rva).unwrap();
        assert_eq!(view.symbolication(record).unwrap(), found);
    }
    assert_eq!(view.find(2, 0x2fff).unwrap(), b"rules");
    assert_eq!(view.find(2, 0).unwrap(), b"");
    assert_eq!(view.find(4, 0x2000).unwrap(), [1]);
    for (question, rva) in [(2, 1), (4, 0x3000), (9, 0), (SYMBOLICATION, u64::MAX)] {
        assert!(view.find(question, rva).is_none(), "{question} {rva:x}");
    }
    assert_eq!(view.entries().count(), 7);
}

#[test]
fn every_status_is_kept_but_those_that_are_none() {
    for status in statuses() {
        let facts =
            Facts { key: b"", probes: &[], index: None, status: &status, judged_status: None };
        let view = View::parse(Draft::new(&facts, LIMITS).unwrap().finish().unwrap()).unwrap();
        assert_eq!((view.status(), view.judged_status()), (Some(status), None));
        assert_eq!((view.index_fingerprint(), view.probes()), (None, Some(Vec::new())));
    }
    for status in [ModuleStatus::NotRequested, ModuleStatus::NoId] {
        let facts =
            Facts { key: b"", probes: &[], index: None, status: &status, judged_status: None };
        assert!(Draft::new(&facts, LIMITS).is_none());
    }
}

#[test]
fn what_does_not_fit_is_left_out() {
    let status = ModuleStatus::Missing;
    let facts = Facts { key: b"k", probes: &[], index: None, status: &status, judged_status: None };
    let draft = |limits| Draft::new(&facts, limits).unwrap();
    let mut few = draft(DraftLimits { entries: 2, ..LIMITS });
    let kept: Vec<_> = (0..4).map(|rva| few.add(1, rva, b"x").is_some()).collect();
    assert_eq!(kept, [true, true, false, false]);
    let mut small = draft(DraftLimits { file_bytes: 400, ..LIMITS });
    let long = Symbolication {
        frames: vec![frame(Some(&"n".repeat(300)), None, None)],
        ..Symbolication::default()
    };
    assert!(small.add_symbolication(1, &long).is_none());
    assert!(small.add(1, 1, &[0; 300]).is_none());
    assert!(small.add(1, 1, &[0; 50]).is_some(), "it is not full");
    assert!(small.add(1, 1, &[0; 50]).is_none(), "the first answer stays");
    assert!(small.finish().unwrap().len() <= 400);
    assert!(
        Draft::new(&Facts { key: &[0; 500], ..facts }, DraftLimits { file_bytes: 400, entries: 1 })
            .is_none()
    );
}

#[test]
fn names_and_inline_frames_without_end_are_left_out() {
    let status = ModuleStatus::Missing;
    let facts = Facts { key: b"k", probes: &[], index: None, status: &status, judged_status: None };
    let mut draft = Draft::new(&facts, LIMITS).unwrap();
    let of = |frames| Symbolication { frames, ..Symbolication::default() };
    let long = "n".repeat(65_537);
    assert!(draft.add_symbolication(1, &of(vec![frame(Some(&long), None, None)])).is_none());
    assert!(draft.add_symbolication(2, &of(vec![frame(None, None, None); 513])).is_none());
    let many = vec![frame(Some(&long[..60_000]), None, None); 5];
    assert!(draft.add_symbolication(3, &of(many)).is_none());
    assert_eq!(View::parse(draft.finish().unwrap()).unwrap().entries().count(), 0);
}

/// Reads all there is; tells how many bytes of text came out.
fn read_all(view: &View) -> usize {
    let _ = (view.status(), view.judged_status(), view.problems(), view.index_fingerprint());
    let probes = view.probes().unwrap_or_default();
    let mut bytes = probes.iter().map(|probe| probe.path.as_os_str().len()).sum();
    for (question, rva, record) in view.entries().take(1000) {
        let _ = view.find(question, rva);
        let found = view.symbolication(record).unwrap_or_default();
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        bytes += found.frames.iter().map(|f| len(&f.function) + len(&f.file)).sum::<usize>();
    }
    bytes
}

fn with_right_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(size) = bytes.get_mut(16..20) {
        size.copy_from_slice(&[0; 4]);
        let len = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        bytes[16..20].copy_from_slice(&len);
        let sum = crc32fast::hash(&bytes[CHECKED_FROM..]).to_le_bytes();
        bytes[CHECKSUM_AT..CHECKED_FROM].copy_from_slice(&sum);
    }
    bytes
}

#[test]
fn each_flipped_bit_and_each_cut_is_seen() {
    let whole = file();
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(View::parse(bytes).is_none(), "bit {at}");
    }
    for len in 0..whole.len() {
        assert!(View::parse(whole[..len].to_vec()).is_none(), "{len} bytes");
    }
    let longer = [&whole[..], &[0]].concat();
    assert!(View::parse(longer).is_none());
}

#[test]
fn one_long_name_that_all_frames_share_costs_no_memory() {
    let name = "n".repeat(60_000);
    let status = ModuleStatus::Missing;
    let facts = Facts { key: b"", probes: &[], index: None, status: &status, judged_status: None };
    let mut draft = Draft::new(&facts, LIMITS).unwrap();
    let one =
        Symbolication { frames: vec![frame(Some(&name), None, None)], ..Symbolication::default() };
    draft.add_symbolication(1, &one).unwrap();
    let record =
        View::parse(draft.finish().unwrap()).unwrap().find(SYMBOLICATION, 1).unwrap().to_vec();
    let mut draft = Draft::new(&facts, LIMITS).unwrap();
    draft.add_symbolication(1, &one).unwrap();
    let many = [&record[..16], &record[16..].repeat(500)].concat();
    draft.add(SYMBOLICATION, 2, &many).unwrap();
    let view = View::parse(draft.finish().unwrap()).unwrap();
    assert!(view.symbolication(view.find(SYMBOLICATION, 2).unwrap()).is_none());
    assert!(view.symbolication(view.find(SYMBOLICATION, 1).unwrap()).is_some());
}

proptest! {
    /// Whoever makes the checksum right makes the reader look at every field.
    #[test]
    fn damage_with_a_right_checksum_does_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        words in prop::collection::vec((0_usize..40, any::<u32>()), 0..4),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = file();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for (word, value) in words {
            bytes[word * 4..word * 4 + 4].copy_from_slice(&value.to_le_bytes());
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if bytes.len() >= 12 {
            bytes[..12].copy_from_slice(b"LWSYMBOL\x01\0\0\0");
        }
        if let Some(view) = View::parse(with_right_checksum(bytes)) {
            prop_assert!(read_all(&view) <= 1000 * (256 << 10));
        }
    }

    #[test]
    fn any_symbolication_is_read_as_it_was_written(
        frames in prop::collection::vec(
            (any::<Option<String>>(), any::<Option<String>>(), any::<Option<u32>>(), any::<bool>()),
            0..6,
        ),
        function_rva in any::<Option<u64>>(),
        parameter_bytes in any::<u32>(),
        rva in any::<u64>(),
    ) {
        let frames = frames.into_iter().map(|(function, file, line, is_inline)| {
            SourceFrame { function, file, line, is_inline }
        });
        let found = Symbolication { frames: frames.collect(), function_rva, parameter_bytes };
        let status = ModuleStatus::Missing;
        let facts = Facts { key: b"", probes: &[], index: None, status: &status, judged_status: None };
        let mut draft = Draft::new(&facts, LIMITS).unwrap();
        draft.add_symbolication(rva, &found).unwrap();
        let view = View::parse(draft.finish().unwrap()).unwrap();
        let record = view.find(SYMBOLICATION, rva).unwrap();
        prop_assert_eq!(view.symbolication(record), Some(found));
    }
}
