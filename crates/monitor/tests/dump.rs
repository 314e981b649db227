//! A dump of a process on paper, read back by a foreign crate.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(missing_docs)]

mod fake;

use std::time::Instant;

use fake::{CODE, HUGE, HUGE_STACK, PRIVATE, STACK_SIZE, STACKS, byte_at, snapshot};
use lastwords_monitor::plan::DumpKind;
use minidump::{
    Minidump, MinidumpAssertion, MinidumpCrashpadInfo, MinidumpException, MinidumpMemoryInfoList,
    MinidumpMemoryList, MinidumpMiscInfo, MinidumpModuleList, MinidumpSystemInfo,
    MinidumpThreadList, MinidumpThreadNames, Module,
};

type Dump = Minidump<'static, Vec<u8>>;

fn dump_of(name: &str, snapshot: &fake::FakeSnapshot, deadline: Option<Instant>) -> (Dump, String) {
    let (path, file) = fake::new_file(name);
    let (size, soft_errors) = fake::write(snapshot, file, deadline);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(size.unwrap(), bytes.len() as u64);
    (Minidump::read(bytes).unwrap(), soft_errors)
}

#[test]
fn every_stream_can_be_read_by_others() {
    let (dump, _) = dump_of("streams", &snapshot(), None);
    let info: MinidumpSystemInfo = dump.get_stream().unwrap();
    assert_eq!(
        (info.os, info.cpu),
        (minidump::system_info::Os::Linux, minidump::system_info::Cpu::X86_64)
    );
    assert_eq!(info.raw.processor_revision, 0x8F08);
    assert_eq!((info.raw.major_version, info.raw.minor_version, info.raw.build_number), (6, 1, 7));
    let misc: MinidumpMiscInfo = dump.get_stream().unwrap();
    assert_eq!(misc.raw.process_id(), Some(&99));
    assert_eq!(misc.raw.process_create_time(), Some(&1_700_000_000));
    let names: MinidumpThreadNames = dump.get_stream().unwrap();
    assert_eq!(names.get_name(102).unwrap(), "thr\u{e9}ad 102");
    let crashpad: MinidumpCrashpadInfo = dump.get_stream().unwrap();
    assert_eq!(crashpad.simple_annotations["sc\u{e8}ne"], "town");
    let assertion: MinidumpAssertion = dump.get_stream().unwrap();
    assert_eq!(assertion.expression().as_deref(), Some("i < n"));
    assert_eq!((assertion.file().as_deref(), assertion.raw.line), (Some("grid.cpp"), 42));
    let info: MinidumpMemoryInfoList<'_> = dump.get_stream().unwrap();
    assert!(info.memory_info_at_address(CODE).unwrap().is_executable());
    assert!(info.memory_info_at_address(STACKS).unwrap().is_writable());
    let status = dump.get_raw_stream(0x4767_0004).unwrap();
    assert_eq!(status, b"Name:\tapp\nPid:\t99\n");
    let debug = dump.get_raw_stream(0x4767_000A).unwrap();
    assert_eq!((debug[0], debug[8], debug.len()), (1, 1, 36));
    assert_eq!(dump.header.flags, DumpKind::Mini.flags().bits());
    assert_eq!(dump.header.flags & 0x800, 0x800, "the memory info list is there");
}

#[test]
fn the_crash_is_told_with_its_registers() {
    let (dump, _) = dump_of("crash", &snapshot(), None);
    let exception: MinidumpException<'_> = dump.get_stream().unwrap();
    let record = &exception.raw.exception_record;
    assert_eq!(exception.get_crashing_thread_id(), 100);
    assert_eq!((record.exception_code, record.exception_flags), (11, 1));
    assert_eq!((record.exception_address, record.number_parameters), (0x10, 2));
    assert_eq!(record.exception_information[..2], [1, 0x10]);
    let info: MinidumpSystemInfo = dump.get_stream().unwrap();
    let context = exception.context(&info, None).unwrap();
    assert_eq!(context.get_instruction_pointer(), CODE + 0x10);
    assert_eq!(context.get_stack_pointer(), STACKS + 0x800);
}

