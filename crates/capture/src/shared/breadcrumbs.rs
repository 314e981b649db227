//! The last things that happened, in the words of the application: a ring of slots.

use std::ffi::c_int;
use std::io;
use std::sync::atomic::Ordering;

use super::area::cut;
use super::{Area, AreaReader};

pub(super) const SLOTS_OFFSET: usize = 1_314_816;
pub(super) const SLOT_COUNT: usize = 100;
const SLOT_SIZE: usize = 1024;
const HEADER_SIZE: usize = 32;
const CATEGORY_OFFSET: usize = 32;
const CATEGORY_SIZE: usize = 64;
const MESSAGE_OFFSET: usize = 96;
const MESSAGE_SIZE: usize = 512;
const DATA_OFFSET: usize = 608;
const DATA_SIZE: usize = 416;

pub(super) fn slot_offset(slot: usize) -> usize {
    SLOTS_OFFSET.saturating_add(slot.saturating_mul(SLOT_SIZE))
}

/// How bad it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// For whoever looks closely.
    Debug,
    /// As it should be.
    #[default]
    Info,
    /// Not as it should be.
    Warning,
    /// Something failed.
    Error,
    /// Nothing goes on after this.
    Fatal,
}

impl Level {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Debug, "debug"),
        (Self::Info, "info"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
        (Self::Fatal, "fatal"),
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(level, _)| *level == self).map_or("info", |(_, name)| name)
    }

    /// The level of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(level, _)| *level)
    }

    fn code(self) -> u8 {
        Self::ALL.iter().zip(0..).find(|((level, _), _)| *level == self).map_or(1, |(_, code)| code)
    }

    fn from_code(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).map_or(Self::Info, |(level, _)| *level)
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Breadcrumb {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// How bad it was.
    pub level: Level,
    /// What it has to do with; empty = not said.
    pub category: String,
    /// What happened.
    pub message: String,
    /// A JSON object; empty = none.
    pub data: String,
    /// Something was longer; data that are too long are not there at all.
    pub is_cut: bool,
    /// The process died while it was written: its texts may be mixed.
    pub is_torn: bool,
}

impl Area {
    /// Puts a breadcrumb into the slot of the oldest one.
    pub(crate) fn add_breadcrumb(&self, crumb: &Breadcrumb) {
        let number = self.breadcrumbs.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let count = u64::try_from(SLOT_COUNT).unwrap_or(1);
        let slot = number.wrapping_sub(1).checked_rem(count).unwrap_or(0);
        let offset = slot_offset(usize::try_from(slot).unwrap_or(0));
        let (category, is_category_cut) = cut(&crumb.category, CATEGORY_SIZE);
        let (message, is_message_cut) = cut(&crumb.message, MESSAGE_SIZE);
        let data = if crumb.data.len() <= DATA_SIZE { crumb.data.as_str() } else { "" };
        let is_data_cut = data.len() < crumb.data.len();
        let is_cut = crumb.is_cut || is_category_cut || is_message_cut || is_data_cut;
        let length = |text: &str| u16::try_from(text.len()).unwrap_or(0).to_ne_bytes();
        self.guarded(offset, || {
            let at = |field: usize| offset.wrapping_add(field);
            self.write(at(4), &[crumb.level.code(), u8::from(is_cut)]);
            self.write(at(6), &length(category));
            self.write(at(8), &number.to_ne_bytes());
            self.write(at(16), &crumb.time_ns.to_ne_bytes());
            self.write(at(24), &length(message));
            self.write(at(26), &length(data));
            self.write(at(CATEGORY_OFFSET), category.as_bytes());
            self.write(at(MESSAGE_OFFSET), message.as_bytes());
            self.write(at(DATA_OFFSET), data.as_bytes());
        });
    }

    /// Copies the slots that are filled to another memory file.
    pub(super) fn copy_breadcrumbs_to(&self, fd: c_int) -> io::Result<()> {
        let count = self.breadcrumbs.load(Ordering::Relaxed);
        let filled = usize::try_from(count).unwrap_or(usize::MAX).min(SLOT_COUNT);
        let length = filled.saturating_mul(SLOT_SIZE);
        if length == 0 { Ok(()) } else { self.copy_to(fd, SLOTS_OFFSET, length) }
    }

    /// Makes the newest breadcrumb look as if the process died while it was written.
    #[cfg(test)]
    fn tear_breadcrumb(&self, slot: usize) {
        self.sequence(slot_offset(slot)).fetch_or(1, Ordering::SeqCst);
    }
}

