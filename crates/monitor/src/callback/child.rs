//! The child in which the library runs.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use lastwords_pyframes::Memory;

use super::is_free_type;
use super::records::Record;
use crate::snapshot::Crash;

const VERSION: u32 = 1;
/// What a child that has closed its pipe takes to end.
const LEAVING: Duration = Duration::from_millis(20);
const FUNCTION: &CStr = c"lastwords_dump_callback";
const MOST_RANGES: usize = 4096;
const MOST_MEMORY: u64 = 64 * 1024 * 1024;
const MOST_STREAMS: usize = 16;
const MOST_STREAM_BYTES: usize = 64 * 1024 * 1024;

/// What the library is told of.
pub(super) struct Event<'a> {
    pub(super) pid: u32,
    pub(super) crash: &'a Crash,
    pub(super) memory: &'a dyn Memory,
}

/// `struct lastwords_dump` of `include/lastwords_dump_callback.h`.
#[repr(C)]
struct Offer<'a> {
    version: u32,
    size: u32,
    pid: i32,
    tid: i32,
    signal: i32,
    code: i32,
    address: u64,
    context: *mut c_void,
    read_memory: unsafe extern "C" fn(*mut c_void, u64, *mut c_void, usize) -> c_int,
    add_memory: unsafe extern "C" fn(*mut c_void, u64, u64) -> c_int,
    add_stream: unsafe extern "C" fn(*mut c_void, u32, *const c_void, usize) -> c_int,
    life: std::marker::PhantomData<&'a ()>,
}

type Callback = unsafe extern "C" fn(*const Offer<'_>) -> c_int;

/// What the functions of the offer work with.
struct Context<'a> {
    memory: &'a dyn Memory,
    pipe: RefCell<File>,
    added: RefCell<Counts>,
}

#[derive(Default)]
struct Counts {
    ranges: usize,
    memory: u64,
    streams: usize,
    stream_bytes: usize,
}

/// A running child.
pub(super) struct Child {
    pid: libc::pid_t,
}

impl Child {
    /// Ends the child if it does not end by itself at once; how it ended, unless that was well.
    pub(super) fn end(self) -> Option<String> {
        let deadline = Instant::now().checked_add(LEAVING);
        let mut status = 0;
        // SAFETY: the child is ours and was not waited for yet; `status` is a valid place.
        let mut wait = |options| unsafe { libc::waitpid(self.pid, &raw mut status, options) };
        while wait(libc::WNOHANG) == 0 {
            if deadline.is_none_or(|at| Instant::now() >= at) {
                // SAFETY: the child is ours and was not waited for yet.
                unsafe { libc::kill(self.pid, libc::SIGKILL) };
                wait(0);
                return None;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        let is_killed = libc::WIFSIGNALED(status);
        is_killed.then(|| format!("it died of signal {}", libc::WTERMSIG(status)))
    }
}

/// Forks; the child never returns from here.
pub(super) fn start(library: &Path, event: &Event<'_>, pipe: File) -> io::Result<Child> {
    let library = CString::new(library.as_os_str().as_bytes())?;
    // SAFETY: the child goes on with a copy of everything and ends by `_exit`; nothing that it
    // does reaches this process but the bytes in the pipe.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: asks for the own end when the monitor ends; plain numbers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let context = Context {
                memory: event.memory,
                pipe: RefCell::new(pipe),
                added: RefCell::default(),
            };
            let problem = call(&library, event, &context).err();
            context.tell(problem.map(Record::Problem));
            // SAFETY: ends this process without running anybody's exit functions.
            unsafe { libc::_exit(0) }
        }
        pid => Ok(Child { pid }),
    }
}

