//! Refuses streams that are small in the file and huge in memory.
//!
//! Names stand in a minidump once, and entries of lists point at them. A list whose entries
//! all point at one long name costs a reader their product: 50,000 modules and a name of 5 MB
//! make 250 GB out of 10 MB. So the names that a list points at are added up before anybody
//! reads the list; one that costs too much is taken out of the directory (stream type 0).
//!
//! | stream | type | entries begin at | entry | names at | bytes copied at |
//! |---|---|---|---|---|---|
//! | ModuleList | 4 | 4 | 108 | 20 (u32) | 76 (size of the CodeView record) |
//! | HandleData | 12 | its own header | own size, at least 32 | 8, 12 (u32) | |
//! | UnloadedModuleList | 14 | its own header | own size | 20 (u32) | |
//! | ThreadNames | 24 | 4 | 12 | 4 (u64) | |
//! | CrashpadInfo | 0x43500001 | dictionaries at 36 and in its module records | 8 | 0, 4 (u32) | |
//!
//! Two more traps are in HandleData: entries of size 0, of which any number fits into a stream,
//! and object information at 32 (entries of 40 bytes), a chain of offsets that may lead in a
//! circle.

use crate::soft_errors::SoftErrors;

const MAX_NAME_BYTES: u64 = 32 << 20;
/// Streams of a dump that are looked at.
pub(crate) const MAX_STREAMS: u32 = 4_096;
const MAX_PASSES: usize = 8;
const MAX_MODULES: u32 = 16_384;
const MODULE_LIST: u32 = 4;
const CRASHPAD_INFO: u32 = 0x4350_0001;

/// Where a list keeps what.
struct List {
    stream_type: u32,
    name: &'static str,
    /// Size of an entry; `None` = the stream begins with the sizes of header and entry.
    entry: Option<u32>,
    names: &'static [usize],
    names_64: &'static [usize],
    sizes: &'static [usize],
    /// Smaller entries are no entries.
    min_entry: usize,
    /// Size of entries that begin a chain, and where its first offset stands.
    chain: Option<(usize, usize)>,
}

const LISTS: &[List] = &[
    List {
        stream_type: MODULE_LIST,
        name: "ModuleList",
        entry: Some(108),
        names: &[20],
        names_64: &[],
        sizes: &[76],
        min_entry: 108,
        chain: None,
    },
    List {
        stream_type: 12,
        name: "HandleData",
        entry: None,
        names: &[8, 12],
        names_64: &[],
        sizes: &[],
        min_entry: 32,
        chain: Some((40, 32)),
    },
    List {
        stream_type: 14,
        name: "UnloadedModuleList",
        entry: None,
        names: &[20],
        names_64: &[],
        sizes: &[],
        min_entry: 24,
        chain: None,
    },
    List {
        stream_type: 24,
        name: "ThreadNames",
        entry: Some(12),
        names: &[],
        names_64: &[4],
        sizes: &[],
        min_entry: 12,
        chain: None,
    },
];

/// The file, read at offsets; whatever lies outside is `None`.
struct File<'a> {
    bytes: &'a mut [u8],
    is_big_endian: bool,
}

