//! The export table: names of functions that other modules may call. The last resort.

use object::read::pe::{ExportTable, ImageNtHeaders, PeFile};

use super::{PeImage, code_starts};
use crate::demangle::Decoration;
use crate::image::Architecture;
use crate::symtab::{Entry, RANK_UNSIZED, SymbolTable};

/// Exports of one image; ordinals have 16 bits, names may be more.
const MAX_EXPORTS: usize = 1 << 20;

/// The exported functions by address; `None` when there are none.
pub(super) fn read(image: &PeImage) -> Option<SymbolTable> {
    let object = image.object().ok()?;
    let entries = match &object {
        object::File::Pe32(file) => entries(file, image),
        object::File::Pe64(file) => entries(file, image),
        _ => None,
    }?;
    let decoration = match image.architecture() {
        Architecture::X86 => Decoration::Pe32Export,
        _ => Decoration::None,
    };
    if entries.is_empty() {
        return None;
    }
    let starts = code_starts(&object, image);
    Some(SymbolTable::of_entries(image.file().clone(), entries, decoration, &starts))
}

fn entries<'data, Pe: ImageNtHeaders>(
    file: &PeFile<'data, Pe, &'data [u8]>,
    image: &PeImage,
) -> Option<Vec<Entry>> {
    let table = file.export_table().ok()??;
    let names = table.name_iter().take(MAX_EXPORTS);
    let entry = |(pointer, index)| entry(&table, image, pointer, index);
    Some(names.filter_map(entry).collect())
}

fn entry(
    table: &ExportTable<'_>,
    image: &PeImage,
    pointer: u32,
    index: object::read::pe::ExportAddressIndex,
) -> Option<Entry> {
    let rva = table.address_by_index(index).ok()?;
    let name = table.name_from_pointer(pointer).ok().filter(|name| !name.is_empty())?;
    let address = image.image_base().checked_add(u64::from(rva))?;
    // Forwarders and variables are no code.
    if table.is_forward(rva) || !image.is_executable(address) {
        return None;
    }
    // Both pointers are into the file.
    let name_offset = name.as_ptr().addr().checked_sub(image.file().as_ptr().addr())?;
    let end = image.executable_end(address)?;
    Some(Entry { address, end, name_offset, name_len: name.len(), rank: RANK_UNSIZED })
}
