//! Names of dumps that go where a person said, not into the spool.
//!
//! A name is a pattern with ProcDump's words: `PROCESSNAME`, `PID`, `EXCEPTIONCODE` (on Linux the
//! signal's name, `REQUESTED` for a dump on demand), `YYMMDD` and `HHMMSS` (local time). A word
//! counts where it stands alone between characters that are no capital letters, or beside other
//! words: `RAPID.dmp` keeps its name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::dumps::DumpFolder;
use crate::time::local_date_and_time;

/// The name when none is given.
pub const DEFAULT_PATTERN: &str = "PROCESSNAME_YYMMDD_HHMMSS.dmp";
const SUFFIX: &str = ".dmp";
/// Names that are tried when a file is there already.
const MOST_TRIES: u32 = 10_000;

/// What the words stand for.
#[derive(Debug, Clone)]
pub struct NameFacts {
    /// File name of the program.
    pub process_name: String,
    /// Process id.
    pub pid: i32,
    /// Name of the signal, or `REQUESTED`.
    pub exception: String,
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
}

/// Where dumps go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Destination {
    /// An absolute path, a pattern.
    pub pattern: PathBuf,
    /// Whether files that are there are replaced.
    #[serde(default)]
    pub is_overwriting: bool,
}

impl Destination {
    /// Makes the folder, unless its name is known only when there is something to write.
    ///
    /// # Errors
    /// What the disk says.
    pub fn prepare(&self) -> io::Result<()> {
        let Some(folder) = self.pattern.parent() else { return Ok(()) };
        let text = folder.to_string_lossy();
        if words(&text).iter().any(|piece| matches!(piece, Piece::Word(_))) {
            return Ok(());
        }
        fs::create_dir_all(folder)
    }

    /// Chooses names for the dumps of one event; `files` are the plan's names for them.
    ///
    /// # Errors
    /// What the disk says of the folder, or that every name is taken.
    pub fn choose(&self, facts: &NameFacts, files: &[String]) -> io::Result<ChosenNames> {
        let path = expanded(&self.pattern.to_string_lossy(), facts);
        let base = path.strip_suffix(SUFFIX).unwrap_or(&path).to_owned();
        if let Some(folder) = Path::new(&base).parent() {
            fs::create_dir_all(folder)?;
        }
        let numbered = (1..MOST_TRIES).map(|number| format!("{base}_{number}"));
        let mut bases = std::iter::once(base.clone()).chain(numbered);
        let is_free = |base: &String| {
            let names = ChosenNames { base: base.clone(), is_overwriting: false };
            files.iter().all(|file| {
                let path = names.path(file);
                let compressed = names.path(&format!("{file}.zst"));
                path.symlink_metadata().is_err() && compressed.symlink_metadata().is_err()
            })
        };
        let base = if self.is_overwriting { Some(base.clone()) } else { bases.find(is_free) };
        let base = base.ok_or_else(|| io::Error::other("every name for it is taken"))?;
        Ok(ChosenNames { base, is_overwriting: self.is_overwriting })
    }
}

/// The names of one event's dumps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenNames {
    /// Path without the suffix.
    base: String,
    is_overwriting: bool,
}

impl ChosenNames {
    /// Path of the file that the plan calls `dump.dmp`, `dump-full.dmp` and so on.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}{}", self.base, name.strip_prefix("dump").unwrap_or(name)))
    }
}

impl DumpFolder for ChosenNames {
    fn new_file(&self, name: &str) -> io::Result<File> {
        let path = self.path(name);
        if self.is_overwriting {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).open(path)
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).ok();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    ProcessName,
    Pid,
    ExceptionCode,
    Date,
    Time,
}

const WORDS: [(&str, Word); 5] = [
    ("PROCESSNAME", Word::ProcessName),
    ("EXCEPTIONCODE", Word::ExceptionCode),
    ("YYMMDD", Word::Date),
    ("HHMMSS", Word::Time),
    ("PID", Word::Pid),
];

enum Piece<'a> {
    Text(&'a str),
    Word(Word),
}

