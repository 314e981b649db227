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

pub mod counting;
pub mod details;
pub mod interpreters;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
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

/// A victim that is on its way.
struct Starting {
    child: Child,
    output: BufReader<ChildStdout>,
    version: u32,
}

impl Starting {
    fn new(interpreter: &Interpreter, script_name: &str, arguments: &[&str]) -> Self {
        Self::call(interpreter.command(), interpreter, script_name, arguments)
    }

    fn call(
        mut command: Command,
        interpreter: &Interpreter,
        script_name: &str,
        arguments: &[&str],
    ) -> Self {
        let mut child = command
            .arg(interpreter.place(&script(script_name)))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output, version: interpreter.version }
    }

    /// Waits for the truth, which is one line, and until all threads sleep; then stops them.
    fn finish(mut self) -> Victim {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the script's output is text");
        let truth: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("the victim of {:x} failed: {line}", self.version));
        let runtime_address = truth["runtime"].as_u64().expect("an address");
        let python_version = self.version;
        let target = Target { runtime_address, python_version, calibration: None };
        let victim = Victim { child: self.child, truth, target };
        victim.wait_for_state(&["S"]);
        victim.stop();
        victim
    }
}

impl Victim {
    /// Runs a script of the tests, waits until it sleeps, and stops it.
    pub fn start(interpreter: &Interpreter, script_name: &str, arguments: &[&str]) -> Self {
        Starting::new(interpreter, script_name, arguments).finish()
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

    /// What `/proc/PID/task/TID/syscall` says of a thread that sleeps in a system call or is
    /// stopped: the call's number, its six arguments, stack pointer and instruction pointer.
    fn system_call(&self, task: u64) -> Vec<String> {
        let path = format!("/proc/{}/task/{task}/syscall", self.pid());
        let text = std::fs::read_to_string(path).expect("the thread lives");
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Stack pointer of a thread that sleeps in a system call or is stopped.
    pub fn stack_pointer(&self, task: u64) -> u64 {
        let words = self.system_call(task);
        number(&words[words.len() - 2])
    }

    /// The address that a thread waits on in `futex`; `None` = it is elsewhere.
    pub fn futex_address(&self, task: u64) -> Option<u64> {
        let words = self.system_call(task);
        let is_futex = words[0] == libc::SYS_futex.to_string();
        is_futex.then(|| number(&words[1]))
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

impl Victim {
    /// As `start`, with the GIL that a build without one can have (`PYTHON_GIL=1`).
    pub fn start_with_gil(
        interpreter: &Interpreter,
        script_name: &str,
        arguments: &[&str],
    ) -> Self {
        let mut command = interpreter.command();
        command.env("PYTHON_GIL", "1");
        Starting::call(command, interpreter, script_name, arguments).finish()
    }
}

/// Runs a script of the tests in every interpreter; stops them when they sleep.
pub fn start_all(script_name: &str, arguments: &[&str]) -> Vec<(Interpreter, Victim)> {
    let start = |interpreter: Interpreter| {
        let starting = Starting::new(&interpreter, script_name, arguments);
        (interpreter, starting)
    };
    // All at once: each waits for its threads most of the time.
    let starting: Vec<_> = interpreters().into_iter().map(start).collect();
    starting.into_iter().map(|(interpreter, victim)| (interpreter, victim.finish())).collect()
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
            sender.send(start_all("victim.py", &[])).expect("the test waits");
            loop {
                std::thread::park();
            }
        });
        receiver.recv().expect("every victim started")
    })
}

fn number(word: &str) -> u64 {
    u64::from_str_radix(word.strip_prefix("0x").expect("a number"), 16).expect("hexadecimal")
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
