//! What PE, PDB and Mach-O files say comes out of the symbol cache in a second run: callers, by other
//! unwind information than DWARF's, functions and lines; the same, and without the files being mapped.
#![cfg(target_os = "linux")]
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

use lastwords_symbols::{ModuleSymbols, Sources};
use lastwords_unwind::Provider;
use minidump::MinidumpModule;
use minidump_unwind::{FrameSymbolizer, FrameWalker, SymbolProvider};
use support::{block_on, code_view_module};

const BASE: u64 = 0x1000_0000;
const SIZE: u64 = 0x100_0000;
/// An image, what lies beside it, whether it is 32-bit code, and the least number of callers found.
const IMAGES: [(&str, &[&str], bool, usize); 5] = [
    (
        "mstange+samply/fixtures/win64-ci/softokn3.dll",
        &["mstange+samply/fixtures/win64-ci/softokn3.pdb"],
        false,
        300,
    ),
    (
        "rizinorg+rizin-testbins/pe/microsoft_seh_tests/ARM64/xcpt4.exe",
        &["rizinorg+rizin-testbins/pe/microsoft_seh_tests/ARM64/xcpt4.pdb"],
        false,
        300,
    ),
    ("mstange+samply/fixtures/other/simple-example/out/mac-dsym/main", &[], false, 10),
    (
        "getsentry+symbolic/symbolic-testutils/fixtures/macos/crash",
        &[
            "getsentry+symbolic/symbolic-testutils/fixtures/macos/crash.dSYM/Contents/Resources/DWARF/crash",
        ],
        false,
        200,
    ),
    (
        "getsentry+symbolic/symbolic-testutils/fixtures/windows/crash.exe",
        &["getsentry+symbolic/symbolic-testutils/fixtures/windows/crash.pdb"],
        true,
        40,
    ),
];

#[test]
fn a_second_walk_says_the_same_and_maps_no_image() {
    let Some(corpus) = symbols_support::corpus() else { return };
    for (image, beside, is_narrow, at_least) in IMAGES {
        let place = Place::new(&corpus, image, beside);
        let said = |cache: Option<PathBuf>| {
            let symbols = vec![place.folder()];
            let sources = Sources { symbols, cache_dir: cache, ..Sources::default() };
            let provider = Provider::new(sources);
            let callers = callers(&provider, &place.module, is_narrow);
            let said = (callers, names(&provider, &place.module));
            let is_mapped = place.is_mapped();
            provider.keep();
            (said, is_mapped)
        };
        let plain = said(None);
        let (callers, names) = &plain.0;
        let found = callers.iter().flatten().count();
        let named = names.iter().flatten().count();
        println!("{image}: {found} of {} callers, {named} names", callers.len());
        assert!(found >= at_least && named > 5, "{image}: {found} callers, {named} names");
        assert!(said(Some(place.cache())) == plain, "{image}: the first run");
        let (warm, is_mapped) = said(Some(place.cache()));
        assert!(warm == plain.0, "{image}: the second run");
        assert!(plain.1 && !is_mapped, "{image}: it was mapped again");
    }
}

/// Copies of the files, and room for the cache.
struct Place {
    dir: tempfile::TempDir,
    module: MinidumpModule,
}

impl Place {
    fn new(corpus: &Path, image: &str, beside: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("files");
        std::fs::create_dir(&folder).unwrap();
        for file in beside.iter().chain([&image]) {
            let from = corpus.join("files").join(file);
            let to = folder.join(below_folder(file));
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(&from, to).unwrap();
        }
        lastwords_synth::settle(dir.path());
        let path = folder.join(Path::new(image).file_name().unwrap());
        let symbols = ModuleSymbols::open(&path);
        let of_pe = symbols.pe().and_then(|pe| pe.image()?.debug_id());
        let header = symbols.sym_header(None).ok();
        let debug_id = of_pe.or(header.map(|header| header.debug_id)).unwrap();
        let module = code_view_module(BASE, SIZE, path.to_str().unwrap(), debug_id);
        Self { dir, module }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn is_mapped(&self) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.contains(self.folder().to_str().unwrap())
    }
}

/// The file's name; of a bundle's, its path from the bundle on.
fn below_folder(file: &str) -> &str {
    let before = file.find(".dSYM/").unwrap_or(file.len());
    let start = file[..before].rfind('/').unwrap() + 1;
    &file[start..]
}

/// Functions with their lines all over the image.
fn names(provider: &Provider, module: &MinidumpModule) -> Vec<Option<(String, u32)>> {
    let rvas = (0x1000..0x1_8000).step_by(0x95);
    let name = |rva| {
        let mut named = Named { instruction: BASE + rva, name: None, line: 0 };
        block_on(provider.fill_symbol(module, &mut named)).ok()?;
        named.name.map(|name| (name, named.line))
    };
    rvas.map(name).collect()
}

struct Named {
    instruction: u64,
    name: Option<String>,
    line: u32,
}

impl FrameSymbolizer for Named {
    fn get_instruction(&self) -> u64 {
        self.instruction
    }

    fn set_function(&mut self, name: &str, _: u64, _: u32) {
        self.name = Some(name.to_owned());
    }

    fn set_source_file(&mut self, _: &str, line: u32, _: u64) {
        self.line = line;
    }
}

/// Stack pointer, return address and registers of a caller.
type Caller = (u64, u64, Vec<(String, Option<u64>)>);

/// Of frames all over the image, the newest and others.
fn callers(provider: &Provider, module: &MinidumpModule, is_narrow: bool) -> Vec<Option<Caller>> {
    let mut found = Vec::new();
    for rva in (0x1000..0x1_8000).step_by(0x95) {
        for has_callee in [false, true] {
            let mut frame = Frame { instruction: BASE + rva, has_callee, is_narrow, caller: None };
            let walked = block_on(provider.walk_frame(module, &mut frame));
            found.push(walked.and(frame.caller));
        }
    }
    found
}

/// A frame whose registers and memory are made of their names and addresses.
struct Frame {
    instruction: u64,
    has_callee: bool,
    is_narrow: bool,
    caller: Option<Caller>,
}

impl Frame {
    fn cut(&self, value: u64) -> u64 {
        if self.is_narrow { value & 0x7fff_fff0 } else { value & 0x7fff_ffff_fff0 }
    }

    fn caller(&mut self) -> &mut Caller {
        self.caller.get_or_insert_with(|| (0, 0, Vec::new()))
    }
}

impl FrameWalker for Frame {
    fn get_instruction(&self) -> u64 {
        self.instruction
    }

    fn has_grand_callee(&self) -> bool {
        self.has_callee
    }

    fn get_grand_callee_parameter_size(&self) -> u32 {
        0
    }

    fn get_register_at_address(&self, address: u64) -> Option<u64> {
        Some(self.cut(address.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    fn get_callee_register(&self, name: &str) -> Option<u64> {
        let sum = name.bytes().fold(7u64, |sum, byte| sum * 31 + u64::from(byte));
        Some(self.cut(sum.wrapping_mul(0x1_0000_01b3)))
    }

    fn set_caller_register(&mut self, name: &str, value: u64) -> Option<()> {
        self.caller().2.push((name.to_owned(), Some(value)));
        Some(())
    }

    fn clear_caller_register(&mut self, name: &str) {
        self.caller().2.push((name.to_owned(), None));
    }

    fn set_cfa(&mut self, value: u64) -> Option<()> {
        self.caller().0 = value;
        Some(())
    }

    fn set_ra(&mut self, value: u64) -> Option<()> {
        self.caller().1 = value;
        Some(())
    }
}
