//! Arming and disarming: what happens in a healthy process.

use std::ffi::{CString, c_int};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::handler::{ARMED, is_reporting, on_fatal_signal};
use crate::options::Options;
use crate::protocol::GOODBYE;
use crate::shared::{Additions, Area, Breadcrumb, Kind};
use crate::spawn::{self, Plan};
use crate::{
    alternate_stack, chain, exec, got, last_words, life, signals, size_limit, sys, throws,
};

/// Every code that an [`ArmError`] can carry.
pub const CODES: &[&str] = &[
    "monitor_not_found",
    "monitor_not_started",
    "capture_no_memory",
    "settings_too_long",
    "annotations_full",
    "addition_rejected",
    "not_armed",
    "order_too_long",
    "dump_not_made",
];

/// Why something could not be armed: a stable code, what happened, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmError {
    /// One of [`CODES`].
    pub code: &'static str,
    /// What, where.
    pub message: String,
    /// What to do next.
    pub hint: &'static str,
}

impl fmt::Display for ArmError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ArmError {}

/// What to arm with.
#[derive(Debug, Clone)]
pub struct Arming<'a> {
    /// The monitor's executable.
    pub monitor_path: &'a str,
    /// JSON for the monitor, see `shared.rs`.
    pub config: &'a [u8],
    /// Address of `_PyRuntime`; 0 = not known.
    pub runtime_address: u64,
    /// `PY_VERSION_HEX`; 0 = not known.
    pub python_version: u32,
    /// Where the interpreter has the fields of its structures, see `shared.rs`; empty = not known.
    pub calibration: &'a [u8],
    /// Hard limit of the time that a crashing process waits, in milliseconds.
    pub budget_ms: u32,
    /// Write nothing to stderr.
    pub is_quiet: bool,
    /// What can be chosen.
    pub options: Options,
}

struct Session {
    area: Area,
    is_armed: bool,
    monitor_path: String,
}

static SESSION: Mutex<Option<Session>> = Mutex::new(None);

fn session() -> MutexGuard<'static, Option<Session>> {
    SESSION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the monitor and installs the handlers; returns the monitor's process id.
///
/// Arming again replaces the settings and keeps the monitor. Costs about a millisecond, most
/// of it the start of the monitor.
///
/// # Errors
/// [`ArmError`]; nothing is installed then.
pub fn arm(arming: &Arming<'_>) -> Result<c_int, ArmError> {
    size_limit::without_signal(|| arm_now(arming))
}

fn arm_now(arming: &Arming<'_>) -> Result<c_int, ArmError> {
    let mut guard = session();
    if guard.is_none() {
        let area = Area::new().map_err(|error| no_memory(&error))?;
        *guard = Some(Session { area, is_armed: false, monitor_path: String::new() });
    }
    let Some(session) = guard.as_mut() else { return Err(no_memory(&"no session")) };
    session.area.set_python(arming.runtime_address, arming.python_version);
    session.area.set_calibration(arming.calibration);
    session.area.set_abort_message(abort_message_address());
    session.area.set_private(private_bounds());
    if !session.area.set_config(arming.config) {
        return Err(ArmError {
            code: "settings_too_long",
            message: format!("the settings take {} bytes", arming.config.len()),
            hint: "attach fewer files, or files with shorter paths",
        });
    }
    ARMED.budget_ms.store(arming.budget_ms, Ordering::Relaxed);
    ARMED.is_quiet.store(arming.is_quiet, Ordering::Relaxed);
    alternate_stack::enable(arming.options.alternate_stacks);
    session.area.set_throw_table(record_throws(&arming.options));
    let is_other = session.monitor_path != arming.monitor_path || is_other_watch(arming);
    if !session.is_armed || is_other {
        let session_file = arming.options.session.as_deref();
        start_monitor(session, arming.monitor_path, session_file)?;
        ARMED.is_armed.store(true, Ordering::Release);
        last_words::enable();
        session.is_armed = true;
    }
    got::apply();
    chain::choose(arming.options.chain_first);
    signals::install(on_fatal_signal, &arming.options.extra_signals);
    Ok(ARMED.monitor_pid.load(Ordering::Relaxed))
}

/// Whether the running monitor watches for the end and is not to, or the other way round. In a
/// forked child, whose monitor is its parent's, there is nothing to change.
fn is_other_watch(arming: &Arming<'_>) -> bool {
    let is_own = ARMED.pid.load(Ordering::Acquire) == sys::getpid();
    is_own && life::is_watched() != arming.options.session.is_some()
}

/// Begins or ends the record of throws; gives the address of its table, 0 = none.
fn record_throws(options: &Options) -> u64 {
    if options.capture_throws {
        return throws::enable(options.max_throws_per_s);
    }
    throws::disable();
    0
}

