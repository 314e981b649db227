//! Damaged and hostile symbol files end in an orderly answer, in bounded time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;
#[path = "../../symbols/tests/support/mod.rs"]
mod symbols_support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lastwords_symbols::{ModuleId, ModuleStatus, ModuleSymbols, Sources};
use lastwords_unwind::{Provider, write_stack_cfi};
use minidump::format::CONTEXT_AMD64;
use minidump::{MinidumpModule, MinidumpRawContext};
use support::{Target, code_view_module, elf_module, walk};

const LIMIT: Duration = Duration::from_secs(10);
/// Damaged copies of each file.
const DAMAGED: u64 = 15;
const BASE: u64 = 0x10_0000_0000;

#[test]
fn malformed_files_of_the_corpus_end_orderly() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let mut paths = files(&corpus.join("files/dvyukov+go-fuzz-corpus/elf"));
    paths.extend(files(&corpus.join("files/chromium+crashpad/snapshot/elf")));
    let regression = "files/getsentry+symbolic/symbolic-testutils/fixtures/regression";
    paths.extend(files(&corpus.join(regression)));
    let breakpad = corpus.join("files/google+breakpad/src/processor/testdata");
    paths.extend([breakpad.join("module3_bad.out"), breakpad.join("module4_bad.out")]);
    paths.push(
        corpus.join(
            "files/getsentry+symbolic/symbolic-debuginfo/tests/fixtures/invalid-symbols.fuzzed",
        ),
    );
    assert!(paths.len() > 15);
    for path in paths {
        exercise(&path);
    }
}

#[test]
fn sizes_that_compressed_sections_claim_are_not_believed() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let folder = corpus.join("files/getsentry+symbolic/symbolic-testutils/fixtures/regression");
    for name in ["elf_compressed_gnu", "elf_compressed_shf"] {
        let status = ModuleSymbols::open(&folder.join(name)).status();
        assert!(matches!(status, ModuleStatus::Malformed { .. }), "{name}: {status:?}");
    }
}

