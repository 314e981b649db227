//! Walks a stack that is given as registers, memory and mapped files.
#![allow(dead_code, reason = "each test uses a part")]

use lastwords_unwind::{Provider, strip_signature};
use minidump::format::{self, MINIDUMP_LOCATION_DESCRIPTOR, MINIDUMP_MODULE};
use minidump::system_info::{Cpu, Os};
use minidump::{
    MinidumpContext, MinidumpContextValidity, MinidumpMemory, MinidumpMemoryList, MinidumpModule,
    MinidumpModuleList, MinidumpRawContext, UnifiedMemory, UnifiedMemoryList,
};
use minidump_unwind::{CallStack, SystemInfo, walk_stack};

/// A module as a Linux dump describes it: path, and GNU build id in a `BpEL` record.
pub fn elf_module(base: u64, size_bytes: u64, path: &str, build_id: &[u8]) -> MinidumpModule {
    module(base, size_bytes, path, &[b"LEpB", build_id].concat())
}

fn module(base: u64, size_bytes: u64, path: &str, record: &[u8]) -> MinidumpModule {
    let utf16: Vec<u8> = path.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut bytes = u32::try_from(utf16.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(&utf16);
    let record_rva = bytes.len();
    bytes.extend(record);
    let raw = MINIDUMP_MODULE {
        base_of_image: base,
        size_of_image: u32::try_from(size_bytes).unwrap(),
        module_name_rva: 0,
        cv_record: MINIDUMP_LOCATION_DESCRIPTOR {
            data_size: u32::try_from(bytes.len() - record_rva).unwrap(),
            rva: u32::try_from(record_rva).unwrap(),
        },
        ..MINIDUMP_MODULE::default()
    };
    MinidumpModule::read(raw, &bytes, minidump::Endian::Little, None).unwrap()
}

/// A module as Windows' and Crashpad's dumps of macOS describe it: path, and an `RSDS` record.
pub fn code_view_module(
    base: u64,
    size_bytes: u64,
    path: &str,
    debug_id: debugid::DebugId,
) -> MinidumpModule {
    let uuid = debug_id.uuid();
    let (a, b, c, rest) = uuid.as_fields();
    let mut record = b"RSDS".to_vec();
    record.extend(a.to_le_bytes());
    record.extend(b.to_le_bytes());
    record.extend(c.to_le_bytes());
    record.extend(rest);
    record.extend(debug_id.appendix().to_le_bytes());
    record.extend(b"a.pdb\0");
    module(base, size_bytes, path, &record)
}

pub struct Target {
    pub context: MinidumpRawContext,
    pub stack_start: u64,
    pub stack: Vec<u8>,
    pub modules: Vec<MinidumpModule>,
}

/// Walks with the stack that minidump-unwind is given.
pub fn walk(target: &Target, provider: &Provider) -> CallStack {
    walk_on(target, &[], Os::Linux, provider)
}

/// Signals that one stack may have been interrupted by.
const MAX_RESUMES: usize = 4;

/// Walks, and goes on behind signals, on further stacks where they lead there.
pub fn walk_on(
    target: &Target,
    further: &[(u64, Vec<u8>)],
    os: Os,
    provider: &Provider,
) -> CallStack {
    let context =
        MinidumpContext { raw: target.context.clone(), valid: MinidumpContextValidity::All };
    let memory = |start: u64, bytes: &'static [u8]| MinidumpMemory {
        desc: format::MINIDUMP_MEMORY_DESCRIPTOR::default(),
        base_address: start,
        size: bytes.len() as u64,
        bytes,
        endian: minidump::Endian::Little,
    };
    // A list of memory owns nothing; the few tests may leak their stacks.
    let leak = |bytes: &[u8]| -> &'static [u8] { Box::leak(bytes.to_vec().into_boxed_slice()) };
    let mut regions = vec![memory(target.stack_start, leak(&target.stack))];
    regions.extend(further.iter().map(|(start, bytes)| memory(*start, leak(bytes))));
    let memory = UnifiedMemoryList::Memory(MinidumpMemoryList::from_regions(regions));
    let modules = MinidumpModuleList::from_modules(target.modules.clone());
    let cpu = match target.context {
        MinidumpRawContext::X86(_) => Cpu::X86,
        MinidumpRawContext::Arm(_) => Cpu::Arm,
        MinidumpRawContext::Arm64(_) => Cpu::Arm64,
        _ => Cpu::X86_64,
    };
    let system_info = SystemInfo {
        os,
        os_version: None,
        os_build: None,
        cpu,
        cpu_info: None,
        cpu_microcode_version: None,
        cpu_count: 1,
    };
    let mut stack = CallStack::with_context(context);
    strip_signature(&mut stack.frames[0], &modules);
    let region_of = |stack: &CallStack| {
        let at = stack.frames.last().unwrap().context.get_stack_pointer();
        memory.memory_at_address(at)
    };
    let start_of = |region: Option<UnifiedMemory<'_, '_>>| region.map(|one| one.base_address());
    let mut region = region_of(&stack).or_else(|| memory.iter().next());
    for _ in 0..=MAX_RESUMES {
        block_on(walk_stack(0, (), &mut stack, region, &modules, &system_info, provider));
        let known = stack.frames.len();
        // What was interrupted may have been called from nowhere.
        while stack.frames.len() < known + 2
            && let Some(frame) = provider.resume(&stack.frames, &modules, &memory)
        {
            stack.frames.push(frame);
        }
        // A signal handler's own stack may lie below the thread's.
        let next = region_of(&stack);
        if stack.frames.len() == known && (next.is_none() || start_of(next) == start_of(region)) {
            break;
        }
        region = next;
    }
    provider.correct_instructions(&mut stack.frames, &modules);
    stack
}

/// The provider never waits, so one poll is enough.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the provider waits"),
    }
}
