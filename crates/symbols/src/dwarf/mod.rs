//! DWARF of any image: its sections (`sections`), what of it is safe to read (`depth`), and
//! lookups in it (`lookup`), which start when an address is first asked for.

mod depth;
mod lookup;
mod sections;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use self::lookup::Dwarf;
pub(crate) use self::lookup::DwarfFiles;
pub(crate) use self::sections::SectionData;
use crate::symbols::Symbolication;

/// The DWARF of one module: the list of units is read at the first lookup, and then one unit
/// after the other as addresses fall into them.
pub(crate) struct LazyDwarf {
    files: Mutex<Option<DwarfFiles>>,
    parsed: OnceLock<Option<Mutex<Dwarf>>>,
    error: OnceLock<(PathBuf, String)>,
}

impl LazyDwarf {
    /// Reads nothing yet; without files, lookups give nothing.
    pub(crate) fn new(files: Option<DwarfFiles>) -> Self {
        Self { files: Mutex::new(files), parsed: OnceLock::new(), error: OnceLock::new() }
    }

    /// Symbolicates an address of the image's own address space.
    pub(crate) fn lookup(&self, address: u64) -> Symbolication {
        let Some(dwarf) = self.parsed.get_or_init(|| self.load()) else {
            return Symbolication::default();
        };
        dwarf.lock().unwrap_or_else(PoisonError::into_inner).lookup(address)
    }

    /// Path and reason when the DWARF turned out to be unreadable at the first lookup.
    pub(crate) fn error(&self) -> Option<&(PathBuf, String)> {
        self.error.get()
    }

    fn load(&self) -> Option<Mutex<Dwarf>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let path = files.path().to_owned();
        match Dwarf::parse(files) {
            Ok(dwarf) => Some(Mutex::new(dwarf)),
            Err(error) => {
                // Only the first error is kept; `set` cannot fail otherwise.
                let _ = self.error.set((path, error.to_string()));
                None
            }
        }
    }
}
