//! Writes what is known of a module as a Breakpad `.sym` file.
//!
//! | record | of | file |
//! |---|---|---|
//! | `MODULE`, `INFO CODE_ID` | the ids | here |
//! | `FILE`, `INLINE_ORIGIN` | numbered names, `FILE` from 1 | `names` |
//! | `FUNC`, `INLINE`, lines | the answers of lookups, from one boundary to the next | `functions` |
//! | `STACK CFI INIT`, `STACK CFI` | `.eh_frame`, `.debug_frame` | `cfi`, `postfix` |
//!
//! The file says what [`ModuleSymbols::lookup`] says, because it is made of it: the addresses at which
//! answers can change are collected, and one lookup is made at each. A function in several parts is
//! several `FUNC` records. A symbol without line information is a `FUNC` without lines, not a `PUBLIC`,
//! which would have no end.
//!
//! Format: Breakpad, `docs/symbol_files.md`, version with `INLINE`. Addresses are in bytes above the
//! module's base.

mod cfi;
mod functions;
mod names;
mod postfix;

use std::io::{self, Write};
use std::ops::Range;

use debugid::DebugId;

use self::functions::write_functions;
use crate::image::{Architecture, Image, ImageFormat};
use crate::module::{debug_id_of, hex, leaf};
use crate::symbols::ModuleSymbols;

/// What the `MODULE` and `INFO CODE_ID` lines say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymHeader {
    /// `Linux`, `windows`, `mac`.
    pub os: &'static str,
    /// `x86`, `x86_64`, `arm`, `arm64`.
    pub cpu: &'static str,
    /// The module's debug id.
    pub debug_id: DebugId,
    /// Name of the debug file; line feeds are not possible.
    pub name: String,
    /// The code id in hexadecimal; `None` when the file has none.
    pub code_id: Option<String>,
}

/// What was written, and what had to be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SymReport {
    /// `FUNC` records.
    pub functions: u64,
    /// Line records.
    pub lines: u64,
    /// `INLINE` records.
    pub inlines: u64,
    /// `STACK CFI INIT` records.
    pub frames: u64,
    /// Call frame information that this format cannot say, or that is malformed.
    pub frames_left_out: u64,
    /// Whether the file has more than is written at most.
    pub is_cut: bool,
}

/// Why there is nothing to write.
#[derive(Debug, thiserror::Error)]
pub enum SymError {
    /// No image was opened.
    #[error("the file holds no image that can be described in a .sym file")]
    NoImage,
    /// Neither build id nor code.
    #[error("the file has no id, and a .sym file without one cannot be found again")]
    NoId,
    /// The output failed.
    #[error("cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl ModuleSymbols {
    /// What a `.sym` file of this module is headed with. `name`: instead of the file's own.
    ///
    /// # Errors
    /// [`SymError::NoImage`] and [`SymError::NoId`].
    pub fn sym_header(&self, name: Option<&str>) -> Result<SymHeader, SymError> {
        let elf = self.elf().and_then(|elf| elf.code().or(elf.debug())).ok_or(SymError::NoImage)?;
        let debug_id = debug_id_of(elf.identity().unwrap_or_default()).ok_or(SymError::NoId)?;
        let path = elf.path().to_string_lossy();
        let name = name.or_else(|| leaf(&path)).unwrap_or("unknown");
        Ok(SymHeader {
            os: os_name(elf.format()),
            cpu: cpu_name(elf.architecture()),
            debug_id,
            name: name.replace(['\r', '\n'], " "),
            code_id: elf.build_id().map(|id| hex(id).to_uppercase()),
        })
    }

    /// Writes a `.sym` file. The functions are collected in memory before they are written, about as
    /// many bytes as the file gets.
    ///
    /// # Errors
    /// [`SymError::Io`].
    pub fn write_sym(
        &self,
        header: &SymHeader,
        out: &mut dyn Write,
    ) -> Result<SymReport, SymError> {
        let mut report = SymReport::default();
        let SymHeader { os, cpu, debug_id, name, code_id } = header;
        writeln!(out, "MODULE {os} {cpu} {} {name}", debug_id.breakpad())?;
        if let Some(code_id) = code_id {
            writeln!(out, "INFO CODE_ID {code_id}")?;
        }
        write_functions(self, out, &mut report)?;
        for image in self.images() {
            cfi::write_cfi(image, out, &mut report)?;
        }
        Ok(report)
    }

    /// Where the module has code, in bytes above its base.
    pub fn code_ranges(&self) -> Vec<Range<u64>> {
        let Some(image) = self.images().into_iter().next() else { return Vec::new() };
        let relative = |address: u64| address.saturating_sub(image.image_base());
        let ranges = image.executable().iter();
        ranges.map(|range| relative(range.start)..relative(range.end)).collect()
    }

    /// The images of the module that may hold call frame information.
    fn images(&self) -> Vec<&Image> {
        let elf = self.elf().map(|elf| [elf.code(), elf.debug()]);
        let mut images: Vec<&Image> = Vec::new();
        for image in elf.into_iter().flatten().flatten() {
            if !images.iter().any(|other| other.path() == image.path()) {
                images.push(image);
            }
        }
        images
    }
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
