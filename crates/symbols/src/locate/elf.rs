//! Files of ELF modules: code, separate debug files, dwz's and split DWARF.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Search, open_any};
use crate::catalog::build_id_path;
use crate::dwarf::DwarfFiles;
use crate::elf::ElfImage;
use crate::file::{Links, MappedFile};
use crate::module::{hex, leaf};

/// Where distributions install separate debug files.
const SYSTEM_DEBUG_ROOT: &str = "/usr/lib/debug";

impl Search<'_> {
    /// Takes a file as code, debug file or both, if its build id is the module's.
    pub(super) fn open_elf(&mut self, path: &Path, links: Links) {
        let Some(file) = self.open_bytes(path, links) else { return };
        let image = match ElfImage::parse(file) {
            Ok(image) => image,
            Err(error) => return self.malformed(path, error),
        };
        // A file of this machine must have a real build id: the hash is weak.
        let is_hash_enough = links == Links::Follow;
        let id = image.build_id().or_else(|| image.identity().filter(|_| is_hash_enough));
        if !self.module.is_build_id(id.unwrap_or_default()) {
            return self.fail(self.mismatch(path, image.build_id().map(hex)));
        }
        let image = Arc::new(image);
        let has_code = image.cfi_sections().eh_frame.is_some();
        if self.found.code.is_none() && (has_code || image.has_exception_index()) {
            self.found.code = Some(image.clone());
        }
        if !self.has_dwarf() {
            let is_better = image.has_dwarf() || self.found.debug.is_none();
            if is_better {
                self.found.debug = Some(image);
            }
        }
    }

    /// A separate debug file, when there is no DWARF yet.
    pub(super) fn open_system_debug(&mut self) {
        if self.has_dwarf() {
            return;
        }
        if let Some(build_id) = &self.module.build_id {
            let path = build_id_path(Path::new(SYSTEM_DEBUG_ROOT), build_id);
            if let Some(path) = path.filter(|path| path.is_file()) {
                self.open_elf(&path, Links::Follow);
            }
        }
        for path in self.debug_link_paths() {
            if self.has_dwarf() {
                return;
            }
            if path.is_file() {
                self.open_elf(&path, Links::Follow);
            }
        }
    }

    fn debug_link_paths(&self) -> Vec<PathBuf> {
        let Some(code) = &self.found.code else { return Vec::new() };
        let Some(name) = code.debug_link().and_then(leaf) else { return Vec::new() };
        let Some(folder) = code.path().parent() else { return Vec::new() };
        let below_root = folder.strip_prefix("/").unwrap_or(folder);
        vec![
            folder.join(name),
            folder.join(".debug").join(name),
            Path::new(SYSTEM_DEBUG_ROOT).join(below_root).join(name),
        ]
        .into_iter()
        .filter(|path| path != code.path())
        .collect()
    }

    fn has_dwarf(&self) -> bool {
        self.found.debug.as_ref().is_some_and(|debug| debug.has_dwarf())
    }

    pub(super) fn load_elf_dwarf(&mut self) -> Option<DwarfFiles> {
        let image = self.found.debug.clone().filter(|image| image.has_dwarf())?;
        let supplementary = self.open_supplementary(&image);
        let package = open_package(&image).or_else(|| open_package(self.found.code.as_ref()?));
        let may_open_split = self.may_open_local;
        let supplementary = supplementary.as_deref();
        match DwarfFiles::load(&image, supplementary, package.as_ref(), may_open_split) {
            Ok(files) => Some(files),
            Err(error) => {
                self.malformed(image.path(), error);
                None
            }
        }
    }

    /// dwz's shared file: by build id in the sources, below `/usr/lib/debug` or at its path.
    fn open_supplementary(&self, image: &ElfImage) -> Option<ElfImage> {
        let (name, build_id) = image.alt_link()?;
        let beside = image.path().parent().map(|folder| folder.join(name));
        let system = build_id_path(Path::new(SYSTEM_DEBUG_ROOT), build_id);
        let local = [beside, system].into_iter().flatten().filter(|_| self.may_open_local);
        let paths = self.catalog.find_build_id(build_id).into_iter().chain(local);
        let open = |path: PathBuf| ElfImage::parse(open_any(&path, Links::Follow).ok()??).ok();
        let mut images = paths.filter_map(open);
        images.find(|image| image.build_id() == Some(build_id))
    }
}

/// The package of split DWARF beside a file: its name and `.dwp`.
fn open_package(image: impl AsRef<ElfImage>) -> Option<Arc<MappedFile>> {
    let mut path = image.as_ref().path().as_os_str().to_owned();
    path.push(".dwp");
    MappedFile::open(Path::new(&path), Links::Follow).ok()
}
