//! Answers of an earlier run: given while nothing has changed, and only then.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use debugid::DebugId;
use lastwords_symbols::{ModuleId, ModuleStatus, Question, Sources, Symbolication, Symbols};
use lastwords_synth::settle;

const SYM: &str = "MODULE Linux x86_64 000102030405060708090A0B0C0D0E0F0 app\n\
                   FILE 0 /src/app.cc\n\
                   FUNC 1000 20 0 outer()\n\
                   1000 20 7 0\n\
                   STACK CFI INIT 1000 20 .cfa: $rsp 8 + .ra: .cfa 8 - ^\n";
const RVA: u64 = 0x1010;

fn app() -> ModuleId {
    let debug_id = DebugId::from_breakpad("000102030405060708090A0B0C0D0E0F0").ok();
    ModuleId { code_file: "/opt/app".into(), debug_file: None, build_id: None, debug_id }
}

/// A folder with sources, and one with the cache.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("symbols")).unwrap();
        Self { dir }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn symbols(&self) -> PathBuf {
        self.dir.path().join("symbols")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.symbols().join(name);
        std::fs::write(&path, text).unwrap();
        settle(self.dir.path());
        path
    }

    fn sources(&self) -> Sources {
        let symbols = vec![self.symbols()];
        Sources { symbols, cache_dir: Some(self.cache()), ..Sources::default() }
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.cache()).into_iter().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

/// What one run says, and whether it opened files.
#[derive(Debug, PartialEq)]
struct Run {
    found: Symbolication,
    status: ModuleStatus,
    problems: Vec<String>,
    has_opened_files: bool,
}

fn run_at(sources: Sources, module: &ModuleId, rva: u64) -> Run {
    let symbols = Symbols::new(sources);
    let found = symbols.module(module);
    let answer = Run {
        found: (*found.lookup(rva)).clone(),
        status: symbols.module_status(module),
        problems: symbols.problems().into_iter().map(|problem| problem.message).collect(),
        has_opened_files: found.has_opened_files(),
    };
    symbols.keep();
    answer
}

fn run(sources: Sources) -> Run {
    run_at(sources, &app(), RVA)
}

/// The same, said twice: first by the files, then by the cache; and without a cache.
fn assert_kept(sources: &Sources, module: &ModuleId, rva: u64) -> Run {
    let plain = run_at(Sources { cache_dir: None, ..sources.clone() }, module, rva);
    assert!(plain.has_opened_files);
    assert_eq!(run_at(sources.clone(), module, rva), plain, "the first run");
    let warm = run_at(sources.clone(), module, rva);
    assert!(!warm.has_opened_files, "{}: files were opened again", warm.status.as_str());
    assert_eq!(Run { has_opened_files: true, ..warm }, plain, "the second run");
    plain
}

#[test]
fn a_second_run_says_the_same_and_opens_nothing() {
    let place = Place::new();
    place.write("app.sym", SYM);
    let said = assert_kept(&place.sources(), &app(), RVA);
    assert_eq!(said.found.function(), Some("outer()"));
    assert!(
        assert_kept(&place.sources(), &app(), 0x5000).found.frames.is_empty(),
        "nor is nothing forgotten"
    );
    assert!(!run(place.sources()).has_opened_files, "what was kept first is still there");
    let mode = place.cache().metadata().unwrap().permissions().mode();
    assert_eq!((mode & 0o777, place.files().len()), (0o700, 1));
}

#[test]
fn each_outcome_of_a_search_is_kept() {
    let place = Place::new();
    std::fs::write(place.symbols().join("note.txt"), "no symbols").unwrap();
    place.write("other.sym", &SYM.replace("0001", "FF01").replace(" app", " other"));
    assert_eq!(assert_kept(&place.sources(), &app(), RVA).status.as_str(), "missing");
    place.write("app.sym", &SYM.replace("0001", "FF01"));
    assert_eq!(assert_kept(&place.sources(), &app(), RVA).status.as_str(), "mismatched");
    place.write("app.sym", &format!("{SYM}FUNC not hexadecimal\n"));
    assert_eq!(assert_kept(&place.sources(), &app(), RVA).status.as_str(), "malformed");
}

