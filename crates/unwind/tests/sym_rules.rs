//! Stacks walked by a `.sym` file alone are those that its image gives.
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

use std::path::{Path, PathBuf};

use lastwords_symbols::{ModuleSymbols, Sources};
use lastwords_unwind::{Provider, write_stack_cfi};
use made::{Place, callers, name_of};

/// An image, whether its rules are those of a stack's newest frame, too, and the least number of frames.
const IMAGES: [(&str, bool, usize); 5] = [
    ("mstange+samply/fixtures/win64-ci/softokn3.dll", false, 500),
    ("rizinorg+rizin-testbins/pe/microsoft_seh_tests/ARM64/xcpt4.exe", true, 100),
    ("mstange+samply/fixtures/other/simple-example/out/mac-dsym/main", true, 4),
    ("getsentry+symbolic/symbolic-testutils/fixtures/macos/crash", false, 200),
    ("cinit+libunwindstack/libunwindstack/offline_files/offset_arm/libc.so.gz", false, 50),
];

#[test]
fn a_sym_file_alone_gives_the_callers_that_its_image_gives() {
    let Some(corpus) = symbols_support::corpus() else { return };
    for (image, is_exact, at_least) in IMAGES {
        let place = Place::new(&corpus, image, &[]);
        let is_narrow = image.contains("_arm/");
        let path = place.folder().join(name_of(image));
        let by_image = callers(&provider(path.clone()), &place.module, is_narrow);
        let by_sym = callers(&provider(write(&path)), &place.module, is_narrow);
        let mut same = 0;
        for (index, (image_says, sym_says)) in by_image.iter().zip(&by_sym).enumerate() {
            // The newest frame of each address comes first; no other stands in a prologue, where
            // the exact rules are not its.
            if (index % 2 == 0) != is_exact {
                continue;
            }
            let Some((cfa, return_address, _)) = image_says else { continue };
            let Some(sym_says) = sym_says else { continue };
            assert_eq!((cfa, return_address), (&sym_says.0, &sym_says.1), "{image} #{index}");
            same += 1;
        }
        println!("{image}: {same} frames the same");
        assert!(same >= at_least, "{image}: {same}");
    }
}

fn provider(path: PathBuf) -> Provider {
    Provider::new(Sources { symbols: vec![path], ..Sources::default() })
}

fn write(image: &Path) -> PathBuf {
    let symbols = ModuleSymbols::open(image);
    let path = image.with_extension("written.sym");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    let report = symbols.write_sym(&symbols.sym_header(None).unwrap(), &mut out).unwrap();
    let rules = write_stack_cfi(&symbols, &mut out).unwrap();
    println!("{}: {report:?} {rules:?}", image.display());
    path
}