impl File<'_> {
    fn u32(&self, offset: usize) -> Option<u32> {
        let bytes = self.bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?;
        Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(&self, offset: usize) -> Option<u64> {
        let bytes = self.bytes.get(offset..offset.checked_add(8)?)?.try_into().ok()?;
        Some(if self.is_big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn usize(&self, offset: usize) -> Option<usize> {
        usize::try_from(self.u32(offset)?).ok()
    }

    fn put_u32(&mut self, offset: usize, value: u32) -> Option<()> {
        let bytes = if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.get_mut(offset..offset.checked_add(4)?)?.copy_from_slice(&bytes);
        Some(())
    }

    /// The offset of what is located at `place` (size, then offset); `None` when it is empty.
    fn located(&self, place: usize) -> Option<usize> {
        self.u32(place).filter(|size| *size != 0)?;
        self.usize(place.checked_add(4)?)
    }

    /// Size of the string at `rva`, as its reader believes it; no more than the file has.
    fn name_size(&self, rva: u64) -> u64 {
        let size = usize::try_from(rva).ok().and_then(|rva| self.u32(rva)).unwrap_or(0);
        u64::from(size).min(self.bytes.len() as u64)
    }
}

/// Takes streams that cost too much out of the directory, and notes them.
///
/// Streams may overlap, so what one correction writes may be what another check has read; the
/// checks are repeated until none of them finds anything. Of a directory `max_streams` entries
/// are kept.
pub(crate) fn apply(bytes: &mut [u8], max_streams: u32, soft_errors: &mut SoftErrors) {
    let is_big_endian = bytes.starts_with(b"PMDM");
    let mut file = File { bytes, is_big_endian };
    for _ in 0..MAX_PASSES {
        if !check_all(&mut file, max_streams, soft_errors) {
            return;
        }
    }
    // Nothing of such a file is believed.
    let _ = file.put_u32(8, 0);
}

/// Checks every stream; whether something was corrected.
fn check_all(file: &mut File<'_>, max_streams: u32, soft_errors: &mut SoftErrors) -> bool {
    let mut is_changed = false;
    if file.u32(8).is_some_and(|count| count > max_streams) {
        let _ = file.put_u32(8, max_streams);
        let message = format!("streams behind the first {max_streams} are left out");
        soft_errors.push("streams_cut", "stream directory", message);
        is_changed = true;
    }
    let count = file.u32(8).unwrap_or(0);
    let Some(directory) = file.usize(12) else { return is_changed };
    for index in 0..count {
        let offset = usize::try_from(index).ok().and_then(|index| index.checked_mul(12));
        let Some(entry) = offset.and_then(|offset| directory.checked_add(offset)) else { break };
        if entry >= file.bytes.len() {
            break;
        }
        is_changed |= check_stream(file, entry, soft_errors).unwrap_or(false);
    }
    is_changed
}

/// Checks the stream of the directory's entry at `entry`: whether it was corrected; `None` when
/// it cannot be read, which its reader will find out too.
fn check_stream(file: &mut File<'_>, entry: usize, soft_errors: &mut SoftErrors) -> Option<bool> {
    let stream_type = file.u32(entry)?;
    let start = file.usize(entry.checked_add(8)?)?;
    let mut is_changed = false;
    let (name, cost) = if stream_type == CRASHPAD_INFO {
        ("CrashpadInfo", crashpad_cost(file, start))
    } else {
        let list = LISTS.iter().find(|list| list.stream_type == stream_type)?;
        if stream_type == MODULE_LIST {
            is_changed = cut_modules(file, entry, start, soft_errors)?;
        }
        (list.name, list_cost(file, list, start)?)
    };
    if cost > MAX_NAME_BYTES {
        file.put_u32(entry, 0)?;
        let message = format!("reading it would take more than {MAX_NAME_BYTES} bytes of memory");
        soft_errors.push("stream_malformed", format!("stream {name}"), message);
        is_changed = true;
    }
    Some(is_changed)
}

fn cut_modules(
    file: &mut File<'_>,
    entry: usize,
    start: usize,
    soft_errors: &mut SoftErrors,
) -> Option<bool> {
    let count = file.u32(start)?;
    let is_cut = count > MAX_MODULES;
    if is_cut {
        file.put_u32(start, MAX_MODULES)?;
        file.put_u32(entry.checked_add(4)?, MAX_MODULES.checked_mul(108)?.checked_add(4)?)?;
        let left_out = count.saturating_sub(MAX_MODULES);
        let message = format!("{left_out} modules were left out");
        soft_errors.push("modules_cut", "stream ModuleList", message);
    }
    Some(is_cut)
}

fn list_cost(file: &File<'_>, list: &List, start: usize) -> Option<u64> {
    let (count, mut at, size) = match list.entry {
        Some(size) => (file.u32(start)?, start.checked_add(4)?, usize::try_from(size).ok()?),
        None => {
            let (header, entry) = (file.usize(start)?, file.usize(start.checked_add(4)?)?);
            (file.u32(start.checked_add(8)?)?, start.checked_add(header)?, entry)
        }
    };
    if size < list.min_entry && count > 0 {
        return Some(u64::MAX);
    }
    let chain = list.chain.filter(|(entry, _)| *entry == size).map(|(_, offset)| offset);
    let mut cost = 0_u64;
    for _ in 0..count {
        if at >= file.bytes.len() || cost > MAX_NAME_BYTES {
            break;
        }
        cost = cost.saturating_add(entry_cost(file, list, at));
        let chain = chain.and_then(|offset| at.checked_add(offset));
        cost = cost.saturating_add(chain_cost(file, chain));
        at = at.checked_add(size)?;
    }
    Some(cost)
}

/// Links of 64 bytes in memory, each beginning with the offset of the next one; 0 ends them.
fn chain_cost(file: &File<'_>, place: Option<usize>) -> u64 {
    let mut cost = 0_u64;
    let mut next = place.and_then(|place| file.usize(place));
    while let Some(link) = next.filter(|link| *link != 0) {
        cost = cost.saturating_add(64);
        if cost > MAX_NAME_BYTES {
            break;
        }
        next = file.usize(link);
    }
    cost
}

fn entry_cost(file: &File<'_>, list: &List, at: usize) -> u64 {
    let read_u32 = |offset: &usize| file.u32(at.checked_add(*offset)?);
    let read_u64 = |offset: &usize| file.u64(at.checked_add(*offset)?);
    let names = list.names.iter().filter_map(read_u32).map(|rva| file.name_size(rva.into()));
    let names_64 = list.names_64.iter().filter_map(read_u64).map(|rva| file.name_size(rva));
    let sizes = list.sizes.iter().filter_map(read_u32).map(u64::from);
    names.chain(names_64).chain(sizes).fold(0, u64::saturating_add)
}

/// The dictionary of the process, then list, dictionary and objects of each module's record.
fn crashpad_cost(file: &File<'_>, start: usize) -> u64 {
    let own = strings_cost(file, start.checked_add(36), PAIRS);
    let modules = start.checked_add(44).and_then(|place| file.located(place));
    let count = modules.and_then(|at| file.u32(at)).unwrap_or(0).min(MAX_MODULES);
    let mut cost = own.unwrap_or(0);
    for index in 0..count {
        let link = usize::try_from(index).ok().and_then(|index| index.checked_mul(12));
        let record = modules.zip(link).and_then(|(at, link)| {
            // A link is the module's index, then size and offset of its record.
            file.usize(at.checked_add(4)?.checked_add(link)?.checked_add(8)?)
        });
        let Some(record) = record else { break };
        for (offset, entry) in [(4, STRINGS), (12, PAIRS), (20, OBJECTS)] {
            let part = strings_cost(file, record.checked_add(offset), entry);
            cost = cost.saturating_add(part.unwrap_or(0));
        }
        if cost > MAX_NAME_BYTES {
            break;
        }
    }
    cost
}

/// Size of an entry in bytes, and where in it the offsets of strings stand.
type Entry = (usize, &'static [usize]);

const STRINGS: Entry = (4, &[0]);
const PAIRS: Entry = (8, &[0, 4]);
/// Name, type (u16), reserved (u16), value.
const OBJECTS: Entry = (12, &[0, 8]);

/// Adds up the strings of a counted list whose location stands at `place`.
fn strings_cost(file: &File<'_>, place: Option<usize>, entry: Entry) -> Option<u64> {
    let (size, names) = entry;
    let list = file.located(place?)?;
    let mut cost = 0_u64;
    let mut at = list.checked_add(4)?;
    for _ in 0..file.u32(list)? {
        if at >= file.bytes.len() || cost > MAX_NAME_BYTES {
            break;
        }
        let rvas = names.iter().filter_map(|offset| file.u32(at.checked_add(*offset)?));
        cost = rvas.map(|rva| file.name_size(rva.into())).fold(cost, u64::saturating_add);
        at = at.checked_add(size)?;
    }
    Some(cost)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    /// A dump of one stream: `count` entries of `size` bytes, each with `rva` at `offset`.
    fn dump(stream_type: u32, count: u32, size: usize, offset: usize, name_len: u32) -> Vec<u8> {
        let mut bytes = b"MDMP\x93\xa7\0\0".to_vec();
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(32_u32.to_le_bytes());
        bytes.resize(32, 0);
        let list = 44 + 4 + name_len;
        for word in [stream_type, 4 + count * size as u32, list, name_len] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.resize(bytes.len() + name_len as usize, b'x');
        bytes.extend(count.to_le_bytes());
        for _ in 0..count {
            let mut entry = vec![0; size];
            entry[offset..offset + 4].copy_from_slice(&44_u32.to_le_bytes());
            bytes.extend(entry);
        }
        bytes
    }

    fn type_after(mut bytes: Vec<u8>) -> (u32, usize) {
        let mut errors = SoftErrors::default();
        apply(&mut bytes, MAX_STREAMS, &mut errors);
        (u32::from_le_bytes(bytes[32..36].try_into().unwrap()), errors.into_list().len())
    }

    #[test]
    fn a_list_that_multiplies_one_long_name_is_taken_out() {
        for (stream_type, size, offset) in [(4, 108, 20), (24, 12, 4)] {
            assert_eq!(type_after(dump(stream_type, 100, size, offset, 1000)), (stream_type, 0));
            assert_eq!(type_after(dump(stream_type, 100, size, offset, 1 << 20)), (0, 1));
        }
    }

    /// A HandleData stream: header of 16 bytes, `count` entries said to have `size` bytes, and
    /// behind 40 bytes for the first one a link that leads to itself.
    fn handles(size: u32, count: u32, first_link: u32) -> Vec<u8> {
        let mut bytes = dump(12, 0, 0, 0, 0);
        bytes.truncate(48);
        for word in [16, size, count, 0] {
            bytes.extend(word.to_le_bytes());
        }
        let link = u32::try_from(bytes.len() + 40).unwrap();
        bytes.resize(bytes.len() + 32, 0);
        bytes.extend([first_link * link, 0, link, 1].map(u32::to_le_bytes).concat());
        bytes
    }

    #[test]
    fn handles_without_size_and_chains_without_end_are_taken_out() {
        assert_eq!(type_after(handles(40, 1, 0)), (12, 0));
        assert_eq!(type_after(handles(0, u32::MAX, 0)), (0, 1));
        assert_eq!(type_after(handles(40, 1, 1)), (0, 1));
        assert_eq!(type_after(handles(32, 1, 1)), (12, 0), "entries of 32 bytes have no chain");
    }

    #[test]
    fn a_list_of_too_many_modules_is_cut() {
        let mut bytes = dump(4, MAX_MODULES + 5, 108, 20, 4);
        let mut errors = SoftErrors::default();
        apply(&mut bytes, MAX_STREAMS, &mut errors);
        let list = errors.into_list();
        assert_eq!(list[0].message, "5 modules were left out");
        assert_eq!(bytes[52..56], MAX_MODULES.to_le_bytes());
    }

    #[test]
    fn a_stream_behind_the_last_one_checked_is_not_read() {
        let mut bytes = dump(4, 100, 108, 20, 1 << 20);
        // The directory of one entry becomes one of many, the bad one last.
        let bad = bytes[32..44].to_vec();
        let directory = bytes.len() as u32;
        bytes.resize(bytes.len() + 12 * MAX_STREAMS as usize, 0);
        bytes.extend(bad);
        bytes[8..12].copy_from_slice(&(MAX_STREAMS + 1).to_le_bytes());
        bytes[12..16].copy_from_slice(&directory.to_le_bytes());
        let mut errors = SoftErrors::default();
        apply(&mut bytes, MAX_STREAMS, &mut errors);
        assert_eq!(bytes[8..12], MAX_STREAMS.to_le_bytes());
        assert_eq!(errors.into_list()[0].code, "streams_cut");
    }

    #[test]
    fn offsets_outside_of_the_file_end_the_check() {
        for len in 0..200 {
            let mut bytes = dump(4, 2, 108, 20, 4);
            bytes.truncate(len);
            apply(&mut bytes, MAX_STREAMS, &mut SoftErrors::default());
        }
    }
}
