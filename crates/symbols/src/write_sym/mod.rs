//! Writes what is known of a module as a Breakpad `.sym` file.
//!
//! | record | of | file |
//! |---|---|---|
//! | `MODULE`, `INFO CODE_ID` | the ids | `header` |
//! | `FILE`, `INLINE_ORIGIN` | numbered names, `FILE` from 1 | `names` |
//! | `FUNC`, `INLINE`, lines | the answers of lookups, from one boundary to the next | `functions` |
//! | `STACK CFI INIT`, `STACK CFI` | `.eh_frame`, `.debug_frame` | `cfi`, `postfix` |
//! | `STACK WIN` | the frame data of a PDB of 32-bit x86 | `win` |
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
mod header;
mod names;
mod postfix;
mod win;

use std::io::{self, Write};
use std::ops::Range;

use self::functions::write_functions;
pub use self::header::SymHeader;
pub use self::postfix::register_name;
use crate::image::Image;
use crate::module_symbols::ModuleSymbols;
use crate::pe::PeSymbols;

/// What was written, and what had to be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SymReport {
    /// `FUNC` records.
    pub functions: u64,
    /// Line records.
    pub lines: u64,
    /// `INLINE` records.
    pub inlines: u64,
    /// `STACK CFI INIT` and `STACK WIN` records.
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
        header.write(out)?;
        write_functions(self, out, &mut report)?;
        for image in self.unlike_images() {
            cfi::write_cfi(image, out, &mut report)?;
        }
        if let Some(pe) = self.pe() {
            win::write_frames(pe, out, &mut report)?;
        }
        Ok(report)
    }

    /// Where the module has code, in bytes above its base.
    pub fn code_ranges(&self) -> Vec<Range<u64>> {
        let Some(image) = self.images().next() else {
            return self.pe().map(PeSymbols::pdb_code_ranges).unwrap_or_default();
        };
        let relative = |address: u64| address.saturating_sub(image.image_base());
        let ranges = image.executable().iter();
        ranges.map(|range| relative(range.start)..relative(range.end)).collect()
    }

    /// Each image of the module once.
    fn unlike_images(&self) -> Vec<&Image> {
        let mut images: Vec<&Image> = Vec::new();
        for image in self.images() {
            if !images.iter().any(|other| other.path() == image.path()) {
                images.push(image);
            }
        }
        images
    }
}
