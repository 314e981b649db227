//! What detectors look at: the exception, the instruction, the registers, the memory map.

use lastwords_disasm::{Effects, Flow, Machine, effects};
use minidump::system_info::{Cpu, Os, PointerWidth};
use minidump::{
    Minidump, MinidumpContext, MinidumpException, MinidumpModuleList, Module, UnifiedMemoryList,
};
use serde_json::{Map, Value};

use super::access::Accessed;
use super::fault::{Fault, fault};
use super::map::MemoryMap;
use crate::state::Threads;

/// The longest instruction.
pub(super) const MAX_INSTRUCTION_BYTES: usize = 15;
/// The crash as the dump holds it.
pub(crate) struct Scene<'a> {
    pub(crate) os: Os,
    pub(crate) cpu: Cpu,
    pub(crate) fault: Fault,
    pub(crate) code: u32,
    pub(crate) flags: u32,
    pub(crate) parameters: Vec<u64>,
    /// The address that the system tells.
    pub(crate) told_address: u64,
    /// The address that the instruction used, where the system's is none.
    pub(crate) address: u64,
    pub(crate) context: Option<MinidumpContext>,
    pub(crate) instruction: Option<Effects>,
    pub(crate) accesses: Vec<Accessed>,
    /// Where the instruction went to, or would have gone.
    pub(crate) target: Option<u64>,
    /// The two bytes before the instruction pointer.
    pub(crate) before: Option<[u8; 2]>,
    /// Where a call that has just been made returns to, as far as that is known.
    pub(crate) return_address: Option<u64>,
    pub(crate) map: MemoryMap,
    /// Whether the dump holds the whole instruction, if it is one.
    pub(crate) has_code: bool,
    pub(crate) modules: &'a MinidumpModuleList,
    /// What is beside the crash: annotations, frames, metadata.
    pub(crate) document: &'a Map<String, Value>,
    /// `crash_info` as it is so far.
    pub(crate) crash: Map<String, Value>,
}

impl<'a> Scene<'a> {
    /// Reads the scene; `None` when the dump has no exception.
    pub(crate) fn read(
        dump: &Minidump<'_, &[u8]>,
        threads: &Threads<'_>,
        modules: &'a MinidumpModuleList,
        document: &'a Map<String, Value>,
    ) -> Option<Self> {
        let (exception, system) = (threads.exception.as_ref()?, threads.system.as_ref()?);
        let record = &exception.raw.exception_record;
        let told_address = exception.get_crash_address(system.os, system.cpu);
        let count = usize::try_from(record.number_parameters).unwrap_or(0);
        let all = &record.exception_information;
        let mut scene = Self {
            os: system.os,
            cpu: system.cpu,
            fault: fault(system.os, record.exception_code, record.exception_flags),
            code: record.exception_code,
            flags: record.exception_flags,
            parameters: all.get(..count.min(all.len())).unwrap_or_default().to_vec(),
            told_address,
            address: told_address,
            context: context(exception, threads),
            instruction: None,
            accesses: Vec::new(),
            target: None,
            before: None,
            return_address: None,
            map: MemoryMap::read(dump),
            has_code: false,
            modules,
            document,
            crash: document.get("crash_info")?.as_object()?.clone(),
        };
        scene.read_instruction(&threads.memory);
        scene.read_around(&threads.memory);
        scene.address = scene.used_address();
        Some(scene)
    }

    fn read_instruction(&mut self, memory: &UnifiedMemoryList<'_>) {
        let (Some(machine), Some(ip)) = (self.machine(), self.ip()) else { return };
        let Some(code) = bytes_at(memory, ip, MAX_INSTRUCTION_BYTES) else { return };
        self.has_code = code.len() == MAX_INSTRUCTION_BYTES;
        let Some(instruction) = effects(machine, ip, code) else { return };
        let value = |name: &str| self.register(name);
        let accesses = instruction.accesses.iter().filter_map(|access| {
            Some(Accessed {
                address: access.place.address(value)?,
                size_bytes: access.size_bytes,
                direction: access.direction,
                place: access.place.clone(),
            })
        });
        let accesses = accesses.collect();
        self.target = match &instruction.flow {
            Flow::To(address) => Some(*address),
            Flow::Register(name) => value(name),
            Flow::Memory(place) => place.address(value).and_then(|at| self.pointer(memory, at)),
            Flow::Next | Flow::Conditional => None,
        };
        self.accesses = accesses;
        self.instruction = Some(instruction);
    }

