//! Files of Mach-O modules: image and dSYM bundle.

use std::path::Path;
use std::sync::Arc;

use super::Search;
use crate::file::Links;
use crate::macho::{MachImage, beside, dwarf_files};
use crate::module::debug_id_of_uuid;

impl Search<'_> {
    /// Takes the part of a file whose UUID is the module's: as code where it can unwind, as debug
    /// file where it has DWARF.
    pub(super) fn open_mach(&mut self, path: &Path, links: Links) {
        let Some(file) = self.open_bytes(path, links) else { return };
        let images = match MachImage::parse_all(&file) {
            Ok(images) => images,
            Err(error) => return self.malformed(path, error),
        };
        let id = |image: &MachImage| image.uuid().and_then(|uuid| debug_id_of_uuid(&uuid));
        let found = images.first().and_then(id).map(|id| id.breakpad().to_string());
        let Some(image) = images.into_iter().find(|image| id(image) == self.module.debug_id) else {
            return self.fail(self.mismatch(path, found));
        };
        let image = Arc::new(image);
        if self.found.mach_code.is_none() && image.has_cfi() {
            self.found.mach_code = Some(image.clone());
        }
        let has_dwarf = self.found.mach_debug.as_ref().is_some_and(|debug| debug.has_dwarf());
        if !has_dwarf && (image.has_dwarf() || self.found.mach_debug.is_none()) {
            self.found.mach_debug = Some(image);
        }
    }

    /// The bundle beside the image.
    pub(super) fn open_bundle_beside(&mut self) {
        let code = self.found.mach_code.as_ref().or(self.found.mach_debug.as_ref());
        let Some(bundle) = code.map(|image| beside(image.path())) else { return };
        for path in dwarf_files(&bundle) {
            self.open_mach(&path, Links::Follow);
        }
    }
}
