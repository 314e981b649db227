//! Likely causes, each with its evidence, and what must not be taken for them.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use lastwords_analyze::{Options, analyze_bytes};
use lastwords_synth::{
    CrashScene, Processor, PythonProcess, PythonThread, System, memory_info_list,
};
use serde_json::{Value, json};

const CODE: u64 = 0x40_1000;
const STACK: u64 = 0x7fff_1000_0800;
const MEMORY_INFO_LIST: u32 = 16;
const PYTHON: u32 = 0x4C57_0001;
const METADATA: u32 = 0x4C57_0002;
const ACCESS_VIOLATION: u32 = 0xC000_0005;
const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;
const SIGABRT: u32 = 6;
const SIGBUS: u32 = 7;
const SIGFPE: u32 = 8;
const SIGSEGV: u32 = 11;
const SI_KERNEL: u32 = 0x80;
/// Code, data, a guard page below a stack, the stack.
const MAPS: &str = "\
00400000-00410000 r-xp 00000000 00:00 0 /bin/app
00410000-00420000 rw-p 00000000 00:00 0\x20
00500000-00501000 r--p 00000000 00:00 0\x20
7fff0ffff000-7fff10000000 ---p 00000000 00:00 0\x20
7fff10000000-7fff10010000 rw-p 00000000 00:00 0 [stack]
";

/// `mov eax, [rdi]`, `mov [rdi], eax`, `mov eax, [rdi+0x18]`.
const READ: &[u8] = &[0x8b, 0x07];
const WRITE: &[u8] = &[0x89, 0x07];
const READ_MEMBER: &[u8] = &[0x8b, 0x47, 0x18];

fn crash(scene: &CrashScene) -> Value {
    let options = Options { local_modules: false, ..Options::default() };
    let document = analyze_bytes(Path::new("crash.dmp"), scene.build(), &options).unwrap();
    document["crash_info"].clone()
}

fn linux(code: &[u8], signal: u32, si_code: u32, address: u64) -> CrashScene {
    let scene = CrashScene::new(Processor::X86_64, System::Linux).module(0x40_0000, 0x1_0000);
    let scene = scene.code(CODE, code).register("rsp", STACK).maps(MAPS);
    scene.exception(signal, si_code, address)
}

fn windows(processor: Processor, code: &[u8], kind: u64, address: u64) -> CrashScene {
    let scene = CrashScene::new(processor, System::Windows).module(0x40_0000, 0x1_0000);
    scene.code(CODE, code).exception(ACCESS_VIOLATION, 0, CODE).parameters(&[kind, address])
}

