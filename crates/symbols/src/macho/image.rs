//! One Mach-O file, or one part of a fat one, and its UUID.
//!
//! The head of a fat file (`mach-o/fat.h`), big-endian; the parts are Mach-O files:
//!
//! | offset | size | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | magic | 0xcafebabe, or 0xcafebabf when the parts below have 64-bit fields |
//! | 4 | 4 | nfat_arch | number of parts |
//! | 8 | 20 or 32 each | fat_arch | CPU type and subtype (4 each), offset and size (4 or 8 each), alignment (4; 4 reserved) |
//!
//! 0xcafebabe starts Java class files as well; their "number of parts" is 45 or more.

use std::ops::Deref;
use std::sync::Arc;

use object::macho::{FatArch32, FatArch64};
use object::read::Object;
use object::read::macho::{FatArch, MachOFatFile};

use crate::file::MappedFile;
use crate::image::{Image, ImageError, ImageFormat};

/// Parts of one fat file; Apple's hold 2 to 5.
const MAX_PARTS: usize = 32;

/// One Mach-O image: an [`Image`] and its UUID.
#[derive(Debug)]
pub struct MachImage {
    image: Arc<Image>,
    uuid: Option<[u8; 16]>,
}

impl MachImage {
    /// The images of a file: one, or those of a fat file that can be read.
    pub(crate) fn parse_all(file: &Arc<MappedFile>) -> Result<Vec<Self>, ImageError> {
        let parts = fat_parts(file);
        if parts.is_empty() {
            return Ok(vec![Self::parse(file.clone())?]);
        }
        let images: Vec<_> = parts.into_iter().map(Self::parse).collect();
        // Parts of other architectures are no failure as long as one can be read.
        let (good, bad): (Vec<_>, Vec<_>) = images.into_iter().partition(Result::is_ok);
        match bad.into_iter().next() {
            Some(Err(error)) if good.is_empty() => Err(error),
            _ => Ok(good.into_iter().flatten().collect()),
        }
    }

    fn parse(file: Arc<MappedFile>) -> Result<Self, ImageError> {
        let image = Arc::new(Image::parse(file)?);
        if image.format() != ImageFormat::MachO {
            return Err(ImageError::Format("Mach-O"));
        }
        let uuid = image.object()?.mach_uuid().ok().flatten();
        let is_given = |uuid: &[u8; 16]| uuid.iter().any(|byte| *byte != 0);
        Ok(Self { uuid: uuid.filter(is_given), image })
    }

    /// What it has in common with other formats.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The UUID of `LC_UUID`; `None` when the file has none.
    pub fn uuid(&self) -> Option<[u8; 16]> {
        self.uuid
    }
}

impl Deref for MachImage {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

/// The parts of a fat file; empty for other files.
fn fat_parts(file: &MappedFile) -> Vec<Arc<MappedFile>> {
    let ranges = MachOFatFile::<FatArch32>::parse(&**file)
        .map(|fat| ranges(fat.arches()))
        .or_else(|_| MachOFatFile::<FatArch64>::parse(&**file).map(|fat| ranges(fat.arches())));
    let parts = ranges.unwrap_or_default().into_iter();
    parts.filter_map(|(start, end)| file.part(start..end)).collect()
}

fn ranges<A: FatArch>(parts: &[A]) -> Vec<(usize, usize)> {
    let range = |part: &A| {
        let (offset, size_bytes) = part.file_range();
        let end = offset.checked_add(size_bytes)?;
        Some((usize::try_from(offset).ok()?, usize::try_from(end).ok()?))
    };
    parts.iter().take(MAX_PARTS).filter_map(range).collect()
}

/// Whether a file starts as a Mach-O file, fat or not.
pub(crate) fn is_mach(bytes: &[u8]) -> bool {
    const MAGICS: [[u8; 4]; 6] = [
        [0xcf, 0xfa, 0xed, 0xfe],
        [0xce, 0xfa, 0xed, 0xfe],
        [0xfe, 0xed, 0xfa, 0xcf],
        [0xfe, 0xed, 0xfa, 0xce],
        [0xca, 0xfe, 0xba, 0xbe],
        [0xca, 0xfe, 0xba, 0xbf],
    ];
    MAGICS.iter().any(|magic| bytes.starts_with(magic))
}