#[test]
fn a_search_of_few_paths_that_found_nothing_is_not_kept() {
    let place = Place::new();
    let sources = Sources { symbols: Vec::new(), local_modules: true, ..place.sources() };
    for _ in 0..2 {
        assert!(run(sources.clone()).has_opened_files);
    }
    assert!(place.files().is_empty());
}

#[test]
fn what_is_wrong_with_the_sources_is_told_again() {
    let place = Place::new();
    let note = place.write("note.txt", "no symbols");
    place.write("app.sym", SYM);
    let symbols = vec![place.dir.path().join("nowhere"), note, place.symbols()];
    let said = assert_kept(&Sources { symbols, ..place.sources() }, &app(), RVA);
    assert_eq!(said.problems.len(), 2, "{:?}", said.problems);
}

#[test]
fn a_file_that_was_changed_is_read_again() {
    let place = Place::new();
    let path = place.write("app.sym", SYM);
    let before = path.metadata().unwrap();
    assert_kept(&place.sources(), &app(), RVA);
    // As large as before, and as old, as far as its own time says.
    place.write("app.sym", &SYM.replace("outer", "other"));
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    settle(place.dir.path());
    let after = path.metadata().unwrap();
    assert_eq!((after.len(), after.mtime_nsec()), (before.len(), before.mtime_nsec()));
    assert_eq!(assert_kept(&place.sources(), &app(), RVA).found.function(), Some("other()"));
}

#[test]
fn a_file_that_comes_later_is_found() {
    let place = Place::new();
    place.write("note.txt", "no symbols");
    assert_eq!(assert_kept(&place.sources(), &app(), RVA).status.as_str(), "missing");
    place.write("deep.sym", SYM);
    assert_eq!(assert_kept(&place.sources(), &app(), RVA).status.as_str(), "loaded");
    std::fs::remove_file(place.symbols().join("deep.sym")).unwrap();
    settle(place.dir.path());
    assert_eq!(assert_kept(&place.sources(), &app(), RVA).status.as_str(), "missing");
}

#[test]
fn a_better_place_that_comes_later_is_used() {
    let place = Place::new();
    let tree = place.symbols().join("app/000102030405060708090A0B0C0D0E0F0");
    std::fs::create_dir_all(&tree).unwrap();
    let second = place.dir.path().join("second");
    std::fs::create_dir(&second).unwrap();
    std::fs::write(tree.join("app.sym"), SYM).unwrap();
    settle(place.dir.path());
    let symbols = vec![second.clone(), place.symbols()];
    let sources = Sources { symbols, ..place.sources() };
    assert_eq!(assert_kept(&sources, &app(), RVA).found.function(), Some("outer()"));
    let better = second.join("app/000102030405060708090A0B0C0D0E0F0");
    std::fs::create_dir_all(&better).unwrap();
    std::fs::write(better.join("app.sym"), SYM.replace("outer", "better")).unwrap();
    settle(place.dir.path());
    assert_eq!(assert_kept(&sources, &app(), RVA).found.function(), Some("better()"));
}

#[test]
fn other_sources_get_no_answers_of_these() {
    let place = Place::new();
    place.write("app.sym", SYM);
    let other = place.dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("app.sym"), SYM.replace("outer", "other")).unwrap();
    settle(place.dir.path());
    let of = |symbols: Vec<PathBuf>| Sources { symbols, ..place.sources() };
    for _ in 0..2 {
        assert_eq!(run(place.sources()).found.function(), Some("outer()"));
        assert_eq!(run(of(vec![other.clone()])).found.function(), Some("other()"));
        assert_eq!(run(of(vec![other.clone(), place.symbols()])).found.function(), Some("other()"));
        assert_eq!(run(of(Vec::new())).found.function(), None);
    }
    assert_eq!(place.files().len(), 3);
}

