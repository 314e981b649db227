//! Checksums of source files, where debug information has them: whether a file that was found later is
//! the one that was compiled.

use std::collections::HashMap;

use crate::module::hex;
use crate::module_symbols::ModuleSymbols;
use crate::pe::{PeSymbols, SourceServer};

/// The files that somebody asks for, and what was found.
pub(crate) struct Checksums {
    found: HashMap<String, Option<String>>,
    missing: usize,
}

impl Checksums {
    fn of(files: &[String]) -> Self {
        let found: HashMap<_, _> = files.iter().map(|file| (file.clone(), None)).collect();
        Self { missing: found.len(), found }
    }

    /// Notes `algorithm:digits` of a file, if it is one of those asked for.
    pub(crate) fn add(&mut self, file: &str, algorithm: &str, digest: &[u8]) {
        let Some(place @ None) = self.found.get_mut(file) else { return };
        if digest.iter().any(|byte| *byte != 0) {
            *place = Some(format!("{algorithm}:{}", hex(digest)));
            self.missing = self.missing.saturating_sub(1);
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.missing == 0
    }
}

impl ModuleSymbols {
    /// `md5:…`, `sha1:…` or `sha256:…` of source files, named as lookups name them; those without
    /// checksum are left out.
    pub fn source_checksums(&self, files: &[String]) -> HashMap<String, String> {
        let mut wanted = Checksums::of(files);
        if let Some(pe) = self.pe() {
            pe.source_checksums(&mut wanted);
        }
        if let Some(elf) = self.elf() {
            elf.source_checksums(&mut wanted);
        }
        if let Some(macho) = self.macho() {
            macho.source_checksums(&mut wanted);
        }
        wanted.found.into_iter().filter_map(|(file, sum)| Some((file, sum?))).collect()
    }

    /// Where sources can be had from; only PDBs tell.
    pub fn source_servers(&self) -> Vec<SourceServer> {
        self.pe().map(PeSymbols::source_servers).unwrap_or_default()
    }
}
