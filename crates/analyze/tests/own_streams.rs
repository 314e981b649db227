//! Streams beside stacks: those of every writer, and our own.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use lastwords_synth::{Dump, Thread, ThreadTimes, thread_info_list, utf16};
use serde_json::{Value, json};
use support::*;

const COMMENT_A: u32 = 10;
const COMMENT_W: u32 = 11;
const THREAD_INFO_LIST: u32 = 17;
const METADATA: u32 = 0x4C57_0002;
const BREADCRUMBS: u32 = 0x4C57_0003;
const THROWS: u32 = 0x4C57_0004;
const KERNEL: u32 = 0x4C57_0006;
/// Nothing may cost more than this, whatever a stream says.
const MAX_DOCUMENT_BYTES: usize = 64 << 20;

fn one_thread() -> Dump {
    let stack = stack(&[STEP, GLUE, START_THREAD]);
    dump().thread(Thread::new(7, &stack)).crash(7, 6, 0, 0)
}

fn with_json(stream_type: u32, value: &Value) -> Dump {
    one_thread().raw_stream(stream_type, value.to_string().into_bytes())
}

fn codes(document: &Value) -> Vec<&str> {
    let errors = document["soft_errors"].as_array().unwrap();
    errors.iter().map(|error| error["code"].as_str().unwrap()).collect()
}

#[test]
fn the_header_says_what_kind_of_dump_it_is_and_what_it_lacks() {
    let document = analyze(&one_thread().header(0x1826, 1_795_208_721));
    let dump = &document["lastwords"]["dump"];
    assert_eq!(dump["kind"], "full");
    assert_eq!(dump["flags"], "0x0000000000001826");
    assert_eq!(
        dump["flag_names"],
        json!([
            "MiniDumpWithFullMemory",
            "MiniDumpWithHandleData",
            "MiniDumpWithUnloadedModules",
            "MiniDumpWithFullMemoryInfo",
            "MiniDumpWithThreadInfo"
        ])
    );
    assert_eq!(dump["created"], "2026-11-20T21:05:21Z");
    assert_eq!(dump["lacks"], json!(["handles", "memory_map", "thread_times", "thread_names"]));
    let plain = analyze(&one_thread());
    assert_eq!(plain["lastwords"]["dump"]["kind"], "mini");
    assert_eq!(plain["lastwords"]["dump"]["created"], Value::Null);
    assert_eq!(plain["lastwords"]["dump"]["lacks"][0], "heap");
    assert_eq!(plain["lastwords"]["dump"]["lacks"][1], "globals");
}

#[test]
fn the_writers_own_words_count_more_than_the_flags() {
    let metadata = json!({"dump_kind": "miniplus", "product": "Heat"});
    let dump = with_json(METADATA, &metadata).header(0x200, 0);
    assert_eq!(analyze(&dump)["lastwords"]["dump"]["is_cut"], false);
    let cut = json!([{"code": "memory_cut", "where": "stream memory64", "message": "x"}]);
    let document = analyze(&dump.soft_errors(&cut.to_string()));
    assert_eq!(document["lastwords"]["dump"]["kind"], "miniplus");
    assert_eq!(document["lastwords"]["dump"]["is_cut"], true);
    assert_eq!(document["lastwords"]["metadata"], metadata);
}

#[test]
fn comments_of_both_widths_are_shown_once() {
    let document = analyze(
        &one_thread()
            .raw_stream(COMMENT_A, b"procdump -ma 42\r\n\0".to_vec())
            .raw_stream(COMMENT_W, utf16("procdump -ma 42\r\n\0garbage")),
    );
    assert_eq!(document["lastwords"]["dump"]["comments"], json!(["procdump -ma 42"]));
    let two = analyze(
        &one_thread()
            .raw_stream(COMMENT_A, b"\xff".repeat(1 << 20))
            .raw_stream(COMMENT_W, utf16("Größe")),
    );
    let comments = two["lastwords"]["dump"]["comments"].as_array().unwrap();
    assert_eq!(comments[1], "Größe");
    assert_eq!(comments[0].as_str().unwrap().chars().count(), 64 << 10);
}

#[test]
fn handles_stand_in_the_document() {
    let document =
        analyze(&one_thread().handle(3, "File", "/tmp/größe.log").handle(9, "Socket", "tcp"));
    assert_eq!(
        document["handles"],
        json!([
            {"handle": 3, "type_name": "File", "object_name": "/tmp/größe.log"},
            {"handle": 9, "type_name": "Socket", "object_name": "tcp"},
        ])
    );
    let lacks = document["lastwords"]["dump"]["lacks"].as_array().unwrap();
    assert!(!lacks.contains(&json!("handles")));
}

