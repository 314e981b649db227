//! What each kind of dump holds of a process on paper, and what it does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(missing_docs, dead_code)]

mod fake;

use fake::{CODE, FakeSnapshot, HEAP, PRIVATE, STACKS, snapshot};
use lastwords_monitor::plan::{DumpFlags, DumpKind};
use lastwords_monitor::snapshot::AreaKind;
use minidump::{
    Minidump, MinidumpHandleDataStream, MinidumpMemory64List, MinidumpMemoryList,
    MinidumpModuleList, MinidumpThreadInfoList, MinidumpThreadList, MinidumpThreadNames, Module,
};

type Dump = Minidump<'static, Vec<u8>>;

/// The dump, its bytes, its soft errors.
fn dump_of(snapshot: &FakeSnapshot, kind: &DumpKind) -> (Dump, Vec<u8>, String) {
    let thread = std::thread::current();
    let name = format!("kind-{}", thread.name().unwrap_or("x").replace(':', "-"));
    let (path, file) = fake::new_file(&name);
    let (size, soft_errors) = fake::write_kind(snapshot, kind, file, None);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(size.unwrap(), bytes.len() as u64);
    (Minidump::read(bytes.clone()).unwrap(), bytes, soft_errors)
}

/// Without the region of 2 GiB.
fn small() -> FakeSnapshot {
    let mut snapshot = snapshot();
    snapshot.regions.pop();
    snapshot
}

