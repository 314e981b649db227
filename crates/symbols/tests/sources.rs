//! Which file of which source is taken for a module, and what is told when there is none.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use debugid::DebugId;
use lastwords_symbols::{ModuleId, ModuleStatus, Sources, SymbolKind, Symbols};

const SYM: &str = "MODULE Linux x86_64 000102030405060708090A0B0C0D0E0F0 app\n\
                   FILE 0 /src/app.cc\n\
                   FUNC 1000 20 0 outer()\n\
                   1000 20 7 0\n";

fn app() -> ModuleId {
    let debug_id = DebugId::from_breakpad("000102030405060708090A0B0C0D0E0F0").ok();
    ModuleId { code_file: "/opt/app".into(), debug_file: None, build_id: None, debug_id }
}

fn symbols(paths: &[&Path]) -> Symbols {
    let symbols = paths.iter().map(|path| path.to_path_buf()).collect();
    Symbols::new(Sources { symbols, ..Sources::default() })
}

fn assert_app(symbols: &Symbols, path: &Path) {
    let frames = symbols.lookup(&app(), 0x1010);
    assert_eq!(frames[0].function.as_deref(), Some("outer()"));
    assert_eq!((frames[0].file.as_deref(), frames[0].line), (Some("/src/app.cc"), Some(7)));
    let expected = ModuleStatus::Loaded { path: path.to_owned(), kind: SymbolKind::Breakpad };
    assert_eq!(symbols.module_status(&app()), expected);
}

#[test]
fn sym_file_is_found_in_tree_folder_and_as_file() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree/app/000102030405060708090A0B0C0D0E0F0");
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::create_dir_all(dir.path().join("loose/deep/er")).unwrap();
    let in_tree = tree.join("app.sym");
    let loose = dir.path().join("loose/deep/er/any name");
    std::fs::write(&in_tree, SYM).unwrap();
    std::fs::write(&loose, SYM).unwrap();
    assert_app(&symbols(&[&dir.path().join("tree")]), &in_tree);
    assert_app(&symbols(&[&dir.path().join("loose")]), &loose);
    assert_app(&symbols(&[&loose]), &loose);
}

#[test]
fn right_name_with_another_id_is_told_and_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sym");
    std::fs::write(&path, SYM.replace("0001", "FF01")).unwrap();
    let symbols = symbols(&[dir.path()]);
    assert!(symbols.lookup(&app(), 0x1010).is_empty());
    let expected = ModuleStatus::Mismatched {
        path,
        expected: "000102030405060708090A0B0C0D0E0F0".into(),
        found: Some("FF0102030405060708090A0B0C0D0E0F0".into()),
    };
    assert_eq!(symbols.module_status(&app()), expected);
}

#[test]
fn lying_tree_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("app/000102030405060708090A0B0C0D0E0F0");
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::write(tree.join("app.sym"), SYM.replace("0001", "FF01")).unwrap();
    let symbols = symbols(&[dir.path()]);
    assert!(symbols.lookup(&app(), 0x1010).is_empty());
    assert_eq!(symbols.module_status(&app()).as_str(), "mismatched");
}

#[test]
fn absence_has_its_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    let symbols = symbols(&[dir.path(), &missing]);
    assert_eq!(symbols.module_status(&app()), ModuleStatus::NotRequested);
    assert!(symbols.lookup(&app(), 0).is_empty());
    assert_eq!(symbols.module_status(&app()), ModuleStatus::Missing);
    let nameless = ModuleId { code_file: "/x".into(), ..ModuleId::default() };
    assert!(symbols.lookup(&nameless, 0).is_empty());
    assert_eq!(symbols.module_status(&nameless), ModuleStatus::NoId);
    assert_eq!(symbols.problems()[0].path, missing);
}

#[test]
fn a_module_that_was_only_prepared_was_not_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("note.txt");
    std::fs::write(&note, "no symbols").unwrap();
    let symbols = symbols(&[dir.path(), &note]);
    symbols.prepare(&app());
    assert_eq!(symbols.module_status(&app()), ModuleStatus::NotRequested);
    assert!(symbols.problems().is_empty(), "nobody needed the index");
    symbols.module(&app());
    assert_eq!(symbols.module_status(&app()), ModuleStatus::Missing);
    assert_eq!(symbols.problems().len(), 1);
}

#[test]
fn malformed_sym_file_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sym");
    std::fs::write(&path, format!("{SYM}FUNC not hexadecimal\n")).unwrap();
    let symbols = symbols(&[dir.path()]);
    symbols.lookup(&app(), 0x1010);
    let ModuleStatus::Malformed { path: told, reason } = symbols.module_status(&app()) else {
        panic!("{:?}", symbols.module_status(&app()));
    };
    assert_eq!(told, path);
    assert!(reason.contains("line"), "{reason}");
}

#[test]
fn circles_of_links_and_fifos_in_a_folder_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("circle")).unwrap();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let path = dir.path().join("z.sym");
    std::fs::write(&path, SYM).unwrap();
    assert_app(&symbols(&[dir.path()]), &path);
}

/// Compiles a library, strips it, and puts its debug file beside it.
struct Split {
    code: PathBuf,
    debug: PathBuf,
    module: ModuleId,
    rva: u64,
    dir: tempfile::TempDir,
}

