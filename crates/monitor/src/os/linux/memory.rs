//! Reading the memory of another process, by the first way that is allowed.

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use lastwords_capture::protocol::{ANSWER_SIZE, Answer, READ_HEADER_SIZE, READ_MAX};
pub(crate) use lastwords_pyframes::read_available;
use lastwords_pyframes::{Memory, MemoryError};

use super::sys;

/// From here on a read is large.
const LARGE: usize = 64 * 1024;

/// How memory is reached, best first.
#[derive(Debug)]
enum Way {
    /// `process_vm_readv(2)`.
    VmRead,
    /// `/proc/TID/mem`.
    ProcMem(File),
    /// The crashing thread sends it: works without any permission.
    Served(RefCell<Served>),
}

/// Memory of one process, reached through one of its threads.
#[derive(Debug)]
pub struct ProcessMemory {
    tid: i32,
    way: Way,
    /// For large reads.
    ///
    /// `process_vm_readv` pins pages, and since Linux 5.19 a page that two processes share after a
    /// fork is copied for that (`gup_must_unshare`): a clone read so took as much memory as the
    /// process, and 2.5 times as long as through its `mem` file (Linux 6.18: 1 GiB in 0.52 s
    /// against 0.21 s).
    file: OnceCell<Option<File>>,
}

impl ProcessMemory {
    /// Chooses the way by trying to read one byte at `probe`. `tid` is any living thread of the
    /// process; `socket` leads to the crashing thread. The last way is taken without a try.
    ///
    /// `probe` need not be mapped: after a stack overflow the stack pointer is not. The kernel
    /// checks the permission first, so "nothing is mapped there" means that reading is allowed.
    #[must_use]
    pub fn open(tid: i32, probe: u64, socket: Option<OwnedFd>) -> Self {
        let by_call = Self::new(tid, Way::VmRead);
        if by_call.is_allowed(probe, &[libc::EFAULT]) {
            return by_call;
        }
        if let Ok(file) = File::open(format!("/proc/{tid}/mem")) {
            let by_file = Self::new(tid, Way::ProcMem(file));
            if by_file.is_allowed(probe, &[libc::EIO, libc::EINVAL]) {
                return by_file;
            }
        }
        match socket {
            Some(socket) => Self::new(tid, Way::Served(RefCell::new(Served::new(socket)))),
            None => by_call,
        }
    }

    fn new(tid: i32, way: Way) -> Self {
        Self { tid, way, file: OnceCell::new() }
    }

    /// Memory of a process that we trace: by the way that copies none of its pages.
    pub(crate) fn of_copy(pid: i32) -> Self {
        let file = File::open(format!("/proc/{pid}/mem"));
        Self::new(pid, file.map_or(Way::VmRead, Way::ProcMem))
    }

    fn read_large(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        let file = self.file.get_or_init(|| File::open(format!("/proc/{}/mem", self.tid)).ok());
        match file {
            Some(file) => file.read_exact_at(buffer, address),
            None => sys::vm_read(self.tid, address, buffer),
        }
    }

    fn is_allowed(&self, probe: u64, not_mapped: &[i32]) -> bool {
        match self.try_read(probe, &mut [0]) {
            Ok(()) => true,
            Err(error) => error.raw_os_error().is_some_and(|errno| not_mapped.contains(&errno)),
        }
    }

