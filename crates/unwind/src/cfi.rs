//! Finding the frame description entry (FDE) of an address in a module's file.
//!
//! `.eh_frame_hdr`, as linkers write it (LSB Core, "Exception Frames"; all other encodings are
//! not searched, the section itself is then indexed):
//!
//! | offset | size | field | value |
//! |---|---|---|---|
//! | 0 | 1 | version | 1 |
//! | 1 | 1 | encoding of eh_frame_ptr | 0x1b: relative to the field, signed 4 bytes |
//! | 2 | 1 | encoding of fde_count | 0x03: unsigned 4 bytes |
//! | 3 | 1 | encoding of the table | 0x3b: relative to the section, signed 4 bytes |
//! | 4 | 4 | eh_frame_ptr | address of `.eh_frame` |
//! | 8 | 4 | fde_count | rows of the table |
//! | 12 | 8 × fde_count | table | start of the function, address of its FDE; sorted |

use std::sync::{Arc, OnceLock};

use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, DebugFrame, EhFrame, EndianSlice,
    FrameDescriptionEntry, RunTimeEndian, UnwindContext, UnwindExpression, UnwindSection,
};
use lastwords_symbols::{Architecture, CfiSection, CfiSections, ElfImage};

use crate::rules::{FrameRules, Rule};

pub(crate) type Reader<'a> = EndianSlice<'a, RunTimeEndian>;

/// FDEs of one section beyond this are left out (the largest libraries have some millions).
const MAX_ENTRIES: usize = 16 << 20;
const HEADER_BYTES: usize = 12;
const ROW_BYTES: usize = 8;

/// The call frame information of one file.
pub(crate) struct ModuleCfi {
    image: Arc<ElfImage>,
    eh_frame_index: OnceLock<Index>,
    debug_frame_index: OnceLock<Index>,
}

/// Start, end and offset of every FDE, sorted by start.
type Index = Vec<(u64, u64, usize)>;

impl ModuleCfi {
    pub(crate) fn new(image: Arc<ElfImage>) -> Self {
        Self { image, eh_frame_index: OnceLock::new(), debug_frame_index: OnceLock::new() }
    }

    pub(crate) fn image(&self) -> &ElfImage {
        &self.image
    }

    /// Whether an FDE covers the address `rva` bytes above the module's base.
    pub(crate) fn covers_at(&self, rva: u64) -> bool {
        self.address(rva).is_some_and(|address| {
            let view = View::new(&self.image);
            view.find_eh(self, address).is_some() || view.find_debug(self, address).is_some()
        })
    }

    /// Whether the FDE that covers an address is a signal trampoline's.
    pub(crate) fn is_signal_trampoline_at(&self, rva: u64) -> bool {
        self.address(rva).is_some_and(|address| {
            let view = View::new(&self.image);
            let fde = view.find_eh(self, address).map(|(_, fde)| fde);
            let fde = fde.or_else(|| view.find_debug(self, address).map(|(_, fde)| fde));
            fde.is_some_and(|fde| fde.is_signal_trampoline())
        })
    }

    /// The rules at an address; `None` when no FDE covers it or its program is malformed.
    pub(crate) fn rules_at(&self, rva: u64) -> Option<FrameRules> {
        self.rules(self.address(rva)?)
    }

    /// In the file's own address space.
    fn address(&self, rva: u64) -> Option<u64> {
        self.image.image_base().checked_add(rva)
    }

    fn rules(&self, address: u64) -> Option<FrameRules> {
        let view = View::new(&self.image);
        if let Some((section, fde)) = view.find_eh(self, address) {
            return view.evaluate(&section, &fde, address);
        }
        let (section, fde) = view.find_debug(self, address)?;
        view.evaluate(&section, &fde, address)
    }
}

/// The sections as gimli wants them.
struct View<'a> {
    sections: CfiSections<'a>,
    bases: BaseAddresses,
    endian: RunTimeEndian,
    architecture: Architecture,
}

