//! Times and processors of one thread: `/proc/PID/task/TID/stat` (proc_pid_stat(5)).

use std::io;

use lastwords_format::streams::thread_info_list::ThreadTimes;

use super::{procfs, sys};

const NS_PER_S: u64 = 1_000_000_000;

/// Reads fields 14 (user), 15 (kernel) and 22 (start), which count clock ticks.
pub(crate) fn read(pid: i32, tid: i32) -> io::Result<ThreadTimes> {
    let fields = procfs::stat_fields(&format!("/proc/{pid}/task/{tid}/stat"))?;
    let tick_ns = NS_PER_S.checked_div(procfs::ticks_per_s()).unwrap_or(0);
    let ns = |field| procfs::number(&fields, field).map_or(0, |t: u64| t.saturating_mul(tick_ns));
    let boot_ns = procfs::boot_time_ns()?;
    Ok(ThreadTimes {
        create_ns: boot_ns.saturating_add(ns(22)),
        kernel_ns: ns(15),
        user_ns: ns(14),
        affinity: sys::affinity(tid).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn own_times_make_sense() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let times = read(pid, pid).unwrap();
        let created = SystemTime::UNIX_EPOCH + Duration::from_nanos(times.create_ns);
        let age = SystemTime::now().duration_since(created + Duration::from_secs(2));
        assert!(age.unwrap_or_default() < Duration::from_secs(3600));
        assert_ne!(times.affinity, 0);
        let began = SystemTime::now();
        let thread = std::thread::spawn(move || {
            // SAFETY: asks for the thread's own id.
            let tid = unsafe { libc::gettid() };
            let created = read(pid, tid).unwrap().create_ns;
            SystemTime::UNIX_EPOCH + Duration::from_nanos(created)
        });
        let created = thread.join().unwrap();
        let tick = Duration::from_millis(100);
        assert!(created + tick > began, "whole seconds only: {created:?} {began:?}");
        assert!(created < SystemTime::now() + tick);
        assert!(read(pid, i32::MAX).is_err());
    }
}
