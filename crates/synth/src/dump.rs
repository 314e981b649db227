//! The file: header, directory, streams.

use crate::{PythonProcess, Stack};

const THREAD_LIST: u32 = 3;
const MODULE_LIST: u32 = 4;
const MEMORY_LIST: u32 = 5;
const EXCEPTION: u32 = 6;
const SYSTEM_INFO: u32 = 7;
const MEMORY_64_LIST: u32 = 9;
const HANDLE_DATA: u32 = 12;
const MISC_INFO: u32 = 15;
const THREAD_NAMES: u32 = 24;
const LINUX_PROC_STATUS: u32 = 0x4767_0004;
const CRASHPAD_INFO: u32 = 0x4350_0001;
const MOZ_SOFT_ERRORS: u32 = 0x4d7a_0004;
const LASTWORDS_PYTHON: u32 = 0x4c57_0001;

const HEADER_BYTES: usize = 32;
const CONTEXT_BYTES: usize = 1232;

/// A module of a test.
#[derive(Debug, Clone)]
pub struct Module {
    name: String,
    base: u64,
    size: u32,
    build_id: [u8; 20],
}

impl Module {
    /// A module with a build id made of its name.
    #[must_use]
    pub fn new(name: &str, base: u64, size: u32) -> Self {
        let mut build_id = [0x11; 20];
        for (place, byte) in build_id.iter_mut().zip(name.bytes()) {
            *place = byte;
        }
        Self { name: name.to_owned(), base, size, build_id }
    }

    /// The last part of its path.
    #[must_use]
    pub fn leaf(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The debug id that Breakpad makes of the build id: a little-endian GUID and age 0.
    #[must_use]
    pub fn breakpad_id(&self) -> String {
        const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        let byte = |index: usize| self.build_id.get(index).copied().unwrap_or(0);
        let digits: String = ORDER.iter().map(|index| format!("{:02X}", byte(*index))).collect();
        digits + "0"
    }
}

/// A thread of a test.
#[derive(Debug, Clone)]
pub struct Thread {
    id: u32,
    ip: u64,
    sp: u64,
    bp: u64,
    stack_start: u64,
    stack: Vec<u8>,
    name: Option<String>,
    thread_pointer: u64,
}

impl Thread {
    /// A thread that stands in the newest frame of `stack`.
    #[must_use]
    pub fn new(id: u32, stack: &Stack) -> Self {
        let (ip, sp) = (stack.ip(), stack.base());
        Self {
            id,
            ip,
            sp,
            bp: 0,
            stack_start: sp,
            stack: stack.bytes(),
            name: None,
            thread_pointer: 0,
        }
    }

    /// A thread with the given registers and stack memory.
    #[must_use]
    pub fn with_memory(id: u32, ip: u64, sp: u64, bp: u64, stack: Vec<u8>) -> Self {
        Self { id, ip, sp, bp, stack_start: sp, stack, name: None, thread_pointer: 0 }
    }

    /// Its memory begins at `address`, which need not be its stack pointer.
    #[must_use]
    pub fn with_stack_at(mut self, address: u64) -> Self {
        self.stack_start = address;
        self
    }

    /// What its `teb` holds: on Linux the base of FS.
    #[must_use]
    pub fn with_thread_pointer(mut self, address: u64) -> Self {
        self.thread_pointer = address;
        self
    }

    /// Names it.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

#[derive(Debug, Clone, Copy)]
struct Crash {
    thread: u32,
    signal: u32,
    code: u32,
    address: u64,
}

/// A minidump being put together.
#[derive(Debug, Clone, Default)]
pub struct Dump {
    threads: Vec<Thread>,
    modules: Vec<Module>,
    crash: Option<Crash>,
    python: Option<Vec<u8>>,
    pid: Option<u32>,
    raw: Vec<(u32, Vec<u8>)>,
    annotations: Vec<(String, String)>,
    handles: Vec<(u64, String, String)>,
    memory64: Vec<(u64, u64)>,
    flags: u64,
    time_s: u32,
}

impl Dump {
    /// An empty one: it has a system, an empty thread list and an empty module list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a thread.
    #[must_use]
    pub fn thread(mut self, thread: Thread) -> Self {
        self.threads.push(thread);
        self
    }

