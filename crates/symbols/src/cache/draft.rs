//! Writing a cache file (`layout.rs`): what does not fit is left out.

use std::collections::{HashMap, HashSet};

use super::layout::{
    CHECKED_FROM, CHECKSUM_AT, ENTRY_BYTES, FLAG_FOLLOW, FLAG_INDEX, FLAG_INLINE, FLAG_JUDGED,
    FLAG_LINE, FLAG_PRESENT, FLAG_START, HEADER_BYTES, KINDS, MAGIC, MAX_FRAMES, MAX_PROBLEMS,
    MAX_STRING_BYTES, MAX_TEXT_BYTES, NO_STRING, SECTIONS, SYMBOLICATION, VERSION, View,
    path_bytes, text_bytes,
};
use super::probes::{FileIdentity, Probe};
use crate::file::Links;
use crate::status::{ModuleStatus, SourceProblem, SymbolKind};
use crate::symbols::Symbolication;

/// What a file says besides answers.
pub(crate) struct Facts<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) probes: &'a [Probe],
    /// Fingerprint of the sources' files, where the search depended on it, and what is wrong with them.
    pub(crate) index: Option<(u64, &'a [SourceProblem])>,
    pub(crate) status: &'a ModuleStatus,
    pub(crate) judged_status: Option<&'a ModuleStatus>,
}

impl Facts<'_> {
    /// Whether a file is of a search that saw the same and came to the same end.
    pub(crate) fn is_told_by(&self, view: &View) -> bool {
        view.probes().as_deref() == Some(self.probes)
            && view.index_fingerprint() == self.index.map(|(fingerprint, _)| fingerprint)
            && view.status().as_ref() == Some(self.status)
    }
}

/// Limits of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DraftLimits {
    pub(crate) file_bytes: usize,
    pub(crate) entries: usize,
}

/// A file in the making.
pub(crate) struct Draft {
    limits: DraftLimits,
    flags: u32,
    fingerprint: u64,
    key: Vec<u8>,
    probes: Vec<u8>,
    statuses: Vec<u8>,
    problems: Vec<u8>,
    entries: Vec<(u32, u64, u32, u32)>,
    taken: HashSet<(u32, u64)>,
    records: Vec<u8>,
    record_places: HashMap<Vec<u8>, (u32, u32)>,
    ends: Vec<u8>,
    strings: Vec<u8>,
    string_ids: HashMap<Vec<u8>, u32>,
}

impl Draft {
    /// `None` when the facts cannot be kept.
    pub(crate) fn new(facts: &Facts<'_>, limits: DraftLimits) -> Option<Self> {
        let mut draft = Self {
            limits,
            flags: 0,
            fingerprint: 0,
            key: facts.key.to_vec(),
            probes: Vec::new(),
            statuses: Vec::new(),
            problems: Vec::new(),
            entries: Vec::new(),
            taken: HashSet::new(),
            records: Vec::new(),
            record_places: HashMap::new(),
            ends: Vec::new(),
            strings: Vec::new(),
            string_ids: HashMap::new(),
        };
        for probe in facts.probes {
            draft.push_probe(probe)?;
        }
        draft.push_status(facts.status)?;
        draft.push_status(facts.judged_status.unwrap_or(facts.status))?;
        if facts.judged_status.is_some() {
            draft.flags |= FLAG_JUDGED;
        }
        if let Some((fingerprint, problems)) = facts.index {
            draft.flags |= FLAG_INDEX;
            draft.fingerprint = fingerprint;
            draft.push_problems(problems)?;
        }
        (draft.size_bytes() <= limits.file_bytes).then_some(draft)
    }

    /// Adds a symbolication, unless the address has one already.
    pub(crate) fn add_symbolication(&mut self, rva: u64, found: &Symbolication) -> Option<()> {
        let texts = found.frames.iter().map(text_bytes).fold(0, usize::saturating_add);
        let may_take = found.frames.len().saturating_mul(24).saturating_add(texts);
        if found.frames.len() > MAX_FRAMES || texts > MAX_TEXT_BYTES || !self.has_room(may_take) {
            return None;
        }
        let mut record = Vec::new();
        push_u64(&mut record, found.function_rva.unwrap_or_default());
        push_u32(&mut record, found.parameter_bytes);
        push_u32(&mut record, found.function_rva.map_or(0, |_| FLAG_START));
        for frame in &found.frames {
            for text in [&frame.function, &frame.file] {
                let id = text.as_ref().map_or(Some(NO_STRING), |text| self.intern(text.as_bytes()));
                push_u32(&mut record, id?);
            }
            push_u32(&mut record, frame.line.unwrap_or_default());
            let inline = if frame.is_inline { FLAG_INLINE } else { 0 };
            push_u32(&mut record, frame.line.map_or(0, |_| FLAG_LINE) | inline);
        }
        self.add(SYMBOLICATION, rva, &record)
    }

    /// Adds a record, unless question and address have one already.
    pub(crate) fn add(&mut self, question: u32, rva: u64, record: &[u8]) -> Option<()> {
        if !self.has_room(record.len()) || !self.taken.insert((question, rva)) {
            return None;
        }
        let (start, size) = match self.record_places.get(record) {
            Some(place) => *place,
            None => {
                let start = u32::try_from(self.records.len()).ok()?;
                let place = (start, u32::try_from(record.len()).ok()?);
                self.records.extend_from_slice(record);
                self.record_places.insert(record.to_vec(), place);
                place
            }
        };
        self.entries.push((question, rva, start, size));
        Some(())
    }

