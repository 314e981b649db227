//! A process that exists only on paper, and dumps of it on disk.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use lastwords_format::context::amd64::Registers;
use lastwords_format::streams::exception::Access;
use lastwords_format::streams::handle_data::Handle;
use lastwords_format::streams::linux_dso_debug::{DsoDebug, LinkMapEntry};
use lastwords_format::streams::memory_info_list::Region;
use lastwords_format::streams::misc_info::ProcessTimes;
use lastwords_format::streams::module_list::Module;
use lastwords_format::streams::process_vm_counters::VmCounters;
use lastwords_format::streams::stream_type;
use lastwords_format::streams::system_info::SystemInfo;
use lastwords_format::streams::thread_info_list::ThreadTimes;
use lastwords_monitor::dump_file::DumpFile;
use lastwords_monitor::plan::DumpKind;
use lastwords_monitor::snapshot::{
    Area, AreaKind, Crash, Personal, ProcessSnapshot, PythonTarget, ThreadSnapshot,
};
use lastwords_monitor::soft_errors::SoftErrors;
use lastwords_monitor::write::{DumpWriter, Labels};
use lastwords_pyframes::{Memory, MemoryError};
use serde_json::json;

pub const CODE: u64 = 0x40_0000;
pub const STACKS: u64 = 0x7000_0000;
pub const STACK_SIZE: u64 = 0x1_0000;
pub const HEAP: u64 = 0x60_0000;
pub const PRIVATE: Range<u64> = HEAP + 0x100..HEAP + 0x180;
/// Depth of a stack that is larger than anybody wants in a dump.
pub const HUGE: u64 = 2 << 30;
pub const HUGE_STACK: u64 = 0x1_0000_0000;

/// Every address of a region holds the low byte of its own page number; private ones hold `S`.
pub fn byte_at(address: u64) -> u8 {
    if PRIVATE.contains(&address) { b'S' } else { (address >> 8) as u8 & 0x3F }
}

pub struct FakeSnapshot {
    pub threads: Vec<ThreadSnapshot>,
    /// Stands for a defect in reading modules.
    pub has_defect: bool,
    pub regions: Vec<Region>,
    /// What is open.
    pub handles: Vec<Handle>,
    /// Makes areas of another kind.
    pub change_areas: fn(&mut Vec<Area>),
    /// Bytes that stand at addresses instead of the usual ones.
    pub planted: Vec<(u64, Vec<u8>)>,
    private: Vec<Range<u64>>,
}

impl Memory for FakeSnapshot {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let end = address.saturating_add(buffer.len() as u64);
        let holds = |r: &Region| r.start <= address && end <= r.start + r.size && r.is_readable;
        if !self.regions.iter().any(holds) {
            return Err(MemoryError::new(address, buffer.len(), "Bad address"));
        }
        for (offset, byte) in buffer.iter_mut().enumerate() {
            *byte = byte_at(address + offset as u64);
        }
        for (at, bytes) in &self.planted {
            for (address_of, planted) in (*at..).zip(bytes) {
                if let Some(byte) =
                    address_of.checked_sub(address).and_then(|i| buffer.get_mut(i as usize))
                {
                    *byte = *planted;
                }
            }
        }
        Ok(())
    }
}

pub fn registers(rip: u64, rsp: u64) -> Registers {
    Registers { rip, rsp, rax: HEAP + 0x140, fs_base: 0x7777, eflags: 0x246, ..Default::default() }
}

fn thread(id: u32, registers: Option<Registers>) -> ThreadSnapshot {
    ThreadSnapshot { id, name: Some(format!("thr\u{e9}ad {id}")), registers }
}

pub fn snapshot() -> FakeSnapshot {
    let region = |start, size, is_executable: bool| Region {
        start,
        size,
        is_readable: true,
        is_writable: !is_executable,
        is_executable,
        is_shared: false,
    };
    FakeSnapshot {
        threads: vec![
            thread(100, Some(registers(CODE + 0x10, STACKS + 0x800))),
            thread(101, Some(registers(CODE + 0x20, STACKS + STACK_SIZE + 0x400))),
            thread(102, None),
            thread(103, Some(registers(CODE + 0x30, 0x10))),
        ],
        regions: vec![
            region(CODE, 0x2000, true),
            region(HEAP, 0x2000, false),
            region(STACKS, STACK_SIZE, false),
            region(STACKS + STACK_SIZE, STACK_SIZE, false),
            region(HUGE_STACK, HUGE, false),
        ],
        has_defect: false,
        handles: vec![Handle {
            number: 3,
            type_name: "File".to_owned(),
            name: "/opt/h\u{f6}hle/secret.txt".to_owned(),
            mode: 0o100_600,
            flags: 2,
        }],
        change_areas: |_| {},
        planted: Vec::new(),
        private: vec![PRIVATE],
    }
}

impl ProcessSnapshot for FakeSnapshot {
    fn pid(&self) -> u32 {
        99
    }

    fn threads(&self) -> &[ThreadSnapshot] {
        &self.threads
    }

    fn memory(&self) -> &dyn Memory {
        self
    }

    fn regions(&self) -> &[Region] {
        &self.regions
    }

    fn stack_bounds(&self, stack_pointer: u64) -> Option<(u64, u64)> {
        let holds = |r: &&Region| (r.start..r.start + r.size).contains(&stack_pointer);
        self.regions.iter().find(holds).map(|r| (stack_pointer, r.start + r.size))
    }

