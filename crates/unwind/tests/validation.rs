//! Which words of a stack may be return addresses: minidump-unwind takes an answer without a
//! name as "not code", and an error as "nothing known".
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

use lastwords_symbols::{ModuleSymbols, Sources};
use lastwords_unwind::Provider;
use minidump::MinidumpModule;
use minidump_unwind::{FrameSymbolizer, SymbolProvider};
use support::{block_on, elf_module};

const BASE: u64 = 0x10_0000_0000;

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Named(String),
    NotCode,
    NothingKnown,
}

struct Probe {
    instruction: u64,
    name: Option<String>,
}

impl FrameSymbolizer for Probe {
    fn get_instruction(&self) -> u64 {
        self.instruction
    }
    fn set_function(&mut self, name: &str, _base: u64, _parameter_size: u32) {
        self.name = Some(name.to_owned());
    }
    fn set_source_file(&mut self, _file: &str, _line: u32, _base: u64) {}
}

struct Library {
    path: PathBuf,
    module: MinidumpModule,
    provider: Provider,
    _dir: tempfile::TempDir,
}

impl Library {
    fn build(is_stripped: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (source, path) = (dir.path().join("a.c"), dir.path().join("liba.so"));
        // The functions end on odd addresses, and are aligned: there is padding between them.
        let code = "int data[64] = {1};\n\
                    __attribute__((noinline, aligned(64))) static int hidden(int a) { return a * data[a]; }\n\
                    __attribute__((aligned(64))) int shown(int a) { return hidden(a) + 1; }\n";
        std::fs::write(&source, code).unwrap();
        let mut command = Command::new("cc");
        command
            .args(["-O2", "-shared", "-fPIC", "-Wl,--build-id=sha1", "-o"])
            .arg(&path)
            .arg(&source);
        if is_stripped {
            command.arg("-s");
        }
        assert!(command.status().unwrap().success());
        let symbols = ModuleSymbols::open(&path);
        let id = symbols.elf().unwrap().code().unwrap().build_id().unwrap().to_vec();
        let module = elf_module(BASE, 0x10_0000, path.to_str().unwrap(), &id);
        let sources = Sources { local_modules: true, ..Sources::default() };
        Self { module, provider: Provider::new(sources), path, _dir: dir }
    }

    fn ask(&self, rva: u64) -> Answer {
        let mut probe = Probe { instruction: BASE + rva, name: None };
        match block_on(self.provider.fill_symbol(&self.module, &mut probe)) {
            Ok(()) => probe.name.map_or(Answer::NotCode, Answer::Named),
            Err(_) => Answer::NothingKnown,
        }
    }
}

fn address(library: &Path, name: &str) -> u64 {
    let output = Command::new("nm").args(["-a", "-D"]).arg(library).output().unwrap();
    let full = Command::new("nm").arg("-a").arg(library).output().unwrap();
    let text = String::from_utf8([full.stdout, output.stdout].concat()).unwrap();
    let line = text.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
    u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
}

#[test]
fn with_full_symbols_only_functions_are_code() {
    let library = Library::build(false);
    let at = |name| address(&library.path, name);
    assert_eq!(library.ask(at("hidden") + 1), Answer::Named("hidden".into()));
    assert_eq!(library.ask(at("shown") + 1), Answer::Named("shown".into()));
    assert_eq!(library.ask(at("hidden") + 60), Answer::NotCode, "padding");
    assert_eq!(library.ask(at("data") + 8), Answer::NotCode, "data");
    assert_eq!(library.ask(0), Answer::NotCode, "headers");
    assert_eq!(library.ask(0xf_0000), Answer::NotCode, "behind the end");
}

#[test]
fn without_symbols_call_frame_information_tells_code() {
    let full = Library::build(false);
    let stripped = Library::build(true);
    let hidden = address(&full.path, "hidden").wrapping_sub(address(&full.path, "shown"));
    let shown = address(&stripped.path, "shown");
    assert_eq!(stripped.ask(shown + 1), Answer::Named("shown".into()));
    let hidden = shown.wrapping_add(hidden);
    assert_eq!(stripped.ask(hidden + 1), Answer::NothingKnown, "code without a name");
    assert_eq!(stripped.ask(hidden + 60), Answer::NotCode, "padding");
}

#[test]
fn missing_module_leaves_the_question_open() {
    let library = Library::build(false);
    let module = elf_module(BASE, 0x1000, "/nowhere/lib.so", &[9; 20]);
    let mut probe = Probe { instruction: BASE + 1, name: None };
    assert!(block_on(library.provider.fill_symbol(&module, &mut probe)).is_err());
    assert_eq!(library.provider.module_status(&module).as_str(), "missing");
}