    /// The bytes of the file.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        let entries = self.entry_bytes();
        let sections: [&[u8]; SECTIONS] = [
            &self.key,
            &self.probes,
            &self.statuses,
            &self.problems,
            &entries,
            &self.records,
            &self.ends,
            &self.strings,
        ];
        let sizes = sections.iter().map(|section| section.len());
        let size = sizes.fold(HEADER_BYTES, usize::saturating_add);
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(MAGIC);
        push_u32(&mut bytes, VERSION);
        push_u32(&mut bytes, 0);
        push_u32(&mut bytes, u32::try_from(size).ok()?);
        push_u32(&mut bytes, self.flags);
        push_u64(&mut bytes, self.fingerprint);
        let mut start = HEADER_BYTES;
        for section in sections {
            push_u32(&mut bytes, u32::try_from(start).ok()?);
            push_u32(&mut bytes, u32::try_from(section.len()).ok()?);
            start = start.checked_add(section.len())?;
        }
        sections.iter().for_each(|section| bytes.extend_from_slice(section));
        let checksum = crc32fast::hash(bytes.get(CHECKED_FROM..)?);
        bytes.get_mut(CHECKSUM_AT..CHECKED_FROM)?.copy_from_slice(&checksum.to_le_bytes());
        Some(bytes)
    }

    fn entry_bytes(&mut self) -> Vec<u8> {
        self.entries.sort_unstable();
        let mut bytes = Vec::with_capacity(self.entries.len().saturating_mul(ENTRY_BYTES));
        for (question, rva, start, size) in &self.entries {
            push_u32(&mut bytes, *question);
            push_u32(&mut bytes, 0);
            push_u64(&mut bytes, *rva);
            push_u32(&mut bytes, *start);
            push_u32(&mut bytes, *size);
        }
        bytes
    }

    /// Whether one more entry with so many bytes fits.
    fn has_room(&self, bytes: usize) -> bool {
        let size = self.size_bytes().saturating_add(bytes).saturating_add(ENTRY_BYTES);
        self.entries.len() < self.limits.entries && size <= self.limits.file_bytes
    }

    fn size_bytes(&self) -> usize {
        let entries = self.entries.len().saturating_mul(ENTRY_BYTES);
        let parts = [
            &self.key,
            &self.probes,
            &self.statuses,
            &self.problems,
            &self.records,
            &self.ends,
            &self.strings,
        ];
        let parts = parts.iter().map(|part| part.len());
        parts.fold(entries.saturating_add(HEADER_BYTES), usize::saturating_add)
    }

    fn push_probe(&mut self, probe: &Probe) -> Option<()> {
        let path = self.intern(path_bytes(&probe.path)?)?;
        let follow = if probe.links == Links::Follow { FLAG_FOLLOW } else { 0 };
        let present = probe.identity.map_or(0, |_| FLAG_PRESENT);
        let nothing =
            FileIdentity { mode: 0, size_bytes: 0, inode: 0, modified: (0, 0), changed: (0, 0) };
        let identity = probe.identity.unwrap_or(nothing);
        let out = &mut self.probes;
        for word in [path, follow | present, identity.mode, 0] {
            push_u32(out, word);
        }
        push_u64(out, identity.size_bytes);
        push_u64(out, identity.inode);
        for (seconds, nanoseconds) in [identity.modified, identity.changed] {
            push_u64(out, seconds.cast_unsigned());
            push_u32(out, nanoseconds);
        }
        Some(())
    }

    fn push_status(&mut self, status: &ModuleStatus) -> Option<()> {
        let mut words = [0, 0, NO_STRING, NO_STRING, NO_STRING, NO_STRING];
        let [tag, kind_word, path_id, expected_id, found_id, reason_id] = &mut words;
        match status {
            ModuleStatus::Missing => {}
            ModuleStatus::Loaded { path, kind } => {
                *tag = 1;
                *kind_word = number_of(*kind)?;
                *path_id = self.intern(path_bytes(path)?)?;
            }
            ModuleStatus::Mismatched { path, expected, found } => {
                *tag = 2;
                *path_id = self.intern(path_bytes(path)?)?;
                *expected_id = self.intern(expected.as_bytes())?;
                if let Some(found) = found {
                    *found_id = self.intern(found.as_bytes())?;
                }
            }
            ModuleStatus::Malformed { path, reason } => {
                *tag = 3;
                *path_id = self.intern(path_bytes(path)?)?;
                *reason_id = self.intern(reason.as_bytes())?;
            }
            ModuleStatus::NotRequested | ModuleStatus::NoId => return None,
        }
        words.into_iter().for_each(|word| push_u32(&mut self.statuses, word));
        Some(())
    }

    fn push_problems(&mut self, problems: &[SourceProblem]) -> Option<()> {
        if problems.len() > MAX_PROBLEMS {
            return None;
        }
        for problem in problems {
            let path = self.intern(path_bytes(&problem.path)?)?;
            let message = self.intern(problem.message.as_bytes())?;
            push_u32(&mut self.problems, path);
            push_u32(&mut self.problems, message);
        }
        Some(())
    }

    /// The id of a string; `None` when it is too long.
    fn intern(&mut self, bytes: &[u8]) -> Option<u32> {
        if let Some(id) = self.string_ids.get(bytes) {
            return Some(*id);
        }
        if bytes.len() > MAX_STRING_BYTES {
            return None;
        }
        let id = u32::try_from(self.string_ids.len()).ok().filter(|id| *id != NO_STRING)?;
        self.strings.extend_from_slice(bytes);
        push_u32(&mut self.ends, u32::try_from(self.strings.len()).ok()?);
        self.string_ids.insert(bytes.to_vec(), id);
        Some(id)
    }
}

fn number_of(kind: SymbolKind) -> Option<u32> {
    let index = KINDS.iter().position(|known| *known == kind)?;
    u32::try_from(index).ok()
}

fn push_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn push_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}