fn codes(crash: &Value) -> Vec<&str> {
    let all = crash["findings"].as_array().unwrap();
    all.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// The only finding must be this one, and its evidence must hold all of these words.
#[track_caller]
fn check(crash: &Value, code: &str, confidence: &str, words: &[&str]) {
    assert_eq!(codes(crash), [code], "{crash:#}");
    let finding = &crash["findings"][0];
    assert_eq!(finding["confidence"], confidence, "{finding:#}");
    let text = format!("{}\n{}", finding["title"], finding["evidence"]);
    for word in words {
        assert!(text.contains(word), "no `{word}` in {finding:#}");
    }
}

#[track_caller]
fn check_rating(crash: &Value, rating: &str) {
    assert_eq!(crash["exploitability"]["rating"], rating, "{crash:#}");
    let reasons = crash["exploitability"]["reasons"].as_array().unwrap();
    assert!(!reasons.is_empty());
}

#[test]
fn a_member_of_a_null_pointer_is_told_with_its_offset_and_register() {
    let crash = crash(&linux(READ_MEMBER, SIGSEGV, 1, 0x18));
    check(
        &crash,
        "null_pointer",
        "high",
        &["offset 0x18", "rdi is 0", "Read", "0x401000 (app+0x1000)"],
    );
    assert_eq!(crash["access"], "read");
    check_rating(&crash, "none");
}

#[test]
fn x86_and_arm64_have_the_same_keys_as_x86_64() {
    let x86 = crash(&windows(Processor::X86, &[0x89, 0x41, 0x10], 1, 0x10));
    assert_eq!(x86["instruction"], "mov dword [ecx + 0x10], eax");
    let access = json!([{"address": "0x00000010", "size": 4, "access_type": "write"}]);
    assert_eq!(x86["memory_accesses"], access);
    let adjusted = json!({"kind": "null-pointer", "offset": "0x00000010"});
    assert_eq!(x86["adjusted_address"], adjusted);
    check(&x86, "null_pointer", "high", &["ecx is 0", "Write"]);

    let load = 0xf940_0801_u32.to_le_bytes(); // ldr x1, [x0, #0x10]
    let scene = CrashScene::new(Processor::Arm64, System::Linux).code(CODE, &load);
    let arm = crash(&scene.exception(SIGSEGV, 1, 0x10));
    assert_eq!(arm["instruction"], "ldr x1, [x0, #0x10]");
    assert_eq!(arm["memory_accesses"][0]["size"], 8);
    assert_eq!(arm["memory_accesses"][0]["access_type"], "read");
    assert_eq!(arm["adjusted_address"]["offset"], "0x0000000000000010");
    check(&arm, "null_pointer", "high", &["x0 is 0", "offset 0x10"]);
}

/// The lowest bits of `CPSR` choose the instruction set.
#[test]
fn thumb_and_arm_code_is_read() {
    const THUMB: u64 = 0x20;
    let arm = |code: &[u8], cpsr| {
        let scene = CrashScene::new(Processor::Arm, System::Linux).code(CODE, code);
        scene.register("cpsr", cpsr).register("r1", 0).register("r2", 2).exception(SIGSEGV, 1, 4)
    };
    let thumb = crash(&arm(&[0x48, 0x68], THUMB)); // ldr r0, [r1, #4]
    check(&thumb, "null_pointer", "high", &["ldr r0, [r1, #4]", "r1 is 0"]);
    let wide = crash(&arm(&[0x51, 0xf8, 0x22, 0x00], THUMB).exception(SIGSEGV, 1, 8));
    check(&wide, "null_pointer", "high", &["ldr.w r0, [r1, r2, lsl #2]"]);
    let plain = crash(&arm(&0xe591_0004_u32.to_le_bytes(), 0)); // ldr r0, [r1, #4]
    check(&plain, "null_pointer", "high", &["ldr r0, [r1, #4]"]);
    assert_eq!(plain["access"], "read");
    let call = arm(&[], THUMB).code(0, &[]).register("pc", 0).register("lr", CODE | 1);
    let call = crash(&call.module(0x40_0000, 0x1_0000).exception(SIGSEGV, 1, 0));
    check(&call, "null_call", "high", &["the call returns to 0x401000 (app+0x1000)"]);
}

#[test]
fn a_small_number_is_no_null_pointer() {
    let crash = crash(&linux(READ, SIGSEGV, 1, 0x45).register("rdi", 0x45));
    check(&crash, "small_pointer", "medium", &["rdi = 0x45"]);
    let negative = 0xffff_ffff_ffff_fff4;
    let negative = self::crash(&linux(READ, SIGSEGV, 1, negative).register("rdi", negative));
    check(&negative, "negative_pointer", "medium", &["is -0xc"]);
}

#[test]
fn a_write_to_a_fixed_address_is_perhaps_a_crash_on_purpose() {
    // mov dword [0], 0
    let code = [0xc7, 0x04, 0x25, 0, 0, 0, 0, 0, 0, 0, 0];
    let crash = crash(&linux(&code, SIGSEGV, 1, 0));
    check(&crash, "null_pointer", "high", &["stands in the instruction", "on purpose"]);
}

#[test]
fn poison_tells_who_has_filled_the_memory() {
    let cases = [
        (0xdddd_dddd_dddd_dddd, "freed_memory", "PYMEM_DEADBYTE"),
        (0xe5e5_e5e5_e5e5_e5e5, "freed_memory", "mozjemalloc"),
        (0x5a5a_5a5a_5a5a_5a5a, "freed_memory", "jemalloc"),
        (0xcdcd_cdcd_cdcd_cdcd, "uninitialised_memory", "PYMEM_CLEANBYTE"),
        (0xfdfd_fdfd_fdfd_fdfd, "out_of_bounds", "PYMEM_FORBIDDENBYTE"),
    ];
    for (value, code, words) in cases {
        let scene = linux(READ_MEMBER, SIGSEGV, SI_KERNEL, 0).register("rdi", value);
        let crash = crash(&scene);
        assert_eq!(crash["findings"][0]["code"], code, "{crash:#}");
        let text = crash["findings"][0]["evidence"].to_string();
        assert!(text.contains(words) && text.contains("rdi"), "{text}");
        assert_eq!(crash["adjusted_address"]["kind"], "non-canonical");
        check_rating(&crash, "interesting");
    }
    let x86 = windows(Processor::X86, &[0x8b, 0x01], 0, 0xfeee_feee).register("ecx", 0xfeee_feee);
    check(&crash(&x86), "freed_memory", "high", &["under a debugger"]);
}

#[test]
fn a_poisoned_value_that_was_not_used_is_no_cause() {
    let scene = linux(READ_MEMBER, SIGSEGV, 1, 0x18).register("rbx", 0xdddd_dddd_dddd_dddd);
    assert_eq!(codes(&crash(&scene)), ["null_pointer"]);
}

#[test]
fn text_in_a_pointer_is_told_as_text() {
    let value = u64::from_le_bytes(*b"/usr/lib");
    let crash = crash(&linux(READ, SIGSEGV, SI_KERNEL, 0).register("rdi", value));
    assert_eq!(codes(&crash), ["text_as_pointer"]);
    assert!(crash["findings"][0]["evidence"][0].as_str().unwrap().contains("/usr/lib"));
    check_rating(&crash, "high");
    let heap = u64::from_le_bytes(*b"aaaaaU\0\0");
    let heap = self::crash(&linux(READ, SIGSEGV, 1, heap).register("rdi", heap));
    assert_eq!(codes(&heap), ["unmapped_memory"], "where Linux has heaps");
}

#[test]
fn an_address_that_is_not_canonical_is_recovered_from_the_instruction() {
    let value = 0x0100_7fff_1000_0010;
    let crash = crash(&linux(READ, SIGSEGV, SI_KERNEL, 0).register("rdi", value));
    assert_eq!(crash["adjusted_address"]["address"], "0x01007fff10000010");
    // One bit is wrong, too: the address without it is in the stack.
    assert_eq!(codes(&crash), ["bit_flip"]);
    let words = crash["findings"][0]["evidence"].to_string();
    assert!(words.contains("0x00007fff10000010"), "{words}");
    let value = 0x1234_5678_9abc_def0;
    let wild = self::crash(&linux(READ, SIGSEGV, SI_KERNEL, 0).register("rdi", value));
    check(&wild, "non_canonical_address", "medium", &["0x123456789abcdef0", "rdi ="]);
}

#[test]
fn calls_and_jumps_to_what_is_no_code_are_told() {
    let called = linux(&[], SIGSEGV, 1, 0).register("rip", 0);
    let crash = crash(&called.memory(STACK, &(CODE + 5).to_le_bytes()));
    check(&crash, "null_call", "high", &["app+0x1005"]);
    assert_eq!(crash["access"], "execute");
    check_rating(&crash, "high");

    let data = self::crash(&linux(&[], SIGSEGV, 2, 0x41_0000).register("rip", 0x41_0000));
    assert_eq!(codes(&data), ["jump_to_non_code"], "{data:#}");
    assert!(data["findings"][0]["title"].as_str().unwrap().contains("not executable"));
    let stack = self::crash(&linux(&[], SIGSEGV, 2, STACK).register("rip", STACK));
    assert_eq!(stack["findings"][0]["title"], "Execution of the stack");
    let nowhere = self::crash(&linux(&[], SIGSEGV, 1, 0x99_0000).register("rip", 0x99_0000));
    check(&nowhere, "jump_to_non_code", "high", &["no mapping"]);
}

#[test]
fn the_map_tells_writes_to_read_only_memory_guard_pages_and_overruns() {
    let crash_at =
        |code: &[u8], address| crash(&linux(code, SIGSEGV, 2, address).register("rdi", address));
    let read_only = crash_at(WRITE, 0x50_0000);
    check(&read_only, "protected_memory", "high", &["read-only", "r--"]);
    check_rating(&read_only, "high");
    let overrun = crash_at(READ, 0x42_0010);
    check(&overrun, "overrun", "medium", &["17 bytes behind the end"]);
    let nowhere = crash_at(READ, 0x99_9999_9000);
    check(&nowhere, "unmapped_memory", "low", &["no mapping"]);
    check_rating(&nowhere, "low");
    // Far from the stack pointer it is not the stack that is full.
    let maps = MAPS.replace("00410000-00420000", "00410000-0041f000");
    let maps = maps.replace("00500000-00501000 r--p", "0041f000-00420000 ---p");
    let scene = CrashScene::new(Processor::X86_64, System::Linux).maps(&maps);
    let scene = scene.code(CODE, WRITE).register("rsp", STACK).register("rdi", 0x41_fff8);
    let guard = crash(&scene.exception(SIGSEGV, 2, 0x41_fff8));
    check(&guard, "guard_page", "medium", &["0x41f000-0x41ffff ---"]);
    assert_eq!(guard["memory_accesses"][0]["is_likely_guard_page"], true);
    check_rating(&guard, "high");
}

#[test]
fn a_full_stack_is_no_wild_pointer() {
    let sp = 0x7fff_1000_0000;
    // push rax
    let crash = crash(&linux(&[0x50], SIGSEGV, 2, sp - 8).register("rsp", sp));
    check(&crash, "stack_overflow", "high", &["recursion"]);
    check_rating(&crash, "none");
    let free = [(0x10_0000, 0x1000, 4)];
    let windows = windows(Processor::X86_64, &[0x50], 1, 0).exception(0xC000_00FD, 0, CODE);
    let windows = windows.raw_stream(MEMORY_INFO_LIST, memory_info_list(&free));
    check(&self::crash(&windows), "stack_overflow", "high", &["STATUS_STACK_OVERFLOW"]);
}

#[test]
fn instructions_that_fail_are_named() {
    let ud2 = crash(&linux(&[0x0f, 0x0b], SIGILL, 2, CODE));
    check(&ud2, "deliberate_trap", "high", &["ud2", "__builtin_trap"]);
    check_rating(&ud2, "none");
    // vaddps ymm0, ymm1, [rdi]
    let avx = crash(&linux(&[0xc5, 0xf4, 0x58, 0x07], SIGILL, 2, CODE));
    check(&avx, "unsupported_instruction", "medium", &["vaddps"]);
    let bytes = crash(&linux(&[0x06; 16], SIGILL, 2, CODE));
    check(&bytes, "illegal_instruction", "medium", &["no instruction"]);
    let int3 = linux(&[0x90], SIGTRAP, SI_KERNEL, 0).memory(CODE - 2, &[0x90, 0xcc]);
    check(&crash(&int3), "breakpoint", "high", &["int3", "0x400fff"]);
    let hlt = crash(&linux(&[0xf4], SIGSEGV, SI_KERNEL, 0));
    check(&hlt, "privileged_instruction", "high", &["hlt"]);
    let divided = crash(&linux(&[0xf7, 0xf9], SIGFPE, 1, CODE));
    check(&divided, "division_by_zero", "high", &["idiv ecx"]);
    let brk = 0xd420_0020_u32.to_le_bytes();
    let scene = CrashScene::new(Processor::Arm64, System::Linux).code(CODE, &brk);
    check(&crash(&scene.exception(SIGTRAP, 1, CODE)), "breakpoint", "high", &["brk"]);
}

#[test]
fn a_misaligned_operand_is_told_with_the_alignment() {
    // movaps xmm0, [rdi]
    let scene = linux(&[0x0f, 0x28, 0x07], SIGSEGV, SI_KERNEL, 0).register("rdi", 0x41_0008);
    check(&crash(&scene), "misaligned_access", "high", &["multiple of 16", "0x410008"]);
    let bus = crash(&linux(READ, SIGBUS, 1, 0x41_0001).register("rdi", 0x41_0001));
    check(&bus, "misaligned_access", "medium", &["not aligned"]);
    let file = crash(&linux(READ, SIGBUS, 2, 0x41_0000).register("rdi", 0x41_0000));
    check(&file, "mapped_file", "high", &["it was cut"]);
}

#[test]
fn an_exception_that_the_instruction_cannot_raise_is_told() {
    let add = &[0x01, 0xc8]; // add eax, ecx
    let crash = crash(&linux(add, SIGSEGV, 1, 0x99_9999_9000));
    assert_eq!(codes(&crash), ["inconsistent_exception"], "{crash:#}");
    let other = self::crash(&linux(READ, SIGSEGV, 1, 0x99_9999_9000).register("rdi", 0x41_0000));
    assert_eq!(codes(&other), ["inconsistent_exception"]);
    let divided = self::crash(&linux(add, SIGFPE, 1, CODE));
    check(&divided, "inconsistent_exception", "medium", &["no division"]);
    // A signal raised again: the registers are those of the system call.
    let raised = linux(add, SIGSEGV, 1, 0x99_9999_9000).memory(CODE - 2, &[0x0f, 0x05]);
    assert!(!codes(&self::crash(&raised)).contains(&"inconsistent_exception"));
    let x86 = windows(Processor::X86, &[0x01, 0xc8], 0, 0x1234_5678);
    let told = self::crash(&x86)["crash_inconsistencies"].clone();
    assert_eq!(told, json!(["crashing_access_not_found_in_memory_accesses"]));
}

#[test]
fn arm64_has_bit_flips_too() {
    let load = 0xf940_0001_u32.to_le_bytes(); // ldr x1, [x0]
    let flipped = 0x7fff_1000_0100 ^ (1 << 40);
    let scene = CrashScene::new(Processor::Arm64, System::Linux).code(CODE, &load).maps(MAPS);
    let scene = scene.register("x0", flipped).register("sp", STACK);
    let crash = crash(&scene.register("x8", 0x7fff_1000_0140).exception(SIGSEGV, 1, flipped));
    let flips = crash["possible_bit_flips"].as_array().unwrap();
    let right = flips.iter().find(|flip| flip["address"] == "0x00007fff10000100").unwrap();
    assert!(right["confidence"].as_f64().unwrap() > 0.5, "{right}");
    assert_eq!(codes(&crash), ["bit_flip"]);
    // Nothing is known of a machine without a map.
    let scene = CrashScene::new(Processor::Arm64, System::Linux).code(CODE, &load);
    let blind = self::crash(&scene.register("x0", flipped).exception(SIGSEGV, 1, flipped));
    assert_eq!(blind["possible_bit_flips"], Value::Null);
}

fn with_metadata(mechanism: &Value) -> Value {
    let metadata = json!({"mechanism": mechanism}).to_string().into_bytes();
    let scene = linux(&[0x90], SIGABRT, 0xffff_fffa, 0);
    crash(&scene.raw_stream(METADATA, metadata))
}

#[test]
fn what_was_said_before_the_end_is_the_cause() {
    let heap = with_metadata(&json!({"abort_message": "free(): invalid pointer"}));
    check(&heap, "heap_corruption", "high", &["free(): invalid pointer"]);
    check_rating(&heap, "high");
    let stack = with_metadata(&json!({"abort_message": "*** stack smashing detected ***"}));
    check(&stack, "stack_buffer_overrun", "high", &["smashing"]);
    let assertion = with_metadata(&json!({"abort_message": "a.c:1: f: Assertion `x' failed."}));
    check(&assertion, "assertion", "high", &["Assertion `x'"]);
    let rust = json!({"last_words": {"source": "rust_panic", "text": "panicked at a.rs:1"}});
    check(&with_metadata(&rust), "rust_panic", "high", &["a.rs:1"]);
    let memory = json!({"last_words": {"source": "rust_panic", "text": "memory allocation of 8 bytes failed"}});
    assert_eq!(codes(&with_metadata(&memory))[0], "out_of_memory");
    let silent = with_metadata(&json!({}));
    check(&silent, "abort", "medium", &["SIGABRT"]);
    check_rating(&silent, "none");
}

#[test]
fn windows_says_some_causes_itself() {
    let of = |code, parameters: &[u64]| {
        let scene = windows(Processor::X86_64, &[0xcd, 0x29], 0, 0);
        crash(&scene.exception(code, 0, CODE).parameters(parameters))
    };
    check(&of(0xC000_0374, &[]), "heap_corruption", "high", &["STATUS_HEAP_CORRUPTION"]);
    check(&of(0xC000_0409, &[2]), "stack_buffer_overrun", "high", &["code 2"]);
    check(&of(0xC000_0409, &[7]), "abort", "medium", &["abort"]);
    check(&of(0xE06D_7363, &[0x1993_0520]), "uncaught_cpp_exception", "high", &["0xe06d7363"]);
    check(&of(0xC000_0017, &[]), "out_of_memory", "high", &["0xc0000017"]);
    let told = &of(0xC000_0005, &[1, 0x10])["exception"];
    assert_eq!(told["code"], "0xc0000005");
    assert_eq!(told["parameters"][1], json!({"name": "address", "value": "0x10"}));
}

#[test]
fn a_dump_that_was_asked_for_has_no_cause() {
    let crash = crash(&linux(READ, 0xffff_ffff, 0, CODE));
    assert_eq!(crash["findings"], json!([]));
    assert_eq!(crash["exploitability"], Value::Null);
}

#[test]
fn without_the_instruction_what_is_left_is_told() {
    let scene = CrashScene::new(Processor::X86_64, System::Linux).register("rip", CODE);
    let crash = crash(&scene.exception(SIGSEGV, 1, 0x10));
    check(&crash, "null_pointer", "medium", &["0x10"]);
    assert_eq!(crash["instruction"], Value::Null);
    assert_eq!(crash["access"], Value::Null);
    let bare = CrashScene::new(Processor::Arm64, System::Mac).exception(1, 1, 0x10);
    check(&self::crash(&bare), "null_pointer", "medium", &["0x10"]);
}

#[test]
fn an_instruction_that_reaches_into_the_next_page_is_a_fetch() {
    let crash = crash(&linux(&[], SIGSEGV, 1, 0x41_0000).register("rip", 0x40_fffe));
    assert_eq!(crash["access"], "execute");
    let code = [0x8b; 15];
    let crash = self::crash(&linux(&code, SIGSEGV, 1, CODE + 3).register("rdi", 0x41_0000));
    assert!(!codes(&crash).contains(&"inconsistent_exception"), "{crash:#}");
}

#[test]
fn windows_read_of_minus_one_is_told_apart_from_a_protection_fault() {
    let real = windows(Processor::X86_64, READ, 0, u64::MAX).register("rdi", u64::MAX);
    check(&crash(&real), "negative_pointer", "medium", &["is -0x1"]);
    let value = 0x1234_5678_9abc_def0;
    let other = crash(&windows(Processor::X86_64, READ, 0, u64::MAX).register("rdi", value));
    check(&other, "non_canonical_address", "medium", &["rdi = 0x123456789abcdef0"]);
}

#[test]
fn a_tag_in_an_address_of_arm64_does_not_hide_the_operand() {
    let store = 0xf900_0001_u32.to_le_bytes(); // str x1, [x0]
    let scene = CrashScene::new(Processor::Arm64, System::Linux).code(CODE, &store).maps(MAPS);
    let scene = scene.register("x0", 0xb400_0000_0050_0000).register("sp", STACK);
    let crash = crash(&scene.exception(SIGSEGV, 2, 0x50_0000));
    assert_eq!(crash["access"], "write");
    check(&crash, "protected_memory", "high", &["read-only"]);
}

#[test]
fn an_exception_that_python_was_raising_is_a_hint() {
    let thread = PythonThread {
        tstate: 0x1000,
        native_thread_id: 7,
        exception_type: Some("KeyError"),
        ..PythonThread::default()
    };
    let python =
        PythonProcess { version: 0x030b_02f0, threads: vec![thread], ..Default::default() };
    let scene = linux(READ_MEMBER, SIGSEGV, 1, 0x18).raw_stream(PYTHON, python.bytes());
    let crash = crash(&scene);
    assert_eq!(codes(&crash), ["null_pointer", "python_exception"]);
    assert_eq!(crash["findings"][1]["confidence"], "low");
    assert!(crash["findings"][1]["title"].as_str().unwrap().contains("KeyError"));
}

#[test]
fn a_fixed_address_of_the_kernel_is_told_as_that() {
    // mov byte [0xffffffff80000042], 1
    let code = [0xc6, 0x04, 0x25, 0x42, 0, 0, 0x80, 1];
    let crash = crash(&linux(&code, SIGSEGV, 1, 0xffff_ffff_8000_0042));
    let words = &["kernel's half", "stands in the instruction"];
    check(&crash, "unmapped_memory", "low", words);
    check_rating(&crash, "interesting");
}

#[test]
fn an_abort_stays_beside_the_exception_that_python_was_raising() {
    let thread = PythonThread {
        native_thread_id: 7,
        exception_type: Some("KeyError"),
        ..PythonThread::default()
    };
    let python =
        PythonProcess { version: 0x030b_02f0, threads: vec![thread], ..Default::default() };
    let scene = linux(&[0x90], SIGABRT, 0xffff_fffa, 0).raw_stream(PYTHON, python.bytes());
    let crash = crash(&scene);
    assert_eq!(codes(&crash), ["abort", "python_exception"]);
    check_rating(&crash, "none");
}

#[test]
fn a_fault_that_was_sent_is_none() {
    for signal in [SIGTRAP, SIGSEGV] {
        let sent = crash(&linux(READ, signal, 0, 0).exception(signal, 0xffff_fffa, 0));
        check(&sent, "signal_sent", "medium", &["sent"]);
        check_rating(&sent, "none");
    }
    let mac = CrashScene::new(Processor::X86_64, System::Mac).exception(5, 0x1_0003, 0);
    check(&crash(&mac.code(CODE, READ)), "abort", "medium", &["abort"]);
}
