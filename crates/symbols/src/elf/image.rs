//! One ELF file: ids, image base, and where its sections lie.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use object::read::{Object, ObjectSection, ObjectSegment};
use object::{SegmentFlags, elf};

use super::ElfError;
use super::sections::SectionData;
use crate::file::MappedFile;

/// Page size by which the loader rounds an image's base down. Smaller than on some systems
/// (64 KiB on some AArch64), which is right as long as the first segment starts the file.
const PAGE_BYTES: u64 = 4096;
/// `.gnu_debuglink` and `.gnu_debugaltlink` names above this are not looked for.
const MAX_LINK_BYTES: usize = 4096;
/// What Breakpad hashes of a file without build id, and the size of the hash.
const TEXT_PAGE_BYTES: usize = 4096;
const TEXT_HASH_BYTES: usize = 16;

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
    fn from_object(architecture: object::Architecture) -> Result<Self, ElfError> {
        match architecture {
            object::Architecture::I386 => Ok(Self::X86),
            object::Architecture::X86_64 => Ok(Self::X86_64),
            object::Architecture::Arm => Ok(Self::Arm),
            object::Architecture::Aarch64 => Ok(Self::Aarch64),
            other => Err(ElfError::Architecture(other)),
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

/// A section with call frame information: its bytes and its address in the file's own address
/// space (image base not subtracted).
#[derive(Clone, Copy, Debug)]
pub struct CfiSection<'a> {
    /// Contents, uncompressed.
    pub bytes: &'a [u8],
    /// Virtual address of the first byte.
    pub address: u64,
}

/// What the evaluation of call frame information needs of a file. Absent sections are `None`.
#[derive(Clone, Copy, Debug)]
pub struct CfiSections<'a> {
    /// `.eh_frame`.
    pub eh_frame: Option<CfiSection<'a>>,
    /// `.eh_frame_hdr`, the table by which `.eh_frame` is searched.
    pub eh_frame_hdr: Option<CfiSection<'a>>,
    /// `.debug_frame`.
    pub debug_frame: Option<CfiSection<'a>>,
    /// Address of `.text`, base of text-relative pointers.
    pub text_address: Option<u64>,
    /// Address of `.got`, base of data-relative pointers.
    pub got_address: Option<u64>,
}

/// One ELF file, mapped; only headers are read when it is opened.
#[derive(Debug)]
pub struct ElfImage {
    file: Arc<MappedFile>,
    architecture: Architecture,
    is_little_endian: bool,
    image_base: u64,
    build_id: Option<Vec<u8>>,
    text_hash: Option<Vec<u8>>,
    executable: Vec<Range<u64>>,
    debug_link: Option<String>,
    alt_link: Option<(String, Vec<u8>)>,
    has_dwarf: bool,
    has_symbol_table: bool,
    places: CfiPlaces,
    debug_frame: OnceLock<Option<(SectionData, u64)>>,
}

/// File ranges and addresses; the bytes stay in the file.
#[derive(Debug, Default)]
struct CfiPlaces {
    eh_frame: Option<(SectionData, u64)>,
    eh_frame_hdr: Option<(SectionData, u64)>,
    text_address: Option<u64>,
    got_address: Option<u64>,
}

impl ElfImage {
    pub(crate) fn parse(file: Arc<MappedFile>) -> Result<Self, ElfError> {
        let object = object::File::parse(&**file)?;
        let architecture = Architecture::from_object(object.architecture())?;
        Ok(Self {
            architecture,
            is_little_endian: object.is_little_endian(),
            image_base: image_base(&object),
            build_id: read_build_id(&object),
            text_hash: hash_text(&object),
            executable: executable_ranges(&object),
            debug_link: link_name(object.gnu_debuglink().ok().flatten().map(|(name, _)| name)),
            alt_link: object
                .gnu_debugaltlink()
                .ok()
                .flatten()
                .and_then(|(name, build_id)| Some((link_name(Some(name))?, build_id.to_vec()))),
            has_dwarf: has_contents(&object, ".debug_info")
                && has_contents(&object, ".debug_abbrev"),
            has_symbol_table: has_contents(&object, ".symtab") || has_contents(&object, ".dynsym"),
            places: CfiPlaces::read(&object),
            debug_frame: OnceLock::new(),
            file,
        })
    }

