//! Facts from `/proc` (proc(5)) and from the machine.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use lastwords_format::streams::misc_info::ProcessTimes;
use lastwords_format::streams::process_vm_counters::VmCounters;
use lastwords_format::streams::stream_type;
use lastwords_format::streams::system_info::SystemInfo;

use super::maps::without_deleted_mark;
use crate::scrub;
use crate::snapshot::Personal;
use crate::soft_errors::SoftErrors;

const NS_PER_S: u64 = 1_000_000_000;
/// Most bytes of one file.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes of a list of mappings: 65,530 of them (the default of `vm.max_map_count`) take
/// about 6 MiB, and the stacks stand at the end.
const MOST_MAPS_BYTES: u64 = 64 * 1024 * 1024;
const AT_PHDR: u64 = 3;
const AT_PHNUM: u64 = 5;
const AT_ENTRY: u64 = 9;
const AT_SYSINFO_EHDR: u64 = 33;

/// Reads a file that may be endless or vanish.
pub(crate) fn read_bounded(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The `maps` file of a thread, whole lines only.
pub(crate) fn maps(tid: i32, soft_errors: &mut SoftErrors) -> io::Result<Vec<u8>> {
    let path = format!("/proc/{tid}/maps");
    let mut bytes = Vec::new();
    File::open(&path)?.take(MOST_MAPS_BYTES).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == MOST_MAPS_BYTES {
        soft_errors.add("file_cut", path, "longer than 64 MiB");
        let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        bytes.truncate(end);
    }
    Ok(bytes)
}

/// The `smaps` file of a process: its mappings, each with facts in lines of its own.
pub(crate) fn smaps(pid: i32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/smaps"))?.take(MOST_MAPS_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The process that a process is a child of: field 4. `None` when it is gone.
pub(crate) fn parent(pid: i32) -> Option<u64> {
    number(&stat_fields(&format!("/proc/{pid}/stat")).ok()?, 4)
}

/// The auxiliary vector: pairs of `u64`.
#[derive(Debug, Default)]
pub(crate) struct AuxiliaryVector(Vec<u8>);

impl AuxiliaryVector {
    pub(crate) fn read(pid: i32) -> io::Result<Self> {
        read_bounded(&format!("/proc/{pid}/auxv")).map(Self)
    }

    /// As it stands in a core file.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    fn get(&self, kind: u64) -> Option<u64> {
        self.0.chunks_exact(16).find_map(|pair| {
            let (tag, value) = pair.split_first_chunk::<8>()?;
            let value = u64::from_ne_bytes(*value.first_chunk::<8>()?);
            (u64::from_ne_bytes(*tag) == kind).then_some(value)
        })
    }

    /// The program's entry point.
    pub(crate) fn entry(&self) -> Option<u64> {
        self.get(AT_ENTRY)
    }

    /// Where the kernel's own module begins.
    pub(crate) fn vdso(&self) -> Option<u64> {
        self.get(AT_SYSINFO_EHDR)
    }

    /// Address and number of the program headers.
    pub(crate) fn program_headers(&self) -> Option<(u64, usize)> {
        Some((self.get(AT_PHDR)?, usize::try_from(self.get(AT_PHNUM)?).ok()?))
    }
}

/// Fields of a `stat` file behind the name in parentheses; index 0 is field 3, the state.
pub(crate) fn stat_fields(path: &str) -> io::Result<Vec<String>> {
    let text = String::from_utf8_lossy(&read_bounded(path)?).into_owned();
    let tail = text.rsplit_once(')').map_or("", |(_, tail)| tail);
    Ok(tail.split_whitespace().map(str::to_owned).collect())
}

pub(crate) fn number(fields: &[String], field: usize) -> Option<u64> {
    fields.get(field.checked_sub(3)?)?.parse().ok()
}

/// The fields of `/proc/PID/stat` that tell whether a process is still the same, and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The process.
    pub(crate) pid: i32,
    /// Start in clock ticks since the machine's start: field 22.
    pub(crate) start_ticks: u64,
    /// Bytes of its address space: field 23.
    pub(crate) memory_bytes: u64,
    /// Its exit status as `wait` gives it, 0 for those who may not read it: field 52.
    pub(crate) exit_code: i32,
}

impl Stat {
    pub(crate) fn read(pid: i32) -> io::Result<Self> {
        let fields = stat_fields(&format!("/proc/{pid}/stat"))?;
        let exit_code = fields.get(49).and_then(|field| field.parse().ok());
        Ok(Self {
            pid,
            start_ticks: number(&fields, 22).unwrap_or(0),
            memory_bytes: number(&fields, 23).unwrap_or(0),
            exit_code: exit_code.unwrap_or(0),
        })
    }

    /// Whether it has given its memory back, which comes before its descriptors close: it ends, or
    /// has ended.
    pub(crate) fn is_ending(&self) -> bool {
        self.memory_bytes == 0
    }
}

/// The state letter of a thread; `None` when it is gone.
pub(crate) fn thread_state(pid: i32, tid: i32) -> Option<char> {
    stat_fields(&format!("/proc/{pid}/task/{tid}/stat")).ok()?.first()?.chars().next()
}

