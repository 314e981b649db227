//! Real interpreters for the tests: finds them, runs scripts in them, stops them and reads
//! their memory.
#![allow(
    dead_code,
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod interpreters;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lastwords_pyframes::{Limits, Memory, MemoryError, Outcome, Target, read_python};
use serde_json::Value;

pub use interpreters::{Interpreter, interpreters};

const DEADLINE: Duration = Duration::from_secs(30);

pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A stopped process with known stacks, killed on drop.
pub struct Victim {
    child: Child,
    pub truth: Value,
    pub target: Target,
}

impl Victim {
    /// Runs `tests/victim.py`, waits until it sleeps, and stops it.
    pub fn start(interpreter: &Interpreter) -> Self {
        let truth_file = std::env::temp_dir().join(format!(
            "lastwords-victim-{}-{:?}.json",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut child = Command::new(&interpreter.executable)
            .arg(script("victim.py"))
            .arg(&truth_file)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("the script's output is text");
        assert_eq!(line, "ready\n", "the victim of {} failed", interpreter.executable.display());
        let text = std::fs::read_to_string(&truth_file).expect("the truth was written");
        std::fs::remove_file(&truth_file).expect("the truth file can be removed");
        let truth: Value = serde_json::from_str(&text).expect("the truth is JSON");
        let runtime_address = truth["runtime"].as_u64().expect("an address");
        let python_version = interpreter.version;
        let target = Target { runtime_address, python_version, calibration: None };
        let victim = Self { child, truth, target };
        victim.wait_for_state(&["S"]);
        victim.stop();
        victim
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
        self.wait_for_state(&["T"]);
    }

    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
        self.wait_for_state(&["S"]);
    }

    fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.pid()).expect("a pid fits");
        // SAFETY: `kill` touches no memory of this process.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "kill failed");
    }

    /// Kernel ids of all threads.
    pub fn tasks(&self) -> Vec<u64> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it lives");
        tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
    }

    /// Waits until every thread is in one of the states of `/proc/PID/stat`.
    fn wait_for_state(&self, wanted: &[&str]) {
        let started = Instant::now();
        while started.elapsed() < DEADLINE {
            let state = |task: &u64| {
                let stat =
                    std::fs::read_to_string(format!("/proc/{}/task/{task}/stat", self.pid()));
                let stat = stat.expect("the thread lives");
                let (_, after_name) = stat.rsplit_once(") ").expect("a name in brackets");
                after_name.split(' ').next().unwrap_or_default().to_owned()
            };
            if self.tasks().iter().map(state).all(|state| wanted.contains(&state.as_str())) {
                return;
            }
            std::thread::yield_now();
        }
        panic!("the threads of {} do not reach the state {wanted:?}", self.pid());
    }

    pub fn memory(&self) -> ProcessMemory {
        ProcessMemory { pid: self.pid() }
    }

    pub fn read(&self) -> Outcome {
        self.read_with(&Limits::default())
    }

    pub fn read_with(&self, limits: &Limits) -> Outcome {
        read_python(&self.memory(), &self.target, limits).expect("the interpreter can be read")
    }

    /// Stack pointer of a thread that sleeps in a system call or is stopped.
    pub fn stack_pointer(&self, task: u64) -> u64 {
        let path = format!("/proc/{}/task/{task}/syscall", self.pid());
        let text = std::fs::read_to_string(path).expect("the thread lives");
        let mut words = text.split_whitespace().rev();
        let pointer = words.nth(1).and_then(|word| word.strip_prefix("0x")).expect("a pointer");
        u64::from_str_radix(pointer, 16).expect("hexadecimal")
    }

    /// The mapping that holds `address`.
    pub fn mapping(&self, address: u64) -> Option<std::ops::Range<u64>> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.pid())).ok()?;
        let ranges = maps.lines().filter_map(|line| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
        });
        ranges.into_iter().find(|range| range.contains(&address))
    }
}

/// A victim of every interpreter, stopped, shared by all tests of the process.
///
/// They are children of a thread that lives as long as the process, because the kernel kills
/// them when the thread that started them ends (`PR_SET_PDEATHSIG` in the script).
pub fn victims() -> &'static [(Interpreter, Victim)] {
    static VICTIMS: OnceLock<Vec<(Interpreter, Victim)>> = OnceLock::new();
    VICTIMS.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let start = |interpreter: Interpreter| {
                let victim = Victim::start(&interpreter);
                (interpreter, victim)
            };
            let victims: Vec<_> = interpreters().into_iter().map(start).collect();
            sender.send(victims).expect("the test waits");
            loop {
                std::thread::park();
            }
        });
        receiver.recv().expect("every victim started")
    })
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time that the calling thread has used: what others do meanwhile does not count.
pub fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable and lives until the call returns.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "clock_gettime failed");
    let seconds = u64::try_from(time.tv_sec).expect("not negative");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("less than a second"))
}

/// Memory of another process, through `process_vm_readv`.
pub struct ProcessMemory {
    pid: u32,
}

impl ProcessMemory {
    pub fn of(pid: u32) -> Self {
        Self { pid }
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let remote = libc::iovec {
            iov_base: std::ptr::without_provenance_mut(usize::try_from(address).expect("64-bit")),
            iov_len: buffer.len(),
        };
        let pid = libc::pid_t::try_from(self.pid).expect("a pid fits");
        // SAFETY: `local` describes `buffer`, which is writable and lives until the call
        // returns; `remote` is not dereferenced in this process.
        let read =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        if usize::try_from(read) == Ok(buffer.len()) {
            return Ok(());
        }
        let reason = std::io::Error::last_os_error().to_string();
        Err(MemoryError::new(address, buffer.len(), reason))
    }
}

/// Ranges of memory, kept.
#[derive(Clone)]
pub struct Recorded {
    pub ranges: Vec<(u64, Vec<u8>)>,
}

impl Recorded {
    pub fn take(memory: &dyn Memory, ranges: &[std::ops::Range<u64>]) -> Self {
        let ranges = ranges.iter().map(|range| {
            let length = usize::try_from(range.end - range.start).expect("it fits");
            let mut bytes = vec![0; length];
            memory.read(range.start, &mut bytes).expect("it was read before");
            (range.start, bytes)
        });
        Self { ranges: ranges.collect() }
    }
}

impl Memory for Recorded {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let after = self.ranges.partition_point(|(start, _)| *start <= address);
        let found = after.checked_sub(1).and_then(|index| self.ranges.get(index));
        let bytes = found.and_then(|(start, bytes)| {
            let offset = usize::try_from(address - start).ok()?;
            bytes.get(offset..offset.checked_add(buffer.len())?)
        });
        let bytes = bytes.ok_or_else(|| MemoryError::new(address, buffer.len(), "not recorded"))?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}