    /// Where the file was found.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn file(&self) -> &Arc<MappedFile> {
        &self.file
    }

    pub(crate) fn object(&self) -> Result<object::File<'_>, ElfError> {
        Ok(object::File::parse(&**self.file)?)
    }

    /// The instruction set.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Byte order.
    pub fn is_little_endian(&self) -> bool {
        self.is_little_endian
    }

    /// The address, in the file's own address space, that is mapped at the module's base.
    pub fn image_base(&self) -> u64 {
        self.image_base
    }

    /// GNU build id; `None` when the file has none.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// The build id, else what Breakpad's writers put into a dump for files without one.
    pub fn identity(&self) -> Option<&[u8]> {
        self.build_id().or(self.text_hash.as_deref())
    }

    /// Name of the debug file after `.gnu_debuglink`; a plain file name.
    pub(crate) fn debug_link(&self) -> Option<&str> {
        self.debug_link.as_deref()
    }

    /// Path and build id of the supplementary file (dwz) after `.gnu_debugaltlink`.
    pub(crate) fn alt_link(&self) -> Option<(&str, &[u8])> {
        self.alt_link.as_ref().map(|(name, build_id)| (name.as_str(), build_id.as_slice()))
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
        sections.eh_frame.is_some() || sections.debug_frame.is_some()
    }

    /// Whether an address of the file's own address space lies in executable code. True for
    /// all when the file does not tell.
    pub fn is_executable(&self, address: u64) -> bool {
        self.executable.is_empty() || self.executable.iter().any(|range| range.contains(&address))
    }

    /// The call frame information. `.debug_frame` is decompressed at the first call.
    pub fn cfi_sections(&self) -> CfiSections<'_> {
        let debug_frame = self.debug_frame.get_or_init(|| {
            let object = self.object().ok()?;
            let data = SectionData::load(&object, ".debug_frame").ok()??;
            Some((data, 0))
        });
        CfiSections {
            eh_frame: self.cfi_section(self.places.eh_frame.as_ref()),
            eh_frame_hdr: self.cfi_section(self.places.eh_frame_hdr.as_ref()),
            debug_frame: self.cfi_section(debug_frame.as_ref()),
            text_address: self.places.text_address,
            got_address: self.places.got_address,
        }
    }

    fn cfi_section<'a>(&'a self, place: Option<&'a (SectionData, u64)>) -> Option<CfiSection<'a>> {
        let (data, address) = place?;
        let bytes = data.bytes(&self.file);
        (!bytes.is_empty()).then_some(CfiSection { bytes, address: *address })
    }
}

impl CfiPlaces {
    fn read(object: &object::File<'_>) -> Self {
        let place = |name| {
            let section = object.section_by_name(name)?;
            // `.debug` files keep the header and have no contents (NOBITS).
            Some((SectionData::load(object, name).ok()??, section.address()))
        };
        let address = |name| Some(object.section_by_name(name)?.address());
        Self {
            eh_frame: place(".eh_frame"),
            eh_frame_hdr: place(".eh_frame_hdr"),
            text_address: address(".text"),
            got_address: address(".got"),
        }
    }
}

/// The lowest loaded address, rounded down to a page.
fn image_base(object: &object::File<'_>) -> u64 {
    let lowest = object.segments().map(|segment| segment.address()).min().unwrap_or(0);
    lowest & !PAGE_BYTES.saturating_sub(1)
}

fn executable_ranges(object: &object::File<'_>) -> Vec<Range<u64>> {
    let is_executable = |flags| match flags {
        SegmentFlags::Elf { p_flags, .. } => p_flags.contains(elf::PF_X),
        _ => false,
    };
    object
        .segments()
        .filter(|segment| is_executable(segment.flags()))
        .map(|segment| segment.address()..segment.address().saturating_add(segment.size()))
        .collect()
}

fn has_contents(object: &object::File<'_>, name: &str) -> bool {
    let section = object.section_by_name(name);
    section.and_then(|section| section.file_range()).is_some_and(|(_, size_bytes)| size_bytes > 0)
}

/// The GNU build id, from the notes; empty and all-zero ids count as none.
fn read_build_id(object: &object::File<'_>) -> Option<Vec<u8>> {
    let build_id = object.build_id().ok().flatten()?;
    build_id.iter().any(|byte| *byte != 0).then(|| build_id.to_vec())
}

/// The first page of `.text`, its 16-byte blocks combined by exclusive or (Breakpad,
/// `file_id.cc`). `None` when the file has no code, or only zeros.
fn hash_text(object: &object::File<'_>) -> Option<Vec<u8>> {
    let section = object.section_by_name(".text")?;
    let code = section.data().ok().filter(|code| !code.is_empty())?;
    let mut hash = vec![0u8; TEXT_HASH_BYTES];
    for block in code.get(..code.len().min(TEXT_PAGE_BYTES))?.chunks(TEXT_HASH_BYTES) {
        for (to, from) in hash.iter_mut().zip(block) {
            *to ^= from;
        }
    }
    hash.iter().any(|byte| *byte != 0).then_some(hash)
}

fn link_name(name: Option<&[u8]>) -> Option<String> {
    let name = name.filter(|name| !name.is_empty() && name.len() <= MAX_LINK_BYTES)?;
    match String::from_utf8_lossy(name) {
        Cow::Borrowed(name) if !name.contains('\0') => Some(name.to_owned()),
        _ => None,
    }
}
