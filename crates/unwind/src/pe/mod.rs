//! Exception tables of PE images: x64 (`x64`), AArch64 (`arm64`).

mod arm64;
mod arm64_codes;
mod x64;

use std::ops::Range;

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

/// What the entries cover, in bytes above the base.
pub(crate) fn ranges(image: &Image) -> Vec<Range<u64>> {
    match image.architecture() {
        Architecture::X86_64 => x64::ranges(image),
        _ => arm64::ranges(image),
    }
}

/// Size of the prologue of the function that begins at an address; `None` where it is not told.
pub(crate) fn prologue_bytes(image: &Image, rva: u64) -> Option<u64> {
    let is_told = image.architecture() == Architecture::X86_64;
    let rva = u32::try_from(rva).ok().filter(|_| is_told)?;
    x64::prologue_bytes(image, rva).map(u64::from)
}

/// The caller of the frame whose instruction lies `rva` bytes above the base.
pub(crate) fn caller(image: &Image, rva: u64, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
    let rva = u32::try_from(rva).ok()?;
    match image.architecture() {
        Architecture::X86_64 => x64::caller(image, rva, walker),
        _ => arm64::caller(image, rva, walker),
    }
}
