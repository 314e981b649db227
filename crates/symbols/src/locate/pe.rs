//! Files of Windows modules: image and PDB.

use std::path::Path;
use std::sync::Arc;

use debugid::DebugId;

use super::Search;
use crate::file::Links;
use crate::pe::{Pdb, PeImage};

impl Search<'_> {
    /// Takes an image, if its ids are the module's.
    pub(super) fn open_pe(&mut self, path: &Path, links: Links) {
        if self.found.pe.is_some() {
            return;
        }
        let Some(file) = self.open_bytes(path, links) else { return };
        match PeImage::parse(file) {
            Ok(image) if self.module.is_image(image.debug_id(), image.stamp()) => {
                self.found.pe = Some(Arc::new(image));
            }
            Ok(image) => {
                let debug_id = image.debug_id().filter(|_| self.module.debug_id.is_some());
                let id = debug_id.map_or_else(|| image.stamp().to_string(), display);
                self.fail(self.mismatch(path, Some(id)));
            }
            Err(error) => self.malformed(path, error),
        }
    }

    /// Takes a PDB, if its GUID and age are the module's.
    pub(super) fn open_pdb(&mut self, path: &Path, links: Links) {
        if self.found.pdb.is_some() {
            return;
        }
        let Some(file) = self.open_bytes(path, links) else { return };
        match Pdb::parse(&file) {
            Ok(pdb) if self.is_pdb(pdb.debug_id()) => self.found.pdb = Some(pdb),
            Ok(pdb) => self.fail(self.mismatch(path, pdb.debug_id().map(display))),
            Err(error) => self.malformed(path, error),
        }
    }

    /// The module's id; of a module without one, its image's.
    fn is_pdb(&self, debug_id: Option<DebugId>) -> bool {
        let of_image = || self.found.pe.as_ref().and_then(|image| image.debug_id());
        let expected = self.module.debug_id.or_else(of_image);
        // A PDB that is opened by its path may have no id at all.
        debug_id == expected && (debug_id.is_some() || self.found.pe.is_none())
    }

    /// The PDB that the image names, beside the image, or one named after the image.
    pub(super) fn open_pdb_beside(&mut self) {
        let Some(image) = self.found.pe.clone() else { return };
        let named = image.pdb_name().map(|name| image.path().with_file_name(name));
        let mut appended = image.path().as_os_str().to_owned();
        appended.push(".pdb");
        let replaced = image.path().with_extension("pdb");
        for path in named.into_iter().chain([replaced, appended.into()]) {
            if path.is_file() {
                self.open_pdb(&path, Links::Follow);
            }
        }
    }
}

fn display(id: DebugId) -> String {
    id.breakpad().to_string()
}