    fn read_around(&mut self, memory: &UnifiedMemoryList<'_>) {
        let before = self.ip().and_then(|ip| bytes_at(memory, ip.checked_sub(2)?, 2));
        self.before = before.and_then(|bytes| bytes.try_into().ok());
        self.return_address = match self.cpu {
            Cpu::Arm64 => self.register("lr"),
            _ => self.sp().and_then(|sp| self.pointer(memory, sp)),
        };
    }

    pub(crate) fn machine(&self) -> Option<Machine> {
        match self.cpu {
            Cpu::X86 => Some(Machine::X86),
            Cpu::X86_64 => Some(Machine::X86_64),
            Cpu::Arm64 => Some(Machine::Arm64),
            _ => None,
        }
    }

    fn pointer(&self, memory: &UnifiedMemoryList<'_>, address: u64) -> Option<u64> {
        let size = self.pointer_bytes();
        let bytes = bytes_at(memory, address, size).filter(|bytes| bytes.len() == size)?;
        let mut whole = [0_u8; 8];
        whole.get_mut(..size)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(whole))
    }

    pub(crate) fn pointer_bytes(&self) -> usize {
        if self.cpu.pointer_width() == PointerWidth::Bits32 { 4 } else { 8 }
    }

    pub(crate) fn ip(&self) -> Option<u64> {
        self.context.as_ref().map(MinidumpContext::get_instruction_pointer)
    }

    pub(crate) fn sp(&self) -> Option<u64> {
        self.context.as_ref().map(MinidumpContext::get_stack_pointer)
    }

    pub(crate) fn register(&self, name: &str) -> Option<u64> {
        self.context.as_ref()?.get_register(name)
    }

    /// `app+0x10`, or the address.
    pub(crate) fn place_words(&self, address: u64) -> String {
        let Some(module) = self.modules.module_at_address(address) else {
            return format!("{address:#x}");
        };
        let path = module.code_file();
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        format!("{address:#x} ({name}+{:#x})", address.saturating_sub(module.base_address()))
    }

    /// The instruction, and where it stands.
    pub(crate) fn instruction_words(&self) -> Option<String> {
        let text = &self.instruction.as_ref()?.text;
        Some(format!("instruction `{text}` at {}", self.place_words(self.ip()?)))
    }

    pub(crate) fn is_x86(&self) -> bool {
        matches!(self.cpu, Cpu::X86 | Cpu::X86_64)
    }

    /// `rax = 0x10`.
    pub(crate) fn register_words(&self, name: &str) -> Option<String> {
        Some(format!("{name} = {:#x}", self.register(name)?))
    }

    /// Who called, where a module tells that the address is one of code.
    pub(crate) fn caller_words(&self) -> Option<String> {
        let address = self.return_address?;
        self.modules.module_at_address(address)?;
        Some(format!("the call returns to {}", self.place_words(address)))
    }

    /// `crash_info.NAME`, where it is known.
    pub(crate) fn told(&self, name: &str) -> Option<&Value> {
        let value = self.crash.get(name)?;
        Some(value).filter(|value| !value.is_null())
    }
}

fn context(exception: &MinidumpException<'_>, threads: &Threads<'_>) -> Option<MinidumpContext> {
    let (system, misc) = (threads.system.as_ref()?, threads.misc.as_ref());
    let own = || {
        let thread = threads.list.get(threads.requesting_thread()?)?;
        thread.context(system, misc).map(std::borrow::Cow::into_owned)
    };
    exception.context(system, misc).map(std::borrow::Cow::into_owned).or_else(own)
}

fn bytes_at<'a>(memory: &'a UnifiedMemoryList<'_>, at: u64, max: usize) -> Option<&'a [u8]> {
    let found = memory.memory_at_address(at)?;
    let skipped = usize::try_from(at.checked_sub(found.base_address())?).ok()?;
    let rest = found.bytes().get(skipped..)?;
    rest.get(..max.min(rest.len()))
}
