//! One ELF file and its ids.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use object::read::{Object, ObjectSection};

use crate::file::MappedFile;
use crate::image::{Image, ImageError};

/// `.gnu_debuglink` and `.gnu_debugaltlink` names above this are not looked for.
const MAX_LINK_BYTES: usize = 4096;
/// What Breakpad hashes of a file without build id, and the size of the hash.
const TEXT_PAGE_BYTES: usize = 4096;
const TEXT_HASH_BYTES: usize = 16;

/// One ELF file: an [`Image`] and its ids.
#[derive(Debug)]
pub struct ElfImage {
    image: Arc<Image>,
    build_id: Option<Vec<u8>>,
    text_hash: Option<Vec<u8>>,
    debug_link: Option<String>,
    alt_link: Option<(String, Vec<u8>)>,
}

impl ElfImage {
    pub(crate) fn parse(file: Arc<MappedFile>) -> Result<Self, ImageError> {
        let image = Arc::new(Image::parse(file)?);
        let object = image.object()?;
        let alt_link = object.gnu_debugaltlink().ok().flatten();
        Ok(Self {
            build_id: read_build_id(&object),
            text_hash: hash_text(&object),
            debug_link: link_name(object.gnu_debuglink().ok().flatten().map(|(name, _)| name)),
            alt_link: alt_link
                .and_then(|(name, build_id)| Some((link_name(Some(name))?, build_id.to_vec()))),
            image,
        })
    }

    /// What it has in common with other formats.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// GNU build id; `None` when the file has none.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// The build id, else what Breakpad's writers put into a dump for files without one.
    pub fn identity(&self) -> Option<&[u8]> {
        self.build_id().or(self.text_hash.as_deref())
    }

    /// Name of the debug file after `.gnu_debuglink`; a plain file name.
    pub(crate) fn debug_link(&self) -> Option<&str> {
        self.debug_link.as_deref()
    }

    /// Path and build id of the supplementary file (dwz) after `.gnu_debugaltlink`.
    pub(crate) fn alt_link(&self) -> Option<(&str, &[u8])> {
        self.alt_link.as_ref().map(|(name, build_id)| (name.as_str(), build_id.as_slice()))
    }
}

impl Deref for ElfImage {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

/// The GNU build id, from the notes; empty and all-zero ids count as none.
fn read_build_id(object: &object::File<'_>) -> Option<Vec<u8>> {
    let build_id = object.build_id().ok().flatten()?;
    build_id.iter().any(|byte| *byte != 0).then(|| build_id.to_vec())
}

/// The first page of `.text`, its 16-byte blocks combined by exclusive or (Breakpad,
/// `file_id.cc`). `None` when the file has no code, or only zeros.
fn hash_text(object: &object::File<'_>) -> Option<Vec<u8>> {
    let section = object.section_by_name(".text")?;
    let code = section.data().ok().filter(|code| !code.is_empty())?;
    let mut hash = vec![0u8; TEXT_HASH_BYTES];
    for block in code.get(..code.len().min(TEXT_PAGE_BYTES))?.chunks(TEXT_HASH_BYTES) {
        for (to, from) in hash.iter_mut().zip(block) {
            *to ^= from;
        }
    }
    hash.iter().any(|byte| *byte != 0).then_some(hash)
}

fn link_name(name: Option<&[u8]>) -> Option<String> {
    let name = name.filter(|name| !name.is_empty() && name.len() <= MAX_LINK_BYTES)?;
    match String::from_utf8_lossy(name) {
        Cow::Borrowed(name) if !name.contains('\0') => Some(name.to_owned()),
        _ => None,
    }
}
