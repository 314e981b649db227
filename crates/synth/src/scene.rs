//! Dumps of one thread that failed at one instruction, for tests of what explains a crash: any of
//! three processors and three systems, any registers, memory and map.

/// A processor, with what its part of a dump looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// 32-bit x86.
    X86,
    /// x86-64.
    X86_64,
    /// 32-bit ARM; bit 5 of `cpsr` tells that it runs Thumb.
    Arm,
    /// ARM64.
    Arm64,
}

/// A system, by its `PlatformId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// `VER_PLATFORM_WIN32_NT`.
    Windows,
    /// `MD_OS_MAC_OS_X`.
    Mac,
    /// `MD_OS_LINUX`.
    Linux,
}

const HEADER_BYTES: usize = 32;
const THREAD_ID: u32 = 7;

/// `CONTEXT_ARM`.
const ARM: &[(&str, usize)] = &[
    ("r0", 4),
    ("r1", 8),
    ("r2", 12),
    ("r3", 16),
    ("sp", 56),
    ("lr", 60),
    ("pc", 64),
    ("cpsr", 68),
];

/// Registers of x86-64 and their offsets in `CONTEXT`.
const X86_64: &[(&str, usize)] = &[
    ("rax", 0x78),
    ("rcx", 0x80),
    ("rdx", 0x88),
    ("rbx", 0x90),
    ("rsp", 0x98),
    ("rbp", 0xa0),
    ("rsi", 0xa8),
    ("rdi", 0xb0),
    ("r8", 0xb8),
    ("r9", 0xc0),
    ("rip", 0xf8),
];
const X86: &[(&str, usize)] = &[
    ("edi", 0x9c),
    ("esi", 0xa0),
    ("ebx", 0xa4),
    ("edx", 0xa8),
    ("ecx", 0xac),
    ("eax", 0xb0),
    ("ebp", 0xb4),
    ("eip", 0xb8),
    ("esp", 0xc4),
];
const ARM64: &[(&str, usize)] = &[
    ("x0", 0x08),
    ("x1", 0x10),
    ("x2", 0x18),
    ("x8", 0x48),
    ("lr", 0xf8),
    ("sp", 0x100),
    ("pc", 0x108),
];

/// A dump being put together.
#[derive(Debug, Clone)]
pub struct CrashScene {
    processor: Processor,
    system: System,
    registers: Vec<(String, u64)>,
    code: u32,
    flags: u32,
    address: u64,
    parameters: Vec<u64>,
    memory: Vec<(u64, Vec<u8>)>,
    module: Option<(u64, u32)>,
    raw: Vec<(u32, Vec<u8>)>,
}

impl CrashScene {
    /// One whose exception is 0.
    #[must_use]
    pub fn new(processor: Processor, system: System) -> Self {
        Self {
            processor,
            system,
            registers: Vec::new(),
            code: 0,
            flags: 0,
            address: 0,
            parameters: Vec::new(),
            memory: Vec::new(),
            module: None,
            raw: Vec::new(),
        }
    }

    /// The exception's code, its flags (Linux: `si_code`) and address.
    #[must_use]
    pub fn exception(mut self, code: u32, flags: u32, address: u64) -> Self {
        (self.code, self.flags, self.address) = (code, flags, address);
        self
    }

    /// Parameters of the exception.
    #[must_use]
    pub fn parameters(mut self, parameters: &[u64]) -> Self {
        self.parameters = parameters.to_vec();
        self
    }

    /// Sets a register; the last value counts, unknown names are ignored.
    #[must_use]
    pub fn register(mut self, name: &str, value: u64) -> Self {
        self.registers.push((name.to_owned(), value));
        self
    }

    /// Puts the instruction pointer at `address`, and `code` there.
    #[must_use]
    pub fn code(self, address: u64, code: &[u8]) -> Self {
        let name = match self.processor {
            Processor::X86 => "eip",
            Processor::X86_64 => "rip",
            Processor::Arm | Processor::Arm64 => "pc",
        };
        let scene = self.register(name, address);
        if code.is_empty() { scene } else { scene.memory(address, code) }
    }

    /// Memory that the dump holds.
    #[must_use]
    pub fn memory(mut self, address: u64, bytes: &[u8]) -> Self {
        self.memory.push((address, bytes.to_vec()));
        self
    }

    /// A module named `app`.
    #[must_use]
    pub fn module(mut self, base: u64, size: u32) -> Self {
        self.module = Some((base, size));
        self
    }

    /// The text of `/proc/PID/maps`.
    #[must_use]
    pub fn maps(self, text: &str) -> Self {
        self.raw_stream(0x4767_0009, text.as_bytes().to_vec())
    }

    /// A stream of bytes as they are.
    #[must_use]
    pub fn raw_stream(mut self, stream_type: u32, bytes: Vec<u8>) -> Self {
        self.raw.push((stream_type, bytes));
        self
    }

