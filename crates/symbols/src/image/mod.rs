//! What ELF, PE and Mach-O files have in common: instruction set, image base, executable code,
//! DWARF, call frame information, a symbol table.
//!
//! Parsed by `object`; what one format alone has is in `elf/`, `pe/` and `macho/`.

mod cfi;
mod symbols;

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use object::read::{Object, ObjectSection, ObjectSegment};

use self::cfi::CfiPlaces;
pub use self::cfi::{CfiSection, CfiSections};
pub(crate) use self::symbols::ImageSymbols;
use crate::file::MappedFile;
use crate::macho::function_starts;

/// Page size by which the loader rounds an ELF image's base down. Smaller than on some systems
/// (64 KiB on some AArch64), which is right as long as the first segment starts the file.
const PAGE_BYTES: u64 = 4096;
/// The segment of a Mach-O file that is mapped at the module's base.
const MACH_BASE_SEGMENT: &[u8] = b"__TEXT";

/// Why an image, or its DWARF, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("not a readable object file: {0}")]
    Object(#[from] object::Error),
    #[error("unreadable DWARF: {0}")]
    Dwarf(#[from] gimli::Error),
    #[error("section {name} says it has {size_bytes} bytes uncompressed, which is refused")]
    SectionSize { name: &'static str, size_bytes: u64 },
    #[error("too many {0}; such a file is refused")]
    TooMuch(&'static str),
    #[error("not a {0} file")]
    Format(&'static str),
    #[error("architecture {0:?} is not supported")]
    Architecture(object::Architecture),
}

/// The container of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// Linux, Android, the BSDs.
    Elf,
    /// Windows.
    Pe,
    /// Apple's systems.
    MachO,
}

/// Instruction sets whose register numbers are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// x86, 32 bits.
    X86,
    /// x86-64.
    X86_64,
    /// ARM, 32 bits.
    Arm,
    /// AArch64.
    Aarch64,
}

impl Architecture {
    fn from_object(architecture: object::Architecture) -> Result<Self, ImageError> {
        match architecture {
            object::Architecture::I386 => Ok(Self::X86),
            object::Architecture::X86_64 => Ok(Self::X86_64),
            object::Architecture::Arm => Ok(Self::Arm),
            object::Architecture::Aarch64 => Ok(Self::Aarch64),
            other => Err(ImageError::Architecture(other)),
        }
    }

    /// Size of an address in bytes.
    pub fn address_size(self) -> u8 {
        match self {
            Self::X86 | Self::Arm => 4,
            Self::X86_64 | Self::Aarch64 => 8,
        }
    }
}

/// One image, mapped; only headers are read when it is opened.
///
/// "Address" here always means one of the file's own address space: the image base is not
/// subtracted.
#[derive(Debug)]
pub struct Image {
    file: Arc<MappedFile>,
    format: ImageFormat,
    architecture: Architecture,
    is_little_endian: bool,
    image_base: u64,
    executable: Vec<Range<u64>>,
    has_dwarf: bool,
    has_symbol_table: bool,
    cfi: CfiPlaces,
    function_starts: OnceLock<Vec<u64>>,
}

impl Image {
    /// Reads the headers of a file that is no fat Mach-O.
    pub(crate) fn parse(file: Arc<MappedFile>) -> Result<Self, ImageError> {
        let object = object::File::parse(&**file)?;
        let architecture = Architecture::from_object(object.architecture())?;
        let format = match object.format() {
            object::BinaryFormat::Pe => ImageFormat::Pe,
            object::BinaryFormat::MachO => ImageFormat::MachO,
            _ => ImageFormat::Elf,
        };
        Ok(Self {
            format,
            architecture,
            is_little_endian: object.is_little_endian(),
            image_base: image_base(&object, format),
            executable: executable_ranges(&object),
            has_dwarf: has_contents(&object, ".debug_info")
                && has_contents(&object, ".debug_abbrev"),
            has_symbol_table: has_symbol_table(&object, format),
            cfi: CfiPlaces::read(&object),
            function_starts: OnceLock::new(),
            file,
        })
    }

    /// Where the file was found.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The bytes of the image; of a fat Mach-O file, its part.
    pub(crate) fn file(&self) -> &Arc<MappedFile> {
        &self.file
    }

    pub(crate) fn object(&self) -> Result<object::File<'_>, ImageError> {
        Ok(object::File::parse(&**self.file)?)
    }

    /// The container.
    pub fn format(&self) -> ImageFormat {
        self.format
    }

    /// The instruction set.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Byte order.
    pub fn is_little_endian(&self) -> bool {
        self.is_little_endian
    }

    /// The address that is mapped at the module's base.
    pub fn image_base(&self) -> u64 {
        self.image_base
    }

    /// Whether there is DWARF to symbolicate with.
    pub fn has_dwarf(&self) -> bool {
        self.has_dwarf
    }

    /// Whether there is a symbol table, of whatever worth.
    pub(crate) fn has_symbol_table(&self) -> bool {
        self.has_symbol_table
    }

    /// Whether there is any call frame information for unwinding.
    pub fn has_cfi(&self) -> bool {
        let sections = self.cfi_sections();
        sections.has_dwarf_cfi()
            || sections.unwind_info.is_some()
            || sections.exception_table.is_some()
            || sections.exception_index.is_some()
    }

    /// The executable parts; empty when the file does not tell.
    pub(crate) fn executable(&self) -> &[Range<u64>] {
        &self.executable
    }

    /// Whether there is `.ARM.exidx`.
    pub(crate) fn has_exception_index(&self) -> bool {
        self.cfi_sections().exception_index.is_some()
    }

    /// Whether an address lies in executable code. True for all when the file does not tell.
    pub fn is_executable(&self, address: u64) -> bool {
        self.executable.is_empty() || self.executable.iter().any(|range| range.contains(&address))
    }

    /// End of the executable part that holds an address.
    pub(crate) fn executable_end(&self, address: u64) -> Option<u64> {
        Some(self.executable.iter().find(|range| range.contains(&address))?.end)
    }

    /// The call frame information. `.debug_frame` is decompressed at the first call.
    pub fn cfi_sections(&self) -> CfiSections<'_> {
        self.cfi.sections(self)
    }

    /// Where functions begin after Mach-O's list of them, ascending; empty without one.
    pub fn function_starts(&self) -> &[u64] {
        self.function_starts.get_or_init(|| {
            let object = self.object().ok();
            object.map(|object| function_starts(&object, self.image_base)).unwrap_or_default()
        })
    }

    /// Up to `size_bytes` of the image's contents at an address; shorter where the section that
    /// holds it ends, empty where the file has no bytes for it.
    pub fn bytes_at(&self, address: u64, size_bytes: usize) -> &[u8] {
        self.cfi.bytes_at(&self.file, address, size_bytes)
    }
}

