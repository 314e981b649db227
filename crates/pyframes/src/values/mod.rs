//! What objects of the target hold, read from their memory: no code of the target runs, so no
//! `__repr__` can hang, lie or change anything.
//!
//! Structures of the interpreter (tasks, coroutines, frames, exceptions) are kept as evidence;
//! what the program computes with, and every text, is read unrecorded.

mod asyncio;
mod attributes;
mod dicts;
mod exceptions;
mod generators;
mod greenlets;
mod integers;
mod locals;
mod owners;
mod read;
mod strings;
mod text;
mod thread_names;
mod types;

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::frames::FrameReader;
use crate::layout::Field;
use crate::layout::values::ValueLayout;
use crate::source::{Fault, Record, Source};

pub(crate) use read::read;
use types::Type;

/// Reads objects; keeps what they share.
pub(crate) struct Reader<'m> {
    pub frames: FrameReader<'m>,
    pub layout: ValueLayout,
    types: HashMap<u64, Result<Rc<Type>, Fault>>,
    names: HashMap<u64, Option<Rc<str>>>,
    limits: BTreeSet<&'static str>,
}

impl<'m> Reader<'m> {
    fn new(frames: FrameReader<'m>, layout: ValueLayout) -> Self {
        let (types, names, limits) = (HashMap::new(), HashMap::new(), BTreeSet::new());
        Self { frames, layout, types, names, limits }
    }

    fn source(&mut self) -> &mut Source<'m> {
        &mut self.frames.objects.source
    }

    /// Fields of a structure of the interpreter, kept as evidence.
    fn structure(&mut self, address: u64, fields: &[Field]) -> Result<Record, Fault> {
        self.source().record(address, fields)
    }

    /// Fields of an object, of which no evidence is kept.
    fn object(&mut self, address: u64, fields: &[Field]) -> Result<Record, Fault> {
        self.source().record_unrecorded(address, fields)
    }

    /// One field of an object, of which no evidence is kept.
    fn field(&mut self, address: u64, field: Field) -> Result<u64, Fault> {
        self.object(address, &[field])?.get(field)
    }

    /// `count` words at `address`, of which no evidence is kept.
    fn words(&mut self, address: u64, count: usize) -> Result<Vec<u64>, Fault> {
        let bytes = self.source().unrecorded(address, count.saturating_mul(8))?;
        Ok(bytes.chunks_exact(8).map(little_endian).collect())
    }

    /// Notes that a limit ended something.
    fn note_limit(&mut self, limit: &'static str) {
        self.limits.insert(limit);
    }

    /// Notes what could not be read; a limit that ends everything is no error.
    fn note(&mut self, place: String, what: &str, fault: &Fault) {
        if let Fault::Limit(limit) = fault {
            self.note_limit(limit);
            return;
        }
        let message = format!("{what}: {fault}");
        self.frames.soft_errors.push("python_details_partial", place, message);
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// A number from the target as a length; `None` = more than can be true.
fn plausible(count: u64) -> Option<usize> {
    const ABSURD: u64 = 1 << 40;
    usize::try_from(count).ok().filter(|_| count < ABSURD)
}

fn implausible(what: &'static str, address: u64, found: u64, expected: &'static str) -> Fault {
    Fault::Implausible { what, address, found, expected }
}
