//! The spool directory as the monitor writes it: a report is made in `new/ID/` and moved to
//! `pending/ID/` by one rename (docs/formats/report.md).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::retry::uninterrupted;

/// Most bytes kept of an attachment: its end.
pub const ATTACHMENT_BYTES: u64 = 1024 * 1024;

/// A report being made.
#[derive(Debug)]
pub struct Entry {
    spool: PathBuf,
    id: String,
}

/// A file copied into the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Name of the original file.
    pub name: String,
    /// Path within the report.
    pub file: String,
    /// Bytes copied.
    pub size_bytes: u64,
    /// The original was longer.
    pub is_cut: bool,
}

fn private_dir(path: &Path) -> io::Result<()> {
    let create = || fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    uninterrupted(create).or_else(|error| if path.is_dir() { Ok(()) } else { Err(error) })
}

impl Entry {
    /// Makes `new/ID/`; missing folders of the spool are made too.
    ///
    /// # Errors
    /// What the disk says.
    pub fn create(spool: &Path, id: &str) -> io::Result<Self> {
        let entry = Self { spool: spool.to_owned(), id: id.to_owned() };
        private_dir(&entry.path(""))?;
        match private_dir(&spool.join("pending")) {
            Ok(()) => Ok(entry),
            Err(error) => {
                fs::remove_dir(entry.path("")).ok();
                Err(error)
            }
        }
    }

    /// Path of a file of the report while it is made.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.spool.join("new").join(&self.id).join(name)
    }

    /// A new file of the report, for the user's eyes only.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new_file(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        options.open(self.path(name))
    }

    /// Replaces a file wholly or not at all.
    ///
    /// # Errors
    /// What the disk says; the file is as it was then.
    pub fn replace_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{name}.part");
        let written = self.new_file(&unfinished).and_then(|mut file| file.write_all(bytes));
        let rename = || fs::rename(self.path(&unfinished), self.path(name));
        match written.and_then(|()| uninterrupted(rename)) {
            Ok(()) => Ok(()),
            Err(error) => {
                fs::remove_file(self.path(&unfinished)).ok();
                Err(error)
            }
        }
    }

    /// Takes room on the disk for a later [`Entry::replace_file`], which gives it back: what is
    /// written in between cannot use it up. Best effort.
    pub fn reserve(&self, name: &str, size: usize) {
        let unfinished = format!("{name}.part");
        let taken = self.new_file(&unfinished).and_then(|mut file| file.write_all(&vec![0; size]));
        if taken.is_err() {
            fs::remove_file(self.path(&unfinished)).ok();
        }
    }

    /// Removes a file of the report, if it is there.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).ok();
    }

    /// Gives the report up; what was written of it stays.
    pub fn abandon(self) {
        fs::remove_dir(self.path("")).ok();
    }

    /// Gives the report up, and removes what was written of it.
    pub fn remove_all(self) {
        fs::remove_dir_all(self.path("")).ok();
    }

    /// Copies the end of a file into `attachments/`. Only regular files; never waits.
    ///
    /// # Errors
    /// What the disk says, or that it is no regular file.
    pub fn attach(&self, source: &Path) -> io::Result<Attachment> {
        let mut options = OpenOptions::new();
        let mut from = options.read(true).custom_flags(libc::O_NONBLOCK).open(source)?;
        let metadata = from.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let is_cut = metadata.len() > ATTACHMENT_BYTES;
        from.seek(SeekFrom::Start(metadata.len().saturating_sub(ATTACHMENT_BYTES)))?;
        private_dir(&self.path("attachments"))?;
        let name =
            source.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let file = self.free_name(&safe_name(&name));
        let mut to = self.new_file(&file)?;
        let size_bytes = io::copy(&mut from.take(ATTACHMENT_BYTES), &mut to)
            .inspect_err(|_| self.remove(&file))?;
        Ok(Attachment { name, file, size_bytes, is_cut })
    }

    /// `attachments/NAME`, with a number before it when the name is taken.
    fn free_name(&self, name: &str) -> String {
        let plain = format!("attachments/{name}");
        let numbered = (2..1000).map(|number| format!("attachments/{number}-{name}"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        names.find(|name| !self.path(name).exists()).unwrap_or(plain)
    }

    /// Moves the finished report to `pending/`; gives its new place.
    ///
    /// # Errors
    /// What the disk says; the report stays in `new/`, from where the next start takes it.
    pub fn commit(self) -> io::Result<PathBuf> {
        let pending = self.spool.join("pending").join(&self.id);
        uninterrupted(|| fs::rename(self.path(""), &pending))?;
        Ok(pending)
    }
}

/// Forces a finished report to the disk. Slow; call it when nobody waits any more.
pub fn sync(report: &Path) {
    let Ok(entries) = fs::read_dir(report) else { return };
    let files = entries.flatten().map(|entry| entry.path());
    let attachments = fs::read_dir(report.join("attachments")).into_iter().flatten().flatten();
    let files = files.chain(attachments.map(|entry| entry.path()));
    for path in files.chain([report.to_owned()]).chain(report.parent().map(Path::to_owned)) {
        File::open(path).and_then(|file| file.sync_all()).ok();
    }
}

/// Letters, digits, dot, dash, underline; at most 100 of them; never hidden.
fn safe_name(name: &str) -> String {
    let is_safe = |c: &char| c.is_ascii_alphanumeric() || ".-_".contains(*c);
    let safe: String = name.chars().map(|c| if is_safe(&c) { c } else { '_' }).take(100).collect();
    if safe.starts_with('.') || safe.is_empty() { format!("_{safe}") } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool() -> PathBuf {
        let name =
            format!("lastwords-spool-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        fs::remove_dir_all(&path).ok();
        path
    }

    #[test]
    fn a_report_appears_in_pending_only_when_it_is_whole() {
        let spool = spool();
        let entry = Entry::create(&spool, "id").unwrap();
        entry.replace_file("report.json", b"{}").unwrap();
        assert!(!spool.join("pending/id").exists());
        let pending = entry.commit().unwrap();
        assert_eq!(fs::read(pending.join("report.json")).unwrap(), b"{}");
        assert!(!spool.join("new/id").exists());
        fs::remove_dir_all(spool).unwrap();
    }

    #[test]
    fn attachments_are_cut_to_their_end_and_never_overwrite_each_other() {
        let spool = spool();
        let entry = Entry::create(&spool, "id").unwrap();
        let log = spool.join("a b.log");
        let mut bytes = vec![b'x'; 1024 * 1024];
        bytes.extend(b"the end");
        fs::write(&log, &bytes).unwrap();
        let first = entry.attach(&log).unwrap();
        let second = entry.attach(&log).unwrap();
        assert_eq!((first.file.as_str(), first.is_cut), ("attachments/a_b.log", true));
        assert_eq!(second.file, "attachments/2-a_b.log");
        assert!(fs::read(entry.path(&first.file)).unwrap().ends_with(b"xthe end"));
        assert!(entry.attach(&spool).is_err(), "a folder is no attachment");
        assert!(entry.attach(Path::new("/no/such/file")).is_err());
        fs::remove_dir_all(spool).unwrap();
    }
}
