//! Files that are old enough for the symbol cache.

use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Longer than the symbol cache waits before it trusts a time stamp.
const AGE: Duration = Duration::from_millis(60);
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until nothing in or below `path` is so new that the symbol cache would not keep it.
///
/// # Panics
/// When something stays new, or cannot be looked at.
#[allow(clippy::unwrap_used)] // A test that cannot see its files ends here.
pub fn settle(path: &Path) {
    let deadline = Instant::now() + DEADLINE;
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        while !is_old(&path.symlink_metadata().unwrap()) {
            assert!(Instant::now() < deadline, "{} stays new", path.display());
            std::thread::yield_now();
        }
        if path.symlink_metadata().unwrap().is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[cfg(unix)]
fn is_old(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    let since = Duration::new(
        metadata.ctime().unsigned_abs(),
        u32::try_from(metadata.ctime_nsec()).unwrap_or_default(),
    );
    SystemTime::now() > SystemTime::UNIX_EPOCH + since + AGE
}

#[cfg(not(unix))]
fn is_old(metadata: &Metadata) -> bool {
    metadata.modified().is_ok_and(|modified| SystemTime::now() > modified + AGE)
}