    /// Adds a module.
    #[must_use]
    pub fn module(mut self, module: Module) -> Self {
        self.modules.push(module);
        self
    }

    /// `MINIDUMP_TYPE` bits and time stamp (seconds since 1970) in the header.
    #[must_use]
    pub fn header(mut self, flags: u64, time_s: u32) -> Self {
        (self.flags, self.time_s) = (flags, time_s);
        self
    }

    /// Ranges of memory in a `Memory64List`: start and bytes. [`Dump::build`] ends where their
    /// contents begin; the stacks of threads are then looked for there and not written.
    #[must_use]
    pub fn memory64(mut self, ranges: &[(u64, u64)]) -> Self {
        self.memory64 = ranges.to_vec();
        self
    }

    /// An open handle or file: number, type, name.
    #[must_use]
    pub fn handle(mut self, number: u64, type_name: &str, name: &str) -> Self {
        self.handles.push((number, type_name.to_owned(), name.to_owned()));
        self
    }

    /// Thread `thread` died of `signal`.
    #[must_use]
    pub fn crash(mut self, thread: u32, signal: u32, code: u32, address: u64) -> Self {
        self.crash = Some(Crash { thread, signal, code, address });
        self
    }

    /// Adds the Python stream.
    #[must_use]
    pub fn python(mut self, python: &PythonProcess) -> Self {
        self.python = Some(python.bytes());
        self
    }

    /// Process id in MiscInfo.
    #[must_use]
    pub fn pid(mut self, pid: u32) -> Self {
        self.pid = Some(pid);
        self
    }

    /// The text of `/proc/PID/status`.
    #[must_use]
    pub fn proc_status(self, text: &str) -> Self {
        self.raw_stream(LINUX_PROC_STATUS, text.as_bytes().to_vec())
    }

    /// The JSON text of the writer's soft errors.
    #[must_use]
    pub fn soft_errors(self, json: &str) -> Self {
        self.raw_stream(MOZ_SOFT_ERRORS, json.as_bytes().to_vec())
    }

    /// A simple annotation of Crashpad's.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.to_owned(), value.to_owned()));
        self
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
        let mut file = File { bytes: vec![0; HEADER_BYTES], directory: Vec::new() };
        file.stream(SYSTEM_INFO, system_info());
        self.write_threads(&mut file);
        self.write_modules(&mut file);
        self.write_crash(&mut file);
        self.write_names(&mut file);
        self.write_annotations(&mut file);
        self.write_handles(&mut file);
        if let Some(pid) = self.pid {
            file.stream(MISC_INFO, misc_info(pid));
        }
        if let Some(python) = &self.python {
            file.stream(LASTWORDS_PYTHON, python.clone());
        }
        for (stream_type, bytes) in &self.raw {
            file.stream(*stream_type, bytes.clone());
        }
        if self.memory64.is_empty() {
            return file.finish(self.flags, self.time_s);
        }
        let list = self.write_memory64(&mut file);
        let mut bytes = file.finish(self.flags, self.time_s);
        let base = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        bytes.splice(list + 8..list + 16, base.to_le_bytes());
        bytes
    }

    /// `MINIDUMP_MEMORY64_LIST`: count, offset of the contents, start and size of each range.
    fn write_memory64(&self, file: &mut File) -> usize {
        let mut list = u64::from(u32_of(self.memory64.len())).to_le_bytes().to_vec();
        list.extend([0; 8]);
        for (start, size) in &self.memory64 {
            list.extend([start.to_le_bytes(), size.to_le_bytes()].concat());
        }
        file.stream(MEMORY_64_LIST, list);
        file.directory.last().map_or(0, |(_, (_, rva))| usize::try_from(*rva).unwrap_or(0))
    }

