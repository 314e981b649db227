//! Exception tables of PE images: x64 (`x64`), AArch64 (`arm64`).

mod arm64;
mod arm64_codes;
mod x64;

use lastwords_symbols::{Architecture, Image};
use minidump_unwind::FrameWalker;

use crate::caller::Caller;

/// Whether an image has an exception table that is understood.
pub(crate) fn has_table(image: &Image) -> bool {
    let is_known = matches!(image.architecture(), Architecture::X86_64 | Architecture::Aarch64);
    is_known && image.cfi_sections().exception_table.is_some()
}

/// Whether an entry covers the address `rva` bytes above the base.
pub(crate) fn covers(image: &Image, rva: u64) -> bool {
    let Ok(rva) = u32::try_from(rva) else { return false };
    match image.architecture() {
        Architecture::X86_64 => x64::covers(image, rva),
        _ => arm64::covers(image, rva),
    }
}

/// The caller of the frame whose instruction lies `rva` bytes above the base.
pub(crate) fn caller(image: &Image, rva: u64, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
    let rva = u32::try_from(rva).ok()?;
    match image.architecture() {
        Architecture::X86_64 => x64::caller(image, rva, walker),
        _ => arm64::caller(image, rva, walker),
    }
}
