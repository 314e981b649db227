//! Demangling within a time: names may be made to refer to themselves, and then take a second each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::demangle;

/// For what takes longer than it should, in all names of one file.
const MAX_MICROS: u64 = 500_000;
/// A real name takes some microseconds; what is more may be a busy machine.
const FREE_MICROS: u64 = 20_000;
/// Names remembered: when all of a file is told, each comes up many times.
const MAX_NAMES: usize = 64 << 10;

/// Demangles the names of one file.
#[derive(Debug, Default)]
pub(crate) struct Demangler {
    spent_micros: AtomicU64,
    names: Mutex<HashMap<String, String>>,
}

impl Demangler {
    /// As [`demangle`]; once the time is spent, names come back as they are.
    pub(crate) fn demangle(&self, name: &str) -> String {
        let lock = || self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(name) {
            return known.clone();
        }
        if self.spent_micros.load(Ordering::Relaxed) > MAX_MICROS {
            return name.to_owned();
        }
        let started = Instant::now();
        let demangled = demangle(name).into_owned();
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let excess = micros.saturating_sub(FREE_MICROS).min(MAX_MICROS.saturating_mul(2));
        self.spent_micros.fetch_add(excess, Ordering::Relaxed);
        let mut names = lock();
        if names.len() >= MAX_NAMES {
            names.clear();
        }
        names.insert(name.to_owned(), demangled.clone());
        demangled
    }
}
