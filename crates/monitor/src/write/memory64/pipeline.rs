//! Two threads: one reads memory while the other writes what was read before.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use crate::dump_file::large::LargeSink;

/// Buffers in use; each is as long as what is read at once.
const BUFFERS: usize = 4;
const WRITER_STACK: usize = 256 * 1024;

enum Work {
    Put(Vec<u8>),
    Skip(u64),
}

/// Writes, and counts what is written.
struct Writer {
    sink: Box<dyn LargeSink>,
    count: Arc<Count>,
}

/// What is done, for the other thread to see.
#[derive(Default)]
struct Count {
    /// Bytes that were put and skipped.
    safe: AtomicU64,
    /// Bytes that the file has grown by; `NOT_COUNTED` where that is the same.
    used: AtomicU64,
}

const NOT_COUNTED: u64 = u64::MAX;

impl Writer {
    /// Does one piece of work; gives the buffer back.
    fn write(&mut self, work: Work) -> io::Result<Option<Vec<u8>>> {
        let (length, buffer) = match work {
            Work::Put(buffer) => {
                self.sink.put(&buffer)?;
                (u64::try_from(buffer.len()).unwrap_or(0), Some(buffer))
            }
            Work::Skip(length) => {
                self.sink.skip(length)?;
                (length, None)
            }
        };
        self.count.used.store(self.sink.used().unwrap_or(NOT_COUNTED), Ordering::Relaxed);
        self.count.safe.fetch_add(length, Ordering::Release);
        Ok(buffer)
    }

    fn run(&mut self, work: Receiver<Work>, free: &Sender<Vec<u8>>) -> io::Result<()> {
        for next in work {
            if let Some(buffer) = self.write(next)? {
                free.send(buffer).ok();
            }
        }
        self.sink.finish()
    }
}

/// Takes bytes in order. After a failed write it takes nothing more.
pub(super) struct Pipeline<'scope> {
    way: Way<'scope>,
    count: Arc<Count>,
}

enum Way<'scope> {
    Threads {
        work: SyncSender<Work>,
        free: Receiver<Vec<u8>>,
        thread: ScopedJoinHandle<'scope, io::Result<()>>,
    },
    /// No second thread could be started.
    Alone { writer: Arc<Mutex<Writer>>, buffer: Vec<u8>, result: io::Result<()> },
}

impl<'scope> Pipeline<'scope> {
    pub(super) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        sink: Box<dyn LargeSink>,
    ) -> Self {
        let used = AtomicU64::new(sink.used().unwrap_or(NOT_COUNTED));
        let count = Arc::new(Count { used, ..Count::default() });
        let writer = Arc::new(Mutex::new(Writer { sink, count: Arc::clone(&count) }));
        let (work, to_write) = sync_channel(BUFFERS);
        let (give_back, free) = channel();
        for _ in 0..BUFFERS {
            give_back.send(Vec::new()).ok();
        }
        let own = Arc::clone(&writer);
        let run =
            move || own.lock().unwrap_or_else(PoisonError::into_inner).run(to_write, &give_back);
        let started = Builder::new().stack_size(WRITER_STACK).spawn_scoped(scope, run);
        let way = match started {
            Ok(thread) => Way::Threads { work, free, thread },
            Err(_) => Way::Alone { writer, buffer: Vec::new(), result: Ok(()) },
        };
        Self { way, count }
    }

    /// Bytes that are written by now.
    pub(super) fn safe_bytes(&self) -> u64 {
        self.count.safe.load(Ordering::Acquire)
    }

    /// Bytes that the file has grown by, where that is not what was handed over.
    pub(super) fn used(&self) -> Option<u64> {
        let used = self.count.used.load(Ordering::Relaxed);
        (used != NOT_COUNTED).then_some(used)
    }

    /// A buffer to read into; `None` after a failed write.
    pub(super) fn buffer(&mut self) -> Option<Vec<u8>> {
        match &mut self.way {
            Way::Threads { free, .. } => free.recv().ok(),
            Way::Alone { buffer, result, .. } => result.is_ok().then(|| std::mem::take(buffer)),
        }
    }

    pub(super) fn put(&mut self, bytes: Vec<u8>) {
        self.hand_over(Work::Put(bytes));
    }

    pub(super) fn skip(&mut self, length: u64) {
        if length > 0 {
            self.hand_over(Work::Skip(length));
        }
    }

    fn hand_over(&mut self, next: Work) {
        match &mut self.way {
            // The thread has ended after a failed write: `finish` tells it.
            Way::Threads { work, .. } => drop(work.send(next)),
            Way::Alone { writer, buffer, result } if result.is_ok() => {
                let written = writer.lock().unwrap_or_else(PoisonError::into_inner).write(next);
                *result = written.map(|free| *buffer = free.unwrap_or_default());
            }
            Way::Alone { .. } => {}
        }
    }

    /// Waits for the last write; gives the bytes that are written, and why there are not more.
    pub(super) fn finish(self) -> (u64, io::Result<()>) {
        let result = match self.way {
            Way::Threads { work, thread, .. } => {
                drop(work);
                thread.join().unwrap_or_else(|_| Err(io::Error::other("the writer panicked")))
            }
            Way::Alone { writer, result, .. } => result
                .and_then(|()| writer.lock().unwrap_or_else(PoisonError::into_inner).sink.finish()),
        };
        (self.count.safe.load(Ordering::Acquire), result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Small(usize);

    impl LargeSink for Small {
        fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::Error::other("full"))?;
            Ok(())
        }
        fn skip(&mut self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_a_failed_write_what_was_written_before_counts() {
        let (safe, result) = std::thread::scope(|scope| {
            let mut pipeline = Pipeline::start(scope, Box::new(Small(250)));
            for _ in 0..50 {
                let Some(mut buffer) = pipeline.buffer() else { break };
                buffer.resize(100, 1);
                pipeline.put(buffer);
                pipeline.skip(7);
            }
            pipeline.finish()
        });
        assert_eq!(safe, 214);
        assert_eq!(result.unwrap_err().to_string(), "full");
    }
}