    /// `process_vm_readv`, `proc_mem` or `served`.
    #[must_use]
    pub fn way(&self) -> &'static str {
        match self.way {
            Way::VmRead => "process_vm_readv",
            Way::ProcMem(_) => "proc_mem",
            Way::Served(_) => "served",
        }
    }

    /// Fills pages in few calls; gives those that could be read.
    pub(crate) fn read_pages<const SIZE: usize>(
        &self,
        mut pages: Vec<(u64, Box<[u8; SIZE]>)>,
    ) -> Vec<(u64, Box<[u8; SIZE]>)> {
        if !matches!(self.way, Way::VmRead) {
            pages.retain_mut(|(address, page)| self.try_read(*address, &mut page[..]).is_ok());
            return pages;
        }
        let mut missing = HashSet::new();
        let mut done = 0_usize;
        while let Some(rest) = pages.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let read = sys::vm_read_pages(self.tid, rest);
            done = done.saturating_add(read);
            if read < sys::MOST_PAGES_AT_ONCE {
                missing.extend(pages.get(done).map(|(address, _)| *address));
                done = done.saturating_add(1);
            }
        }
        pages.retain(|(address, _)| !missing.contains(address));
        pages
    }

    fn try_read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.way {
            Way::VmRead if buffer.len() >= LARGE => self.read_large(address, buffer),
            Way::VmRead => sys::vm_read(self.tid, address, buffer),
            Way::ProcMem(file) => file.read_exact_at(buffer, address),
            Way::Served(served) => served.borrow_mut().read(address, buffer),
        }
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let length = buffer.len();
        self.try_read(address, buffer)
            .map_err(|error| MemoryError::new(address, length, error.to_string()))
    }
}

/// Memory sent by the crashing thread itself.
#[derive(Debug)]
struct Served {
    socket: OwnedFd,
    message: Vec<u8>,
    is_lost: bool,
}

impl Served {
    fn new(socket: OwnedFd) -> Self {
        let room = usize::try_from(READ_MAX).unwrap_or(0).saturating_add(READ_HEADER_SIZE);
        Self { socket, message: vec![0; room], is_lost: false }
    }

    fn read(&mut self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        let most = usize::try_from(READ_MAX).unwrap_or(1);
        let mut at = address;
        for piece in buffer.chunks_mut(most) {
            self.read_piece(at, piece)?;
            at = at.saturating_add(u64::try_from(piece.len()).unwrap_or(0));
        }
        Ok(())
    }

    fn read_piece(&mut self, address: u64, piece: &mut [u8]) -> io::Result<()> {
        if self.is_lost {
            return Err(io::Error::other("the crashing thread no longer answers"));
        }
        let length = u32::try_from(piece.len()).unwrap_or(READ_MAX);
        let mut buffer = [0; ANSWER_SIZE];
        sys::send(&self.socket, Answer::Read { address, length }.encode(&mut buffer))?;
        let deadline = Instant::now().checked_add(Duration::from_secs(2));
        let answer = sys::receive_before(&self.socket, &mut self.message, deadline);
        self.is_lost = answer.is_err();
        let message = self.message.get(..answer?).unwrap_or(&[]);
        let (header, bytes) = message.split_at_checked(READ_HEADER_SIZE).unwrap_or((message, &[]));
        let status = header.first_chunk::<4>().map_or(libc::EIO, |four| i32::from_ne_bytes(*four));
        if status != 0 || bytes.len() != piece.len() {
            return Err(io::Error::from_raw_os_error(if status == 0 {
                libc::EFAULT
            } else {
                status
            }));
        }
        piece.copy_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn a_stack_pointer_that_points_nowhere_does_not_cost_the_memory() {
        for probe in [0, 0x10, 0xDEAD_0000, 0x8000_0000_0000_0000, u64::MAX] {
            let memory = ProcessMemory::open(own_pid(), probe, None);
            assert_eq!(memory.way(), "process_vm_readv", "probe {probe:#x}");
            let value = 0x1122_3344_u32;
            let address = u64::try_from((&raw const value).addr()).unwrap();
            assert_eq!(read_available(&memory, address, 4), value.to_ne_bytes());
        }
    }

    #[test]
    fn memory_of_a_file_that_says_eio_counts_as_reachable() {
        let file = File::open("/proc/self/mem").unwrap();
        let memory = ProcessMemory::new(own_pid(), Way::ProcMem(file));
        assert!(memory.is_allowed(0x10, &[libc::EIO, libc::EINVAL]));
        assert!(memory.is_allowed(u64::MAX, &[libc::EIO, libc::EINVAL]), "no file offset");
        assert!(!memory.is_allowed(0x10, &[libc::EPERM]));
    }

    #[test]
    fn a_process_that_is_gone_is_read_as_nothing() {
        let memory = ProcessMemory::open(i32::MAX, 0x1000, None);
        assert!(read_available(&memory, 0x1000, 1 << 20).is_empty());
    }
}
