//! Numbered names: `FILE` and `INLINE_ORIGIN` records.

use std::collections::HashMap;
use std::io::{self, Write};

/// The number that no record has: a name that is not known.
pub(super) const UNKNOWN: usize = 0;

/// Names in the order in which they were met, from 1.
#[derive(Default)]
pub(super) struct Names {
    numbers: HashMap<String, usize>,
    ordered: Vec<String>,
}

impl Names {
    pub(super) fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.ordered.push(name.to_owned());
        let number = self.ordered.len();
        self.numbers.insert(name.to_owned(), number);
        number
    }

    pub(super) fn write(&self, record: &str, out: &mut dyn Write) -> io::Result<()> {
        for (name, number) in self.ordered.iter().zip(1..) {
            writeln!(out, "{record} {number} {}", one_line(name))?;
        }
        Ok(())
    }
}

/// A name in one line: what DWARF says may hold anything.
pub(super) fn one_line(name: &str) -> String {
    name.replace(['\r', '\n', '\0'], " ")
}
