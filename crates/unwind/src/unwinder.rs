//! What unwinds the frames of one image, whatever its format.

use std::sync::Arc;

use lastwords_symbols::{Architecture, Image, ImageFormat};
use minidump_unwind::FrameWalker;

use crate::caller::Caller;
use crate::cfi::ModuleCfi;
use crate::registers::Registers;
use crate::signature::strip_caller;
use crate::{compact, exidx, pe, row, signal};

/// One way to unwind the frames of an image.
pub(crate) enum Unwinder {
    /// `.eh_frame` and `.debug_frame`.
    Dwarf(ModuleCfi),
    /// PE's exception table.
    ExceptionTable(Arc<Image>),
    /// Mach-O's compact unwind information.
    Compact(Arc<Image>),
    /// `.ARM.exidx`.
    ExceptionIndex(Arc<Image>),
    /// Trampolines of Linux that nothing describes.
    Trampolines(Arc<Image>),
}

impl Unwinder {
    /// The ways of an image, best first.
    pub(crate) fn all(image: &Arc<Image>) -> Vec<Self> {
        let mut found = Vec::new();
        let is_elf = image.format() == ImageFormat::Elf;
        if is_elf {
            // First: the return address into a trampoline lies behind what is described before it.
            found.push(Self::Trampolines(image.clone()));
        }
        if pe::has_table(image) {
            found.push(Self::ExceptionTable(image.clone()));
        }
        if compact::has_table(image) {
            // It says itself where `__eh_frame` knows more.
            found.push(Self::Compact(image.clone()));
        }
        if image.cfi_sections().has_dwarf_cfi() {
            found.push(Self::Dwarf(ModuleCfi::new(image.clone())));
        }
        if is_elf && image.cfi_sections().exception_index.is_some() {
            found.push(Self::ExceptionIndex(image.clone()));
        }
        found
    }

    fn image(&self) -> &Image {
        match self {
            Self::Dwarf(cfi) => cfi.image(),
            Self::ExceptionTable(image)
            | Self::Compact(image)
            | Self::ExceptionIndex(image)
            | Self::Trampolines(image) => image,
        }
    }

    /// An address of the file; bit 0 of ARM's says that the code is Thumb.
    fn address(&self, rva: u64) -> Option<u64> {
        let address = self.image().image_base().checked_add(rva)?;
        let is_arm = self.image().architecture() == Architecture::Arm;
        Some(if is_arm { address & !1 } else { address })
    }

    /// Whether this tells which addresses are code that calls.
    pub(crate) fn is_complete(&self) -> bool {
        !matches!(self, Self::Trampolines(_))
    }

    /// Whether something is said of the address `rva` bytes above the base.
    pub(crate) fn covers(&self, rva: u64) -> bool {
        let Some(address) = self.address(rva) else { return false };
        match self {
            Self::Dwarf(cfi) => cfi.covers(address),
            Self::ExceptionTable(image) => pe::covers(image, rva),
            Self::Compact(image) => compact::covers(image, rva),
            Self::ExceptionIndex(image) => exidx::covers(image, address),
            Self::Trampolines(_) => false,
        }
    }

    /// Where the signal trampoline begins in which `rva` lies, or one call behind it.
    pub(crate) fn trampoline_at(&self, rva: u64) -> Option<u64> {
        let address = self.address(rva)?;
        match self {
            // An FDE of a trampoline begins before it.
            Self::Dwarf(cfi) => cfi.is_signal_trampoline(address).then(|| rva.checked_add(1))?,
            Self::Trampolines(image) => {
                signal::trampoline_at(image, address)?.checked_sub(image.image_base())
            }
            _ => None,
        }
    }

    /// The caller of the frame whose instruction lies `rva` bytes above the base. `None` when this
    /// does not tell.
    pub(crate) fn caller(&self, rva: u64, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
        let caller = self.signed_caller(rva, walker)?;
        let image = self.image();
        let is_signed =
            image.architecture() == Architecture::Aarch64 && image.format() == ImageFormat::Elf;
        match walker.get_callee_register("sp").filter(|_| is_signed) {
            Some(stack) => Some(strip_caller(caller, stack)),
            None => Some(caller),
        }
    }

    fn signed_caller(&self, rva: u64, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
        let address = self.address(rva)?;
        match self {
            Self::Dwarf(cfi) => {
                let rules = cfi.rules(address)?;
                row::evaluate(&rules, Registers::of(self.image().architecture()), walker)
            }
            Self::ExceptionTable(image) => pe::caller(image, rva, walker),
            Self::Compact(image) => compact::caller(image, rva, walker),
            Self::ExceptionIndex(image) => exidx::caller(image, address, walker),
            Self::Trampolines(image) => signal::caller(image, address, walker),
        }
    }
}
