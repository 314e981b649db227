//! What detectors look at: the exception, the instruction, the registers, the memory map.

use std::borrow::Cow;

use lastwords_disasm::{Effects, Flow, Machine, effects};
use minidump::system_info::{Cpu, Os, PointerWidth};
use minidump::{
    Endian, Minidump, MinidumpContext, MinidumpException, MinidumpModuleList, Module,
    UnifiedMemoryList,
};
use serde_json::{Map, Value};

use super::access::Accessed;
use super::fault::{Fault, fault};
use super::map::MemoryMap;
use crate::machine::{machine, register};
use crate::state::Threads;

/// The longest instruction.
pub(super) const MAX_INSTRUCTION_BYTES: usize = 15;

/// Up to so many bytes of code at an address, from the file of the module that holds them.
pub(crate) type CodeOfFile<'f> = &'f dyn Fn(u64, usize) -> Option<Vec<u8>>;

/// The crash as the dump holds it.
pub(crate) struct Scene<'a> {
    pub(crate) os: Os,
    pub(crate) cpu: Cpu,
    endian: Endian,
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
    /// Whether the instruction is from the module's file, as the dump does not hold it.
    is_code_of_file: bool,
    pub(crate) accesses: Vec<Accessed>,
    /// Where the instruction went to, or would have gone.
    pub(crate) target: Option<u64>,
    /// The two bytes before the instruction pointer.
    pub(crate) before: Option<[u8; 2]>,
    /// Where a call that has just been made returns to, as far as that is known.
    pub(crate) return_address: Option<u64>,
    pub(crate) map: MemoryMap,
    /// Whether the whole instruction is known, if it is one.
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
        code_of_file: CodeOfFile<'_>,
    ) -> Option<Self> {
        let (exception, system) = (threads.exception.as_ref()?, threads.system.as_ref()?);
        let record = &exception.raw.exception_record;
        let told_address = exception.get_crash_address(system.os, system.cpu);
        let count = usize::try_from(record.number_parameters).unwrap_or(0);
        let all = &record.exception_information;
        let mut scene = Self {
            os: system.os,
            cpu: system.cpu,
            endian: dump.endian,
            fault: fault(system.os, record.exception_code, record.exception_flags),
            code: record.exception_code,
            flags: record.exception_flags,
            parameters: all.get(..count.min(all.len())).unwrap_or_default().to_vec(),
            told_address,
            address: told_address,
            context: context(exception, threads),
            instruction: None,
            is_code_of_file: false,
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
        if scene.fault == Fault::Requested {
            return Some(scene);
        }
        scene.read_instruction(&threads.memory, code_of_file);
        scene.read_around(&threads.memory, code_of_file);
        scene.address = scene.used_address();
        Some(scene)
    }

    fn read_instruction(&mut self, memory: &UnifiedMemoryList<'_>, code_of_file: CodeOfFile<'_>) {
        let (Some(machine), Some(ip)) = (self.machine(), self.ip()) else { return };
        let Some(code) = code_at(memory, code_of_file, ip, MAX_INSTRUCTION_BYTES) else { return };
        self.has_code = code.len() == MAX_INSTRUCTION_BYTES;
        self.is_code_of_file = matches!(code, Cow::Owned(_));
        let Some(instruction) = effects(machine, ip, &code) else { return };
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

    fn read_around(&mut self, memory: &UnifiedMemoryList<'_>, code_of_file: CodeOfFile<'_>) {
        let before = self.ip().and_then(|ip| code_at(memory, code_of_file, ip.checked_sub(2)?, 2));
        self.before = before.and_then(|bytes| bytes.as_ref().try_into().ok());
        self.return_address = match self.cpu {
            Cpu::Arm64 => self.register("lr"),
            // The lowest bit tells that Thumb called.
            Cpu::Arm => self.register("lr").map(|address| address & !1),
            Cpu::Mips | Cpu::Mips64 => self.register("ra"),
            _ => self.sp().and_then(|sp| self.pointer(memory, sp)),
        };
    }

    pub(crate) fn machine(&self) -> Option<Machine> {
        machine(self.os, self.cpu, self.endian, self.context.as_ref())
    }

    fn pointer(&self, memory: &UnifiedMemoryList<'_>, address: u64) -> Option<u64> {
        let size = self.pointer_bytes();
        let bytes = bytes_at(memory, address, size).filter(|bytes| bytes.len() == size)?;
        let mut whole = [0_u8; 8];
        if self.endian == Endian::Big {
            whole.get_mut(8_usize.checked_sub(size)?..)?.copy_from_slice(bytes);
            return Some(u64::from_be_bytes(whole));
        }
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
        register(self.context.as_ref()?, name)
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
        let source = if self.is_code_of_file { ", read from the module's file" } else { "" };
        Some(format!("instruction `{text}` at {}{source}", self.place_words(self.ip()?)))
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

/// From the dump, else from the module's file.
fn code_at<'a>(
    memory: &'a UnifiedMemoryList<'_>,
    code_of_file: CodeOfFile<'_>,
    at: u64,
    max: usize,
) -> Option<Cow<'a, [u8]>> {
    let in_dump = bytes_at(memory, at, max).filter(|bytes| !bytes.is_empty());
    in_dump.map(Cow::Borrowed).or_else(|| code_of_file(at, max).map(Cow::Owned))
}

fn bytes_at<'a>(memory: &'a UnifiedMemoryList<'_>, at: u64, max: usize) -> Option<&'a [u8]> {
    let found = memory.memory_at_address(at)?;
    let skipped = usize::try_from(at.checked_sub(found.base_address())?).ok()?;
    let rest = found.bytes().get(skipped..)?;
    rest.get(..max.min(rest.len()))
}
