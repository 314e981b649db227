//! Keeps the spool within its limits when the application does not come to do it: one that
//! crashes again and again at its start never gets to its own housekeeping.
//!
//! The same order as there (`lastwords.spool.prune`): delivered reports first, then what dead
//! processes left in `new/`, then reports that nobody has seen, oldest first, and those are
//! counted in `pruned.json`. The newest report stays whatever its size.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

/// Bytes of all reports together when the settings do not say (`max_spool_mb`).
const DEFAULT_BYTES: u64 = 500_000_000;
/// Reports of all stages together: what can be listed in the time that nobody notices.
const MOST_REPORTS: usize = 5_000;
/// What is removed at once, so that the next crashes find room.
const SLACK: u64 = 20;
/// Sizes are asked for at every so many reports, or after a large one.
const EVERY: usize = 16;
/// Age from which a report in `new/` is nobody's: far above any budget.
const ABANDONED: Duration = Duration::from_secs(600);

/// The limit that the shared area's configuration names: `max_spool_bytes`.
pub(crate) fn max_bytes(config: &[u8]) -> u64 {
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    config.get("max_spool_bytes").and_then(Value::as_u64).unwrap_or(DEFAULT_BYTES)
}

/// Removes what is too much; `newest` is the report that has just been written, in its place. A
/// dump that was asked for elsewhere is in no spool, and nothing is done.
///
/// Costs a listing of the spool, and at every sixteenth report the size of each file in it.
/// Best effort: what cannot be removed stays.
pub(crate) fn prune(newest: &Path, max_bytes: u64) {
    let Some((stage, spool)) = newest.parent().and_then(|stage| Some((stage, stage.parent()?)))
    else {
        return;
    };
    if !stage.ends_with("pending") && !stage.ends_with("new") || !newest.is_dir() {
        return;
    }
    let count = ["pending", "completed"].map(|stage| names(&spool.join(stage)).len());
    let count = count.iter().fold(0_usize, |sum, count| sum.saturating_add(*count));
    let is_large = size_of(newest) >= max_bytes.checked_div(100).unwrap_or(0);
    if !is_large && count % EVERY != 0 && count <= MOST_REPORTS {
        return;
    }
    // One at a time is enough; its end gives the lock back.
    let Some(_lock) = lock(spool) else { return };
    let lost = remove_surplus(found(spool, newest), max_bytes, spool);
    if lost > 0 {
        count_lost(spool, lost).ok();
    }
}

/// Where a report is; the order in which they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Completed,
    Abandoned,
    Pending,
}

/// What goes first comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    stage: Stage,
    made: SystemTime,
    path: PathBuf,
    size_bytes: u64,
}

fn found(spool: &Path, newest: &Path) -> BTreeSet<Found> {
    let stages =
        [("completed", Stage::Completed), ("new", Stage::Abandoned), ("pending", Stage::Pending)];
    let mut all = BTreeSet::new();
    for (folder, stage) in stages {
        for path in names(&spool.join(folder)) {
            let Some(made) = made(&path) else { continue };
            let age = SystemTime::now().duration_since(made).unwrap_or_default();
            if path == newest || (stage == Stage::Abandoned && age < ABANDONED) {
                continue;
            }
            all.insert(Found { stage, made, size_bytes: size_of(&path), path });
        }
    }
    all
}

/// Gives how many were removed that nobody has seen.
fn remove_surplus(all: BTreeSet<Found>, max_bytes: u64, spool: &Path) -> u64 {
    let (mut count, mut bytes) = (all.len(), 0_u64);
    for report in &all {
        bytes = bytes.saturating_add(report.size_bytes);
    }
    if bytes <= max_bytes && count <= MOST_REPORTS {
        return 0;
    }
    let enough_bytes = max_bytes.saturating_sub(max_bytes.checked_div(SLACK).unwrap_or(0));
    let slack = usize::try_from(SLACK).ok().and_then(|slack| MOST_REPORTS.checked_div(slack));
    let enough_count = MOST_REPORTS.saturating_sub(slack.unwrap_or(0));
    let mut lost = 0_u64;
    for report in all {
        if bytes <= enough_bytes && count <= enough_count {
            break;
        }
        if remove(&report.path, spool) {
            bytes = bytes.saturating_sub(report.size_bytes);
            count = count.saturating_sub(1);
            lost = lost.saturating_add(u64::from(report.stage != Stage::Completed));
        }
    }
    lost
}