/// Address of glibc's `__abort_msg`: where `assert()`, the heap checks and the stack protector
/// leave their text before they call `abort()`. 0 where the C library has none.
fn abort_message_address() -> u64 {
    // SAFETY: looks up a name; the address is only passed on.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__abort_msg".as_ptr()) };
    u64::try_from(address.expose_provenance()).unwrap_or(0)
}

/// Start and end of the arguments, start and end of the environment: fields 48 to 51 of
/// `/proc/self/stat` (proc_pid_stat(5)), which a monitor without permission is not told. They
/// are kept out of the dump.
fn private_bounds() -> [u64; 4] {
    let stat = std::fs::read("/proc/self/stat").unwrap_or_default();
    let tail = stat.rsplit(|byte| *byte == b')').next().unwrap_or(&[]);
    let text = String::from_utf8_lossy(tail);
    // The first field behind the name is number 3.
    let mut fields = text.split_ascii_whitespace().skip(45);
    std::array::from_fn(|_| fields.next().and_then(|number| number.parse().ok()).unwrap_or(0))
}

fn no_memory(error: &dyn fmt::Display) -> ArmError {
    ArmError {
        code: "capture_no_memory",
        message: format!("no memory or descriptor for the shared area: {error}"),
        hint: "raise the limits of memory, open files and size of files (ulimit -v, -n, -f)",
    }
}

fn start_monitor(
    session: &mut Session,
    monitor_path: &str,
    session_file: Option<&str>,
) -> Result<(), ArmError> {
    let kept = kept_plan(monitor_path, session.area.fd);
    let is_kept = kept.is_some();
    let plan = kept.map_or_else(|| new_plan(monitor_path, session.area.fd), Ok)?;
    life::remove_session_file();
    let session_fd = session_file.and_then(life::make_session_file);
    let started = launch(&plan, session.area.fd, session_fd);
    let (socket, monitor_pid) = match started {
        Ok(started) => started,
        Err(error) => {
            life::remove_session_file();
            if let Some(executable) = plan.executable.get().filter(|_| !is_kept) {
                sys::close(executable);
            }
            plan.free_stacks();
            return Err(not_started(monitor_path, &error));
        }
    };
    close_socket();
    ARMED.set_socket(Some(socket));
    ARMED.area.store(session.area.base(), Ordering::Relaxed);
    ARMED.monitor_pid.store(monitor_pid, Ordering::Relaxed);
    if is_kept {
        plan.free_stacks();
    } else {
        ARMED.plan.store(Box::into_raw(Box::new(plan)), Ordering::Release);
    }
    ARMED.pid.store(sys::getpid(), Ordering::Release);
    life::begin();
    if session_fd.is_some() {
        exec::watch();
    }
    session.monitor_path = monitor_path.to_owned();
    Ok(())
}

/// The published plan, if it serves again: arming once more then opens and maps nothing new.
fn kept_plan(monitor_path: &str, shared_fd: c_int) -> Option<Plan> {
    // SAFETY: null, or a plan, which is never freed.
    let plan = unsafe { ARMED.plan.load(Ordering::Acquire).as_ref() }?;
    plan.is_for(monitor_path, shared_fd).then(|| plan.with_new_stacks()).flatten()
}

