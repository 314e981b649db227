//! A real PDB of the corpus, and damaged copies of it.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};

use lastwords_debuginfo::{Caller, DebugInfo, FrameState, Kind, NameKind, Place};

const PDB: &str =
    "files/google+breakpad/src/tools/windows/dump_syms/testdata/dump_syms_regtest64.pdb";

fn pdb() -> Option<PathBuf> {
    let root = lastwords_synth::corpus(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    Some(root.join(PDB))
}

/// A frame of which every register is known, and no memory.
struct Frame;

impl FrameState for Frame {
    fn register(&self, _: &str) -> Option<u64> {
        Some(0x7000_0000)
    }

    fn memory(&self, _: u64, _: usize) -> Option<Vec<u8>> {
        None
    }

    fn cfa(&self) -> Option<u64> {
        Some(0x7000_1000)
    }

    fn module_base(&self) -> u64 {
        0x1_4000_0000
    }

    fn caller(&self) -> Option<Caller<'_>> {
        None
    }
}

#[test]
fn functions_types_and_variables_are_those_of_the_program() {
    let Some(path) = pdb() else { return };
    let info = DebugInfo::open(&[path]);
    assert_eq!(info.notes(), [""; 0]);
    let main = info.names_equal("main")[0];
    assert_eq!(main.kind, NameKind::Function);
    let (names, _) = info.names_like("google_breakpad::*", 100);
    assert!(names.iter().any(|name| name.name == "google_breakpad::C::set_member"), "{names:?}");
    let (types, _) = info.types_like("google_breakpad::C", 10);
    let class = info.describe(types[0].id).unwrap();
    assert_eq!(class.kind, Kind::Class);
    let member = class.fields.iter().find(|field| field.name == "member_").unwrap();
    assert_eq!(member.of.name, "int");
    let scopes = info.variables(main.rva + main.size.unwrap() / 2, &Frame);
    assert_eq!(scopes.last().unwrap().function.as_deref(), Some("main"));
    let names: Vec<(&str, bool)> =
        scopes[0].variables.iter().map(|one| (one.name.as_str(), one.is_parameter)).collect();
    let expected = [("argc", true), ("argv", true), ("object", false), ("nothing", false)];
    assert_eq!(names.get(..4), Some(&expected[..]), "{names:?}");
    for one in &scopes[0].variables {
        assert!(matches!(one.place, Place::Address(address) if address >= 0x7000_0000), "{one:?}");
    }
}

#[test]
fn damaged_files_end_orderly() {
    let Some(path) = pdb() else { return };
    let whole = std::fs::read(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("damaged.pdb");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..24 {
        let mut bytes = whole.clone();
        for _ in 0..64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(seed >> 33).unwrap() % bytes.len();
            bytes[at] ^= 0xff;
        }
        bytes.truncate(bytes.len() - usize::try_from(seed % 5_000).unwrap());
        std::fs::write(&file, &bytes).unwrap();
        // A panic of the reader is caught where sessions answer; here it must be none of ours.
        let outcome = std::panic::catch_unwind(|| {
            let info = DebugInfo::open(std::slice::from_ref(&file));
            let names = info.names_like("*", 50).0;
            let places: Vec<u64> = names.iter().map(|name| name.rva).collect();
            for rva in places {
                let _ = (info.variables(rva, &Frame), info.inline_starts(rva));
            }
            for entry in info.types_like("*", 50).0 {
                let _ = info.describe(entry.id);
            }
        });
        if let Err(panic) = outcome {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(!text.contains("lastwords"), "{text}");
        }
    }
}
