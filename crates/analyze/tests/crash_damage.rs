//! Any instruction, any registers, any map: facts, or fewer facts, and never a failure.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

use std::path::Path;
use std::time::{Duration, Instant};

use lastwords_analyze::{Options, analyze_bytes};
use lastwords_synth::{CrashScene, Processor, System};
use proptest::prelude::*;

const CODE: u64 = 0x40_1000;

fn processor() -> impl Strategy<Value = Processor> {
    prop_oneof![Just(Processor::X86), Just(Processor::X86_64), Just(Processor::Arm64)]
}

fn system() -> impl Strategy<Value = System> {
    prop_oneof![Just(System::Windows), Just(System::Mac), Just(System::Linux)]
}

/// Numbers as they occur: small, near the end, patterns, any.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..0x100,
        (0_u64..0x100).prop_map(|below| u64::MAX - below),
        Just(0xdddd_dddd_dddd_dddd),
        Just(0x8000_0000_0000_0000),
        any::<u64>(),
    ]
}

fn exception() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..12, Just(0xC000_0005), Just(0xC000_0409), Just(0xC000_0094), any::<u32>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn nothing_in_a_crash_makes_its_analysis_fail(
        (processor, system) in (processor(), system()),
        code in proptest::collection::vec(any::<u8>(), 0..24),
        registers in proptest::collection::vec(number(), 11),
        (exception, flags, address) in (exception(), prop_oneof![0_u32..20, any::<u32>()], number()),
        parameters in proptest::collection::vec(number(), 0..15),
        maps in "([0-9a-f]{1,17}-[0-9a-f]{1,17} [rwxp-]{0,5}[ 0:]{0,9}\n){0,9}",
    ) {
        let names = ["rax", "rcx", "rdi", "rsi", "rsp", "eax", "ecx", "esp", "x0", "x1", "sp"];
        let mut scene = CrashScene::new(processor, system).module(0x40_0000, 0x1_0000);
        for (name, value) in names.iter().zip(registers) {
            scene = scene.register(name, value);
        }
        let scene = scene.code(CODE, &code).maps(&maps);
        let bytes = scene.exception(exception, flags, address).parameters(&parameters).build();
        let options = Options { local_modules: false, ..Options::default() };
        let started = Instant::now();
        let document = analyze_bytes(Path::new("crash.dmp"), bytes, &options).unwrap();
        prop_assert!(started.elapsed() < Duration::from_secs(2));
        let failed = document["soft_errors"].as_array().unwrap().iter()
            .any(|error| error["code"] == "crash_analysis_failed");
        prop_assert!(!failed, "{}", document["soft_errors"]);
        prop_assert!(document["crash_info"]["findings"].is_array());
    }
}