fn custom(flags: &str) -> DumpKind {
    DumpKind::Custom(DumpFlags::parse(flags).unwrap())
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_mini_dump_holds_what_stacks_point_to() {
    let mut snapshot = small();
    let pointer = HEAP + 0x1800;
    snapshot.planted.push((STACKS + 0x808, pointer.to_le_bytes().to_vec()));
    let (dump, _, _) = dump_of(&snapshot, &DumpKind::Mini);
    let memory: MinidumpMemoryList<'_> = dump.get_stream().unwrap();
    assert!(memory.memory_at_address(pointer).is_some());
    assert!(memory.memory_at_address(HEAP + 0x1000).is_none(), "nothing points there");
    assert!(dump.get_stream::<MinidumpMemory64List<'_>>().is_err());
}

#[test]
fn what_stacks_point_to_is_bounded() {
    let mut snapshot = small();
    let heap = 0x2_0000_0000_u64;
    let mut region = snapshot.regions[1];
    (region.start, region.size) = (heap, 1 << 30);
    snapshot.regions.push(region);
    let pointers = (0..0x1000_u64).flat_map(|n| (heap + n * 4096).to_le_bytes()).collect();
    snapshot.planted.push((STACKS + 0x800, pointers));
    let (_, bytes, _) = dump_of(&snapshot, &DumpKind::Mini);
    let stacks = 2 * fake::STACK_SIZE as usize;
    assert!(bytes.len() < stacks + 450 * 1024, "{} bytes", bytes.len());
    assert!(bytes.len() > stacks + 200 * 1024, "{} bytes", bytes.len());
}

#[test]
fn a_full_dump_holds_all_that_can_be_read_but_the_private() {
    let (dump, _, _) = dump_of(&small(), &DumpKind::Full);
    let memory: MinidumpMemory64List<'_> = dump.get_stream().unwrap();
    for address in [CODE, CODE + 0x1FFF, HEAP, HEAP + 0x1FFF, STACKS, STACKS + 0x1_FFFF] {
        assert!(memory.memory_at_address(address).is_some(), "{address:#x}");
    }
    assert!(PRIVATE.clone().all(|address| memory.memory_at_address(address).is_none()));
    assert_eq!(dump.header.flags & 2, 2);
}

#[test]
fn what_wants_to_stay_out_stays_out_of_full_dumps_and_is_told() {
    let mut snapshot = small();
    snapshot.change_areas = |areas| areas[1].excluded = Some("MADV_DONTDUMP");
    let (dump, _, soft_errors) = dump_of(&snapshot, &DumpKind::Full);
    let memory: MinidumpMemory64List<'_> = dump.get_stream().unwrap();
    assert!(memory.memory_at_address(HEAP + 0x1000).is_none());
    assert!(memory.memory_at_address(CODE).is_some());
    assert!(soft_errors.contains("1 areas, 8192 bytes: MADV_DONTDUMP"), "{soft_errors}");
}

#[test]
fn a_miniplus_dump_leaves_code_and_the_largest_private_area_out() {
    let mut snapshot = small();
    let template = snapshot.regions[1];
    // Two of one size are one area, larger than the one that is larger alone.
    for (start, size) in
        [(0x2_0000_0000, 400 << 20), (0x3_0000_0000, 400 << 20), (0x4_0000_0000, 600 << 20)]
    {
        let mut region = template;
        (region.start, region.size) = (start, size);
        snapshot.regions.push(region);
    }
    snapshot.change_areas = |areas| {
        // Keeps the test small: this one is not there after all.
        areas[6].region.is_readable = false;
    };
    let (dump, _, soft_errors) = dump_of(&snapshot, &DumpKind::MiniPlus);
    let memory: MinidumpMemory64List<'_> = dump.get_stream().unwrap();
    assert!(memory.memory_at_address(HEAP + 0x1000).is_some());
    assert!(memory.memory_at_address(CODE + 0x1000).is_none(), "an image that nobody writes");
    assert!(memory.memory_at_address(0x2_0000_0000).is_none());
    assert!(memory.memory_at_address(0x3_0000_0000).is_none());
    assert!(soft_errors.contains("2 allocations of 419430400 bytes, 838860800 bytes together"));
}

#[test]
fn stacks_are_never_the_area_that_is_left_out() {
    let mut snapshot = small();
    snapshot.regions[3].size = 600 << 20;
    // Chosen, and left out for another reason: the test need not write it.
    snapshot.change_areas = |areas| areas[3].excluded = Some("a reason of the test");
    let (_, _, soft_errors) = dump_of(&snapshot, &DumpKind::MiniPlus);
    assert!(soft_errors.contains("629145600 bytes: a reason of the test"), "{soft_errors}");
    assert!(!soft_errors.contains("largest_area_left_out"), "{soft_errors}");
}

#[test]
fn a_triage_dump_holds_no_secret_and_no_user() {
    let mut snapshot = small();
    let secret = b"correct horse battery staple".to_vec();
    snapshot.planted.push((STACKS + 0x900, secret.clone()));
    snapshot.planted.push((HEAP + 0x140, secret.clone()));
    snapshot.threads[0].name = Some("of mallory".to_owned());
    let registers = snapshot.threads[1].registers.as_mut().unwrap();
    registers.rbx = u64::from_le_bytes(*b"correct ");
    registers.fxsave[160..176].copy_from_slice(b"horse battery st");
    let (dump, bytes, _) = dump_of(&snapshot, &DumpKind::Triage);
    for piece in [&secret[..], b"correct ", b"horse battery st", b"town", b"mallory"] {
        let utf16: Vec<u8> = piece.iter().flat_map(|byte| [*byte, 0]).collect();
        assert!(!holds(&bytes, piece), "{piece:?}");
        assert!(!holds(&bytes, &utf16), "{piece:?}");
    }
    for text in ["h\u{f6}hle", "secret.txt", "opened the gate"] {
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(!holds(&bytes, text.as_bytes()) && !holds(&bytes, &utf16), "{text}");
    }
    let memory: MinidumpMemoryList<'_> = dump.get_stream().unwrap();
    assert!(memory.memory_at_address(HEAP + 0x140).is_none(), "no heap, whoever points there");
    assert!(memory.memory_at_address(CODE + 0x10).is_some(), "the code at the fault");
    let stack = memory.memory_at_address(STACKS + 0x900).unwrap();
    let at = usize::try_from(STACKS + 0x900 - stack.base_address).unwrap();
    assert_eq!(stack.bytes[at..at + 8], 0x0def_aced_0def_aced_u64.to_le_bytes());
    let modules: MinidumpModuleList = dump.get_stream().unwrap();
    assert_eq!(modules.main_module().unwrap().code_file(), "[scrubbed]/app");
    assert!(holds(&bytes, b"\"level\":7"), "numbers stay");
}

#[test]
fn what_the_planted_secrets_prove_is_that_other_dumps_hold_them() {
    let mut snapshot = small();
    snapshot.planted.push((STACKS + 0x900, b"correct horse".to_vec()));
    let (_, bytes, _) = dump_of(&snapshot, &DumpKind::Mini);
    assert!(holds(&bytes, b"correct horse") && holds(&bytes, b"opened the gate"));
}

#[test]
fn flags_choose_streams() {
    let (dump, _, soft_errors) = dump_of(&small(), &custom("Normal"));
    assert!(dump.get_stream::<MinidumpThreadInfoList>().is_err());
    assert!(dump.get_stream::<MinidumpHandleDataStream>().is_err());
    assert!(dump.get_raw_stream(16).is_err(), "memory info");
    assert!(!soft_errors.contains("flag_"), "{soft_errors}");
    let flags = "WithThreadInfo,WithHandleData,WithFullMemoryInfo";
    let (dump, _, _) = dump_of(&small(), &custom(flags));
    let threads: MinidumpThreadInfoList = dump.get_stream().unwrap();
    let info = &threads.get_thread_info(101).unwrap().raw;
    assert_eq!((info.kernel_time, info.user_time, info.affinity), (2, 3, 3));
    assert_eq!(threads.get_thread_info(102).unwrap().raw.dump_flags, 0x18);
    let handles: MinidumpHandleDataStream = dump.get_stream().unwrap();
    let handle = handles.iter().next().unwrap();
    assert_eq!(*handle.raw.handle().unwrap(), 3);
    assert_eq!(handle.type_name.as_deref(), Some("File"));
    assert_eq!(handle.object_name.as_deref(), Some("/opt/h\u{f6}hle/secret.txt"));
    assert!(dump.get_raw_stream(16).is_ok());
}

#[test]
fn flags_choose_memory() {
    let mut snapshot = small();
    // .data of the second module, .bss behind it, a heap.
    snapshot.change_areas = |areas| {
        areas[0].kind = AreaKind::Image;
        for area in areas.iter_mut().skip(1) {
            area.kind = AreaKind::Private;
        }
    };
    let held = |flags: &str| {
        let (dump, _, soft_errors) = dump_of(&snapshot, &custom(flags));
        let at = |address| {
            let memory = dump.get_stream::<MinidumpMemory64List<'_>>();
            memory.is_ok_and(|memory| memory.memory_at_address(address).is_some())
        };
        (at(CODE + 0x1800), at(CODE + 0x100), at(HEAP + 0x1000), soft_errors)
    };
    let (code, header, heap, _) = held("WithCodeSegs");
    assert!(code && header && !heap);
    let (code, header, heap, _) = held("WithModuleHeaders");
    assert!(!code && header && !heap);
    let (code, _, heap, _) = held("WithPrivateReadWriteMemory");
    assert!(!code && heap);
    let (_, _, heap, _) = held("WithDataSegs");
    assert!(!heap, "a heap is no module's data");
    let (code, _, heap, told) = held("WithFullMemory,FilterTriage");
    assert!(!code && !heap);
    assert!(told.contains("flags_contradict") && told.contains("WithFullMemory"), "{told}");
}

#[test]
fn flags_without_meaning_are_told() {
    let (_, _, told) = dump_of(&small(), &custom("WithIptTrace WithUnloadedModules 0x200000"));
    assert!(told.contains("flag WithIptTrace") && told.contains("flag WithUnloadedModules"));
    assert!(!told.contains("WithAvxXStateContext"), "it does its work: {told}");
}

#[test]
fn scan_memory_leaves_out_modules_that_nobody_points_to() {
    let (dump, _, told) = dump_of(&small(), &custom("ScanMemory"));
    let modules: MinidumpModuleList = dump.get_stream().unwrap();
    assert_eq!(modules.iter().count(), 1, "the program stays");
    assert!(told.contains("1 modules that no stack points to"), "{told}");
    let mut snapshot = small();
    snapshot.planted.push((STACKS + 0x840, (CODE + 0x1004).to_le_bytes().to_vec()));
    let (dump, _, _) = dump_of(&snapshot, &custom("ScanMemory"));
    let modules: MinidumpModuleList = dump.get_stream().unwrap();
    assert_eq!(modules.iter().count(), 2);
}

#[test]
fn a_kernel_dump_tells_where_threads_stand() {
    let (dump, _, _) = dump_of(&small(), &DumpKind::Kernel);
    let text = dump.get_raw_stream(0x4C57_0006).unwrap();
    assert_eq!(text, b"thread 100 (main) S\n");
    assert!(dump.get_stream::<MinidumpThreadList<'_>>().is_ok());
    let (dump, _, _) = dump_of(&small(), &DumpKind::Mini);
    assert!(dump.get_raw_stream(0x4C57_0006).is_err());
}

#[test]
fn comments_metadata_and_breadcrumbs_are_there() {
    let (dump, _, _) = dump_of(&small(), &DumpKind::Mini);
    let comment = std::str::from_utf8(dump.get_raw_stream(10).unwrap()).unwrap();
    assert!(comment.starts_with("\n*** lastwords-monitor "), "{comment}");
    assert!(comment.contains("(mini dump)\n*** Unhandled signal: SIGSEGV\0"), "{comment}");
    let wide = dump.get_raw_stream(11).unwrap();
    let units: Vec<u16> = wide.chunks(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
    assert_eq!(String::from_utf16(&units).unwrap(), comment);
    let metadata: serde_json::Value =
        serde_json::from_slice(dump.get_raw_stream(0x4C57_0002).unwrap()).unwrap();
    assert_eq!(metadata["annotations"]["level"], 7);
    assert_eq!(metadata["dump_kind"], "mini");
    let crumbs: serde_json::Value =
        serde_json::from_slice(dump.get_raw_stream(0x4C57_0003).unwrap()).unwrap();
    assert_eq!(crumbs[0]["message"], "opened the gate");
    assert_eq!(dump.get_raw_stream(22).unwrap().len(), 80);
    let names: MinidumpThreadNames = dump.get_stream().unwrap();
    assert!(names.get_name(100).is_some());
}
