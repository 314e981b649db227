//! A document is the same to the last byte without a symbol cache, with an empty one, and with a
//! full one.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

#[path = "support/corpus.rs"]
mod corpus;

use std::path::{Path, PathBuf};

use lastwords_analyze::{Options, analyze_file};
use lastwords_synth::{Dump, Function, Module, Stack, Thread, settle, symbol_file};

use corpus::{Row, corpus, rows};

/// The document, or the error: both are the same.
fn document(dump: &Path, options: &Options) -> Result<String, String> {
    let cache_dir = options.cache_dir.as_ref();
    let json = serde_json::json!({
        "symbols": options.symbols,
        "local_modules": options.local_modules,
        "cache_dir": cache_dir,
    });
    analyze_file(dump, json.to_string().as_bytes())
        .map(|document| String::from_utf8(document).unwrap())
        .map_err(|error| error.message())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn assert_same(dump: &Path, options: &Options, cache: &Path) {
    let plain = document(dump, options);
    let cached = Options { cache_dir: Some(cache.to_owned()), ..options.clone() };
    for run in ["first", "second"] {
        assert!(document(dump, &cached) == plain, "{}, {run} run", dump.display());
    }
}

#[test]
fn documents_of_all_dumps_of_the_corpus_are_the_same_with_a_cache() {
    let Some(root) = corpus() else { return };
    let cache = tempfile::tempdir().unwrap();
    let is_dump = |row: &Row| row.format == "minidump" && ["dump", "malformed"].contains(&row.kind);
    let dumps: Vec<_> = rows(&root).into_iter().filter(is_dump).collect();
    assert!(dumps.len() > 50);
    let given = Options {
        symbols: ["rust-minidump+rust-minidump", "google+breakpad/src/processor/testdata/symbols"]
            .map(|folder| root.join("files").join(folder))
            .to_vec(),
        local_modules: false,
        ..Options::default()
    };
    let local = Options { local_modules: true, ..Options::default() };
    for row in dumps {
        for options in [&given, &local] {
            assert_same(&root.join("files").join(row.tail()), options, cache.path());
        }
    }
    assert!(files(cache.path()).len() > 20, "nothing was kept");
}

/// A dump of two functions with call frame information, and a source with their names.
struct Synthetic {
    dir: tempfile::TempDir,
}

impl Synthetic {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let module = Module::new("app", 0x40_0000, 0x1_0000);
        let function = |rva, name| Function { rva, size: 0x100, name, frame_size: Some(64) };
        let symbols = symbol_file(&module, &[function(0x1000, "inner"), function(0x2000, "outer")]);
        let stack = Stack::new(0x7000_0000).frame(0x40_1010, 64).frame(0x40_2020, 64);
        let dump = Dump::new().module(module).thread(Thread::new(7, &stack)).crash(7, 11, 1, 0x10);
        std::fs::create_dir(dir.path().join("symbols")).unwrap();
        std::fs::write(dir.path().join("symbols/app.sym"), symbols).unwrap();
        std::fs::write(dir.path().join("a.dmp"), dump.build()).unwrap();
        settle(dir.path());
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self) -> Options {
        Options {
            symbols: vec![self.at("symbols")],
            local_modules: false,
            cache_dir: Some(self.at("cache")),
            ..Options::default()
        }
    }
}

#[test]
fn a_damaged_cache_changes_no_document() {
    let synthetic = Synthetic::new();
    let dump = synthetic.at("a.dmp");
    let plain = document(&dump, &Options { cache_dir: None, ..synthetic.options() }).unwrap();
    assert!(plain.contains("\"outer\""));
    document(&dump, &synthetic.options()).unwrap();
    let [file] = &files(&synthetic.at("cache"))[..] else { panic!("one file is kept") };
    let whole = std::fs::read(file).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x11;
        std::fs::write(file, &damaged).unwrap();
        assert!(document(&dump, &synthetic.options()).unwrap() == plain, "byte {at}");
        assert!(std::fs::read(file).unwrap() == whole, "byte {at}: it is not written anew");
    }
}

#[test]
fn answers_come_from_the_cache() {
    let synthetic = Synthetic::new();
    let dump = synthetic.at("a.dmp");
    document(&dump, &synthetic.options()).unwrap();
    let [file] = &files(&synthetic.at("cache"))[..] else { panic!("one file is kept") };
    // A name as long as the right one, and a checksum that says that all is well.
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(5).position(|name| name == b"outer").unwrap();
    bytes[at..at + 5].copy_from_slice(b"other");
    let sum = crc32fast::hash(&bytes[16..]).to_le_bytes();
    bytes[12..16].copy_from_slice(&sum);
    std::fs::write(file, &bytes).unwrap();
    assert!(document(&dump, &synthetic.options()).unwrap().contains("\"other\""));
}
