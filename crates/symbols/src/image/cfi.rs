//! Where the call frame information of an image lies.

use std::sync::{Arc, OnceLock};

use object::pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION;
use object::read::{Object, ObjectSection, ObjectSegment};

use super::Image;
use crate::dwarf::SectionData;
use crate::file::MappedFile;

/// A section with call frame information: its bytes and its address in the file's own address
/// space (image base not subtracted).
#[derive(Clone, Copy, Debug)]
pub struct CfiSection<'a> {
    /// Contents, uncompressed.
    pub bytes: &'a [u8],
    /// Virtual address of the first byte.
    pub address: u64,
}

/// What unwinding needs of a file. Absent sections are `None`.
#[derive(Clone, Copy, Debug)]
pub struct CfiSections<'a> {
    /// `.eh_frame`.
    pub eh_frame: Option<CfiSection<'a>>,
    /// `.eh_frame_hdr`, the table by which `.eh_frame` is searched.
    pub eh_frame_hdr: Option<CfiSection<'a>>,
    /// `.debug_frame`.
    pub debug_frame: Option<CfiSection<'a>>,
    /// Mach-O's compact unwind information, `__unwind_info`.
    pub unwind_info: Option<CfiSection<'a>>,
    /// PE's exception directory, `.pdata`.
    pub exception_table: Option<CfiSection<'a>>,
    /// `.ARM.exidx` of 32-bit ARM.
    pub exception_index: Option<CfiSection<'a>>,
    /// Address of `.text`, base of text-relative pointers.
    pub text_address: Option<u64>,
    /// Address of `.got`, base of data-relative pointers.
    pub got_address: Option<u64>,
}

impl CfiSections<'_> {
    /// Whether there is `.eh_frame` or `.debug_frame`.
    pub fn has_dwarf_cfi(&self) -> bool {
        self.eh_frame.is_some() || self.debug_frame.is_some()
    }
}

/// File ranges and addresses; the bytes stay in the file.
#[derive(Debug, Default)]
pub(super) struct CfiPlaces {
    areas: Vec<Area>,
    eh_frame: Option<(SectionData, u64)>,
    eh_frame_hdr: Option<(SectionData, u64)>,
    unwind_info: Option<(SectionData, u64)>,
    exception_index: Option<(SectionData, u64)>,
    /// Address and size of PE's exception directory.
    exception_table: Option<(u64, usize)>,
    text_address: Option<u64>,
    got_address: Option<u64>,
    debug_frame: OnceLock<Option<(SectionData, u64)>>,
}

/// A part of the file that is mapped.
#[derive(Clone, Copy, Debug)]
struct Area {
    address: u64,
    file_offset: u64,
    size_bytes: u64,
}

impl CfiPlaces {
    pub(super) fn read(object: &object::File<'_>) -> Self {
        let place = |name| {
            let section = object.section_by_name(name)?;
            // `.debug` files keep the header and have no contents (NOBITS); dSYM bundles have
            // them at offset 0, where no section is.
            section.file_range().filter(|(offset, _)| *offset != 0)?;
            Some((SectionData::load(object, name).ok()??, section.address()))
        };
        let address = |name| Some(object.section_by_name(name)?.address());
        Self {
            areas: areas(object),
            eh_frame: place(".eh_frame"),
            eh_frame_hdr: place(".eh_frame_hdr"),
            unwind_info: place(".unwind_info").filter(|_| is_mach(object)),
            exception_index: place(".ARM.exidx"),
            exception_table: exception_directory(object),
            text_address: address(".text"),
            got_address: address(".got"),
            debug_frame: OnceLock::new(),
        }
    }

    pub(super) fn sections<'a>(&'a self, image: &'a Image) -> CfiSections<'a> {
        let debug_frame = self.debug_frame.get_or_init(|| {
            let object = image.object().ok()?;
            Some((SectionData::load(&object, ".debug_frame").ok()??, 0))
        });
        let file = image.file();
        let exception_table = self.exception_table.and_then(|(address, size_bytes)| {
            let bytes = self.bytes_at(file, address, size_bytes);
            (!bytes.is_empty()).then_some(CfiSection { bytes, address })
        });
        CfiSections {
            eh_frame: section(file, self.eh_frame.as_ref()),
            eh_frame_hdr: section(file, self.eh_frame_hdr.as_ref()),
            debug_frame: section(file, debug_frame.as_ref()),
            unwind_info: section(file, self.unwind_info.as_ref()),
            exception_index: section(file, self.exception_index.as_ref()),
            exception_table,
            text_address: self.text_address,
            got_address: self.got_address,
        }
    }

    pub(super) fn bytes_at<'a>(
        &self,
        file: &'a MappedFile,
        address: u64,
        size_bytes: usize,
    ) -> &'a [u8] {
        let find = |area: &Area| {
            let skipped = address.checked_sub(area.address)?;
            let left = area.size_bytes.checked_sub(skipped).filter(|left| *left > 0)?;
            let start = usize::try_from(area.file_offset.checked_add(skipped)?).ok()?;
            let left = usize::try_from(left).unwrap_or(usize::MAX).min(size_bytes);
            let end = start.checked_add(left)?.min(file.len());
            file.get(start..end)
        };
        self.areas.iter().find_map(find).unwrap_or_default()
    }
}

fn section<'a>(
    file: &'a Arc<MappedFile>,
    place: Option<&'a (SectionData, u64)>,
) -> Option<CfiSection<'a>> {
    let (data, address) = place?;
    let bytes = data.bytes(file);
    (!bytes.is_empty()).then_some(CfiSection { bytes, address: *address })
}

fn areas(object: &object::File<'_>) -> Vec<Area> {
    let area = |segment: object::Segment<'_, '_>| {
        let (file_offset, size_bytes) = segment.file_range();
        let size_bytes = size_bytes.min(segment.size());
        Area { address: segment.address(), file_offset, size_bytes }
    };
    object.segments().map(area).filter(|area| area.size_bytes > 0).collect()
}

fn is_mach(object: &object::File<'_>) -> bool {
    object.format() == object::BinaryFormat::MachO
}

/// Address and size of what the header says about exceptions.
fn exception_directory(object: &object::File<'_>) -> Option<(u64, usize)> {
    let directory = match object {
        object::File::Pe32(pe) => pe.data_directory(IMAGE_DIRECTORY_ENTRY_EXCEPTION),
        object::File::Pe64(pe) => pe.data_directory(IMAGE_DIRECTORY_ENTRY_EXCEPTION),
        _ => None,
    }?;
    let (rva, size_bytes) = directory.address_range();
    let address = object.relative_address_base().checked_add(u64::from(rva))?;
    let size_bytes = usize::try_from(size_bytes).ok()?;
    (rva != 0 && size_bytes > 0).then_some((address, size_bytes))
}