impl<'a> View<'a> {
    fn new(image: &'a ElfImage) -> Self {
        let sections = image.cfi_sections();
        let mut bases = BaseAddresses::default();
        if let Some(section) = sections.eh_frame {
            bases = bases.set_eh_frame(section.address);
        }
        if let Some(section) = sections.eh_frame_hdr {
            bases = bases.set_eh_frame_hdr(section.address);
        }
        if let Some(address) = sections.text_address {
            bases = bases.set_text(address);
        }
        if let Some(address) = sections.got_address {
            bases = bases.set_got(address);
        }
        let endian =
            if image.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        Self { sections, bases, endian, architecture: image.architecture() }
    }

    fn find_eh(
        &self,
        cfi: &ModuleCfi,
        address: u64,
    ) -> Option<(EhFrame<Reader<'a>>, FrameDescriptionEntry<Reader<'a>>)> {
        let bytes = self.sections.eh_frame?;
        let mut section = EhFrame::new(bytes.bytes, self.endian);
        section.set_address_size(self.architecture.address_size());
        section.set_vendor(self.vendor());
        let header = self.sections.eh_frame_hdr.and_then(|hdr| HeaderTable::new(hdr, self.endian));
        let offset = match header {
            Some(table) => {
                let at = table.find(address)?.checked_sub(bytes.address)?;
                usize::try_from(at).ok()?
            }
            None => find(cfi.eh_frame_index.get_or_init(|| self.index(&section)), address)?,
        };
        Some((section, self.parse(&section, offset.into(), address)?))
    }

    fn find_debug(
        &self,
        cfi: &ModuleCfi,
        address: u64,
    ) -> Option<(DebugFrame<Reader<'a>>, FrameDescriptionEntry<Reader<'a>>)> {
        let mut section = DebugFrame::new(self.sections.debug_frame?.bytes, self.endian);
        section.set_address_size(self.architecture.address_size());
        section.set_vendor(self.vendor());
        let offset = find(cfi.debug_frame_index.get_or_init(|| self.index(&section)), address)?;
        Some((section, self.parse(&section, offset.into(), address)?))
    }

    /// The FDE at an offset, if it covers the address.
    fn parse<S>(
        &self,
        section: &S,
        offset: S::Offset,
        address: u64,
    ) -> Option<FrameDescriptionEntry<Reader<'a>>>
    where
        S: UnwindSection<Reader<'a>>,
    {
        let fde = section.fde_from_offset(&self.bases, offset, S::cie_from_offset).ok()?;
        fde.contains(address).then_some(fde)
    }

    fn evaluate<S>(
        &self,
        section: &S,
        fde: &FrameDescriptionEntry<Reader<'a>>,
        address: u64,
    ) -> Option<FrameRules>
    where
        S: UnwindSection<Reader<'a>>,
    {
        let mut context = UnwindContext::new();
        let row = fde.unwind_info_for_address(section, &self.bases, &mut context, address).ok()?;
        let cie: &CommonInformationEntry<_> = fde.cie();
        let read = |expression: &UnwindExpression<usize>| {
            Some(expression.get(section).ok()?.0.slice().to_vec())
        };
        let registers =
            row.registers().map(|(register, rule)| (*register, Rule::of_register(rule, read)));
        Some(FrameRules {
            cfa: Rule::of_cfa(row.cfa(), read),
            registers: registers.collect(),
            return_address: cie.return_address_register(),
            is_signal: fde.is_signal_trampoline(),
            encoding: cie.encoding(),
            endian: self.endian,
        })
    }

    /// Goes through a section once. Entries after a malformed one are lost.
    fn index<S>(&self, section: &S) -> Index
    where
        S: UnwindSection<Reader<'a>>,
    {
        let mut index = Vec::new();
        let mut entries = section.entries(&self.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let Ok(fde) = partial.parse(S::cie_from_offset) else { continue };
            if fde.len() > 0 && index.len() < MAX_ENTRIES {
                index.push((fde.initial_address(), fde.end_address(), fde.offset()));
            }
        }
        index.sort_unstable();
        index
    }

    /// AArch64 reuses an instruction number for signed return addresses.
    fn vendor(&self) -> gimli::Vendor {
        match self.architecture {
            Architecture::Aarch64 => gimli::Vendor::AArch64,
            _ => gimli::Vendor::Default,
        }
    }
}