/// Directories in a stage that have the name of a report.
fn names(folder: &Path) -> Vec<PathBuf> {
    let is_report = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.len() == 36 && name.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| is_report(&entry.file_name())).map(|entry| entry.path()).collect()
}

fn metadata(path: &Path) -> Option<Metadata> {
    fs::symlink_metadata(path).ok()
}

fn made(path: &Path) -> Option<SystemTime> {
    metadata(path).filter(Metadata::is_dir).and_then(|directory| directory.modified().ok())
}

/// Bytes of a report's files, as their lengths say.
fn size_of(report: &Path) -> u64 {
    let files = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let all = files(report).chain(files(&report.join("attachments")));
    let lengths = all.filter_map(|entry| metadata(&entry.path())).map(|file| file.len());
    lengths.fold(0, u64::saturating_add)
}

/// Takes a lock that nobody else has; held as long as the file is open.
fn lock(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    // SAFETY: takes numbers only.
    let locked = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    (locked == 0).then_some(file)
}

/// Removes a report unless somebody is sending it. It leaves its stage by one rename, so that
/// nobody sees half of it.
fn remove(report: &Path, spool: &Path) -> bool {
    let claim = report.join("delivery.lock");
    let held = if claim.exists() { lock(&claim) } else { None };
    if held.is_none() && claim.exists() {
        return false;
    }
    let Some(name) = report.file_name().and_then(OsStr::to_str) else { return false };
    let aside = spool.join("new").join(format!(".removed-{name}"));
    fs::rename(report, &aside).is_ok() && fs::remove_dir_all(&aside).is_ok()
}

fn count_lost(spool: &Path, more: u64) -> io::Result<()> {
    let path = spool.join("pruned.json");
    let known: Value = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let so_far = known.get("undelivered").and_then(Value::as_u64).unwrap_or(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let document = json!({"undelivered": so_far.saturating_add(more), "last": now.as_secs()});
    let unfinished = spool.join("pruned.json.part");
    fs::write(&unfinished, document.to_string())?;
    fs::rename(unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(name: &str) -> PathBuf {
        let name = format!("lastwords-prune-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::remove_dir_all(&path).ok();
        path
    }

    fn report(spool: &Path, stage: &str, number: u8, bytes: usize) -> PathBuf {
        let path = spool.join(stage).join(format!("{number:08x}-0000-4000-8000-000000000000"));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("dump.dmp"), vec![0; bytes]).unwrap();
        let made = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(number.into())).unwrap();
        File::open(&path).unwrap().set_modified(made).unwrap();
        path
    }

    #[test]
    fn delivered_reports_go_first_then_the_oldest_and_those_are_counted() {
        let spool = spool("order");
        let delivered = report(&spool, "completed", 9, 1000);
        let left = report(&spool, "new", 8, 1000);
        let old: Vec<_> = (1..4).map(|number| report(&spool, "pending", number, 1000)).collect();
        let newest = report(&spool, "pending", 5, 1000);
        prune(&newest, 3000);
        let there =
            [&delivered, &left, &old[0], &old[1], &old[2], &newest].map(|path| path.exists());
        assert_eq!(there, [false, false, false, true, true, true]);
        prune(&newest, 1000);
        assert!(!old[1].exists() && !old[2].exists() && newest.exists());
        let told: Value =
            serde_json::from_slice(&fs::read(spool.join("pruned.json")).unwrap()).unwrap();
        assert_eq!(told["undelivered"], 4);
        fs::remove_dir_all(spool).unwrap();
    }

    #[test]
    fn what_is_being_sent_or_made_stays() {
        let spool = spool("claims");
        let sent = report(&spool, "pending", 1, 1000);
        fs::write(sent.join("delivery.lock"), "").unwrap();
        let _claim = lock(&sent.join("delivery.lock")).unwrap();
        let made = report(&spool, "new", 2, 1000);
        File::open(&made).unwrap().set_modified(SystemTime::now()).unwrap();
        let newest = report(&spool, "pending", 3, 1000);
        prune(&newest, 500);
        assert!(sent.exists() && made.exists() && newest.exists());
        assert!(!spool.join("pruned.json").exists());
        fs::remove_dir_all(spool).unwrap();
    }

    #[test]
    fn the_limit_is_what_the_settings_say() {
        assert_eq!(max_bytes(br#"{"max_spool_bytes": 7}"#), 7);
        assert_eq!(max_bytes(b"{}"), DEFAULT_BYTES);
        assert_eq!(max_bytes(b"not JSON"), DEFAULT_BYTES);
    }
}
