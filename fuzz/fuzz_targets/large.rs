//! A large dump, of which only parts are read, becomes an analysis or an orderly refusal.
//!
//! As in `analyze`, an input is patched into a good dump: two bytes of offset, then the bytes to
//! put there.
#![no_main]

use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

use lastwords_analyze::{Error, Options, analyze_source};
use lastwords_synth::{Dump, Module, Stack, Thread};
use libfuzzer_sys::fuzz_target;

const LIBRARY: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7ffe_0000_1000;
const THROWS: u32 = 0x4C57_0004;

static GOOD_DUMP: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let stack = Stack::new(STACK).frame(LIBRARY + 0x1010, 320).frame(LIBRARY + 0x4010, 48);
    let throws = br#"[{"tid": 7, "type": "St13runtime_error", "class": "cpp", "pcs": ["0x11"]}]"#;
    let mut bytes = Dump::new()
        .module(Module::new("/usr/lib/libheat.so", LIBRARY, 0x10_0000))
        .thread(Thread::new(7, &stack))
        .crash(7, 11, 1, 0x10)
        .raw_stream(THROWS, throws.to_vec())
        .memory64(&[(LIBRARY, 0x100), (STACK, stack.bytes().len() as u64)])
        .build();
    bytes.extend([0x55; 0x100]);
    bytes.extend(stack.bytes());
    bytes
});

fuzz_target!(init: {
    // As in `analyze`.
    std::panic::set_hook(Box::new(|_| {}));
}, |data: &[u8]| {
    let [low, high, patch @ ..] = data else { return };
    let mut bytes = GOOD_DUMP.clone();
    let start = usize::from(u16::from_le_bytes([*low, *high]));
    let Some(place) = bytes.get_mut(start..start + patch.len()) else { return };
    place.copy_from_slice(patch);
    let options = Options { local_modules: false, max_whole_bytes: 0, ..Options::default() };
    let len = bytes.len() as u64;
    let result = analyze_source(Path::new("fuzz.dmp"), &mut Cursor::new(bytes), len, &options);
    if let Err(Error::Internal { reason }) = result {
        eprintln!("{reason}");
        std::process::abort();
    }
});
