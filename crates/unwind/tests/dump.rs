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

use lastwords_symbols::{ModuleSymbols, Sources};
use lastwords_unwind::Provider;
use minidump::{
    Minidump, MinidumpContext, MinidumpMemoryList, MinidumpModuleList, MinidumpRawContext,
    MinidumpSystemInfo, MinidumpThreadList, UnifiedMemory,
};
use minidump_unwind::{CallStack, FrameTrust, StackFrame, SystemInfo, walk_stack};
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

/// Names and lines of a frame's inline frames, outermost first.
fn inlines(frame: &StackFrame) -> Vec<(&str, Option<u32>)> {
    frame
        .inlines
        .iter()
        .rev()
        .map(|inline| (inline.function_name.as_str(), inline.source_line))
        .collect()
}

#[test]
fn pdb_and_sym_file_give_the_same_stack() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let folder = corpus.join("files/getsentry+symbolic/symbolic-testutils/fixtures/windows");
    let dump = folder.join("mini.dmp");
    let by_pdb = unwind(&dump, vec![folder.join("crash.pdb")]);
    let by_sym = unwind(&dump, vec![folder.join("crash.sym")]);
    assert_eq!(by_pdb.frames.len(), by_sym.frames.len());
    for (pdb, sym) in by_pdb.frames.iter().zip(&by_sym.frames) {
        assert_eq!((pdb.trust, pdb.instruction), (sym.trust, sym.instruction));
        assert_eq!(pdb.context.get_stack_pointer(), sym.context.get_stack_pointer());
        assert_eq!(pdb.function_base, sym.function_base);
    }
    // The .sym file was made without inline frames.
    let crash =
        [("`anonymous namespace'::start", Some(28)), ("`anonymous namespace'::crash", Some(24))];
    assert_eq!(by_pdb.frames[0].function_name.as_deref(), Some("main"));
    assert_eq!(inlines(&by_pdb.frames[0]), crash);
    assert_eq!(by_pdb.frames[1].trust, FrameTrust::CallFrameInfo);
    assert_eq!(by_pdb.frames[1].function_name.as_deref(), Some("__scrt_common_main_seh"));
    assert_eq!(inlines(&by_pdb.frames[1]), [("invoke_main", Some(78))]);
}

#[test]
fn image_and_dsym_unwind_what_a_sym_file_without_rules_can_only_scan() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let folder = corpus.join("files/getsentry+symbolic/symbolic-testutils/fixtures/macos");
    let dump = folder.join("mini.dmp");
    let by_dsym = unwind(&dump, vec![folder.join("crash.dSYM"), folder.join("crash")]);
    let by_sym = unwind(&dump, vec![folder.join("crash.sym")]);
    let main = &by_dsym.frames[0];
    let crash = [
        ("(anonymous namespace)::start()", Some(25)),
        ("(anonymous namespace)::crash()", Some(21)),
    ];
    assert_eq!((main.function_name.as_deref(), main.source_line), (Some("main"), Some(32)));
    assert_eq!(inlines(main), crash);
    assert_eq!(main.function_base, by_sym.frames[0].function_base);
    // Both find the same caller, which the .sym file scans for.
    let (caller, scanned) = (&by_dsym.frames[1], &by_sym.frames[1]);
    assert_eq!((caller.trust, scanned.trust), (FrameTrust::CallFrameInfo, FrameTrust::Scan));
    assert_eq!(caller.resume_address, scanned.resume_address);
    assert_eq!(caller.context.get_stack_pointer(), scanned.context.get_stack_pointer());
}

/// Its headers name sections that only the image has, at the start of the file.
#[test]
fn a_dsym_alone_has_no_unwind_information() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let folder = corpus.join("files/getsentry+symbolic/symbolic-testutils/fixtures/macos");
    let symbols = ModuleSymbols::open(&folder.join("crash.dSYM/Contents/Resources/DWARF/crash"));
    let sections = symbols.images().next().unwrap().cfi_sections();
    assert!(sections.unwind_info.is_none() && sections.eh_frame.is_none());
    let of_image = ModuleSymbols::open(&folder.join("crash"));
    let sections = of_image.images().find(|image| image.path() == folder.join("crash")).unwrap();
    assert!(sections.cfi_sections().unwind_info.is_some());
}