#[test]
fn a_file_that_has_just_changed_is_not_kept() {
    let place = Place::new();
    let tree = place.symbols().join("app/000102030405060708090A0B0C0D0E0F0");
    std::fs::create_dir_all(&tree).unwrap();
    // Found at a known place, and by going through all files.
    for path in [tree.join("app.sym"), place.symbols().join("app.sym")] {
        let deadline = Instant::now() + Duration::from_secs(10);
        // On a slow machine the run may begin too late.
        loop {
            settle(place.dir.path());
            std::fs::write(&path, SYM).unwrap();
            run(place.sources());
            if place.files().is_empty() {
                break;
            }
            std::fs::remove_file(&place.files()[0]).unwrap();
            assert!(Instant::now() < deadline, "it is kept every time");
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_damaged_file_is_written_anew() {
    let place = Place::new();
    place.write("app.sym", SYM);
    run(place.sources());
    let path = place.files()[0].clone();
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for bytes in [&damaged[..], &whole[..whole.len() - 1], b"", b"LWSYMBOL", &[0xff; 5000]] {
        std::fs::write(&path, bytes).unwrap();
        let said = run(place.sources());
        assert_eq!((said.found.function(), said.has_opened_files), (Some("outer()"), true));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_folder_that_cannot_be_used_changes_nothing() {
    let place = Place::new();
    let path = place.write("app.sym", SYM);
    let plain = run(Sources { cache_dir: None, ..place.sources() });
    for cache in [path.clone(), path.join("below"), PathBuf::from("/proc/self/nowhere")] {
        for _ in 0..2 {
            assert_eq!(run(Sources { cache_dir: Some(cache.clone()), ..place.sources() }), plain);
        }
    }
    run(place.sources());
    std::fs::set_permissions(place.cache(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(run(place.sources()).has_opened_files, "others could have written it");
}

#[test]
fn many_at_once_read_no_halves_and_leave_none() {
    let place = Place::new();
    let functions: String =
        (0..64).map(|n| format!("FUNC {:x} 10 0 f{n}\n", 0x1000 + n * 0x10)).collect();
    place
        .write("app.sym", &format!("{}{functions}", SYM.lines().next().unwrap().to_owned() + "\n"));
    std::thread::scope(|scope| {
        for first in 0..4 {
            let place = &place;
            scope.spawn(move || {
                for round in 0..32 {
                    let number = (first * 16 + round) % 64;
                    let said = run_at(place.sources(), &app(), 0x1000 + number * 0x10);
                    assert_eq!(said.found.function(), Some(format!("f{number}").as_str()));
                }
            });
        }
    });
    // One more round, alone: each answer is there or found, and then all are there.
    for number in 0..64 {
        run_at(place.sources(), &app(), 0x1000 + number * 0x10);
    }
    for number in 0..64 {
        assert!(!run_at(place.sources(), &app(), 0x1000 + number * 0x10).has_opened_files);
    }
    assert_eq!(place.files().len(), 1, "nothing unfinished is left");
}

#[test]
fn answers_of_others_are_kept_with_their_questions() {
    let place = Place::new();
    place.write("app.sym", SYM);
    let ask = |question, rva, answer| {
        let symbols = Symbols::new(place.sources());
        let said = symbols.module(&app()).ask(question, rva, || answer);
        symbols.keep();
        said
    };
    assert!(ask(Question::IsNotCode, 1, true));
    assert!(ask(Question::IsNotCode, 1, false), "the answer that was kept");
    assert!(!ask(Question::IsNotCode, 2, false));
    assert!(!ask(Question::IsSignalTrampoline, 1, false));
    assert!(!ask(Question::IsNotCode, u64::MAX, false));
    assert!(ask(Question::IsNotCode, u64::MAX, true), "no address of a module");
}

#[test]
fn stack_records_come_back_without_the_rest_of_the_file() {
    let place = Place::new();
    place.write("app.sym", SYM);
    let symbols = || Symbols::new(place.sources());
    let first = symbols();
    assert!(first.module(&app()).stack_records(RVA).is_some());
    assert!(first.module(&app()).stack_records(0x9000).is_none());
    first.keep();
    let second = symbols().module(&app());
    assert!(second.stack_records(RVA).is_some());
    assert!(second.stack_records(0x9000).is_none());
    assert!(!second.has_opened_files());
    assert!(second.stack_records(RVA + 1).is_some());
    assert!(second.has_opened_files());
}

/// A library whose debug information lies in a file of its own.
fn library(folder: &Path) -> (ModuleId, u64) {
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    std::fs::write(folder.join("a.c"), "int answer(int a) { return a * 42; }\n").unwrap();
    run("cc", &["-O2", "-g", "-shared", "-fPIC", "-Wl,--build-id=sha1", "-o", "liba.so", "a.c"]);
    let symbols = run("nm", &["liba.so"]);
    let symbol = symbols.lines().find(|line| line.ends_with(" answer")).unwrap();
    let rva = u64::from_str_radix(symbol.split(' ').next().unwrap(), 16).unwrap();
    run("objcopy", &["--only-keep-debug", "liba.so", "liba.so.debug"]);
    run("objcopy", &["--strip-all", "--add-gnu-debuglink=liba.so.debug", "liba.so"]);
    let notes = run("readelf", &["-n", "liba.so"]);
    let hex = notes.split("Build ID: ").nth(1).unwrap().split_whitespace().next().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let build_id: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    (ModuleId::with_build_id(folder.join("liba.so").to_str().unwrap(), &build_id), rva)
}

fn is_mapped(folder: &Path) -> bool {
    std::fs::read_to_string("/proc/self/maps").unwrap().contains(folder.to_str().unwrap())
}

#[test]
fn a_debug_file_that_is_installed_or_removed_later_counts() {
    let place = Place::new();
    let folder = place.symbols();
    let (module, rva) = library(&folder);
    let hidden = place.dir.path().join("hidden");
    std::fs::rename(folder.join("liba.so.debug"), &hidden).unwrap();
    settle(place.dir.path());
    let sources = Sources { symbols: Vec::new(), local_modules: true, ..place.sources() };
    let kind = |run: Run| match run.status {
        ModuleStatus::Loaded { kind, .. } => kind.as_str(),
        status => panic!("{status:?}"),
    };
    assert_eq!(kind(assert_kept(&sources, &module, rva)), "symbol_table");
    std::fs::rename(&hidden, folder.join("liba.so.debug")).unwrap();
    settle(place.dir.path());
    let said = assert_kept(&sources, &module, rva);
    assert_eq!((said.found.frames[0].line, kind(said)), (Some(1), "dwarf"));
    std::fs::remove_file(folder.join("liba.so.debug")).unwrap();
    settle(place.dir.path());
    assert_eq!(kind(assert_kept(&sources, &module, rva)), "symbol_table");
}

#[test]
fn a_kept_module_is_not_even_mapped() {
    let place = Place::new();
    let (module, rva) = library(&place.symbols());
    settle(place.dir.path());
    let sources = Sources { symbols: Vec::new(), local_modules: true, ..place.sources() };
    let first = Symbols::new(sources.clone());
    let said = first.lookup(&module, rva);
    assert!(is_mapped(&place.symbols()));
    first.keep();
    drop(first);
    let second = Symbols::new(sources);
    assert_eq!(second.lookup(&module, rva), said);
    assert!(!is_mapped(&place.symbols()));
}

#[test]
fn damaged_dwarf_is_told_as_soon_as_without_a_cache() {
    let place = Place::new();
    let folder = place.symbols();
    let (module, rva) = library(&folder);
    // The header of the first unit lies about its size.
    let path = folder.join("liba.so.debug");
    let mut bytes = std::fs::read(&path).unwrap();
    let sections = Command::new("readelf").arg("-SW").arg(&path).output().unwrap();
    let sections = String::from_utf8(sections.stdout).unwrap();
    let info = sections.lines().find(|line| line.contains(" .debug_info ")).unwrap();
    let offset = info.split("PROGBITS").nth(1).unwrap().split_whitespace().nth(1).unwrap();
    let offset = usize::from_str_radix(offset, 16).unwrap();
    bytes[offset..offset + 4].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
    std::fs::write(&path, bytes).unwrap();
    settle(place.dir.path());
    let sources = Sources { symbols: Vec::new(), local_modules: true, ..place.sources() };
    // A run that looks nothing up does not see it, with or without a cache.
    let status_unasked = || {
        let symbols = Symbols::new(sources.clone());
        symbols.module(&module).ask(Question::IsNotCode, rva, || false);
        symbols.keep();
        symbols.module_status(&module)
    };
    assert_eq!(status_unasked().as_str(), "loaded");
    let said = assert_kept(&sources, &module, rva);
    assert_eq!(said.status.as_str(), "malformed", "{said:?}");
    assert_eq!(status_unasked().as_str(), "loaded");
}
