//! Lines of source files, where these are found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

/// Larger files are no source that a person wrote.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
const MOST_FILES: usize = 512;
/// Longer lines are cut; nobody reads them.
const MOST_CHARACTERS: usize = 200;

/// A line, and the part of it that is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceLine {
    /// Without the blanks around it.
    pub(crate) text: String,
    /// First character of the part and how many characters it has; `None` = all of the line, or
    /// not known.
    pub(crate) marked: Option<(usize, usize)>,
}

/// Source files, each read once.
#[derive(Debug)]
pub(crate) struct SourceFiles {
    is_wanted: bool,
    /// Before each path; of a live process, so that files of its container are found.
    root: Option<PathBuf>,
    files: RefCell<HashMap<String, Option<Vec<String>>>>,
}

impl SourceFiles {
    pub(crate) fn new(is_wanted: bool, pid: Option<i32>) -> Self {
        let root = pid.map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
        Self { is_wanted, root, files: RefCell::default() }
    }

    /// Line `line` (1-based); `columns` are 0-based bytes of its UTF-8, the end is exclusive, or
    /// `None` where the expression goes on in further lines.
    pub(crate) fn line(
        &self,
        path: &str,
        line: u32,
        columns: Option<(u32, Option<u32>)>,
    ) -> Option<SourceLine> {
        let whole = self.text_of(path, line)?;
        let start = whole.len().saturating_sub(whole.trim_start().len());
        let text = whole.trim();
        if text.is_empty() {
            return None;
        }
        let marked = columns.and_then(|(from, to)| {
            let from = usize::try_from(from).ok()?.checked_sub(start)?;
            let to = to.map_or(Some(text.len()), |to| usize::try_from(to).ok()?.checked_sub(start));
            let (from, to) = (from, to?.min(text.len()));
            let before = text.get(..from)?.chars().count();
            let inside = text.get(from..to)?.chars().count();
            let is_all = before == 0 && to == text.len();
            (inside > 0 && !is_all && before.saturating_add(inside) <= MOST_CHARACTERS)
                .then_some((before, inside))
        });
        let text = text.chars().take(MOST_CHARACTERS).collect::<String>();
        Some(SourceLine { text: super::printable(&text.replace('\t', " ")), marked })
    }

    fn text_of(&self, path: &str, line: u32) -> Option<String> {
        if !self.is_wanted || !path.starts_with('/') {
            return None;
        }
        let mut files = self.files.borrow_mut();
        if files.len() >= MOST_FILES && !files.contains_key(path) {
            return None;
        }
        let lines = files.entry(path.to_owned()).or_insert_with(|| self.read(path));
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        lines.as_ref()?.get(index).cloned()
    }

    fn read(&self, path: &str) -> Option<Vec<String>> {
        let path = match &self.root {
            Some(root) => root.join(path.trim_start_matches('/')),
            None => PathBuf::from(path),
        };
        let is_plain = std::fs::metadata(&path).ok()?;
        if !is_plain.is_file() || is_plain.len() > MOST_BYTES {
            return None;
        }
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str, work: impl FnOnce(&SourceFiles, &str)) {
        let name = format!("lw-source-{}-{:?}.py", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        work(&SourceFiles::new(true, None), path.to_str().unwrap());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_part_of_a_line_is_marked_in_characters() {
        with_file("    x = 'äöü' + call(1)\n", |files, path| {
            // `call(1)` begins at byte 4 + 15.
            let line = files.line(path, 1, Some((19, Some(26)))).unwrap();
            assert_eq!(line.text, "x = 'äöü' + call(1)");
            assert_eq!(line.marked, Some((12, 7)));
        });
    }

    #[test]
    fn the_whole_line_needs_no_mark_and_odd_columns_are_ignored() {
        with_file("    return 1\n\n", |files, path| {
            assert_eq!(files.line(path, 1, Some((4, Some(12)))).unwrap().marked, None);
            for columns in [(0, Some(3)), (12, Some(4)), (200, None), (u32::MAX, Some(u32::MAX))] {
                assert_eq!(files.line(path, 1, Some(columns)).unwrap().marked, None, "{columns:?}");
            }
            assert_eq!(files.line(path, 2, None), None, "an empty line says nothing");
            assert_eq!(files.line(path, 3, None), None);
            assert_eq!(files.line(path, 0, None), None);
        });
    }

    #[test]
    fn devices_folders_and_relative_paths_are_not_read() {
        let files = SourceFiles::new(true, None);
        for path in ["/dev/zero", "/proc", "x.py", "<string>", "/nonexistent/x.py"] {
            assert_eq!(files.line(path, 1, None), None, "{path}");
        }
    }
}
