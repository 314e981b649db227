//! Slots of last words, as the observed process writes them. Lock-free and async-signal-safe.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering, fence};

use libc::c_int;

use super::{WORDS_OFFSET, WORDS_SLOT_SIZE, WORDS_SLOTS, WORDS_TEXT, WORDS_TEXT_SIZE};

/// How many slots there are.
pub(crate) const SLOTS: usize = WORDS_SLOTS;

/// Who wrote a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `Py_FatalError` of CPython.
    PythonFatalError,
    /// A panic of Rust code, or a fatal error of its standard library.
    RustPanic,
    /// A call of a pure or deleted virtual function of C++.
    PureVirtualCall,
}

impl Source {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PythonFatalError => "python_fatal_error",
            Self::RustPanic => "rust_panic",
            Self::PureVirtualCall => "pure_virtual_call",
        }
    }

    fn code(self) -> u32 {
        match self {
            Self::PythonFatalError => 1,
            Self::RustPanic => 2,
            Self::PureVirtualCall => 3,
        }
    }

    pub(super) fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::PythonFatalError),
            2 => Some(Self::RustPanic),
            3 => Some(Self::PureVirtualCall),
            _ => None,
        }
    }
}

/// One slot in the mapped area.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    index: usize,
    base: *mut u8,
}

impl Slot {
    /// A slot of the area that is mapped at `area`; `None` when there is no such slot.
    pub(crate) fn at(area: *mut u8, index: usize) -> Option<Self> {
        let offset = WORDS_OFFSET.checked_add(index.checked_mul(WORDS_SLOT_SIZE)?)?;
        (index < SLOTS && !area.is_null()).then(|| Self { index, base: area.wrapping_add(offset) })
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    fn sequence(&self) -> &AtomicU32 {
        // SAFETY: the slot lies in the area, which stays mapped, at a multiple of 8.
        unsafe { &*self.base.cast() }
    }

    fn thread(&self) -> &AtomicI32 {
        // SAFETY: as above.
        unsafe { &*self.base.wrapping_add(4).cast() }
    }

    fn number(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: as above; callers pass the offset of an `u32` field.
        unsafe { &*self.base.wrapping_add(offset).cast() }
    }

    fn time(&self) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { &*self.base.wrapping_add(16).cast() }
    }

    pub(crate) fn tid(&self) -> c_int {
        self.thread().load(Ordering::Relaxed)
    }

    pub(crate) fn time_ns(&self) -> u64 {
        self.time().load(Ordering::Relaxed)
    }

    pub(crate) fn source(&self) -> Option<Source> {
        Source::from_code(self.number(8).load(Ordering::Relaxed))
    }

    /// Runs `write` between an odd and an even sequence number, so that a reader sees torn text;
    /// false when another thread, or a signal handler of this one, is at the slot.
    fn guarded(&self, write: impl FnOnce() -> bool) -> bool {
        let sequence = self.sequence();
        let even = sequence.load(Ordering::Acquire) & !1;
        let odd = even | 1;
        if sequence.compare_exchange(even, odd, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        let is_done = write();
        fence(Ordering::SeqCst);
        sequence.store(odd.wrapping_add(1), Ordering::Release);
        is_done
    }

    /// Starts a text; false when the slot is being written.
    pub(crate) fn begin(&self, tid: c_int, source: Source, time_ns: u64, text: &[u8]) -> bool {
        self.guarded(|| {
            self.thread().store(tid, Ordering::Relaxed);
            self.number(8).store(source.code(), Ordering::Relaxed);
            self.number(12).store(0, Ordering::Relaxed);
            self.time().store(time_ns, Ordering::Relaxed);
            self.append(text);
            true
        })
    }

    /// Continues a text of this thread, as far as there is room; false when the slot is no longer
    /// this thread's, or is being written.
    pub(crate) fn add(&self, tid: c_int, text: &[u8]) -> bool {
        self.guarded(|| {
            let is_own = self.tid() == tid;
            if is_own {
                self.append(text);
            }
            is_own
        })
    }

    fn length(&self) -> usize {
        let length = usize::try_from(self.number(12).load(Ordering::Relaxed)).unwrap_or(0);
        length.min(WORDS_TEXT_SIZE)
    }

    /// Whether there is no room left.
    pub(crate) fn is_full(&self) -> bool {
        self.length() == WORDS_TEXT_SIZE
    }

    fn append(&self, text: &[u8]) {
        let length = self.length();
        let added = text.len().min(WORDS_TEXT_SIZE.saturating_sub(length));
        let to = self.base.wrapping_add(WORDS_TEXT).wrapping_add(length);
        // SAFETY: `length + added` is within the slot's text; the source is the caller's slice.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), to, added) };
        let length = u32::try_from(length.saturating_add(added)).unwrap_or(0);
        self.number(12).store(length, Ordering::Relaxed);
    }

    /// Looks at the text, which only the thread of the slot may do.
    pub(crate) fn with_text<T: Default>(&self, look: impl FnOnce(Source, &[u8]) -> T) -> T {
        let Some(source) = self.source() else { return T::default() };
        let start = self.base.wrapping_add(WORDS_TEXT);
        // SAFETY: within the slot's text. Another thread may be writing it after it took the
        // slot; the bytes are only compared.
        look(source, unsafe { std::slice::from_raw_parts(start, self.length()) })
    }
}