fn split() -> Split {
    let dir = tempfile::tempdir().unwrap();
    let (source, code) = (dir.path().join("a.c"), dir.path().join("liba.so"));
    let debug = dir.path().join("liba.so.debug");
    std::fs::write(&source, "int answer(int a) { return a * 42; }\n").unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output =
            Command::new(program).args(arguments).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run("cc", &["-O2", "-g", "-shared", "-fPIC", "-Wl,--build-id=sha1", "-o", "liba.so", "a.c"]);
    let symbol =
        run("nm", &["liba.so"]).lines().find(|l| l.ends_with(" answer")).unwrap().to_owned();
    let rva = u64::from_str_radix(symbol.split(' ').next().unwrap(), 16).unwrap();
    run("objcopy", &["--only-keep-debug", "liba.so", "liba.so.debug"]);
    run("objcopy", &["--strip-all", "--add-gnu-debuglink=liba.so.debug", "liba.so"]);
    let notes = run("readelf", &["-n", "liba.so"]);
    let hex = notes.split("Build ID: ").nth(1).unwrap().split_whitespace().next().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let build_id: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let module = ModuleId::with_build_id(code.to_str().unwrap(), &build_id);
    Split { code, debug, module, rva, dir }
}

fn line(symbols: &Symbols, split: &Split) -> Option<u32> {
    symbols.lookup(&split.module, split.rva).first()?.line
}

#[test]
fn debug_file_is_found_by_link_build_id_tree_and_folder() {
    let split = split();
    let local = || Symbols::new(Sources { local_modules: true, ..Sources::default() });
    assert_eq!(line(&local(), &split), Some(1), "beside the library, by .gnu_debuglink");

    let build_id: String =
        split.module.build_id.as_ref().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let tree = split.dir.path().join(".build-id").join(&build_id[..2]);
    std::fs::create_dir_all(&tree).unwrap();
    let in_tree = tree.join(format!("{}.debug", &build_id[2..]));
    std::fs::rename(&split.debug, &in_tree).unwrap();
    let by_id = symbols(&[split.dir.path()]);
    assert_eq!(line(&by_id, &split), Some(1), "in a .build-id tree");
    let expected = ModuleStatus::Loaded { path: in_tree.clone(), kind: SymbolKind::Dwarf };
    assert_eq!(by_id.module_status(&split.module), expected);

    let folder = split.dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::rename(&in_tree, folder.join("whatever")).unwrap();
    assert_eq!(line(&symbols(&[&folder]), &split), Some(1), "in a plain folder");
    assert_eq!(line(&local(), &split), None, "the debug file is gone");
}

#[test]
fn local_files_are_opened_only_when_allowed_and_right() {
    let split = split();
    assert_eq!(line(&symbols(&[]), &split), None);
    let local = Symbols::new(Sources { local_modules: true, ..Sources::default() });
    let mut build_id = split.module.build_id.clone().unwrap();
    build_id[19] ^= 1;
    let other = ModuleId::with_build_id(split.code.to_str().unwrap(), &build_id);
    assert!(local.lookup(&other, split.rva).is_empty());
    assert_eq!(local.module_status(&other).as_str(), "mismatched");
    let device = ModuleId::with_build_id("/dev/zero", &build_id);
    assert!(local.lookup(&device, 0).is_empty());
    assert_eq!(local.module_status(&device).as_str(), "malformed");
}

#[test]
fn file_without_build_id_is_matched_by_breakpads_hash_of_its_code() {
    let Some(corpus) = support::corpus() else { return };
    let fixtures = corpus.join("files/getsentry+sentry-native/tests/fixtures");
    // The id that sentry-native's own tests expect of this file.
    let debug_id = "29271919-a2ef-129d-9aac-be85a0948d9c".parse().ok();
    let module = ModuleId { debug_id, code_file: "x".into(), ..ModuleId::default() };
    let symbols = symbols(&[&fixtures]);
    symbols.module(&module);
    let ModuleStatus::Loaded { path, .. } = symbols.module_status(&module) else { panic!() };
    assert!(path.to_str().unwrap().contains("without-buildid"));
}

#[test]
fn breakpad_corpus_gives_functions_lines_and_inline_frames() {
    let Some(corpus) = support::corpus() else { return };
    let tree = corpus.join("files/google+breakpad/src/processor/testdata/symbols");
    let symbols = symbols(&[&tree]);
    let module = |name: &str, id: &str| ModuleId {
        code_file: name.replace(".pdb", ".exe"),
        debug_file: Some(name.into()),
        build_id: None,
        debug_id: DebugId::from_breakpad(id).ok(),
    };
    let app = module("test_app.pdb", "5A9832E5287241C1838ED98914E9B7FF1");
    let frame = &symbols.lookup(&app, 0x1010)[0];
    assert_eq!(frame.function.as_deref(), Some("vswprintf"));
    assert_eq!(frame.line, Some(51));
    let inlined =
        symbols.lookup(&module("linux_inline", "BBA6FA10B8AAB33D00000000000000000"), 0x161b6);
    let names: Vec<_> =
        inlined.iter().map(|f| (f.function.as_deref().unwrap(), f.is_inline)).collect();
    assert_eq!(names, [("func()", true), ("bar()", true), ("foo()", true), ("main", false)]);
}
