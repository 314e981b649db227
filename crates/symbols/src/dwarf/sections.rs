//! Sections' bytes: in the file as they are, or decompressed within limits.

use std::ops::Range;
use std::sync::Arc;

use gimli::{EndianSlice, RunTimeEndian, SectionId};
use object::CompressionFormat;
use object::read::{Object, ObjectSection};

use crate::file::MappedFile;
use crate::image::ImageError;

/// What any section may grow to.
const MAX_UNCOMPRESSED_BYTES: u64 = 4 << 30;
/// What a section may grow to whatever its compressed size.
const FREE_UNCOMPRESSED_BYTES: u64 = 64 << 20;
/// Above that, no section may grow by more than this factor; real debug information grows by
/// 2 to 10.
const MAX_RATIO: u64 = 64;

pub(crate) type Reader<'a> = EndianSlice<'a, RunTimeEndian>;

/// Where a section's bytes are.
#[derive(Debug)]
pub(crate) enum SectionData {
    Mapped(Range<usize>),
    Decompressed(Box<[u8]>),
}

impl SectionData {
    /// Finds a section; `.zdebug_` and `SHF_COMPRESSED` ones are decompressed. `None` when the
    /// file has no such section, or only its header.
    pub(crate) fn load(
        object: &object::File<'_>,
        name: &'static str,
    ) -> Result<Option<Self>, ImageError> {
        let Some(section) = object.section_by_name(name) else {
            return Ok(None);
        };
        let compressed = section.compressed_data()?;
        if compressed.format == CompressionFormat::None {
            let range = section.file_range().and_then(|(start, size)| {
                let end = start.checked_add(size)?;
                Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
            });
            return Ok(range.map(Self::Mapped));
        }
        let size_bytes = compressed.uncompressed_size;
        let input_bytes = u64::try_from(compressed.data.len()).unwrap_or(u64::MAX);
        let allowed = input_bytes.saturating_mul(MAX_RATIO).max(FREE_UNCOMPRESSED_BYTES);
        if size_bytes > allowed.min(MAX_UNCOMPRESSED_BYTES) {
            return Err(ImageError::SectionSize { name, size_bytes });
        }
        let bytes = compressed.decompress()?.into_owned();
        Ok(Some(Self::Decompressed(bytes.into_boxed_slice())))
    }

    /// The bytes; empty when the range lies outside the file.
    pub(crate) fn bytes<'a>(&'a self, file: &'a MappedFile) -> &'a [u8] {
        match self {
            Self::Mapped(range) => file.get(range.clone()).unwrap_or_default(),
            Self::Decompressed(bytes) => bytes,
        }
    }
}

/// Which of the two names a DWARF section goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// `.debug_info`, …
    Main,
    /// `.debug_info.dwo`, … in `.dwo` and `.dwp` files.
    Split,
}

/// The DWARF sections of one file that symbolication reads.
#[derive(Debug)]
pub(crate) struct SectionSet {
    file: Arc<MappedFile>,
    endian: RunTimeEndian,
    sections: Vec<(SectionId, SectionData)>,
}

impl SectionSet {
    pub(crate) fn load(file: &Arc<MappedFile>, flavour: Flavour) -> Result<Self, ImageError> {
        let object = object::File::parse(&***file)?;
        let endian =
            if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let mut sections = Vec::new();
        for id in SYMBOLICATION_SECTIONS {
            let name = match flavour {
                Flavour::Main => Some(id.name()),
                Flavour::Split => id.dwo_name(),
            };
            let Some(name) = name else { continue };
            if let Some(data) = SectionData::load(&object, name)? {
                sections.push((id, data));
            }
        }
        Ok(Self { file: file.clone(), endian, sections })
    }

    pub(crate) fn file(&self) -> &MappedFile {
        &self.file
    }

    /// A reader over a section; an empty one when the file does not have it.
    pub(crate) fn reader(&self, id: SectionId) -> Reader<'_> {
        let data = self.sections.iter().find(|(other, _)| *other == id);
        let bytes = data.map_or(&[][..], |(_, data)| data.bytes(&self.file));
        EndianSlice::new(bytes, self.endian)
    }

    pub(crate) fn empty_reader(&self) -> Reader<'_> {
        EndianSlice::new(&[], self.endian)
    }
}

/// Locations of variables, macros and types are not needed for function, file and line, and
/// `.debug_aranges` only repeats what the units say.
const SYMBOLICATION_SECTIONS: [SectionId; 11] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugCuIndex,
    SectionId::DebugTuIndex,
];