fn call(library: &CStr, event: &Event<'_>, context: &Context<'_>) -> Result<(), String> {
    // SAFETY: loads what the user named, in a process that is made for it.
    let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(loader_error());
    }
    // SAFETY: the handle is the loader's; the name is a valid string.
    let function = unsafe { libc::dlsym(handle, FUNCTION.as_ptr()) };
    if function.is_null() {
        return Err(format!("it does not export {}", FUNCTION.to_string_lossy()));
    }
    // SAFETY: the header tells the library what this function is.
    let function: Callback = unsafe { std::mem::transmute::<*mut c_void, Callback>(function) };
    let crash = event.crash;
    let offer = Offer {
        version: VERSION,
        size: u32::try_from(size_of::<Offer<'_>>()).unwrap_or(0),
        pid: i32::try_from(event.pid).unwrap_or(0),
        tid: i32::try_from(crash.thread_id).unwrap_or(0),
        signal: crash.signal,
        code: crash.code,
        address: crash.address.unwrap_or(0),
        context: std::ptr::from_ref(context).cast_mut().cast(),
        read_memory,
        add_memory,
        add_stream,
        life: std::marker::PhantomData,
    };
    // SAFETY: the offer and what it points to live until the call returns.
    match unsafe { function(&raw const offer) } {
        0 => Ok(()),
        answer => Err(format!("it returned {answer}")),
    }
}

fn loader_error() -> String {
    // SAFETY: the loader's message is a string that lives until its next call.
    unsafe {
        let text = libc::dlerror().cast::<c_char>();
        if text.is_null() {
            return "it cannot be loaded".to_owned();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

impl Context<'_> {
    fn tell(&self, record: Option<Record>) -> c_int {
        let Some(record) = record else { return 0 };
        match self.pipe.borrow_mut().write_all(&record.encode()) {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        }
    }
}

/// The context that the library hands back.
///
/// # Safety
/// `context` is the pointer of the offer, which the header demands.
unsafe fn context_of<'a>(context: *mut c_void) -> Option<&'a Context<'a>> {
    // SAFETY: as above; the context lives as long as the library's call.
    unsafe { context.cast::<Context<'a>>().as_ref() }
}

unsafe extern "C" fn read_memory(
    context: *mut c_void,
    address: u64,
    buffer: *mut c_void,
    length: usize,
) -> c_int {
    // SAFETY: the library hands back what it was given.
    let Some(context) = (unsafe { context_of(context) }) else { return libc::EINVAL };
    if buffer.is_null() || length > usize::try_from(isize::MAX).unwrap_or(0) {
        return libc::EINVAL;
    }
    // SAFETY: the header demands a buffer of that length.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    if context.memory.read(address, buffer).is_ok() { 0 } else { libc::EFAULT }
}

unsafe extern "C" fn add_memory(context: *mut c_void, address: u64, length: u64) -> c_int {
    // SAFETY: the library hands back what it was given.
    let Some(context) = (unsafe { context_of(context) }) else { return libc::EINVAL };
    let mut added = context.added.borrow_mut();
    let memory = added.memory.saturating_add(length);
    if added.ranges >= MOST_RANGES || memory > MOST_MEMORY {
        return libc::ENOSPC;
    }
    if length == 0 || address.checked_add(length).is_none() {
        return libc::EINVAL;
    }
    added.ranges = added.ranges.saturating_add(1);
    added.memory = memory;
    context.tell(Some(Record::Memory { address, length }))
}

unsafe extern "C" fn add_stream(
    context: *mut c_void,
    stream_type: u32,
    bytes: *const c_void,
    length: usize,
) -> c_int {
    // SAFETY: the library hands back what it was given.
    let Some(context) = (unsafe { context_of(context) }) else { return libc::EINVAL };
    let mut added = context.added.borrow_mut();
    let stream_bytes = added.stream_bytes.saturating_add(length);
    if added.streams >= MOST_STREAMS || stream_bytes > MOST_STREAM_BYTES {
        return libc::ENOSPC;
    }
    if !is_free_type(stream_type) || bytes.is_null() && length > 0 {
        return libc::EINVAL;
    }
    let bytes = match length {
        0 => Vec::new(),
        // SAFETY: the header demands as many bytes as it says.
        _ => unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) }.to_vec(),
    };
    added.streams = added.streams.saturating_add(1);
    added.stream_bytes = stream_bytes;
    context.tell(Some(Record::Stream { stream_type, bytes }))
}
