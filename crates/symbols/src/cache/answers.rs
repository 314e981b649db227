//! What has been answered about one module: in this run, and in earlier ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::draft::Draft;
use super::layout::{SYMBOLICATION, View};
use crate::symbols::Symbolication;

/// Answers of one kind remembered per module; the interpreter's loop is asked about thousands of times.
const MAX_REMEMBERED: usize = 16 << 10;
/// A longer answer is found anew each time.
const MAX_RECORD_BYTES: usize = 64 << 10;

/// What may be asked about an address of a module, besides its symbolication. The numbers stand in
/// files; answers are bytes that those who ask know ([`Answer`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Question {
    /// About address 0: the ways in which the module's files unwind.
    Ways = 1,
    /// How the first file with DWARF's call frame information recovers the caller's registers.
    FirstRules = 2,
    /// How the second one does.
    SecondRules = 3,
    /// The signal trampoline that stands there.
    Trampoline = 4,
    /// Whether there can be no code.
    IsNotCode = 5,
    /// The `STACK` records of a `.sym` file.
    StackRecords = 6,
    /// How other unwind information than DWARF's finds the caller of a stack's first frame.
    NewestSteps = 7,
    /// The same, of a frame that has called another.
    CallerSteps = 8,
    /// The record of a PDB that says how the frame is laid out.
    FrameData = 9,
}

/// An answer that can be kept.
pub trait Answer: Sized {
    /// The bytes to keep; `None` for an answer that is to be found anew each time.
    fn encode(&self) -> Option<Vec<u8>>;

    /// The answer that was kept; `None` when the bytes are none. They come from a file.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Answer for bool {
    fn encode(&self) -> Option<Vec<u8>> {
        Some(vec![u8::from(*self)])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

/// The answers about one module.
#[derive(Default)]
pub(crate) struct Answers {
    stored: Option<View>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    symbolications: HashMap<u64, Arc<Symbolication>>,
    records: HashMap<(Question, u64), Arc<[u8]>>,
    has_looked_up: bool,
    /// Whether there is something that is not stored yet.
    has_news: bool,
}

impl Answers {
    pub(crate) fn new(stored: Option<View>) -> Self {
        Self { stored, memory: Mutex::default() }
    }

    /// The answers of earlier runs.
    pub(crate) fn stored(&self) -> Option<&View> {
        self.stored.as_ref()
    }

    /// Whether a symbolication was asked for.
    pub(crate) fn has_looked_up(&self) -> bool {
        self.memory().has_looked_up
    }

    pub(crate) fn has_news(&self) -> bool {
        self.memory().has_news
    }

    /// The symbolication of an address, if it is known.
    pub(crate) fn symbolication(&self, rva: u64) -> Option<Arc<Symbolication>> {
        let mut memory = self.memory();
        memory.has_looked_up = true;
        if let Some(found) = memory.symbolications.get(&rva) {
            return Some(found.clone());
        }
        let view = self.stored.as_ref()?;
        let found = Arc::new(view.symbolication(view.find(SYMBOLICATION, rva)?)?);
        remember(&mut memory.symbolications, rva, found.clone());
        Some(found)
    }

    pub(crate) fn keep_symbolication(&self, rva: u64, found: Arc<Symbolication>) {
        let mut memory = self.memory();
        memory.has_news = true;
        remember(&mut memory.symbolications, rva, found);
    }

    /// The answer to a question at an address: one that is known, else what `find` says.
    pub(crate) fn ask<A: Answer>(
        &self,
        question: Question,
        rva: u64,
        find: impl FnOnce() -> A,
    ) -> A {
        if let Some(answer) = self.record(question, rva).and_then(|bytes| A::decode(&bytes)) {
            return answer;
        }
        let answer = find();
        if let Some(bytes) = answer.encode().filter(|bytes| bytes.len() <= MAX_RECORD_BYTES) {
            let mut memory = self.memory();
            memory.has_news = true;
            remember(&mut memory.records, (question, rva), bytes.into());
        }
        answer
    }

    fn record(&self, question: Question, rva: u64) -> Option<Arc<[u8]>> {
        let mut memory = self.memory();
        if let Some(found) = memory.records.get(&(question, rva)) {
            return Some(found.clone());
        }
        let found: Arc<[u8]> = self.stored.as_ref()?.find(question as u32, rva)?.into();
        remember(&mut memory.records, (question, rva), found.clone());
        Some(found)
    }

    /// Adds what was asked in this run.
    pub(super) fn write(&self, draft: &mut Draft) {
        let memory = self.memory();
        // In order, so that the same answers are the same bytes.
        let mut symbolications: Vec<_> = memory.symbolications.iter().collect();
        symbolications.sort_unstable_by_key(|(rva, _)| **rva);
        for (rva, found) in symbolications {
            draft.add_symbolication(*rva, found);
        }
        let mut records: Vec<_> = memory.records.iter().collect();
        records.sort_unstable_by_key(|(key, _)| **key);
        for ((question, rva), record) in records {
            draft.add(*question as u32, *rva, record);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember<K: std::hash::Hash + Eq, V>(answers: &mut HashMap<K, V>, key: K, answer: V) {
    if answers.len() >= MAX_REMEMBERED {
        answers.clear();
    }
    answers.insert(key, answer);
}
