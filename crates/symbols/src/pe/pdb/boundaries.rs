//! The addresses at which an answer of a PDB can change: starts and ends of functions, of inlined calls,
//! of contributions, lines, public symbols, and what was moved after linking.

use std::ops::Range;

use super::Pdb;
use super::dbi::MACHINE_X86;
use super::frames::{FrameRecord, FrameTable};
use crate::boundaries::Boundaries;
use crate::checksums::Checksums;
use crate::image::Architecture;

impl Pdb {
    /// All of them, in bytes above the module's base.
    pub(crate) fn boundaries(&self) -> Boundaries {
        let mut found = Boundaries::within(&self.code_ranges());
        found.extend(self.map.moved());
        for (section, range) in self.dbi.contribution_ranges() {
            self.add(&mut found, section, [range.start, range.end]);
        }
        for index in 0..self.dbi.modules.len() {
            let Some(module) = self.module(index) else { continue };
            module.each_boundary(|section, offset| self.add(&mut found, section, [offset]));
        }
        if let Some(publics) = &self.publics {
            for (section, offset) in publics.addresses() {
                self.add(&mut found, section, [offset]);
            }
        }
        found
    }

    fn add(&self, found: &mut Boundaries, section: u16, offsets: impl IntoIterator<Item = u32>) {
        let rva = |offset| self.map.to_rva(section, offset).map(u64::from);
        found.extend(offsets.into_iter().filter_map(rva));
    }

    /// Adds the checksums of source files.
    pub(crate) fn source_checksums(&self, wanted: &mut Checksums) {
        for index in 0..self.dbi.modules.len() {
            if wanted.is_complete() {
                return;
            }
            let Some(module) = self.module(index) else { continue };
            module.each_checksum(|name, algorithm, digest| {
                if let Some(name) = self.text(name) {
                    wanted.add(&name, algorithm, digest);
                }
            });
        }
    }

    /// The instruction set; `None` when it is none that is known here.
    pub(crate) fn architecture(&self) -> Option<Architecture> {
        match self.dbi.machine {
            MACHINE_X86 => Some(Architecture::X86),
            0x8664 => Some(Architecture::X86_64),
            0x1c4 => Some(Architecture::Arm),
            0xaa64 => Some(Architecture::Aarch64),
            _ => None,
        }
    }

    /// The executable sections, in bytes above the module's base.
    pub(crate) fn code_ranges(&self) -> Vec<Range<u64>> {
        self.map.code_ranges()
    }

    /// How the frames of all functions are laid out, by address; 32-bit x86 only.
    pub(crate) fn frame_records(&self) -> Vec<FrameRecord> {
        let table = self.frames.get_or_init(|| FrameTable::read(&self.msf, &self.dbi));
        table.all(|name| self.text(name)).collect()
    }
}