    /// The file.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut file = vec![0_u8; HEADER_BYTES];
        let context = append(&mut file, &self.context());
        let mut streams = vec![
            (7, self.system_info()),
            (3, thread_list(self.stack_pointer(), context)),
            (6, self.exception_stream(context)),
            (4, self.module_list(&mut file)),
            (5, self.memory_list(&mut file)),
        ];
        streams.extend(self.raw.clone());
        let mut directory = Vec::new();
        for (stream_type, bytes) in &streams {
            let (size, rva) = append(&mut file, bytes);
            directory.extend([*stream_type, size, rva].map(u32::to_le_bytes).concat());
        }
        let (_, rva) = append(&mut file, &directory);
        let count = u32::try_from(streams.len()).unwrap_or(0);
        let header = [0xa793, count, rva].map(u32::to_le_bytes).concat();
        file.splice(..16, [b"MDMP".as_slice(), &header].concat());
        file
    }

    fn stack_pointer(&self) -> u64 {
        let is_sp = |name: &str| matches!(name, "rsp" | "esp" | "sp");
        self.registers.iter().rev().find(|(name, _)| is_sp(name)).map_or(0, |(_, value)| *value)
    }

    fn context(&self) -> Vec<u8> {
        let (size, flags, flags_at, table, width) = match self.processor {
            Processor::X86 => (716, 0x1_003f_u32, 0, X86, 4),
            Processor::X86_64 => (1232, 0x10_000f, 0x30, X86_64, 8),
            Processor::Arm => (368, 0x4000_0007, 0, ARM, 4),
            Processor::Arm64 => (912, 0x40_0007, 0, ARM64, 8),
        };
        let mut bytes = vec![0_u8; size];
        bytes.splice(flags_at..flags_at + 4, flags.to_le_bytes());
        for (name, value) in &self.registers {
            let Some((_, at)) = table.iter().find(|(known, _)| known == name) else { continue };
            bytes.splice(*at..at + width, value.to_le_bytes().into_iter().take(width));
        }
        bytes
    }

    fn system_info(&self) -> Vec<u8> {
        let processor: u16 = match self.processor {
            Processor::X86 => 0,
            Processor::X86_64 => 9,
            Processor::Arm => 5,
            Processor::Arm64 => 12,
        };
        let platform: u32 = match self.system {
            System::Windows => 2,
            System::Mac => 0x8101,
            System::Linux => 0x8201,
        };
        let mut bytes = processor.to_le_bytes().to_vec();
        bytes.resize(20, 0); // level, revision, number of processors, versions
        bytes.extend(platform.to_le_bytes());
        bytes.resize(56, 0);
        bytes
    }

    fn exception_stream(&self, context: (u32, u32)) -> Vec<u8> {
        let count = u32::try_from(self.parameters.len()).unwrap_or(0);
        let mut bytes = [THREAD_ID, 0, self.code, self.flags, 0, 0].map(u32::to_le_bytes).concat();
        bytes.extend(self.address.to_le_bytes());
        bytes.extend([count, 0].map(u32::to_le_bytes).concat());
        bytes.extend(self.parameters.iter().flat_map(|value| value.to_le_bytes()));
        bytes.resize(160, 0);
        bytes.extend([context.0, context.1].map(u32::to_le_bytes).concat());
        bytes
    }

    fn module_list(&self, file: &mut Vec<u8>) -> Vec<u8> {
        let Some((base, size)) = self.module else { return vec![0; 4] };
        let name = [6_u32.to_le_bytes().as_slice(), b"a\0p\0p\0\0\0"].concat();
        let (_, name) = append(file, &name);
        let mut bytes = 1_u32.to_le_bytes().to_vec();
        bytes.extend(base.to_le_bytes());
        bytes.extend([size, 0, 0, name].map(u32::to_le_bytes).concat());
        bytes.resize(4 + 108, 0);
        bytes
    }

    fn memory_list(&self, file: &mut Vec<u8>) -> Vec<u8> {
        let mut bytes = u32::try_from(self.memory.len()).unwrap_or(0).to_le_bytes().to_vec();
        for (address, content) in &self.memory {
            let (size, rva) = append(file, content);
            bytes.extend(address.to_le_bytes());
            bytes.extend([size, rva].map(u32::to_le_bytes).concat());
        }
        bytes
    }
}

/// `MINIDUMP_THREAD_LIST` of one thread, whose stack is empty.
fn thread_list(stack: u64, context: (u32, u32)) -> Vec<u8> {
    let mut bytes = [1, THREAD_ID, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
    bytes.extend(stack.to_le_bytes());
    bytes.extend([0, 0, context.0, context.1].map(u32::to_le_bytes).concat());
    bytes
}

/// Appends bytes; gives their size and offset.
fn append(file: &mut Vec<u8>, bytes: &[u8]) -> (u32, u32) {
    while !file.len().is_multiple_of(8) {
        file.push(0);
    }
    let rva = u32::try_from(file.len()).unwrap_or(0);
    file.extend_from_slice(bytes);
    (u32::try_from(bytes.len()).unwrap_or(0), rva)
}