    fn private(&self) -> &[Range<u64>] {
        &self.private
    }

    fn modules(&self, _: &mut SoftErrors) -> Vec<Module> {
        assert!(!self.has_defect, "a defect");
        let module = |base, path: &str, build_id| Module {
            base,
            size: 0x1000,
            path: path.to_owned(),
            build_id,
        };
        vec![
            module(CODE, "/opt/h\u{f6}hle/app", (0..20).collect()),
            module(CODE + 0x1000, "/opt/line\nbreak.so", Vec::new()),
        ]
    }

    fn system_info(&self, _: &mut SoftErrors) -> SystemInfo {
        SystemInfo {
            family: 6,
            model: 0x8F,
            stepping: 8,
            processors: 2,
            kernel_version: [6, 1, 7],
            os_text: "Linux 6.1.7 test x86_64".to_owned(),
            vendor: *b"GenuineIntel",
        }
    }

    fn times(&self, _: &mut SoftErrors) -> Option<ProcessTimes> {
        Some(ProcessTimes { create_s: 1_700_000_000, user_s: 3, kernel_s: 1 })
    }

    fn thread_times(&self, thread: u32) -> Option<ThreadTimes> {
        let times = ThreadTimes { create_ns: 1, kernel_ns: 200, user_ns: 300, affinity: 3 };
        (thread != 102).then_some(times)
    }

    fn vm_counters(&self, _: &mut SoftErrors) -> Option<VmCounters> {
        Some(VmCounters { resident: 4096, ..Default::default() })
    }

    fn handles(&self, _: &mut SoftErrors) -> Vec<Handle> {
        self.handles.clone()
    }

    fn areas(&self, _: &mut SoftErrors) -> Vec<Area> {
        let area = |region: &Region| {
            let kind = if region.is_executable { AreaKind::Image } else { AreaKind::Private };
            Area { region: *region, kind, name: String::new(), excluded: None }
        };
        let mut areas: Vec<Area> = self.regions.iter().map(area).collect();
        (self.change_areas)(&mut areas);
        areas
    }

    fn kernel_stacks(&self, _: &mut SoftErrors) -> String {
        "thread 100 (main) S\n".to_owned()
    }

    fn personal(&self) -> Personal {
        Personal { home: Some("/opt/h\u{f6}hle".to_owned()), names: vec!["mallory".to_owned()] }
    }

    fn platform_streams(&self, _: &mut SoftErrors) -> Vec<(u32, Vec<u8>)> {
        vec![(stream_type::LINUX_PROC_STATUS, b"Name:\tapp\nPid:\t99\n".to_vec())]
    }

    fn dso_debug(&self, _: &dyn Memory, _: &mut SoftErrors) -> Option<DsoDebug> {
        let library =
            LinkMapEntry { load_bias: 0x5000, name: "/lib/x.so".to_owned(), dynamic: 0x5100 };
        Some(DsoDebug {
            version: 1,
            brk: 2,
            ldbase: 3,
            libraries: vec![library],
            ..Default::default()
        })
    }

    fn rungs(&self) -> (&'static str, &'static str) {
        ("ptrace", "process_vm_readv")
    }
}

pub fn crash() -> Crash {
    Crash {
        thread_id: 100,
        signal: 11,
        code: 1,
        address: Some(0x10),
        access: Some(Access::Write),
        registers: registers(CODE + 0x10, STACKS + 0x800),
        abort_message: Some("app: grid.cpp:42: void set(int): Assertion `i < n' failed.".into()),
        stack_overflow: None,
    }
}

/// A new file; its name is unlinked by nobody, so it stands in the system's temporary folder
/// until the test removes it.
pub fn new_file(name: &str) -> (PathBuf, File) {
    let path = std::env::temp_dir().join(format!("lastwords-{name}-{}.dmp", std::process::id()));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    (path, file)
}

/// Writes a mini dump of `snapshot`; gives its size, or why there is none, and the soft errors.
pub fn write(
    snapshot: &FakeSnapshot,
    file: File,
    deadline: Option<Instant>,
) -> (std::io::Result<u64>, String) {
    write_kind(snapshot, &DumpKind::Mini, file, deadline)
}

/// Writes a dump of `snapshot`; gives its size, or why there is none, and the soft errors.
pub fn write_kind(
    snapshot: &FakeSnapshot,
    kind: &DumpKind,
    file: File,
    deadline: Option<Instant>,
) -> (std::io::Result<u64>, String) {
    let labels = Labels {
        report_id: *b"0123456789abcdef",
        annotations: vec![("sc\u{e8}ne".to_owned(), "town".into()), ("level".to_owned(), 7.into())],
        reason: "Unhandled signal: SIGSEGV".to_owned(),
        breadcrumbs: vec![json!({"message": "opened the gate", "level": "info"})],
        ..Default::default()
    };
    let python = Some(PythonTarget {
        runtime_address: 0xDEAD_0000,
        version: 0x030B_07F0,
        calibration: None,
    });
    let mut soft_errors = SoftErrors::default();
    let size = DumpFile::new(file, 1_700_000_001, kind.flags().bits()).and_then(|dump| {
        let writer = DumpWriter::new(snapshot, dump, kind, deadline, &mut soft_errors);
        writer.write(&crash(), python, &labels).finish()
    });
    (size, soft_errors.to_json().to_string())
}