/// How many filters of system calls (seccomp(2)) a thread has; `None` when that is not told. A kernel
/// that only tells that there are some (before Linux 5.9) counts as very many.
pub(crate) fn filters(tid: i32) -> Option<u64> {
    let text =
        String::from_utf8_lossy(&read_bounded(&format!("/proc/{tid}/status")).ok()?).into_owned();
    let value = |key| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    match value("Seccomp:")? {
        0 => Some(0),
        _ => Some(value("Seccomp_filters:").filter(|count| *count > 0).unwrap_or(u64::MAX)),
    }
}

/// The kernel's flags of a process: field 9; `None` when it is gone.
pub(crate) fn flags(pid: i32) -> Option<u64> {
    number(&stat_fields(&format!("/proc/{pid}/stat")).ok()?, 9)
}

/// Where the arguments and the environment stand, usually at the top of the main thread's
/// stack: fields 48 to 51, `arg_start`, `arg_end`, `env_start`, `env_end`. Empty when they are
/// not told.
pub(crate) fn private_ranges(tid: i32) -> Vec<Range<u64>> {
    let fields = stat_fields(&format!("/proc/{tid}/stat")).unwrap_or_default();
    let range = |first| Some(number(&fields, first)?..number(&fields, first.saturating_add(1))?);
    [range(48), range(50)].into_iter().flatten().filter(|range| range.start != 0).collect()
}

/// Start and CPU times: fields 14, 15 and 22, in clock ticks.
pub(crate) fn times(pid: i32) -> io::Result<ProcessTimes> {
    let fields = stat_fields(&format!("/proc/{pid}/stat"))?;
    let tick_ns = NS_PER_S.checked_div(ticks_per_s()).unwrap_or(0);
    let ns = |field| number(&fields, field).map_or(0, |t: u64| t.saturating_mul(tick_ns));
    let seconds =
        |ns: u64| u32::try_from(ns.checked_div(NS_PER_S).unwrap_or(0)).unwrap_or(u32::MAX);
    Ok(ProcessTimes {
        create_s: seconds(boot_time_ns()?.saturating_add(ns(22))),
        user_s: seconds(ns(14)),
        kernel_s: seconds(ns(15)),
    })
}

/// Clock ticks in a second; never 0.
pub(crate) fn ticks_per_s() -> u64 {
    // SAFETY: asks the C library for a constant.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1)
}

/// When the machine started, in nanoseconds since 1970-01-01 UTC: the real-time clock less the
/// boot-time clock, which the clock ticks in `stat` count. `btime` in `/proc/stat` has whole seconds
/// only, and would have threads begin before their process.
pub(crate) fn boot_time_ns() -> io::Result<u64> {
    let now = clock_ns(libc::CLOCK_REALTIME)?;
    Ok(now.saturating_sub(clock_ns(libc::CLOCK_BOOTTIME)?))
}

fn clock_ns(clock: libc::clockid_t) -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec there.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(part(time.tv_sec).saturating_mul(NS_PER_S).saturating_add(part(time.tv_nsec)))
}

/// File name of the program that a process runs, without the mark of a deleted file; what the
/// process calls itself where that may not be read.
pub(crate) fn process_name(pid: i32) -> String {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let file = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    let name = file.map(|name| without_deleted_mark(&name).to_owned());
    name.or_else(|| thread_name(pid, pid)).unwrap_or_default()
}

/// Most bytes that the main thread's stack may grow to (soft `RLIMIT_STACK`, proc_pid_limits(5));
/// `None` when it is unlimited or cannot be read.
pub(crate) fn stack_limit(tid: i32) -> Option<u64> {
    let limits = read_bounded(&format!("/proc/{tid}/limits")).ok()?;
    let limits = String::from_utf8_lossy(&limits).into_owned();
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max stack size"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// How much memory the process has: `status`, and the faults in `stat` (fields 10 and 12).
pub(crate) fn vm_counters(pid: i32) -> io::Result<VmCounters> {
    let status = read_bounded(&format!("/proc/{pid}/status"))?;
    let status = String::from_utf8_lossy(&status).into_owned();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kb = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kb.unwrap_or(0).saturating_mul(1024)
    };
    let fields = stat_fields(&format!("/proc/{pid}/stat"))?;
    let faults = [10, 12].iter().filter_map(|field| number(&fields, *field));
    Ok(VmCounters {
        faults: u32::try_from(faults.fold(0, u64::saturating_add)).unwrap_or(u32::MAX),
        peak_resident: bytes("VmHWM"),
        resident: bytes("VmRSS"),
        size: bytes("VmSize"),
        peak_size: bytes("VmPeak"),
        private: bytes("RssAnon").saturating_add(bytes("VmSwap")),
    })
}

