//! ELF, PE and Mach-O files: sections, constant bytes, symbol tables.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use gimli::RunTimeEndian;
use lastwords_symbols::MappedFile;
use object::read::{
    ExportTarget, NameOrOrdinal, Object, ObjectSection, ObjectSegment, ObjectSymbol,
    ObjectSymbolTable,
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
    /// Opens a file that may not be there.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        Self::open(MappedFile::map(path).ok()?).ok()
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn endian(&self) -> RunTimeEndian {
        if self.is_little_endian { RunTimeEndian::Little } else { RunTimeEndian::Big }
    }

    /// Path and build id of dwz's supplementary file (`.gnu_debugaltlink`).
    pub(crate) fn alternative(&self) -> Option<(String, Vec<u8>)> {
        let object = object::File::parse(&**self.file).ok()?;
        let (name, build_id) = object.gnu_debugaltlink().ok()??;
        Some((String::from_utf8_lossy(name).into_owned(), build_id.to_vec()))
    }

    pub(crate) fn build_id(&self) -> Option<Vec<u8>> {
        let object = object::File::parse(&**self.file).ok()?;
        object.build_id().ok().flatten().map(<[u8]>::to_vec)
    }

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
        add_plt(&object, self.image_base, table);
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

/// Names the entries of ELF's procedure linkage table (System V ABI AMD64, section 5.2; 16 bytes
/// each on x86 and ARM64, in the order of their relocations). `.plt.sec` has no head, `.plt` has
/// one of one entry (x86) or two (ARM64).
fn add_plt(object: &object::File<'_>, image_base: u64, table: &mut NameTable) {
    const ENTRY_BYTES: u64 = 16;
    let object::File::Elf64(_) = object else { return };
    let head: u64 = if object.architecture() == Architecture::Aarch64 { 2 } else { 1 };
    let (section, head) = match object.section_by_name(".plt.sec") {
        Some(section) => (section, 0),
        None => match object.section_by_name(".plt") {
            Some(section) => (section, head),
            None => return,
        },
    };
    let Some(slots) = object.dynamic_relocations() else { return };
    let got = object.section_by_name(".got.plt").or_else(|| object.section_by_name(".got"));
    let Some(got) = got.map(|got| got.address()..got.address().saturating_add(got.size())) else {
        return;
    };
    let symbols = object.dynamic_symbol_table();
    let mut number = 0_u64;
    for (at, relocation) in slots {
        let is_slot = got.contains(&at)
            && matches!(relocation.flags(), object::RelocationFlags::Elf { r_type, .. }
                if r_type.0 == R_X86_64_JUMP_SLOT || r_type.0 == R_AARCH64_JUMP_SLOT);
        let object::RelocationTarget::Symbol(index) = relocation.target() else { continue };
        if !is_slot {
            continue;
        }
        let offset = head.saturating_add(number).saturating_mul(ENTRY_BYTES);
        number = number.saturating_add(1);
        let symbol = symbols.as_ref().and_then(|symbols| symbols.symbol_by_index(index).ok());
        let Some(name) = symbol.as_ref().and_then(|symbol| symbol.name().ok()) else { continue };
        let address = section.address().saturating_add(offset);
        if offset >= section.size() {
            return;
        }
        if let Some(rva) = address.checked_sub(image_base) {
            let name = format!("{}@plt", demangled(name));
            table.push(name, rva, Some(ENTRY_BYTES), NameKind::Public);
        }
    }
}

const R_X86_64_JUMP_SLOT: u32 = 7;
const R_AARCH64_JUMP_SLOT: u32 = 1026;

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