impl AreaReader {
    /// The last breadcrumbs, oldest first.
    #[must_use]
    pub fn breadcrumbs(&self) -> Vec<Breadcrumb> {
        let slots = (0..SLOT_COUNT).filter_map(|slot| self.breadcrumb(slot).ok().flatten());
        let mut found: Vec<(u64, Breadcrumb)> = slots.collect();
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, crumb)| crumb).collect()
    }

    fn breadcrumb(&self, slot: usize) -> io::Result<Option<(u64, Breadcrumb)>> {
        let bytes = self.read::<SLOT_SIZE>(slot_offset(slot))?;
        let sequence = self.read::<4>(slot_offset(slot))?;
        let (header, _) = bytes.split_at(HEADER_SIZE);
        let [s0, s1, s2, s3, level, is_cut, c0, c1, rest @ ..] = header else { return Ok(None) };
        let (Some((number, rest)), before) = (rest.split_first_chunk(), [*s0, *s1, *s2, *s3])
        else {
            return Ok(None);
        };
        let Some((time_ns, [m0, m1, d0, d1, ..])) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let number = u64::from_ne_bytes(*number);
        if number == 0 {
            return Ok(None);
        }
        let text = |offset: usize, size: usize, length: [u8; 2]| {
            let length = usize::from(u16::from_ne_bytes(length)).min(size);
            let text = bytes.get(offset..).and_then(|tail| tail.get(..length)).unwrap_or(&[]);
            String::from_utf8_lossy(text).into_owned()
        };
        let is_odd = !u32::from_ne_bytes(before).is_multiple_of(2);
        let crumb = Breadcrumb {
            time_ns: u64::from_ne_bytes(*time_ns),
            level: Level::from_code(*level),
            category: text(CATEGORY_OFFSET, CATEGORY_SIZE, [*c0, *c1]),
            message: text(MESSAGE_OFFSET, MESSAGE_SIZE, [*m0, *m1]),
            data: text(DATA_OFFSET, DATA_SIZE, [*d0, *d1]),
            is_cut: *is_cut != 0,
            is_torn: is_odd || before != sequence,
        };
        Ok(Some((number, crumb)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::FromRawFd;

    use super::*;

    fn reader(area: &Area) -> AreaReader {
        // SAFETY: a fresh duplicate, owned by the file.
        let file = unsafe { File::from_raw_fd(libc::dup(area.fd)) };
        AreaReader::new(file).unwrap()
    }

    fn crumb(message: &str) -> Breadcrumb {
        Breadcrumb { message: message.to_owned(), ..Breadcrumb::default() }
    }

    #[test]
    fn what_was_said_can_be_read() {
        let area = Area::new().unwrap();
        assert_eq!(reader(&area).breadcrumbs(), []);
        let given = Breadcrumb {
            time_ns: 7,
            level: Level::Warning,
            category: "net".into(),
            message: "h\u{f6}hle".into(),
            data: "{\"a\":1}".into(),
            ..Breadcrumb::default()
        };
        area.add_breadcrumb(&given);
        assert_eq!(reader(&area).breadcrumbs(), [given]);
    }

    #[test]
    fn only_the_last_hundred_stay_in_their_order() {
        let area = Area::new().unwrap();
        (1..=250).for_each(|number: u64| area.add_breadcrumb(&crumb(&number.to_string())));
        let messages: Vec<String> =
            reader(&area).breadcrumbs().into_iter().map(|crumb| crumb.message).collect();
        let expected: Vec<String> = (151..=250).map(|number: u64| number.to_string()).collect();
        assert_eq!(messages, expected);
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let area = Area::new().unwrap();
        let long = "\u{f6}".repeat(400);
        area.add_breadcrumb(&Breadcrumb { data: long.clone(), ..crumb("data") });
        area.add_breadcrumb(&crumb(&long));
        area.add_breadcrumb(&crumb("short"));
        let read = reader(&area).breadcrumbs();
        assert_eq!((read[0].data.as_str(), read[0].is_cut), ("", true));
        assert_eq!((read[1].message.len(), read[1].is_cut), (512, true));
        assert!(!read[2].is_cut);
    }

    #[test]
    fn a_slot_cut_by_death_is_marked_torn() {
        let area = Area::new().unwrap();
        area.add_breadcrumb(&crumb("a"));
        area.tear_breadcrumb(0);
        assert!(reader(&area).breadcrumbs()[0].is_torn);
    }

    #[test]
    fn a_child_keeps_what_happened_before_the_fork() {
        let mut area = Area::new().unwrap();
        area.add_breadcrumb(&crumb("before"));
        let parents = reader(&area);
        area.detach().unwrap();
        area.add_breadcrumb(&crumb("after"));
        assert_eq!(parents.breadcrumbs().len(), 1);
        let both: Vec<String> =
            reader(&area).breadcrumbs().into_iter().map(|crumb| crumb.message).collect();
        assert_eq!(both, ["before", "after"]);
    }
}
