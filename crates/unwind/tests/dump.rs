//! A real Linux dump, unwound by its ELF files and by the `.sym` file of the same build.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;
#[path = "../../symbols/tests/support/mod.rs"]
mod symbols_support;

use std::path::{Path, PathBuf};

use lastwords_symbols::Sources;
use lastwords_unwind::Provider;
use minidump::{
    Minidump, MinidumpContext, MinidumpMemoryList, MinidumpModuleList, MinidumpRawContext,
    MinidumpSystemInfo, MinidumpThreadList, UnifiedMemory,
};
use minidump_unwind::{CallStack, FrameTrust, SystemInfo, walk_stack};
use support::block_on;

/// The crashed thread, unwound with the given symbols.
fn unwind(dump: &Path, symbols: Vec<PathBuf>) -> CallStack {
    let dump = Minidump::read_path(dump).unwrap();
    let system: MinidumpSystemInfo = dump.get_stream().unwrap();
    let modules: MinidumpModuleList = dump.get_stream().unwrap();
    let memory: MinidumpMemoryList = dump.get_stream().unwrap();
    let exception: minidump::MinidumpException = dump.get_stream().unwrap();
    let threads: MinidumpThreadList = dump.get_stream().unwrap();
    let context: MinidumpContext = exception.context(&system, None).unwrap().into_owned();
    let thread = threads.get_thread(exception.get_crashing_thread_id()).unwrap();
    let memory = minidump::UnifiedMemoryList::Memory(memory);
    let stack_memory: Option<UnifiedMemory> = thread.stack_memory(&memory);
    let system_info = SystemInfo {
        os: system.os,
        os_version: None,
        os_build: None,
        cpu: system.cpu,
        cpu_info: None,
        cpu_microcode_version: None,
        cpu_count: 1,
    };
    let provider = Provider::new(Sources { symbols, ..Sources::default() });
    let mut stack = CallStack::with_context(context);
    block_on(walk_stack(0, (), &mut stack, stack_memory, &modules, &system_info, &provider));
    stack
}

#[test]
fn elf_files_and_sym_file_give_the_same_stack() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let folder = corpus.join("files/getsentry+symbolic/symbolic-testutils/fixtures/linux");
    let dump = folder.join("mini.dmp");
    let by_elf = unwind(&dump, vec![folder.join("crash"), folder.join("crash.debug")]);
    let by_sym = unwind(&dump, vec![folder.join("crash.sym")]);
    for stack in [&by_elf, &by_sym] {
        assert_eq!(stack.frames[0].function_name.as_deref(), Some("main"));
        assert_eq!(stack.frames[1].trust, FrameTrust::CallFrameInfo);
        let MinidumpRawContext::Amd64(caller) = &stack.frames[1].context.raw else { panic!() };
        // As Breakpad's minidump_stackwalk recovers them.
        assert_eq!((caller.rip, caller.rsp), (0x7f51_4017_d830, 0x7fff_5ae4_abc0));
        assert_eq!((caller.rbx, caller.rbp, caller.r12), (0, 0x41_4c30, 0x40_1dc0));
        assert_eq!((caller.r13, caller.r14, caller.r15), (0x7fff_5ae4_ac90, 0, 0));
    }
    let (elf, sym) = (&by_elf.frames[0], &by_sym.frames[0]);
    // The .sym file was made without lines.
    assert_eq!((elf.source_line, sym.source_line), (Some(35), None));
    assert_eq!(elf.function_base, sym.function_base);
    assert_eq!(elf.source_file_name.as_deref(), Some("/work/linux/../linux/main.cpp"));
    // libc's file is missing, so its caller is scanned for: of ten words that point into the
    // program one is a return address, and its rules end the stack.
    let names: Vec<_> = by_elf.frames.iter().map(|frame| frame.function_name.as_deref()).collect();
    assert_eq!(names, [Some("main"), None, Some("_start")]);
    assert_eq!(by_elf.frames[2].trust, FrameTrust::Scan);
}

#[test]
fn windows_x86_stack_is_unwound_by_stack_win_records() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let folder = corpus.join("files/google+breakpad/src/processor/testdata");
    let stack = unwind(&folder.join("minidump2.dmp"), vec![folder.join("symbols")]);
    let frame = |index: usize| {
        let frame = &stack.frames[index];
        let file = frame.source_file_name.as_deref().and_then(|file| file.rsplit('\\').next());
        (frame.function_name.as_deref().unwrap(), file, frame.source_line)
    };
    // As Breakpad's own expected output says.
    assert_eq!(frame(0), ("`anonymous namespace'::CrashFunction", Some("test_app.cc"), Some(58)));
    assert_eq!(frame(1), ("main", Some("test_app.cc"), Some(65)));
    assert_eq!(frame(2), ("__tmainCRTStartup", Some("crt0.c"), Some(327)));
    assert_eq!(frame(3), ("BaseProcessStart", None, None));
    assert!(stack.frames[1..].iter().all(|frame| frame.trust == FrameTrust::CallFrameInfo));
    assert_eq!(stack.frames.len(), 4);
}
