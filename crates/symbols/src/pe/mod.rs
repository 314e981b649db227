//! PE files: what they are (`image`), their PDB (`pdb`), what they export (`exports`), cabinets that
//! symbol servers pack them into (`cabinet`).

mod cabinet;
mod exports;
mod image;
mod pdb;
mod starts;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use debugid::DebugId;

pub(crate) use self::cabinet::{is_cabinet, unpack};
pub use self::image::PeImage;
pub(crate) use self::image::is_pe;
pub use self::pdb::{FrameRecord, SourceServer};
pub(crate) use self::pdb::{Pdb, is_pdb, read_debug_id};
pub(crate) use self::starts::code_starts;
use crate::boundaries::Boundaries;
use crate::checksums::Checksums;
use crate::dwarf::DwarfFiles;
use crate::image::{Architecture, ImageSymbols};
use crate::symbols::{SourceFrame, Symbolication};
use crate::symtab::SymbolTable;

/// The symbols of one Windows module: from its PDB, and from its image's DWARF (as MinGW makes it),
/// symbol table and exports.
pub struct PeSymbols {
    image: Option<Arc<PeImage>>,
    pdb: Option<Pdb>,
    symbols: ImageSymbols,
    exports: OnceLock<Option<SymbolTable>>,
}

impl PeSymbols {
    pub(crate) fn new(
        image: Option<Arc<PeImage>>,
        pdb: Option<Pdb>,
        files: Option<DwarfFiles>,
    ) -> Self {
        let images = image.iter().map(|image| image.image().clone()).collect();
        let symbols = ImageSymbols::new(images, files);
        Self { image, pdb, symbols, exports: OnceLock::new() }
    }

    /// The module's image. `None` when only a PDB was found.
    pub fn image(&self) -> Option<&Arc<PeImage>> {
        self.image.as_ref()
    }

    /// The id of the module's PDB; `None` when none was found.
    pub fn pdb_id(&self) -> Option<DebugId> {
        self.pdb.as_ref()?.debug_id()
    }

    /// How the PDB says the frame at an address is laid out; 32-bit x86 only.
    pub fn frame_record(&self, rva: u64) -> Option<FrameRecord> {
        self.pdb.as_ref()?.frame_record(rva)
    }

    /// Whether a PDB was found.
    pub fn has_pdb(&self) -> bool {
        self.pdb.is_some()
    }

    /// Adds the checksums of source files.
    pub(crate) fn source_checksums(&self, wanted: &mut Checksums) {
        if let Some(pdb) = &self.pdb {
            pdb.source_checksums(wanted);
        }
        self.symbols.source_checksums(wanted);
    }

    pub(crate) fn source_servers(&self) -> Vec<SourceServer> {
        self.pdb.as_ref().map(Pdb::source_servers).unwrap_or_default()
    }

    /// Every address, in bytes above the module's base, at which lookups change.
    pub(crate) fn boundaries(&self) -> Boundaries {
        let mut found = self.symbols.boundaries();
        if let Some(pdb) = &self.pdb {
            found = found.joined(pdb.boundaries());
        }
        if let (Some(image), Some(exports)) = (&self.image, self.export_table()) {
            let relative = |address: u64| address.checked_sub(image.image_base());
            found.extend(exports.boundaries().filter_map(relative));
        }
        found
    }

    /// Where the PDB says that there is code.
    pub(crate) fn pdb_code_ranges(&self) -> Vec<Range<u64>> {
        self.pdb.as_ref().map(Pdb::code_ranges).unwrap_or_default()
    }

    /// The architecture after the PDB.
    pub(crate) fn pdb_architecture(&self) -> Option<Architecture> {
        self.pdb.as_ref()?.architecture()
    }

    /// How the PDB says that frames are laid out, by address; 32-bit x86 only.
    pub(crate) fn frame_records(&self) -> Vec<FrameRecord> {
        self.pdb.as_ref().map(Pdb::frame_records).unwrap_or_default()
    }

    pub(crate) fn pdb_path(&self) -> Option<&Path> {
        self.pdb.as_ref().map(Pdb::path)
    }

    /// Path and reason when the DWARF turned out to be unreadable at the first lookup, and there is
    /// no PDB instead.
    pub(crate) fn dwarf_error(&self) -> Option<&(PathBuf, String)> {
        self.symbols.dwarf_error().filter(|_| self.pdb.is_none())
    }

    /// Reads what every lookup needs.
    pub(crate) fn prepare(&self) {
        self.symbols.prepare();
    }

    /// Whether the DWARF has been judged, or does not count beside a PDB.
    pub(crate) fn is_judged(&self) -> bool {
        self.pdb.is_some() || self.symbols.is_judged()
    }

    /// Symbolicates the address `rva` bytes above the module's base: what has a line comes first,
    /// then the PDB, then symbol table and exports.
    pub(crate) fn lookup(&self, rva: u64) -> Symbolication {
        let has_line =
            |found: &Symbolication| found.frames.iter().any(|frame| frame.line.is_some());
        let from_pdb = self.pdb.as_ref().map(|pdb| pdb.lookup(rva)).unwrap_or_default();
        if has_line(&from_pdb) {
            return from_pdb;
        }
        let from_image = self.symbols.lookup(rva);
        if has_line(&from_image) || from_pdb.frames.is_empty() {
            return if from_image.frames.is_empty() { self.export(rva) } else { from_image };
        }
        from_pdb
    }

    fn export(&self, rva: u64) -> Symbolication {
        self.find_export(rva).unwrap_or_default()
    }

    fn export_table(&self) -> Option<&SymbolTable> {
        let image = self.image.as_ref()?;
        self.exports.get_or_init(|| exports::read(image)).as_ref()
    }

    fn find_export(&self, rva: u64) -> Option<Symbolication> {
        let image = self.image.as_ref()?;
        let table = self.export_table()?;
        let symbol = table.find(image.image_base().checked_add(rva)?)?;
        let function = Some(symbol.demangled());
        Some(Symbolication {
            frames: vec![SourceFrame { function, ..SourceFrame::default() }],
            function_rva: symbol.address.checked_sub(image.image_base()),
            parameter_bytes: 0,
        })
    }
}