#[test]
fn times_of_threads_are_told_in_seconds_and_dates() {
    let times = ThreadTimes {
        thread_id: 7,
        dump_flags: 5,
        create_time: 116_444_736_000_000_000 + 17_952_087_210_000_000,
        kernel_time: 2_500_000,
        user_time: 10_000_000,
        start_address: LIBC + 0x1000,
    };
    let unknown = ThreadTimes { thread_id: 99, ..times };
    let dump = one_thread().raw_stream(THREAD_INFO_LIST, thread_info_list(&[unknown, times]));
    let document = analyze(&dump);
    let expected = json!({
        "create_time": "2026-11-20T21:05:21.000000Z",
        "exit_time": null,
        "user_s": 1.0,
        "kernel_s": 0.25,
        "start_address": format!("{:#018x}", LIBC + 0x1000),
        "affinity": null,
        "dump_flags": ["error_thread", "exited_thread"],
    });
    assert_eq!(document["threads"][0]["info"], expected);
    assert_eq!(document["crashing_thread"]["info"], expected);
    assert!(analyze(&one_thread())["threads"][0].get("info").is_none());
}

#[test]
fn times_that_the_writer_could_not_have_are_absent() {
    let times = ThreadTimes { thread_id: 7, dump_flags: 8, ..ThreadTimes::default() };
    let document = analyze(&one_thread().raw_stream(THREAD_INFO_LIST, thread_info_list(&[times])));
    let info = &document["threads"][0]["info"];
    assert_eq!((&info["user_s"], &info["create_time"]), (&Value::Null, &Value::Null));
    assert_eq!(info["dump_flags"], json!(["invalid_info"]));
}

#[test]
fn a_thread_says_where_it_stood_in_the_kernel() {
    let text = "thread 7 (worker) S (sleeping)\n  wchan: futex_wait_queue\n";
    let document = analyze(&one_thread().raw_stream(KERNEL, text.as_bytes().to_vec()));
    assert_eq!(document["threads"][0]["kernel_stack"], "S (sleeping)\nwchan: futex_wait_queue");
    let hostile = one_thread().raw_stream(KERNEL, b"thread 7 (\xff) \xfe\n".to_vec());
    assert_eq!(analyze(&hostile)["threads"][0]["kernel_stack"], "\u{fffd}");
}

fn throw(tid: u32, class: &str, what: &str) -> Value {
    json!({
        "tid": tid,
        "time_ns": 17,
        "type": "St13runtime_error",
        "what": what,
        "exception": "0x10",
        "class": class,
        "pcs": [format!("{:#x}", STEP.0), format!("{:#x}", GLUE.0), "0x1"],
        "is_uncaught": false,
    })
}