/// Takes a pattern apart: runs of capital letters that consist of words only are words.
fn words(pattern: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let is_capital = rest.starts_with(|c: char| c.is_ascii_uppercase());
        let end = rest.find(|c: char| c.is_ascii_uppercase() != is_capital).unwrap_or(rest.len());
        let (run, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        match is_capital.then(|| words_of_run(run)).flatten() {
            Some(words) => pieces.extend(words.into_iter().map(Piece::Word)),
            None => pieces.push(Piece::Text(run)),
        }
        rest = tail;
    }
    pieces
}

fn words_of_run(run: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = run;
    while !rest.is_empty() {
        let (tail, word) =
            WORDS.iter().find_map(|(name, word)| Some((rest.strip_prefix(name)?, *word)))?;
        words.push(word);
        rest = tail;
    }
    Some(words)
}

fn expanded(pattern: &str, facts: &NameFacts) -> String {
    let (date, time) = local_date_and_time(facts.time_ns);
    let value = |word: Word| match word {
        Word::ProcessName => safe(&facts.process_name),
        Word::Pid => facts.pid.to_string(),
        Word::ExceptionCode => safe(&facts.exception),
        Word::Date => date.clone(),
        Word::Time => time.clone(),
    };
    let pieces = words(pattern);
    let texts = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => (*text).to_owned(),
        Piece::Word(word) => value(*word),
    });
    texts.collect()
}

/// A process may call itself anything: no folders, no blanks, nothing that a terminal would obey.
fn safe(name: &str) -> String {
    let is_safe = |c: char| c.is_alphanumeric() || ".-_+".contains(c);
    let safe: String = name.chars().map(|c| if is_safe(c) { c } else { '_' }).take(64).collect();
    if safe.trim_matches('.').is_empty() { "process".to_owned() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> NameFacts {
        NameFacts {
            process_name: "heat sim".to_owned(),
            pid: 42,
            exception: "SIGSEGV".to_owned(),
            time_ns: 1_732_436_588_000_000_000,
        }
    }

    #[test]
    fn words_are_replaced_where_they_stand_alone() {
        let name = |pattern: &str| expanded(pattern, &facts());
        assert_eq!(name("two_EXCEPTIONCODE_PID.dmp"), "two_SIGSEGV_42.dmp");
        assert_eq!(name("RAPID/PIDS/PROCESSNAME"), "RAPID/PIDS/heat_sim");
        let (date, time) = local_date_and_time(facts().time_ns);
        assert_eq!((date.len(), time.len()), (6, 6));
        assert_eq!(name("vYYMMDDHHMMSS.dmp"), format!("v{date}{time}.dmp"));
        assert_eq!(name("h\u{d6}hle_PID"), "h\u{d6}hle_42");
    }

    #[test]
    fn no_process_name_leads_out_of_the_folder() {
        assert_eq!(safe("../../etc/x"), ".._.._etc_x");
        assert_eq!(safe(".."), "process");
        assert_eq!(safe("a\x1b[2J"), "a__2J");
    }

    #[test]
    fn a_file_that_is_there_stays_unless_told_otherwise() {
        let folder = std::env::temp_dir().join(format!("lw-names-{}", std::process::id()));
        let pattern = folder.join("deep/app.dmp");
        let files = ["dump.dmp".to_owned(), "dump-full.dmp".to_owned()];
        let mut destination = Destination { pattern, is_overwriting: false };
        destination.prepare().unwrap();
        assert!(folder.join("deep").is_dir());
        fs::write(folder.join("deep/app-full.dmp"), "old").unwrap();
        let names = destination.choose(&facts(), &files).unwrap();
        assert_eq!(names.path("dump.dmp"), folder.join("deep/app_1.dmp"));
        assert_eq!(names.path("dump-full.dmp"), folder.join("deep/app_1-full.dmp"));
        names.new_file("dump.dmp").unwrap();
        assert!(names.new_file("dump.dmp").is_err(), "somebody else was faster");
        destination.is_overwriting = true;
        let names = destination.choose(&facts(), &files).unwrap();
        names.new_file("dump-full.dmp").unwrap();
        assert_eq!(fs::read(folder.join("deep/app-full.dmp")).unwrap(), b"");
        fs::remove_dir_all(folder).unwrap();
    }
}
