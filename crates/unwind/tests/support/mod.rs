//! Walks a stack that is given as registers, memory and mapped files.
#![allow(dead_code, reason = "each test uses a part")]

use lastwords_unwind::Provider;
use minidump::format::{self, MINIDUMP_LOCATION_DESCRIPTOR, MINIDUMP_MODULE};
use minidump::system_info::{Cpu, Os};
use minidump::{
    MinidumpContext, MinidumpContextValidity, MinidumpMemory, MinidumpModule, MinidumpModuleList,
    MinidumpRawContext, UnifiedMemory,
};
use minidump_unwind::{CallStack, SystemInfo, walk_stack};

/// A module as a Linux dump describes it: path, and GNU build id in a `BpEL` record.
pub fn elf_module(base: u64, size_bytes: u64, path: &str, build_id: &[u8]) -> MinidumpModule {
    let utf16: Vec<u8> = path.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut bytes = u32::try_from(utf16.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(&utf16);
    let record_rva = bytes.len();
    bytes.extend(b"LEpB");
    bytes.extend(build_id);
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

pub struct Target {
    pub context: MinidumpRawContext,
    pub stack_start: u64,
    pub stack: Vec<u8>,
    pub modules: Vec<MinidumpModule>,
}

pub fn walk(target: &Target, provider: &Provider) -> CallStack {
    let context =
        MinidumpContext { raw: target.context.clone(), valid: MinidumpContextValidity::All };
    let memory = MinidumpMemory {
        desc: format::MINIDUMP_MEMORY_DESCRIPTOR::default(),
        base_address: target.stack_start,
        size: target.stack.len() as u64,
        bytes: &target.stack,
        endian: minidump::Endian::Little,
    };
    let modules = MinidumpModuleList::from_modules(target.modules.clone());
    let cpu = match target.context {
        MinidumpRawContext::X86(_) => Cpu::X86,
        MinidumpRawContext::Arm(_) => Cpu::Arm,
        MinidumpRawContext::Arm64(_) => Cpu::Arm64,
        _ => Cpu::X86_64,
    };
    let system_info = SystemInfo {
        os: Os::Linux,
        os_version: None,
        os_build: None,
        cpu,
        cpu_info: None,
        cpu_microcode_version: None,
        cpu_count: 1,
    };
    let mut stack = CallStack::with_context(context);
    let memory = Some(UnifiedMemory::Memory(&memory));
    let walk = walk_stack(0, (), &mut stack, memory, &modules, &system_info, provider);
    block_on(walk);
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
