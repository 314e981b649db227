//! What a symbol file is: its kind, its ids, and what it is good for.

use std::path::Path;

use crate::cache::Probes;
use crate::catalog::{CandidateKind, identify};
use crate::elf::ElfImage;
use crate::file::{Links, MappedFile, OpenError};
use crate::image::Architecture;
use crate::pe::{PeImage, is_cabinet, unpack};

/// Kind and ids of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileIdentity {
    /// `elf`, `breakpad`, `pdb`, `pe`, `macho`.
    pub kind: &'static str,
    /// Whether it is packed in a cabinet, as symbol servers do.
    pub is_packed: bool,
    /// Debug ids as Breakpad writes them; of a fat Mach-O file one for each part.
    pub debug_ids: Vec<String>,
    /// Lower-case hexadecimal; ELF only. The hash that stands in for a missing one is not told here.
    pub build_id: Option<String>,
    /// Time stamp and size of a PE image, as symbol servers write them.
    pub stamp: Option<String>,
    /// The file name, then what the file calls itself.
    pub names: Vec<String>,
    /// Name of the PDB that a PE image names.
    pub pdb_name: Option<String>,
    /// `x86`, `x86_64`, `arm`, `aarch64`; `None` when the file does not tell, or has several.
    pub architecture: Option<&'static str>,
    /// Whether it has the module's code, not only information about it.
    pub has_code: bool,
    /// Whether it has functions with files and lines, as far as its headers tell.
    pub has_debug_info: bool,
}

/// Reads kind and ids of a file. `Ok(None)` when it is no symbol file that is known here.
///
/// # Errors
/// The file cannot be opened.
pub fn identify_file(path: &Path) -> Result<Option<FileIdentity>, OpenError> {
    let file = MappedFile::open(path, Links::Follow)?;
    let Some(found) = identify(path, &Probes::none()) else { return Ok(None) };
    let is_packed = is_cabinet(&file);
    let kind = found.candidate.kind;
    let mut identity = FileIdentity {
        kind: kind_name(kind),
        is_packed,
        debug_ids: found.debug_ids.iter().map(|id| id.breakpad().to_string()).collect(),
        stamp: found.stamp.map(|stamp| stamp.to_string()),
        names: found.names,
        has_code: kind == CandidateKind::MachO,
        has_debug_info: !matches!(kind, CandidateKind::Pe),
        ..FileIdentity::default()
    };
    let file = if is_packed { unpack(&file).ok() } else { Some(file) };
    match (kind, file) {
        (CandidateKind::Elf, Some(file)) => {
            if let Ok(image) = ElfImage::parse(file) {
                identity.build_id = image.build_id().map(crate::module::hex);
                identity.architecture = Some(architecture_name(image.architecture()));
                identity.has_code = image.cfi_sections().eh_frame.is_some();
                identity.has_debug_info = image.has_dwarf();
            }
        }
        (CandidateKind::Pe, Some(file)) => {
            if let Ok(image) = PeImage::parse(file) {
                identity.pdb_name = image.pdb_name().map(str::to_owned);
                identity.architecture = Some(architecture_name(image.architecture()));
                identity.has_code = true;
                identity.has_debug_info = image.has_dwarf();
            }
        }
        _ => {}
    }
    Ok(Some(identity))
}

fn kind_name(kind: CandidateKind) -> &'static str {
    match kind {
        CandidateKind::Elf => "elf",
        CandidateKind::Breakpad => "breakpad",
        CandidateKind::Pdb => "pdb",
        CandidateKind::Pe => "pe",
        CandidateKind::MachO => "macho",
    }
}

fn architecture_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86 => "x86",
        Architecture::X86_64 => "x86_64",
        Architecture::Arm => "arm",
        Architecture::Aarch64 => "aarch64",
    }
}
