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

#[path = "support/made.rs"]
mod made;
mod support;
#[path = "../../symbols/tests/support/mod.rs"]
mod symbols_support;

use std::path::PathBuf;

use lastwords_symbols::Sources;
use lastwords_unwind::Provider;
use made::{BASE, Place, callers};
use minidump::MinidumpModule;
use minidump_unwind::{FrameSymbolizer, SymbolProvider};
use support::block_on;

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

/// Functions with their lines all over the image.
fn names(provider: &Provider, module: &MinidumpModule) -> Vec<Option<(String, u32)>> {
    let rvas = (0x1000..0x1_8000).step_by(0x94);
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
