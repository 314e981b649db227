//! What a file is, and which modules it belongs to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use debugid::DebugId;

use crate::breakpad::read_module_line;
use crate::elf::ElfImage;
use crate::file::{Links, MappedFile};
use crate::macho::{MachImage, is_mach};
use crate::module::{ImageStamp, ModuleId, debug_id_of, debug_id_of_uuid, hex, leaf};
use crate::pe::{PeImage, is_cabinet, is_pdb, is_pe, read_debug_id, unpack};

const ELF_MAGIC: &[u8] = b"\x7fELF";

/// A file that could be a module's symbols.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    pub(crate) kind: CandidateKind,
    /// As users write it; `None` when the file has none.
    pub(crate) id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CandidateKind {
    Elf,
    Breakpad,
    Pdb,
    Pe,
    MachO,
}

/// A file and its ids.
pub(crate) struct Identified {
    pub(crate) candidate: Candidate,
    pub(crate) names: Vec<String>,
    pub(crate) build_id: Option<Vec<u8>>,
    /// One; of fat files one for each part.
    pub(crate) debug_ids: Vec<DebugId>,
    pub(crate) stamp: Option<ImageStamp>,
}

impl Identified {
    pub(crate) fn is_of(&self, module: &ModuleId) -> bool {
        if let Some(build_id) = &self.build_id {
            return module.is_build_id(build_id);
        }
        if let Some(stamp) = self.stamp {
            return module.is_image(self.debug_ids.first().copied(), stamp);
        }
        module.debug_id.is_some_and(|id| self.debug_ids.contains(&id))
    }
}

/// Opens a file; cabinets are unpacked. `None` when it cannot be read.
fn open(path: &Path) -> Option<Arc<MappedFile>> {
    let file = MappedFile::open(path, Links::Follow).ok()?;
    if is_cabinet(&file) { unpack(&file).ok() } else { Some(file) }
}

/// What a file is, after its first bytes.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<CandidateKind> {
    match bytes {
        _ if bytes.starts_with(ELF_MAGIC) => Some(CandidateKind::Elf),
        _ if bytes.starts_with(b"MODULE ") => Some(CandidateKind::Breakpad),
        _ if is_pdb(bytes) => Some(CandidateKind::Pdb),
        _ if is_pe(bytes) => Some(CandidateKind::Pe),
        _ if is_mach(bytes) => Some(CandidateKind::MachO),
        _ => None,
    }
}

/// Reads a file's ids. `None` when it is nothing of what is known here, or cannot be read.
pub(crate) fn identify(path: &Path) -> Option<Identified> {
    let file = open(path)?;
    let kind = kind_of(&file)?;
    let file_name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let mut found = Identified {
        candidate: Candidate { path: path.to_owned(), kind, id: None },
        names: Vec::from_iter(file_name),
        build_id: None,
        debug_ids: Vec::new(),
        stamp: None,
    };
    match kind {
        CandidateKind::Elf => {
            found.build_id = ElfImage::parse(file).ok()?.identity().map(<[u8]>::to_vec);
            found.debug_ids.extend(found.build_id.as_deref().and_then(debug_id_of));
            found.candidate.id = found.build_id.as_deref().map(hex);
        }
        CandidateKind::Breakpad => {
            let (debug_id, name) = read_module_line(&file)?;
            found.debug_ids.push(debug_id);
            found.names.extend(leaf(&name).map(str::to_owned));
        }
        CandidateKind::Pdb => found.debug_ids.extend(read_debug_id(&file).ok()?),
        CandidateKind::Pe => {
            let image = PeImage::parse(file).ok()?;
            found.debug_ids.extend(image.debug_id());
            found.stamp = Some(image.stamp());
            found.candidate.id = Some(image.stamp().to_string());
        }
        CandidateKind::MachO => {
            let images = MachImage::parse_all(&file).ok()?;
            let uuids = images.iter().filter_map(|image| image.uuid());
            found.debug_ids.extend(uuids.filter_map(|uuid| debug_id_of_uuid(&uuid)));
        }
    }
    // A build id says more than the debug id that is made of it.
    if let Some(id) = found.debug_ids.first().filter(|_| kind != CandidateKind::Elf) {
        found.candidate.id = Some(id.breakpad().to_string());
    }
    Some(found)
}