/// Offset of the entry that covers an address.
fn find(index: &Index, address: u64) -> Option<usize> {
    let after = index.partition_point(|(start, ..)| *start <= address);
    let (_, end, offset) = index.get(after.checked_sub(1)?)?;
    (address < *end).then_some(*offset)
}

/// The search table of `.eh_frame_hdr`.
struct HeaderTable<'a> {
    rows: &'a [u8],
    address: u64,
    endian: RunTimeEndian,
}

impl<'a> HeaderTable<'a> {
    /// `None` when the section is not in the layout above, or its table is cut.
    fn new(section: CfiSection<'a>, endian: RunTimeEndian) -> Option<Self> {
        let (header, rest) = section.bytes.split_at_checked(HEADER_BYTES)?;
        let [1, 0x1b, 0x03, 0x3b, .., c0, c1, c2, c3] = *header else { return None };
        let count = usize::try_from(word([c0, c1, c2, c3], endian)).ok()?;
        let rows = rest.get(..count.checked_mul(ROW_BYTES)?)?;
        (count > 0).then_some(Self { rows, address: section.address, endian })
    }

    /// Address of the FDE that probably covers `address`.
    fn find(&self, address: u64) -> Option<u64> {
        let (mut low, mut high) = (0usize, self.rows.len() / ROW_BYTES);
        while low < high {
            let middle = low.midpoint(high);
            if self.row(middle)?.0 <= address {
                low = middle.checked_add(1)?;
            } else {
                high = middle;
            }
        }
        Some(self.row(low.checked_sub(1)?)?.1)
    }

    /// Start of the function and address of its FDE.
    fn row(&self, index: usize) -> Option<(u64, u64)> {
        let at = index.checked_mul(ROW_BYTES)?;
        let row = self.rows.get(at..at.checked_add(ROW_BYTES)?)?;
        let [a, b, c, d, e, f, g, h] = *row else { return None };
        let resolve = |bytes| {
            let offset = word(bytes, self.endian).cast_signed();
            self.address.wrapping_add_signed(i64::from(offset))
        };
        Some((resolve([a, b, c, d]), resolve([e, f, g, h])))
    }
}

fn word(bytes: [u8; 4], endian: RunTimeEndian) -> u32 {
    match endian {
        RunTimeEndian::Little => u32::from_le_bytes(bytes),
        RunTimeEndian::Big => u32::from_be_bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;

    const ADDRESS: u64 = 0x2000;

    /// Rows of (start, FDE), relative to the section.
    fn section(count: u32, rows: &[(i32, i32)]) -> Vec<u8> {
        let mut bytes = vec![1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0];
        bytes.extend(count.to_le_bytes());
        for (start, fde) in rows {
            bytes.extend(start.to_le_bytes());
            bytes.extend(fde.to_le_bytes());
        }
        bytes
    }

    fn find_in(bytes: &[u8], address: u64) -> Option<u64> {
        let section = CfiSection { bytes, address: ADDRESS };
        HeaderTable::new(section, RunTimeEndian::Little)?.find(address)
    }

    #[test]
    fn table_gives_the_last_entry_that_starts_before() {
        let bytes = section(3, &[(-0x1000, 0x100), (-0x800, 0x120), (0x10, 0x140)]);
        assert_eq!(find_in(&bytes, 0xfff), None);
        assert_eq!(find_in(&bytes, 0x1000), Some(0x2100));
        assert_eq!(find_in(&bytes, 0x1801), Some(0x2120));
        assert_eq!(find_in(&bytes, u64::MAX), Some(0x2140));
    }

    #[test]
    fn table_with_a_false_count_or_encoding_is_not_searched() {
        assert_eq!(find_in(&section(u32::MAX, &[(0, 0)]), 0x3000), None);
        assert_eq!(find_in(&section(0, &[]), 0x3000), None);
        let mut other = section(1, &[(0, 0)]);
        other[3] = 0x0b;
        assert_eq!(find_in(&other, 0x3000), None);
        assert_eq!(find_in(&[1, 0x1b], 0x3000), None);
    }
}