/// ELF: the lowest loaded address, rounded down to a page. PE and Mach-O say it.
fn image_base(object: &object::File<'_>, format: ImageFormat) -> u64 {
    match format {
        ImageFormat::Pe => object.relative_address_base(),
        ImageFormat::MachO => {
            let mut segments = object.segments();
            let base = segments
                .find(|segment| matches!(segment.name_bytes(), Ok(Some(MACH_BASE_SEGMENT))));
            base.map_or(0, |segment| segment.address())
        }
        ImageFormat::Elf => {
            let lowest = object.segments().map(|segment| segment.address()).min().unwrap_or(0);
            lowest & !PAGE_BYTES.saturating_sub(1)
        }
    }
}

fn executable_ranges(object: &object::File<'_>) -> Vec<Range<u64>> {
    object
        .segments()
        .filter(|segment| segment.permissions().executable())
        .map(|segment| segment.address()..segment.address().saturating_add(segment.size()))
        .collect()
}

fn has_symbol_table(object: &object::File<'_>, format: ImageFormat) -> bool {
    match format {
        ImageFormat::Elf => has_contents(object, ".symtab") || has_contents(object, ".dynsym"),
        ImageFormat::Pe | ImageFormat::MachO => object.symbols().next().is_some(),
    }
}

fn has_contents(object: &object::File<'_>, name: &str) -> bool {
    let section = object.section_by_name(name);
    section.and_then(|section| section.file_range()).is_some_and(|(_, size_bytes)| size_bytes > 0)
}