/// Words that tell who the user is: home directory, and names, as the environment has them.
pub(crate) fn personal(tid: i32) -> Personal {
    let environ = read_bounded(&format!("/proc/{tid}/environ")).unwrap_or_default();
    let value = |name: &str| {
        let entries = environ.split(|byte| *byte == 0);
        let value = entries
            .map(String::from_utf8_lossy)
            .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
        value.filter(|value| !value.is_empty())
    };
    Personal {
        home: value("HOME"),
        names: ["USER", "LOGNAME", "USERNAME"].into_iter().filter_map(value).collect(),
    }
}

/// Name of a thread.
pub(crate) fn thread_name(pid: i32, tid: i32) -> Option<String> {
    let bytes = read_bounded(&format!("/proc/{pid}/task/{tid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
}

/// What is done to a file's bytes before they are written.
type Change = fn(&[u8]) -> Vec<u8>;

/// The usual Linux streams, scrubbed.
///
/// `tid` is the thread whose view is taken: the main thread may have ended.
pub(crate) fn streams(pid: i32, tid: i32, soft_errors: &mut SoftErrors) -> Vec<(u32, Vec<u8>)> {
    let plain: Change = <[u8]>::to_vec;
    let of_process = [
        (stream_type::LINUX_PROC_STATUS, pid, "status", plain),
        (stream_type::LINUX_AUXV, tid, "auxv", plain),
        (stream_type::LINUX_CMD_LINE, tid, "cmdline", scrub::command_line),
        (stream_type::LINUX_ENVIRON, tid, "environ", scrub::environment),
    ];
    let mut sources: Vec<(u32, String, Change)> = of_process
        .into_iter()
        .map(|(kind, id, name, change)| (kind, format!("/proc/{id}/{name}"), change))
        .collect();
    sources.push((stream_type::LINUX_CPU_INFO, "/proc/cpuinfo".to_owned(), plain));
    let release = ["/etc/lsb-release", "/etc/os-release"];
    let release = release.into_iter().find(|path| std::path::Path::new(path).exists());
    sources.extend(release.map(|path| (stream_type::LINUX_LSB_RELEASE, path.to_owned(), plain)));
    let mut streams = Vec::new();
    let maps = maps(tid, soft_errors);
    let maps = soft_errors.keep(maps, "file_not_read", format!("/proc/{tid}/maps"));
    streams.extend(maps.map(|bytes| (stream_type::LINUX_MAPS, bytes)));
    for (kind, path, change) in sources {
        let bytes = soft_errors.keep(read_bounded(&path), "file_not_read", &path);
        streams.extend(bytes.map(|bytes| (kind, change(&bytes))));
    }
    streams
}

/// The machine.
pub(crate) fn system_info(soft_errors: &mut SoftErrors) -> SystemInfo {
    let text = soft_errors.keep(read_bounded("/proc/cpuinfo"), "file_not_read", "/proc/cpuinfo");
    let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim())
        })
    };
    let mut vendor = [0; 12];
    for (to, from) in vendor.iter_mut().zip(value("vendor_id").unwrap_or("").bytes()) {
        *to = from;
    }
    let processors = text.lines().filter(|line| line.starts_with("processor")).count();
    let (os_text, release) = uname();
    SystemInfo {
        family: value("cpu family").and_then(|v| v.parse().ok()).unwrap_or(0),
        model: value("model").and_then(|v| v.parse().ok()).unwrap_or(0),
        stepping: value("stepping").and_then(|v| v.parse().ok()).unwrap_or(0),
        processors: u8::try_from(processors).unwrap_or(u8::MAX),
        kernel_version: kernel_version(&release),
        os_text,
        vendor,
    }
}

/// `uname(2)` without the host's name: the text for the dump, and the release.
pub(crate) fn uname() -> (String, String) {
    // SAFETY: zero is a valid value; the call fills the structure.
    let names = unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        libc::uname(&raw mut names);
        names
    };
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> =
            field.iter().map(|c| c.to_ne_bytes()[0]).take_while(|b| *b != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let release = text(&names.release);
    let all = [text(&names.sysname), release.clone(), text(&names.version), text(&names.machine)];
    (all.join(" "), release)
}

fn kernel_version(release: &str) -> [u32; 3] {
    let mut version = [0; 3];
    let numbers = release.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    for (to, from) in version.iter_mut().zip(numbers) {
        *to = from.parse().unwrap_or(0);
    }
    version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_version_is_its_first_three_numbers() {
        assert_eq!(kernel_version("6.18.44-fc-v657"), [6, 18, 44]);
        assert_eq!(kernel_version("6.1"), [6, 1, 0]);
    }

    #[test]
    fn facts_of_this_very_process_can_be_read() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(times(pid).unwrap().create_s > 1_500_000_000);
        let counters = vm_counters(pid).unwrap();
        assert!(counters.peak_size >= counters.size && counters.size > counters.resident);
        assert!(counters.resident > 4096 && counters.faults > 0 && counters.private > 4096);
        let private = private_ranges(pid);
        assert_eq!(private.len(), 2);
        let word = |at: u64| usize::try_from(at).unwrap();
        assert!(private.iter().all(|range| word(range.start) < word(range.end)));
        let auxv = AuxiliaryVector::read(pid).unwrap();
        assert!(auxv.entry().is_some() && auxv.program_headers().is_some());
    }
}
