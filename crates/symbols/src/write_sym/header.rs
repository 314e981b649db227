//! The `MODULE` and `INFO CODE_ID` records.

use std::io::{self, Write};
use std::path::Path;

use debugid::DebugId;

use super::SymError;
use super::names::one_line;
use crate::image::{Architecture, ImageFormat};
use crate::module::{debug_id_of, debug_id_of_uuid, hex, leaf};
use crate::module_symbols::ModuleSymbols;

/// What the `MODULE` and `INFO CODE_ID` records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymHeader {
    /// `Linux`, `windows`, `mac`.
    pub os: &'static str,
    /// `x86`, `x86_64`, `arm`, `arm64`.
    pub cpu: &'static str,
    /// The module's debug id.
    pub debug_id: DebugId,
    /// Name of the debug file.
    pub name: String,
    /// The code id in hexadecimal, and of PE images a file name; `None` when the file has none.
    pub code_id: Option<String>,
}

impl SymHeader {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { os, cpu, debug_id, name, code_id } = self;
        writeln!(out, "MODULE {os} {cpu} {} {}", debug_id.breakpad(), one_line(name))?;
        match code_id {
            Some(code_id) => writeln!(out, "INFO CODE_ID {}", one_line(code_id)),
            None => Ok(()),
        }
    }
}

impl ModuleSymbols {
    /// What a `.sym` file of this module is headed with. `name`: instead of the file's own.
    ///
    /// # Errors
    /// [`SymError::NoImage`] and [`SymError::NoId`].
    pub fn sym_header(&self, name: Option<&str>) -> Result<SymHeader, SymError> {
        let found = self.elf_header().or_else(|| self.pe_header()).or_else(|| self.mach_header());
        let mut header = found.ok_or(SymError::NoImage)??;
        if let Some(name) = name {
            name.clone_into(&mut header.name);
        }
        Ok(header)
    }

    fn elf_header(&self) -> Option<Result<SymHeader, SymError>> {
        let elf = self.elf().and_then(|elf| elf.code().or(elf.debug()))?;
        let debug_id = debug_id_of(elf.identity().unwrap_or_default()).ok_or(SymError::NoId);
        Some(debug_id.map(|debug_id| SymHeader {
            os: os_name(ImageFormat::Elf),
            cpu: cpu_name(elf.architecture()),
            debug_id,
            name: file_name(elf.path()),
            code_id: elf.build_id().map(|id| hex(id).to_uppercase()),
        }))
    }

    fn mach_header(&self) -> Option<Result<SymHeader, SymError>> {
        let mach = self.macho().and_then(|macho| macho.code().or(macho.debug()))?;
        let uuid = mach.uuid();
        let debug_id = uuid.and_then(|uuid| debug_id_of_uuid(&uuid)).ok_or(SymError::NoId);
        Some(debug_id.map(|debug_id| SymHeader {
            os: os_name(ImageFormat::MachO),
            cpu: cpu_name(mach.architecture()),
            debug_id,
            name: file_name(mach.path()),
            code_id: uuid.map(|uuid| hex(&uuid).to_uppercase()),
        }))
    }

    /// Named after the PDB; without one, after the image.
    fn pe_header(&self) -> Option<Result<SymHeader, SymError>> {
        let pe = self.pe()?;
        let image = pe.image();
        let architecture = image.map(|image| image.architecture()).or(pe.pdb_architecture())?;
        let debug_id = pe.pdb_id().or(image.and_then(|image| image.debug_id()));
        let path = pe.pdb_path().or(image.map(|image| image.path()))?;
        let code_id = image.map(|image| format!("{} {}", image.stamp(), file_name(image.path())));
        Some(debug_id.ok_or(SymError::NoId).map(|debug_id| SymHeader {
            os: os_name(ImageFormat::Pe),
            cpu: cpu_name(architecture),
            debug_id,
            name: file_name(path),
            code_id,
        }))
    }
}

fn file_name(path: &Path) -> String {
    leaf(&path.to_string_lossy()).unwrap_or("unknown").to_owned()
}

fn os_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Elf => "Linux",
        ImageFormat::Pe => "windows",
        ImageFormat::MachO => "mac",
    }
}

fn cpu_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86 => "x86",
        Architecture::X86_64 => "x86_64",
        Architecture::Arm => "arm",
        Architecture::Aarch64 => "arm64",
    }
}
