//! A dump becomes an analysis or an orderly refusal, whatever its bytes are.
//!
//! An input is patched into a good dump: two bytes of offset, then the bytes to put there; what
//! is longer than that says is taken as a whole dump.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use lastwords_analyze::{Error, Options, analyze_bytes};
use lastwords_synth::{Dump, Module, PythonFrame, PythonProcess, PythonThread, Stack, Thread};
use libfuzzer_sys::fuzz_target;

const PYTHON: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7ffe_0000_1000;

static GOOD_DUMP: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let stack = Stack::new(STACK).frame(PYTHON + 0x1010, 320).frame(PYTHON + 0x4010, 48);
    let frames = vec![PythonFrame { name: "run", line: 7, anchor: STACK + 0x40 }];
    let python = PythonThread { native_thread_id: 7, frames, ..PythonThread::default() };
    Dump::new()
        .module(Module::new("/usr/lib/libpython3.11.so.1.0", PYTHON, 0x10_0000))
        .thread(Thread::new(7, &stack).named("worker"))
        .crash(7, 11, 1, 0x10)
        .pid(4242)
        .annotation("level", "tundra")
        .soft_errors("[]")
        .python(&PythonProcess {
            version: 0x030B_07F0,
            runtime_address: PYTHON + 0x8_0000,
            threads: vec![python],
        })
        .build()
});

fn dump_of(data: &[u8]) -> Vec<u8> {
    let mut bytes = GOOD_DUMP.clone();
    if let [low, high, patch @ ..] = data {
        let start = usize::from(u16::from_le_bytes([*low, *high]));
        if let Some(place) = bytes.get_mut(start..start + patch.len()) {
            place.copy_from_slice(patch);
            return bytes;
        }
    }
    data.to_vec()
}

fuzz_target!(init: {
    // libFuzzer's own hook ends the process at any panic; those of other crates are caught here,
    // and only what comes out in the end is a finding.
    std::panic::set_hook(Box::new(|_| {}));
}, |data: &[u8]| {
    let options = Options { local_modules: false, ..Options::default() };
    let result = analyze_bytes(Path::new("fuzz.dmp"), dump_of(data), &options);
    if let Err(Error::Internal { reason }) = result {
        eprintln!("{reason}");
        std::process::abort();
    }
});