    fn write_threads(&self, file: &mut File) {
        let mut list = u32_of(self.threads.len()).to_le_bytes().to_vec();
        let mut memory = list.clone();
        for thread in &self.threads {
            let is_elsewhere = !self.memory64.is_empty();
            let stack = if is_elsewhere { (0, 0) } else { file.data(&thread.stack) };
            let context = file.data(&context(thread));
            let range = [thread.stack_start.to_le_bytes().to_vec(), location(stack)].concat();
            list.extend(thread.id.to_le_bytes());
            list.extend([0; 12]); // suspend count, priority class, priority
            list.extend(thread.thread_pointer.to_le_bytes()); // teb
            list.extend(&range);
            list.extend(location(context));
            memory.extend(&range);
        }
        file.stream(THREAD_LIST, list);
        file.stream(MEMORY_LIST, memory);
    }

    fn write_modules(&self, file: &mut File) {
        let mut list = u32_of(self.modules.len()).to_le_bytes().to_vec();
        for module in &self.modules {
            let name = file.utf16(&module.name);
            // CodeView record of an ELF file: "BpEL" read as a little-endian number, build id.
            let record = file.data(&[b"LEpB".as_slice(), &module.build_id].concat());
            list.extend(module.base.to_le_bytes());
            list.extend(module.size.to_le_bytes());
            list.extend([0; 8]); // checksum, time stamp
            list.extend(name.to_le_bytes());
            list.extend([0; 52]); // version
            list.extend(location(record));
            list.extend([0; 24]); // misc record, reserved
        }
        file.stream(MODULE_LIST, list);
    }

    fn write_crash(&self, file: &mut File) {
        let Some(crash) = self.crash else { return };
        let thread = self.threads.iter().find(|thread| thread.id == crash.thread);
        let context = thread.map_or((0, 0), |thread| file.data(&context(thread)));
        let mut stream = crash.thread.to_le_bytes().to_vec();
        stream.extend([0; 4]);
        stream.extend(crash.signal.to_le_bytes());
        stream.extend(crash.code.to_le_bytes());
        stream.extend([0; 8]); // chained record
        stream.extend(crash.address.to_le_bytes());
        stream.extend([0; 8 + 15 * 8]); // parameters
        stream.extend(location(context));
        file.stream(EXCEPTION, stream);
    }

    fn write_names(&self, file: &mut File) {
        let named: Vec<_> = self.threads.iter().filter(|thread| thread.name.is_some()).collect();
        if named.is_empty() {
            return;
        }
        let mut list = u32_of(named.len()).to_le_bytes().to_vec();
        for thread in named {
            let name = file.utf16(thread.name.as_deref().unwrap_or_default());
            list.extend(thread.id.to_le_bytes());
            list.extend(u64::from(name).to_le_bytes());
        }
        file.stream(THREAD_NAMES, list);
    }

    /// `MINIDUMP_HANDLE_DATA_STREAM`: sizes of header and entry, count, 0; entries of 32 bytes.
    fn write_handles(&self, file: &mut File) {
        if self.handles.is_empty() {
            return;
        }
        let mut list: Vec<u8> =
            [16, 32, u32_of(self.handles.len()), 0].map(u32::to_le_bytes).concat();
        for (number, type_name, name) in &self.handles {
            list.extend(number.to_le_bytes());
            list.extend(file.utf16(type_name).to_le_bytes());
            list.extend(file.utf16(name).to_le_bytes());
            list.extend([0; 16]); // attributes, granted access, handle and pointer counts
        }
        file.stream(HANDLE_DATA, list);
    }

