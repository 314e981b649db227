//! ELF, PE and Mach-O files: sections, constant bytes, symbol tables.

use std::borrow::Cow;
use std::sync::Arc;

use lastwords_symbols::MappedFile;
use object::read::{
    ExportTarget, NameOrOrdinal, Object, ObjectSection, ObjectSegment, ObjectSymbol,
};
use object::{Architecture, BinaryFormat, CompressionFormat, SymbolKind};

use crate::names::{NameKind, NameTable};

/// What a compressed section may grow to.
const MAX_SECTION_BYTES: u64 = 2 << 30;
const PAGE_BYTES: u64 = 4_096;

/// An open object file.
pub(crate) struct ObjectFile {
    file: Arc<MappedFile>,
    pub(crate) architecture: Architecture,
    pub(crate) is_little_endian: bool,
    /// The address that RVAs are counted from.
    pub(crate) image_base: u64,
    has_dwarf: bool,
}

impl ObjectFile {
    /// Reads the headers.
    pub(crate) fn open(file: Arc<MappedFile>) -> Result<Self, object::Error> {
        let object = object::File::parse(&**file)?;
        let image_base = image_base(&object);
        let (architecture, is_little_endian) = (object.architecture(), object.is_little_endian());
        let has_dwarf = ["debug_info", "debug_abbrev"]
            .iter()
            .all(|name| has_contents(&object, &format!(".{name}")));
        drop(object);
        Ok(Self { file, architecture, is_little_endian, image_base, has_dwarf })
    }

    /// Whether it has DWARF of its own.
    pub(crate) fn has_dwarf(&self) -> bool {
        self.has_dwarf
    }

    /// A section's bytes, uncompressed; `None` when it is not there or would be too large.
    pub(crate) fn section(&self, name: &str) -> Option<Arc<[u8]>> {
        let object = object::File::parse(&**self.file).ok()?;
        let section = object.section_by_name(name)?;
        let compressed = section.compressed_data().ok()?;
        let is_plain = compressed.format == CompressionFormat::None;
        let grown = compressed.uncompressed_size;
        if grown > MAX_SECTION_BYTES
            || (!is_plain && grown / 256 > (compressed.data.len() as u64).max(1 << 16))
        {
            return None;
        }
        let bytes: Cow<'_, [u8]> = compressed.decompress().ok()?;
        Some(Arc::from(&*bytes))
    }

    /// Bytes of segments that are not writable, or of sections of a PE file that are not.
    pub(crate) fn constant_bytes(&self, rva: u64, size: usize) -> Option<Vec<u8>> {
        let object = object::File::parse(&**self.file).ok()?;
        let address = self.image_base.checked_add(rva)?;
        let from = |start: u64, data: &[u8]| {
            let skipped = usize::try_from(address.checked_sub(start)?).ok()?;
            let rest = data.get(skipped..).filter(|rest| !rest.is_empty())?;
            rest.get(..size.min(rest.len())).map(<[u8]>::to_vec)
        };
        let mut segments = object.segments();
        segments.find_map(|segment| {
            if is_writable(&segment) {
                return None;
            }
            from(segment.address(), segment.data().ok()?)
        })
    }

    /// Adds the symbol tables and exports.
    pub(crate) fn add_names(&self, table: &mut NameTable) {
        let Ok(object) = object::File::parse(&**self.file) else { return };
        for symbol in object.symbols().chain(object.dynamic_symbols()) {
            let is_place = matches!(
                symbol.kind(),
                SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown | SymbolKind::Tls
            );
            if symbol.is_undefined() || !is_place || symbol.address() == 0 {
                continue;
            }
            let Some(rva) = symbol.address().checked_sub(self.image_base) else { continue };
            let Ok(name) = symbol.name() else { continue };
            if symbol.kind() == SymbolKind::Tls || is_mark(name) {
                continue;
            }
            let size = Some(symbol.size()).filter(|size| *size > 0);
            table.push(demangled(name), rva, size, NameKind::Public);
        }
        let Ok(exports) = object.exports() else { return };
        for export in exports.flatten() {
            let (ExportTarget::Address { address }, NameOrOrdinal::Name(name)) =
                (export.target(), export.name())
            else {
                continue;
            };
            let Some(rva) = address.checked_sub(self.image_base) else { continue };
            table.push(demangled(&String::from_utf8_lossy(name)), rva, None, NameKind::Public);
        }
    }
}

/// `$x`, `$d`: where code and data change in ARM files (ELF for the Arm architecture, 5.5.5).
fn is_mark(name: &str) -> bool {
    name.starts_with('$') && name.len() <= 3
}

/// A name as people read it, without parameters.
pub(crate) fn demangled(name: &str) -> String {
    let text = lastwords_symbols::demangle(name);
    crate::names::without_parameters(&text).to_owned()
}

fn is_writable(segment: &object::Segment<'_, '_>) -> bool {
    segment.permissions().writable()
}

fn has_contents(object: &object::File<'_>, name: &str) -> bool {
    let section = object.section_by_name(name);
    section.and_then(|section| section.file_range()).is_some_and(|(_, size)| size > 0)
}

/// Where the file wants to be loaded: the lowest segment of ELF files, `__TEXT` of Mach-O files,
/// `ImageBase` of PE files.
fn image_base(object: &object::File<'_>) -> u64 {
    match object.format() {
        BinaryFormat::MachO => {
            let text = |segment: &object::Segment<'_, '_>| {
                segment.name_bytes().ok().flatten() == Some(b"__TEXT")
            };
            object.segments().find(text).map_or(0, |segment| segment.address())
        }
        BinaryFormat::Elf => {
            let lowest = object.segments().map(|segment| segment.address()).min().unwrap_or(0);
            lowest & !PAGE_BYTES.saturating_sub(1)
        }
        _ => object.relative_address_base(),
    }
}
