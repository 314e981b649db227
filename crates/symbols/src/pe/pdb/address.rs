//! From the image's addresses to sections and offsets, and back.
//!
//! An image that was rearranged after linking (Microsoft's binaries of the Windows XP era, Syzygy) has
//! two tables (OMAP) of 4 address, 4 address on the other side (0: not there), sorted by the first;
//! all but them speaks of the image as it was linked. Section headers: 40 bytes each as in the image:
//! 8 virtual size, 12 address, 36 characteristics. Source: Microsoft, `dbghelp.h` (`OMAP`), PE format.

use super::dbi::{Dbi, DebugStream};
use super::msf::Msf;
use crate::bytes::u32_at;

const SECTION_BYTES: usize = 40;
/// A PE file has at most 96 sections; object files more.
const MAX_SECTIONS: usize = 4096;
const EXECUTABLE: u32 = 0x2000_0000;

/// The image's layout.
pub(crate) struct AddressMap {
    sections: Vec<Section>,
    to_source: Vec<(u32, u32)>,
    from_source: Vec<(u32, u32)>,
}

#[derive(Clone, Copy)]
struct Section {
    rva: u32,
    size_bytes: u32,
    is_executable: bool,
}

impl AddressMap {
    pub(crate) fn read(msf: &Msf, dbi: &Dbi) -> Self {
        let stream = |which| {
            let bytes = msf.stream(dbi.debug_stream(which)?)?.read().ok()?;
            Some(bytes)
        };
        let pairs = |which| {
            let bytes = stream(which);
            let bytes = bytes.as_ref().map_or(&[][..], |bytes| bytes);
            let pair = |pair: &[u8]| Some((u32_at(pair, 0)?, u32_at(pair, 4)?));
            bytes.chunks_exact(8).filter_map(pair).collect::<Vec<_>>()
        };
        let to_source = pairs(DebugStream::OmapToSource);
        let original =
            (!to_source.is_empty()).then(|| stream(DebugStream::OriginalSectionHeaders)).flatten();
        let headers = original.or_else(|| stream(DebugStream::SectionHeaders));
        let headers = headers.as_ref().map_or(&[][..], |bytes| bytes);
        Self {
            sections: read_sections(headers),
            to_source,
            from_source: pairs(DebugStream::OmapFromSource),
        }
    }

    /// Section (from 1) and offset of an address of the image.
    pub(crate) fn to_section(&self, rva: u32) -> Option<(u16, u32)> {
        let rva = translate(&self.to_source, rva)?;
        let position = self.sections.iter().position(|section| {
            rva.checked_sub(section.rva).is_some_and(|within| within < section.size_bytes)
        })?;
        let offset = rva.checked_sub(self.sections.get(position)?.rva)?;
        Some((u16::try_from(position.checked_add(1)?).ok()?, offset))
    }

    /// The address of a section and offset in the image.
    pub(crate) fn to_rva(&self, section: u16, offset: u32) -> Option<u32> {
        translate(&self.from_source, self.section(section)?.rva.checked_add(offset)?)
    }

    /// Whether a section holds code.
    pub(crate) fn is_executable(&self, section: u16) -> bool {
        self.section(section).is_some_and(|section| section.is_executable)
    }

    fn section(&self, section: u16) -> Option<&Section> {
        self.sections.get(usize::from(section).checked_sub(1)?)
    }
}

/// An address on the other side; as it is without a table. `None`: not there.
fn translate(table: &[(u32, u32)], rva: u32) -> Option<u32> {
    if table.is_empty() {
        return Some(rva);
    }
    let after = table.partition_point(|(from, _)| *from <= rva);
    let (from, to) = *table.get(after.checked_sub(1)?)?;
    if to == 0 {
        return None;
    }
    to.checked_add(rva.checked_sub(from)?)
}

fn read_sections(headers: &[u8]) -> Vec<Section> {
    let read = |header: &[u8]| {
        Some(Section {
            rva: u32_at(header, 12)?,
            // Some linkers leave the virtual size at 0.
            size_bytes: match u32_at(header, 8)? {
                0 => u32_at(header, 16)?,
                size_bytes => size_bytes,
            },
            is_executable: u32_at(header, 36)? & EXECUTABLE != 0,
        })
    };
    headers.chunks_exact(SECTION_BYTES).take(MAX_SECTIONS).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_code_is_found_at_both_places() {
        let section = |rva, is_executable| Section { rva, size_bytes: 0x1000, is_executable };
        let map = AddressMap {
            sections: vec![section(0x1000, true), section(0x2000, false)],
            to_source: vec![(0x5000, 0x1010), (0x5020, 0), (0x5030, 0x2004)],
            from_source: vec![(0x1010, 0x5000), (0x1030, 0)],
        };
        assert_eq!(map.to_section(0x5008), Some((1, 0x18)));
        assert_eq!(map.to_section(0x5028), None, "inserted after linking");
        assert_eq!(map.to_section(0x5031), Some((2, 5)));
        assert_eq!(map.to_section(0x4fff), None);
        assert_eq!(map.to_rva(1, 0x18), Some(0x5008));
        assert_eq!(map.to_rva(1, 0x31), None, "removed after linking");
        assert!(map.is_executable(1) && !map.is_executable(2) && !map.is_executable(0));
    }
}