#[test]
fn throws_have_frames_with_names_and_lead_to_their_primary() {
    let throws = json!([throw(7, "cpp_dependent", "cold"), throw(8, "cpp", "cold")]);
    let document = analyze(&with_json(THROWS, &throws));
    let newest = &document["throws"][0];
    assert_eq!(newest["type"], "std::runtime_error");
    assert_eq!((&newest["what"], &newest["class"]), (&json!("cold"), &json!("cpp_dependent")));
    assert_eq!((&newest["thread"], &newest["thread_id"]), (&json!(0), &json!(7)));
    assert_eq!(newest["primary"], 1);
    assert_eq!(document["throws"][1]["thread"], Value::Null);
    let frames = newest["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0]["function"], "heat::step(int)");
    assert_eq!(frames[0]["trust"], "prewalked");
    assert_eq!(frames[0]["kind"], "native");
    assert_eq!(frames[0]["offset"], format!("{:#018x}", STEP.0 - 1));
    assert_eq!((&frames[1]["function"], &frames[1]["frame"]), (&json!("heat_glue"), &json!(1)));
    assert_eq!(frames[2]["module"], Value::Null);
    assert_eq!(document["thread_count"], 1, "throws are no threads");
    assert_eq!(document["crash_info"]["cpp_exception"], Value::Null);
    assert_eq!(analyze(&one_thread())["throws"], json!([]));
}

#[test]
fn an_uncaught_throw_of_the_crashing_thread_is_the_death() {
    let mut of_other = throw(8, "cpp", "other");
    of_other["is_uncaught"] = true.into();
    let mut uncaught = throw(7, "cpp", "cold");
    uncaught["is_uncaught"] = true.into();
    let throws = json!([throw(7, "cpp", "newer"), of_other, uncaught]);
    let document = analyze(&with_json(THROWS, &throws));
    let expected = json!({"type": "std::runtime_error", "what": "cold", "throw": 2});
    assert_eq!(document["crash_info"]["cpp_exception"], expected);
}

#[test]
fn a_rethrow_leads_to_the_first_throw_of_its_object() {
    // What libstdc++'s terminate handler does before it prints: `throw;`.
    let place = modules()[1].clone();
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join(place.leaf()).join(place.breakpad_id());
    std::fs::create_dir_all(&tree).unwrap();
    let module = format!("MODULE Linux x86_64 {} _heat.so\n", place.breakpad_id());
    let text = format!("{module}FUNC 1000 800 0 __cxa_rethrow\nFUNC 2000 800 0 load\n");
    std::fs::write(tree.join("_heat.so.sym"), text).unwrap();
    let mut rethrow = throw(7, "cpp", "cold");
    rethrow["is_uncaught"] = true.into();
    let mut first = throw(7, "cpp", "cold");
    first["pcs"] = json!([format!("{:#x}", GLUE.0)]);
    let mut other = first.clone();
    other["exception"] = "0x20".into();
    let throws = json!([rethrow, other, first]).to_string().into_bytes();
    let document = analyze_with(one_thread().raw_stream(THROWS, throws).build(), |options| {
        options.symbols = vec![folder.path().to_owned()];
    });
    assert_eq!(document["throws"][0]["primary"], 2);
    assert_eq!(document["crash_info"]["cpp_exception"]["throw"], 2);
}

#[test]
fn what_the_writer_says_of_the_exception_counts_first() {
    let metadata = json!({"mechanism": {"cpp_exception": {"type": "N3app5ErrorE", "what": "x"}}});
    let dump = with_json(METADATA, &metadata);
    let expected = json!({"type": "app::Error", "what": "x", "throw": null});
    assert_eq!(analyze(&dump)["crash_info"]["cpp_exception"], expected);
    let throws = json!([throw(7, "cpp", "x")]).to_string().into_bytes();
    assert_eq!(
        analyze(&dump.raw_stream(THROWS, throws))["crash_info"]["cpp_exception"]["throw"],
        0
    );
}

#[test]
fn breadcrumbs_and_metadata_stand_as_they_are_written() {
    let breadcrumbs = json!([{"time_ns": 5, "message": "opened"}, 7, null]);
    let document = analyze(&with_json(BREADCRUMBS, &breadcrumbs));
    assert_eq!(document["lastwords"]["breadcrumbs"], breadcrumbs);
    assert_eq!(document["lastwords"]["metadata"], Value::Null);
    assert_eq!(document["soft_errors"], json!([]));
}

#[test]
fn hostile_json_is_a_soft_error() {
    let too_long = [b"[".to_vec(), b" ".repeat(5 << 20), b"]".to_vec()].concat();
    let bombs = [
        b"[".repeat(1 << 20),
        b"{\"a\":".repeat(1 << 18),
        b"\xff\xfe\x00".to_vec(),
        Vec::new(),
        too_long,
    ];
    for (stream_type, bomb) in
        [METADATA, BREADCRUMBS, THROWS].iter().flat_map(|s| bombs.iter().map(move |b| (*s, b)))
    {
        let document = analyze(&one_thread().raw_stream(stream_type, bomb.clone()));
        assert_eq!(codes(&document), ["stream_malformed"], "{stream_type:#x}");
        assert_eq!(document["threads"][0]["frame_count"], 3, "the rest is there");
    }
}

#[test]
fn a_flood_of_throws_is_bounded() {
    let pcs: Vec<String> = (0..5_000).map(|n| format!("{:#x}", STEP.0 + n % 64)).collect();
    let one = json!({"tid": 7, "class": "cpp", "type": "x".repeat(20_000), "pcs": pcs});
    let document = analyze(&with_json(THROWS, &Value::Array(vec![one; 34])));
    let frames = |throw: &Value| throw["frames"].as_array().unwrap().len();
    let throws = document["throws"].as_array().unwrap();
    assert_eq!(throws.iter().map(frames).sum::<usize>(), 8_192);
    assert_eq!(throws[0]["type"].as_str().unwrap().len(), 8 << 10);
    assert!(document.to_string().len() < MAX_DOCUMENT_BYTES);
}

#[test]
fn cut_and_lying_lists_are_no_more_than_missing() {
    let whole = thread_info_list(&[ThreadTimes { thread_id: 7, ..ThreadTimes::default() }]);
    for end in 0..whole.len() {
        let dump = one_thread().raw_stream(THREAD_INFO_LIST, whole[..end].to_vec());
        assert!(analyze(&dump)["threads"][0].get("info").is_none());
    }
    let mut lying = whole;
    lying[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let document = analyze(&one_thread().raw_stream(THREAD_INFO_LIST, lying));
    assert!(document["threads"][0].get("info").is_none());
}
