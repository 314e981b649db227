//! One PE file and its ids.
//!
//! A dump names an image by the GUID and age of its CodeView record (`RSDS`), which its PDB has too,
//! and by time stamp and size of its headers, under which symbol servers keep it. Source: Microsoft,
//! "PE Format"; `object` reads it.

use std::ops::Deref;
use std::sync::Arc;

use debugid::DebugId;
use object::LittleEndian as LE;
use object::pe::IMAGE_DIRECTORY_ENTRY_EXPORT;
use object::read::Object;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, PeFile};

use crate::file::MappedFile;
use crate::image::{Image, ImageError};
use crate::module::{ImageStamp, leaf};

/// PDB names above this are not looked for.
const MAX_NAME_BYTES: usize = 4096;

/// One PE image: an [`Image`] and its ids.
#[derive(Debug)]
pub struct PeImage {
    image: Arc<Image>,
    stamp: ImageStamp,
    debug_id: Option<DebugId>,
    pdb_name: Option<String>,
}

impl PeImage {
    pub(crate) fn parse(file: Arc<MappedFile>) -> Result<Self, ImageError> {
        let image = Arc::new(Image::parse(file)?);
        let (stamp, debug_id, pdb_name) = {
            let object = image.object()?;
            let stamp = match &object {
                object::File::Pe32(file) => stamp(file),
                object::File::Pe64(file) => stamp(file),
                _ => return Err(ImageError::Format("PE")),
            };
            let code_view = object.pdb_info().ok().flatten();
            let id = |view: &object::read::CodeView<'_>| {
                DebugId::from_guid_age(&view.guid(), view.age()).ok().filter(|id| !id.is_nil())
            };
            (
                stamp,
                code_view.as_ref().and_then(id),
                code_view.and_then(|view| pdb_name(view.path())),
            )
        };
        Ok(Self { image, stamp, debug_id, pdb_name })
    }

    /// What it has in common with other formats.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Time stamp and size of the headers.
    pub fn stamp(&self) -> ImageStamp {
        self.stamp
    }

    /// GUID and age of the CodeView record; `None` when it has none.
    pub fn debug_id(&self) -> Option<DebugId> {
        self.debug_id
    }

    /// Whether it exports anything.
    pub(crate) fn has_exports(&self) -> bool {
        let directory = match self.image.object() {
            Ok(object::File::Pe32(file)) => {
                file.data_directory(IMAGE_DIRECTORY_ENTRY_EXPORT).copied()
            }
            Ok(object::File::Pe64(file)) => {
                file.data_directory(IMAGE_DIRECTORY_ENTRY_EXPORT).copied()
            }
            _ => None,
        };
        directory.is_some_and(|directory| directory.size.get(LE) > 0)
    }

    /// Name of its PDB, without folders.
    pub(crate) fn pdb_name(&self) -> Option<&str> {
        self.pdb_name.as_deref()
    }
}

impl Deref for PeImage {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

fn stamp<'data, Pe: ImageNtHeaders>(file: &PeFile<'data, Pe, &'data [u8]>) -> ImageStamp {
    let headers = file.nt_headers();
    ImageStamp {
        time_stamp: headers.file_header().time_date_stamp.get(LE),
        size_of_image: headers.optional_header().size_of_image(),
    }
}

fn pdb_name(path: &[u8]) -> Option<String> {
    let path = path.get(..path.len().min(MAX_NAME_BYTES))?;
    leaf(&String::from_utf8_lossy(path)).map(str::to_owned)
}

/// Whether a file starts as a PE file.
pub(crate) fn is_pe(bytes: &[u8]) -> bool {
    bytes.starts_with(b"MZ")
}
