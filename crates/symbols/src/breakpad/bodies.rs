//! The lines and inlined calls of functions, which are most of a `.sym` file: read when a function is
//! asked for.
//!
//! | line | what |
//! |---|---|
//! | `FUNC [m] ADDRESS SIZE PARAMETERS NAME` | a function; its body follows |
//! | `ADDRESS SIZE LINE FILE` | a line of it (hexadecimal, so no other record begins so) |
//! | `INLINE DEPTH LINE FILE ORIGIN [ADDRESS SIZE]…` | a call inlined into it |
//! | anything else | ends the body |

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use breakpad_symbols::SymbolFile;

use crate::file::MappedFile;

/// Functions whose bodies are kept, read.
const MOST_KEPT: usize = 4096;

/// Where the bodies are.
pub(super) struct Bodies {
    file: Arc<MappedFile>,
    /// Address, size, and the function's line with its body; by address, in the file's order.
    places: Vec<(u64, u64, Range<usize>)>,
    read: Mutex<HashMap<u64, Option<Arc<SymbolFile>>>>,
}

impl Bodies {
    /// Finds the bodies, and gives the file without them, for a parser.
    pub(super) fn split(file: &Arc<MappedFile>) -> (Self, Vec<u8>) {
        let mut head = Vec::new();
        let mut places: Vec<(u64, u64, Range<usize>)> = Vec::new();
        let mut is_body = false;
        let mut start = 0_usize;
        for line in file.split_inclusive(|byte| *byte == b'\n') {
            let end = start.saturating_add(line.len());
            if is_body && is_of_body(line) {
                if let Some((_, _, place)) = places.last_mut() {
                    place.end = end;
                }
            } else {
                let function = function(line);
                is_body = function.is_some();
                places.extend(function.map(|(address, size)| (address, size, start..end)));
                head.extend_from_slice(line);
            }
            start = end;
        }
        places.sort_by_key(|(address, ..)| *address);
        (Self { file: file.clone(), places, read: Mutex::default() }, head)
    }

    /// A file of one function of `head` alone, with all that its body needs; `None` when the body
    /// makes no sense.
    pub(super) fn of(&self, head: &SymbolFile, address: u64, size: u64) -> Option<Arc<SymbolFile>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= MOST_KEPT {
            read.clear();
        }
        read.entry(address).or_insert_with(|| self.read_one(head, address, size)).clone()
    }

    fn read_one(&self, head: &SymbolFile, address: u64, size: u64) -> Option<Arc<SymbolFile>> {
        let first = self.places.partition_point(|(start, ..)| *start < address);
        let same = self.places.get(first..)?.iter().take_while(|(start, ..)| *start == address);
        let (_, _, place) = same.into_iter().find(|(_, length, _)| *length == size)?;
        let body = std::str::from_utf8(self.file.get(place.clone())?).ok()?;
        let mut text = format!("MODULE unknown unknown {:0>33} body\n", 0);
        let (mut files, mut origins) = (BTreeSet::new(), BTreeSet::new());
        for line in body.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            if words.next() == Some("INLINE") {
                files.extend(words.nth(2).and_then(|word| word.parse::<u32>().ok()));
                origins.extend(words.next().and_then(|word| word.parse::<u32>().ok()));
            } else {
                files.extend(words.nth(2).and_then(|word| word.parse::<u32>().ok()));
            }
        }
        for (record, ids, names) in
            [("FILE", files, &head.files), ("INLINE_ORIGIN", origins, &head.inline_origins)]
        {
            for (id, name) in ids.iter().filter_map(|id| Some((id, names.get(id)?))) {
                writeln!(text, "{record} {id} {name}").ok()?;
            }
        }
        text.push_str(body);
        text.push('\n');
        SymbolFile::parse(text.as_bytes(), |_| ()).ok().map(Arc::new)
    }
}

fn is_of_body(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_hexdigit)
        && !line.starts_with(b"FUNC")
        && !line.starts_with(b"FILE")
        || line.starts_with(b"INLINE ")
}

/// Address and size of a `FUNC` record.
fn function(line: &[u8]) -> Option<(u64, u64)> {
    let rest = std::str::from_utf8(line.strip_prefix(b"FUNC ")?).ok()?;
    let mut words = rest.split_ascii_whitespace().skip_while(|word| *word == "m");
    let mut number = || u64::from_str_radix(words.next()?, 16).ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::breakpad::BreakpadSymbols;
    use crate::file::Links;

    fn sym_files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                sym_files(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "sym") {
                found.push(path);
            }
        }
    }

    /// Every address at which something begins or ends, and one before it.
    fn addresses(file: &SymbolFile) -> Vec<u64> {
        let mut found = Vec::new();
        for (range, function) in file.functions.ranges_values() {
            found.extend([range.start, range.end]);
            found.extend(function.lines.ranges_values().map(|(range, _)| range.start));
            found.extend(function.inlinees.iter().map(|inlinee| inlinee.address));
        }
        found.extend(file.publics.iter().map(|public| public.address));
        found.iter().flat_map(|address| [address.saturating_sub(1), *address]).collect()
    }

    #[test]
    fn lookups_are_those_of_the_whole_file() {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp");
        let Some(corpus) = lastwords_synth::corpus(&target) else { return };
        let mut files = Vec::new();
        sym_files(&corpus.join("files"), &mut files);
        let mut compared = 0;
        for path in files {
            let file = MappedFile::open(&path, Links::Follow).unwrap();
            let (split, whole) =
                (BreakpadSymbols::parse(&file), SymbolFile::parse(&file[..], |_| ()));
            let (Ok(split), Ok(whole)) = (split, whole) else { continue };
            let addresses = addresses(&whole);
            let whole = BreakpadSymbols::from_file(whole);
            for address in addresses.iter().step_by(addresses.len().div_ceil(4_000).max(1)) {
                let (found, expected) = (split.lookup(*address), whole.lookup(*address));
                assert_eq!(found, expected, "{} {address:#x}", path.display());
                compared += 1;
            }
        }
        assert!(compared > 10_000, "{compared}");
    }

    #[test]
    fn a_body_ends_where_another_record_begins() {
        for line in ["1000 4 1 0\n", "INLINE 0 1 0 0 1000 4\n", "fff 1 1 1\n", "ABC 1 1 1\n"] {
            assert!(is_of_body(line.as_bytes()), "{line}");
        }
        for line in ["FUNC 0 1 0 f\n", "FILE 0 a\n", "PUBLIC 0 0 p\n", "INLINE_ORIGIN 0 x\n", "\n"]
        {
            assert!(!is_of_body(line.as_bytes()), "{line}");
        }
        assert_eq!(function(b"FUNC m 1a0 20 0 name of it\n"), Some((0x1a0, 0x20)));
        assert_eq!(function(b"FUNC xyz\n"), None);
    }
}
