//! What real PDBs say of where their sources are.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use lastwords_symbols::{ModuleSymbols, SourceServer};

fn told(file: &str) -> Option<Vec<SourceServer>> {
    let path = support::corpus()?.join("files").join(file);
    Some(ModuleSymbols::open(&path).source_servers())
}

#[test]
fn source_servers_of_browsers_and_of_perforce_are_read() {
    let files = [
        ("mstange+samply/fixtures/win64-ci/WriteArgument.pdb", "HGSERVER=https://hg.mozilla.org"),
        (
            "getsentry+symbolic/symbolic-testutils/fixtures/windows/crash_with_srcsrv.pdb",
            "P4_SERVER*depot/breakpad/src/common/scoped_ptr.h*",
        ),
    ];
    for (file, text) in files {
        let Some(told) = told(file) else { return };
        assert_eq!(told.len(), 1, "{file}");
        assert!(
            matches!(&told[..], [SourceServer::Server(found)] if found.contains(text)),
            "{file}"
        );
    }
}

#[test]
fn a_file_without_such_streams_says_nothing() {
    let file = "getsentry+symbolic/symbolic-testutils/fixtures/windows/crash.pdb";
    let Some(told) = told(file) else { return };
    assert_eq!(told, []);
}