#[test]
fn damaged_files_end_orderly() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let linux = corpus.join("files/getsentry+symbolic/symbolic-testutils/fixtures/linux");
    let samply = corpus.join("files/mstange+samply/fixtures");
    let (offline, windows) = (samply.join("other/simple-example/out"), samply.join("win64-ci"));
    let macos = linux.with_file_name("macos");
    let sources = [
        linux.join("crash.debug-zlib"),
        linux.join("crash"),
        linux.join("crash.sym"),
        offline.join("with-dwp/main"),
        linux.with_file_name("windows").join("crash.pdb"),
        windows.join("WriteArgument.pdb"),
        windows.join("WriteArgument.exe"),
        macos.join("crash"),
        macos.join("crash.dSYM/Contents/Resources/DWARF/crash"),
        corpus.join("files/mozilla+dump_syms/test_data/windows/basic32-dwarf.dll"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for source in sources {
        let bytes = std::fs::read(&source).unwrap();
        for seed in 0..DAMAGED {
            let path = dir.path().join("damaged");
            std::fs::write(&path, damage(&bytes, seed)).unwrap();
            exercise(&path);
        }
    }
}

#[test]
fn deep_nesting_of_inline_frames_does_not_overflow_the_stack() {
    let dir = tempfile::tempdir().unwrap();
    let library = assemble(dir.path(), &nested_dwarf(500_000));
    let symbols = ModuleSymbols::open(&library);
    assert!(matches!(symbols.status(), ModuleStatus::Loaded { .. }), "{:?}", symbols.status());
    let rva = code_rva(&library);
    // The unit is refused as a whole; the symbol table still names the function.
    assert_eq!(symbols.lookup(rva).function(), Some("code"));
    // The same unit, less deep, is read.
    let shallow = assemble(dir.path(), &nested_dwarf(100));
    let symbols = ModuleSymbols::open(&shallow);
    assert_eq!(symbols.lookup(code_rva(&shallow)).frames.len(), 101);
}

#[test]
fn endless_expression_of_a_frame_ends() {
    let dir = tempfile::tempdir().unwrap();
    // DW_CFA_def_cfa_expression, 3 bytes: DW_OP_skip -3.
    let library = assemble(
        dir.path(),
        ".text\n.globl code\n.type code,@function\ncode:\n.cfi_startproc\n\
         .cfi_escape 0x0f,3,0x2f,0xfd,0xff\nnop\nnop\nret\n.cfi_endproc\n.size code,.-code\n",
    );
    let started = Instant::now();
    let frames = Walker::new(&library).walk_at(code_rva(&library) + 1);
    assert!(started.elapsed() < LIMIT);
    assert_eq!(frames, 1);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Opens, looks up and unwinds; only time and panics count.
fn exercise(path: &Path) {
    let started = Instant::now();
    let symbols = ModuleSymbols::open(path);
    for rva in (0..0x40_0000).step_by(0x1_3331) {
        let _ = symbols.lookup(rva);
    }
    let _ = symbols.lookup(u64::MAX);
    let _ = symbols.status();
    if let Ok(header) = symbols.sym_header(Some("module")) {
        symbols.write_sym(&header, &mut std::io::sink()).unwrap();
        write_stack_cfi(&symbols, &mut std::io::sink()).unwrap();
    }
    let walker = Walker::new(path);
    for rva in (0..0x4_0000).step_by(0x0331) {
        walker.walk_at(rva);
    }
    assert!(started.elapsed() < LIMIT, "{}: {:?}", path.display(), started.elapsed());
}

/// Walks stacks of zeros in one module.
struct Walker {
    provider: Provider,
    module: MinidumpModule,
}

impl Walker {
    fn new(path: &Path) -> Self {
        let symbols = ModuleSymbols::open(path);
        let elf = symbols.elf().and_then(|elf| elf.code().or(elf.debug()));
        let debug_id = symbols.pe().and_then(|pe| pe.pdb_id().or(pe.image()?.debug_id()));
        let header = || symbols.sym_header(None).ok().filter(|_| elf.is_none());
        let module = match debug_id.or_else(|| Some(header()?.debug_id)) {
            Some(id) => code_view_module(BASE, 0x1000_0000, "module", id),
            None => {
                let id = elf.and_then(|image| image.identity()).unwrap_or(&[1]);
                elf_module(BASE, 0x1000_0000, "module", id)
            }
        };
        let sources = Sources { symbols: vec![path.to_owned()], ..Sources::default() };
        Self { provider: Provider::new(sources), module }
    }

    /// Number of frames of a stack whose innermost instruction lies at `rva`.
    fn walk_at(&self, rva: u64) -> usize {
        let context =
            CONTEXT_AMD64 { rip: BASE + rva, rsp: 0x7000_0000, ..CONTEXT_AMD64::default() };
        let target = Target {
            context: MinidumpRawContext::Amd64(context),
            stack_start: 0x7000_0000,
            stack: vec![0; 0x1000],
            modules: vec![self.module.clone()],
        };
        walk(&target, &self.provider).frames.len()
    }
}

/// Overwrites some bytes, cuts some files short. The same for the same seed.
fn damage(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    let mut damaged = bytes.to_vec();
    for _ in 0..=random() % 64 {
        // Half of the damage goes to the headers at both ends.
        let at = match random() % 4 {
            0 => random() % 512,
            1 => damaged.len() - 1 - random() % 4096,
            _ => random() % damaged.len(),
        };
        damaged[at] = [0, 0xff, 0x7f, 0x80, u8::try_from(random() % 256).unwrap()][random() % 5];
    }
    if random() % 4 == 0 {
        damaged.truncate(random() % damaged.len());
    }
    damaged
}

fn assemble(folder: &Path, source: &str) -> PathBuf {
    let (path, library) = (folder.join("a.s"), folder.join("liba.so"));
    std::fs::write(&path, source).unwrap();
    let mut command = Command::new("cc");
    command.args(["-shared", "-nostdlib", "-Wl,--build-id=sha1", "-o"]).arg(&library).arg(&path);
    assert!(command.status().unwrap().success(), "{command:?}");
    library
}

fn code_rva(library: &Path) -> u64 {
    let output = Command::new("nm").arg(library).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.ends_with(" code")).unwrap();
    u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
}

/// One function with inline frames inside each other; DWARF 4.
fn nested_dwarf(depth: usize) -> String {
    let attributes = ".uleb128 0x11\n.uleb128 0x1\n.uleb128 0x12\n.uleb128 0x7\n.byte 0,0\n";
    let abbreviation =
        |code: u8, tag: u8| format!(".uleb128 {code}\n.uleb128 {tag}\n.byte 1\n{attributes}");
    let entry = |code: u8| format!(".uleb128 {code}\n.quad code\n.quad 4\n");
    format!(
        ".text\n.globl code\n.type code,@function\ncode:\nnop\nnop\nnop\nret\n.size code,.-code\n\
         .section .debug_abbrev,\"\",@progbits\n{}{}{}.byte 0\n\
         .section .debug_info,\"\",@progbits\n.long end - begin\nbegin:\n.value 4\n.long 0\n.byte 8\n\
         {}{}.rept {depth}\n{}.endr\n.rept {depth}\n.byte 0\n.endr\n.byte 0,0\nend:\n",
        abbreviation(1, 0x11),
        abbreviation(2, 0x2e),
        abbreviation(3, 0x1d),
        entry(1),
        entry(2),
        entry(3),
    )
}

#[test]
fn device_named_in_a_dump_is_not_opened() {
    let provider = Provider::new(Sources { local_modules: true, ..Sources::default() });
    let module = elf_module(0x1000, 0x1000, "/dev/zero", &[7; 20]);
    provider.symbols().module(&ModuleId::from(&module));
    assert_eq!(provider.module_status(&module).as_str(), "malformed");
}