#[test]
fn stacks_stand_in_the_thread_and_in_the_memory_list() {
    let (dump, _) = dump_of("stacks", &snapshot(), None);
    let threads: MinidumpThreadList<'_> = dump.get_stream().unwrap();
    let memory: MinidumpMemoryList<'_> = dump.get_stream().unwrap();
    let ids: Vec<u32> = threads.threads.iter().map(|thread| thread.raw.thread_id).collect();
    assert_eq!(ids, [100, 101, 102, 103]);
    let stack = &threads.threads[1].raw.stack;
    assert_eq!(stack.start_of_memory_range, STACKS + STACK_SIZE + 0x400);
    assert_eq!(u64::from(stack.memory.data_size), STACK_SIZE - 0x400);
    assert_eq!(threads.threads[1].raw.teb, 0x7777);
    let range = memory.memory_at_address(STACKS + STACK_SIZE + 0x400).unwrap();
    assert!(range.bytes.iter().zip(range.base_address..).all(|(byte, at)| *byte == byte_at(at)));
    assert_eq!(threads.threads[2].raw.thread_context.data_size, 0, "it was not stopped");
    assert_eq!(threads.threads[3].raw.stack.memory.data_size, 0, "its stack pointer is wild");
    let code = memory.memory_at_address(CODE + 0x10).unwrap();
    assert!(code.base_address <= CODE && code.size >= 0x110);
}

#[test]
fn modules_keep_order_ids_and_odd_names() {
    let (dump, _) = dump_of("modules", &snapshot(), None);
    let modules: MinidumpModuleList = dump.get_stream().unwrap();
    let main = modules.main_module().unwrap();
    assert_eq!((main.base_address(), main.size()), (CODE, 0x1000));
    assert_eq!(main.code_file(), "/opt/h\u{f6}hle/app");
    let id = "000102030405060708090a0b0c0d0e0f10111213";
    assert_eq!(main.code_identifier().unwrap().as_str(), id);
    let second = modules.module_at_address(CODE + 0x1800).unwrap();
    assert_eq!(second.code_file(), "/opt/line\nbreak.so");
    assert!(second.code_identifier().is_none());
}

#[test]
fn what_is_missing_is_told_in_the_dump() {
    let (dump, soft_errors) = dump_of("soft", &snapshot(), None);
    let told = std::str::from_utf8(dump.get_raw_stream(0x4D7A_0004).unwrap()).unwrap();
    assert_eq!(told, soft_errors);
    assert!(told.contains("stack_not_found") && told.contains("thread 103"), "{told}");
    assert!(told.contains("python_not_read"), "{told}");
}

#[test]
fn private_memory_is_left_out_although_a_register_points_there() {
    let (dump, _) = dump_of("private", &snapshot(), None);
    let memory: MinidumpMemoryList<'_> = dump.get_stream().unwrap();
    assert!(memory.memory_at_address(PRIVATE.start - 1).is_some(), "the window of rax is there");
    assert!(memory.memory_at_address(PRIVATE.end).is_some());
    assert!(PRIVATE.clone().all(|address| memory.memory_at_address(address).is_none()));
}

#[test]
fn a_huge_stack_is_cut_and_says_so() {
    let mut snapshot = snapshot();
    snapshot.threads[1].registers = Some(fake::registers(CODE, HUGE_STACK));
    let (dump, soft_errors) = dump_of("huge", &snapshot, None);
    let threads: MinidumpThreadList<'_> = dump.get_stream().unwrap();
    assert_eq!(threads.threads[1].raw.stack.memory.data_size, 2 * 1024 * 1024);
    assert!(soft_errors.contains(&format!("{HUGE} bytes deep")), "{soft_errors}");
}

#[test]
fn many_deep_stacks_together_are_bounded() {
    let mut snapshot = snapshot();
    for id in 200..600 {
        let mut thread = snapshot.threads[1].clone();
        thread.id = id;
        thread.registers = Some(fake::registers(CODE, HUGE_STACK));
        snapshot.threads.push(thread);
    }
    let (dump, _) = dump_of("many", &snapshot, None);
    let threads: MinidumpThreadList<'_> = dump.get_stream().unwrap();
    let sizes = threads.threads.iter().map(|thread| thread.raw.stack.memory.data_size);
    assert_eq!(threads.threads.last().unwrap().raw.stack.memory.data_size, 16 * 1024);
    assert!(sizes.map(u64::from).sum::<u64>() < 300 << 20);
}

#[test]
fn after_the_deadline_only_the_reason_is_written() {
    let (dump, soft_errors) = dump_of("late", &snapshot(), Some(Instant::now()));
    assert!(dump.get_stream::<MinidumpThreadList<'_>>().is_err());
    assert!(soft_errors.contains("budget_spent"));
    assert_eq!(dump.get_raw_stream(0x4D7A_0004).unwrap(), soft_errors.as_bytes());
}

#[test]
fn a_defect_costs_one_stream_and_is_told() {
    let mut snapshot = snapshot();
    snapshot.has_defect = true;
    let (dump, soft_errors) = dump_of("defect", &snapshot, None);
    assert!(dump.get_stream::<MinidumpModuleList>().is_err());
    assert!(dump.get_stream::<MinidumpThreadList<'_>>().is_ok());
    assert!(dump.get_stream::<MinidumpMemoryList<'_>>().is_ok());
    assert!(soft_errors.contains("stream modules") && soft_errors.contains("panicked"));
}