    /// `MinidumpCrashpadInfo`: version, two ids, then the location of a dictionary of strings
    /// in UTF-8 with their lengths.
    fn write_annotations(&self, file: &mut File) {
        if self.annotations.is_empty() {
            return;
        }
        let mut dictionary = u32_of(self.annotations.len()).to_le_bytes().to_vec();
        for (key, value) in &self.annotations {
            for text in [key, value] {
                let len = u32_of(text.len()).to_le_bytes();
                let (_, rva) = file.data(&[&len, text.as_bytes(), b"\0"].concat());
                dictionary.extend(rva.to_le_bytes());
            }
        }
        let dictionary = file.data(&dictionary);
        let mut stream = 1_u32.to_le_bytes().to_vec();
        stream.extend([0; 32]);
        stream.extend(location(dictionary));
        stream.extend([0; 8]);
        file.stream(CRASHPAD_INFO, stream);
    }
}

struct File {
    bytes: Vec<u8>,
    directory: Vec<(u32, (u32, u32))>,
}

impl File {
    /// Appends bytes; gives their size and offset.
    fn data(&mut self, bytes: &[u8]) -> (u32, u32) {
        while !self.bytes.len().is_multiple_of(8) {
            self.bytes.push(0);
        }
        let rva = u32_of(self.bytes.len());
        self.bytes.extend_from_slice(bytes);
        (u32_of(bytes.len()), rva)
    }

    fn stream(&mut self, stream_type: u32, bytes: Vec<u8>) {
        let place = self.data(&bytes);
        self.directory.push((stream_type, place));
    }

    /// `MINIDUMP_STRING`: size in bytes without the end, UTF-16, two zero bytes.
    fn utf16(&mut self, text: &str) -> u32 {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let size = u32_of(units.len()).to_le_bytes();
        self.data(&[&size, units.as_slice(), &[0, 0]].concat()).1
    }

    fn finish(mut self, flags: u64, time_s: u32) -> Vec<u8> {
        let mut directory = Vec::new();
        for (stream_type, place) in &self.directory {
            directory.extend(stream_type.to_le_bytes());
            directory.extend(location(*place));
        }
        let count = u32_of(self.directory.len());
        let (_, rva) = self.data(&directory);
        let mut header = b"MDMP".to_vec();
        header.extend(0xa793_u32.to_le_bytes());
        header.extend(count.to_le_bytes());
        header.extend(rva.to_le_bytes());
        header.extend([0; 4]); // checksum
        header.extend(time_s.to_le_bytes());
        header.extend(flags.to_le_bytes());
        self.bytes.splice(..HEADER_BYTES, header);
        self.bytes
    }
}

fn u32_of(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn location((size, rva): (u32, u32)) -> Vec<u8> {
    [size.to_le_bytes(), rva.to_le_bytes()].concat()
}

/// `MINIDUMP_SYSTEM_INFO`: AMD64 (9), platform Linux (0x8201).
fn system_info() -> Vec<u8> {
    let mut out = 9_u16.to_le_bytes().to_vec();
    out.resize(20, 0);
    out.extend(0x8201_u32.to_le_bytes());
    out.resize(56, 0);
    out
}

/// `MINIDUMP_MISC_INFO`: size, flags (1 = process id), process id, three times.
fn misc_info(pid: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for value in [24, 1, pid, 0, 0, 0] {
        out.extend(value.to_le_bytes());
    }
    out
}

/// `CONTEXT` of x86-64: flags at 0x30 (control and integer), rsp at 0x98, rbp at 0xA0, rip at 0xF8.
fn context(thread: &Thread) -> Vec<u8> {
    let mut out = vec![0; CONTEXT_BYTES];
    let mut put = |offset: usize, bytes: &[u8]| {
        out.splice(offset..offset + bytes.len(), bytes.iter().copied());
    };
    put(0x30, &0x0010_0003_u32.to_le_bytes());
    put(0x98, &thread.sp.to_le_bytes());
    put(0xA0, &thread.bp.to_le_bytes());
    put(0xF8, &thread.ip.to_le_bytes());
    out
}