/// Starts a monitor; gives our end of the socket, and its process id.
fn launch(plan: &Plan, shared_fd: c_int, session_fd: Option<c_int>) -> io::Result<(c_int, c_int)> {
    let (ours, theirs) = spawn::socket_pair().ok_or_else(io::Error::last_os_error)?;
    let started = spawn::spawn_watching(plan, theirs, shared_fd, session_fd);
    sys::close(theirs);
    match started {
        Ok(monitor_pid) => Ok((ours, monitor_pid)),
        Err(errno) => {
            sys::close(ours);
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

fn not_started(monitor_path: &str, error: &io::Error) -> ArmError {
    ArmError {
        code: "monitor_not_started",
        message: format!("{monitor_path} could not be started: {error}"),
        hint: "check that the file is executable and for this processor, that the sandbox \
               allows clone and execve, and the limits of memory and open files",
    }
}

fn new_plan(monitor_path: &str, shared_fd: c_int) -> Result<Plan, ArmError> {
    let not_found = |reason: String| ArmError {
        code: "monitor_not_found",
        message: format!("the monitor {monitor_path} cannot be used: {reason}"),
        hint: "reinstall lastwords, or name the file in LASTWORDS_MONITOR",
    };
    let path = CString::new(monitor_path).map_err(|error| not_found(error.to_string()))?;
    let executable = hold_open(monitor_path).map_err(|error| not_found(error.to_string()))?;
    Plan::new(path, executable, shared_fd).ok_or_else(|| no_memory(&io::Error::last_os_error()))
}

/// Copies the executable into a memory file, so that an installation deleted or replaced
/// meanwhile does not matter. -1 where memory files cannot be had.
fn hold_open(path: &str) -> io::Result<c_int> {
    let mut file = std::fs::File::open(path)?;
    let flags = libc::MFD_CLOEXEC;
    // SAFETY: the name is a valid string.
    let memory = unsafe { libc::memfd_create(c"lastwords-monitor".as_ptr(), flags) };
    if memory < 0 {
        return Ok(-1);
    }
    // SAFETY: a new descriptor that nobody else owns.
    let mut copy = unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(memory) };
    io::copy(&mut file, &mut copy)?;
    // Executing a file that is open for writing fails with ETXTBSY: reopen it for reading.
    let reopened = std::fs::File::open(format!("/proc/self/fd/{}", copy.as_raw_fd()));
    Ok(reopened.map_or(-1, |read_only| spawn::move_up(read_only.into_raw_fd())))
}

/// Says goodbye to the monitor, unless it is at work on a crash.
fn close_socket() {
    if is_reporting() {
        return;
    }
    let socket = ARMED.socket();
    ARMED.set_socket(None);
    if let Some(socket) = socket {
        if ARMED.pid.load(Ordering::Acquire) == sys::getpid() {
            sys::send(socket, &GOODBYE);
        }
        sys::close(socket);
    }
}

/// Restores the previous handlers and ends the monitor; does nothing when not armed.
pub fn disarm() {
    let mut guard = session();
    if let Some(session) = guard.as_mut().filter(|session| session.is_armed) {
        ARMED.is_armed.store(false, Ordering::Release);
        signals::uninstall(on_fatal_signal);
        alternate_stack::disable();
        throws::disable();
        got::uninstall();
        close_socket();
        life::remove_session_file();
        session.is_armed = false;
        session.monitor_path.clear();
    }
}

/// Whether the handlers are installed.
#[must_use]
pub fn is_armed() -> bool {
    session().as_ref().is_some_and(|session| session.is_armed)
}

/// Process id of the monitor; `None` when not armed, or in a forked child, whose monitor is
/// started by its crash.
#[must_use]
pub fn monitor_pid() -> Option<c_int> {
    let is_own = ARMED.pid.load(Ordering::Acquire) == sys::getpid();
    (is_armed() && is_own).then(|| ARMED.monitor_pid.load(Ordering::Relaxed))
}

/// Sets an annotation, or removes it. Kept from before arming on.
///
/// # Errors
/// `annotations_full` when all slots are taken, `capture_no_memory` before the first one.
pub fn set_annotation(key: &str, value: Option<(&str, Kind)>) -> Result<(), ArmError> {
    if area_of(&mut session())?.set_annotation(key, value) {
        return Ok(());
    }
    Err(ArmError {
        code: "annotations_full",
        message: format!("annotation {key:?} was not kept: 256 annotations are set already"),
        hint: "remove annotations that are no longer needed: annotate(key, None)",
    })
}

/// Keeps what happened for the next report: the last hundred breadcrumbs.
///
/// # Errors
/// `capture_no_memory` before the first one.
pub fn add_breadcrumb(crumb: &Breadcrumb) -> Result<(), ArmError> {
    area_of(&mut session())?.add_breadcrumb(crumb);
    Ok(())
}

/// Replaces what the application adds to dumps.
///
/// # Errors
/// `addition_rejected` when it exceeds the limits, `capture_no_memory` before the first one.
pub fn set_additions(additions: &Additions) -> Result<(), ArmError> {
    if area_of(&mut session())?.set_additions(additions) {
        return Ok(());
    }
    Err(ArmError {
        code: "addition_rejected",
        message: "what on_dump() adds to dumps was not kept: it exceeds a limit".to_owned(),
        hint: "at most 64 ranges of 64 MiB together, and 16 streams of 64 KiB together",
    })
}

/// The session's area; makes one before the first arming.
fn area_of(guard: &mut Option<Session>) -> Result<&Area, ArmError> {
    let session = match guard {
        Some(session) => session,
        None => {
            let area = Area::new().map_err(|error| no_memory(&error))?;
            guard.insert(Session { area, is_armed: false, monitor_path: String::new() })
        }
    };
    Ok(&session.area)
}

/// In a forked child: own annotations, own monitor at the first crash. Best effort, because a
/// fork must never fail for our sake.
pub fn after_fork_in_child() {
    alternate_stack::after_fork_in_child();
    life::after_fork_in_child();
    throws::after_fork_in_child();
    // A thread that the child does not have may have held the lock at the fork.
    let Ok(mut guard) = SESSION.try_lock() else { return };
    let Some(session) = guard.as_mut().filter(|session| session.is_armed) else { return };
    close_socket();
    if size_limit::without_signal(|| session.area.detach()).is_err() {
        return;
    }
    // SAFETY: a plan is never freed.
    if let Some(plan) = unsafe { ARMED.plan.load(Ordering::Acquire).as_ref() } {
        let plan = Box::new(plan.for_area(session.area.fd));
        ARMED.plan.store(Box::into_raw(plan), Ordering::Release);
    }
}
