//! What unwinds the frames of one image, whatever its format.

use std::ops::Range;
use std::sync::Arc;

use lastwords_symbols::{Architecture, Image, ImageFormat};
use minidump_unwind::FrameWalker;

use crate::caller::Caller;
use crate::cfi::ModuleCfi;
use crate::rules::FrameRules;
use crate::trampoline::FoundTrampoline;
use crate::ways::{Way, WayKind};
use crate::{compact, exidx, pe};

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
}

impl Unwinder {
    /// The ways of an image, best first.
    pub(crate) fn all(image: &Arc<Image>) -> Vec<Self> {
        let mut found = Vec::new();
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
        let is_elf = image.format() == ImageFormat::Elf;
        if is_elf && image.cfi_sections().exception_index.is_some() {
            found.push(Self::ExceptionIndex(image.clone()));
        }
        found
    }

    fn image(&self) -> &Image {
        match self {
            Self::Dwarf(cfi) => cfi.image(),
            Self::ExceptionTable(image) | Self::Compact(image) | Self::ExceptionIndex(image) => {
                image
            }
        }
    }

    /// What is told of it without its image.
    pub(crate) fn way(&self) -> Way {
        let kind = match self {
            Self::Dwarf(_) => WayKind::Dwarf,
            Self::ExceptionTable(_) => WayKind::ExceptionTable,
            Self::Compact(_) => WayKind::Compact,
            Self::ExceptionIndex(_) => WayKind::ExceptionIndex,
        };
        let image = self.image();
        let is_elf = image.format() == ImageFormat::Elf;
        Way { kind, architecture: image.architecture(), is_elf }
    }

    /// Bit 0 of ARM's addresses says that the code is Thumb.
    fn code_rva(&self, rva: u64) -> u64 {
        if self.image().architecture() == Architecture::Arm { rva & !1 } else { rva }
    }

    /// Whether something is said of the address `rva` bytes above the base.
    pub(crate) fn covers(&self, rva: u64) -> bool {
        let rva = self.code_rva(rva);
        match self {
            Self::Dwarf(cfi) => cfi.covers_at(rva),
            Self::ExceptionTable(image) => pe::covers(image, rva),
            Self::Compact(image) => compact::covers(image, rva),
            Self::ExceptionIndex(image) => {
                let address = image.image_base().checked_add(rva);
                address.is_some_and(|address| exidx::covers(image, address))
            }
        }
    }

    /// What it covers, in bytes above the base; not for DWARF.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        match self {
            Self::Dwarf(_) => Vec::new(),
            Self::ExceptionTable(image) => pe::ranges(image),
            Self::Compact(image) => compact::ranges(image),
            Self::ExceptionIndex(image) => {
                let relative = |address: u64| address.checked_sub(image.image_base());
                let ranges = exidx::ranges(image).into_iter();
                ranges.filter_map(|one| Some(relative(one.start)?..relative(one.end)?)).collect()
            }
        }
    }

    /// Size of the prologue of the function that begins at an address, where it is told.
    pub(crate) fn prologue_bytes(&self, rva: u64) -> Option<u64> {
        let Self::ExceptionTable(image) = self else { return None };
        pe::prologue_bytes(image, rva)
    }

    /// The signal trampoline that call frame information tells of at `rva`.
    pub(crate) fn trampoline_at(&self, rva: u64) -> Option<FoundTrampoline> {
        let Self::Dwarf(cfi) = self else { return None };
        let is_trampoline = cfi.is_signal_trampoline_at(self.code_rva(rva));
        // An FDE of a trampoline begins before it.
        let start_rva = rva.checked_add(1).filter(|_| is_trampoline)?;
        Some(FoundTrampoline { start_rva, code: None })
    }

    /// What DWARF says at `rva`; `None` for all other ways.
    pub(crate) fn rules(&self, rva: u64) -> Option<FrameRules> {
        let Self::Dwarf(cfi) = self else { return None };
        cfi.rules_at(self.code_rva(rva))
    }

    /// The caller of the frame whose instruction lies `rva` bytes above the base. `None` when this
    /// does not tell, and for DWARF, which is told by its rules.
    pub(crate) fn caller(&self, rva: u64, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
        let rva = self.code_rva(rva);
        match self {
            Self::Dwarf(_) => None,
            Self::ExceptionTable(image) => pe::caller(image, rva, walker),
            Self::Compact(image) => compact::caller(image, rva, walker),
            Self::ExceptionIndex(image) => {
                exidx::caller(image, image.image_base().checked_add(rva)?, walker)
            }
        }
    }
}
