//! Where functions begin, named or not, after the exception directory and the symbol table.
//!
//! x64 (`RUNTIME_FUNCTION`, 12 bytes): begin, end, unwind information, all addresses; information
//! whose flags (bits 3 to 7 of its first byte) have 4 set belongs to a further part of a function.
//! AArch64 (8 bytes): begin, and packed information in bits 2 to 31 when bits 0 and 1 are not 0; 2
//! there: a further part. COFF symbols of sections say where the code of one object file begins.
//! Source: Microsoft, "x64 exception handling", "ARM64 exception handling", "PE Format".

use object::SymbolKind;
use object::read::{Object, ObjectSymbol};

use crate::bytes::u32_at;
use crate::image::{Architecture, Image, ImageFormat};

const CHAINED: u8 = 4;
const FRAGMENT: u32 = 2;
/// Functions of one image beyond this are left out.
const MAX_STARTS: usize = 4 << 20;

/// Addresses at which functions or object files begin, ascending; empty for other formats.
pub(crate) fn code_starts(object: &object::File<'_>, image: &Image) -> Vec<u64> {
    if image.format() != ImageFormat::Pe {
        return Vec::new();
    }
    let is_section = |symbol: &object::Symbol<'_, '_>| symbol.kind() == SymbolKind::Section;
    let sections = object.symbols().filter(is_section).map(|symbol| symbol.address());
    let mut starts: Vec<_> = sections.take(MAX_STARTS).collect();
    starts.extend(of_exception_table(image));
    starts.sort_unstable();
    starts.dedup();
    starts
}

fn of_exception_table(image: &Image) -> Vec<u64> {
    let table = image.cfi_sections().exception_table.map(|section| section.bytes);
    let table = table.unwrap_or_default();
    let entry_bytes = match image.architecture() {
        Architecture::X86_64 => 12,
        Architecture::Aarch64 => 8,
        _ => return Vec::new(),
    };
    let starts = table.chunks_exact(entry_bytes).take(MAX_STARTS);
    starts.filter_map(|entry| start(image, entry)).collect()
}

fn start(image: &Image, entry: &[u8]) -> Option<u64> {
    let begin = image.image_base().checked_add(u64::from(u32_at(entry, 0)?))?;
    let is_further_part = match image.architecture() {
        Architecture::X86_64 => {
            let info = image.image_base().checked_add(u64::from(u32_at(entry, 8)?))?;
            image.bytes_at(info, 1).first().is_some_and(|byte| byte >> 3 & CHAINED != 0)
        }
        _ => u32_at(entry, 4)? & 3 == FRAGMENT,
    };
    (!is_further_part).then_some(begin)
}
