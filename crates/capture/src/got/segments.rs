//! Where a loaded module's memory is.

use libc::{Elf64_Ehdr, Elf64_Phdr, PT_LOAD};

/// The program headers of a loaded module, and how far it was moved.
#[derive(Clone, Copy)]
pub(crate) struct Segments<'a> {
    pub(crate) base: usize,
    pub(crate) headers: &'a [Elf64_Phdr],
}

impl<'a> Segments<'a> {
    /// From the module's ELF header, which stands at the start of its memory.
    ///
    /// # Safety
    /// `start` is where the dynamic linker has mapped the module, and it stays loaded for `'a`.
    pub(crate) unsafe fn at(start: usize, page_size: usize) -> Option<Self> {
        let header = std::ptr::with_exposed_provenance::<Elf64_Ehdr>(start);
        // SAFETY: the first page of a module is mapped; it holds a header if the mark is there.
        let header = unsafe { header.as_ref() }?;
        let table = usize::try_from(header.e_phoff).ok()?;
        let size = usize::from(header.e_phnum).checked_mul(size_of::<Elf64_Phdr>())?;
        let is_near = table.checked_add(size)? <= page_size && table.is_multiple_of(8);
        if header.e_ident.first_chunk::<4>() != Some(b"\x7fELF") || !is_near {
            return None;
        }
        let table = std::ptr::with_exposed_provenance::<Elf64_Phdr>(start.checked_add(table)?);
        // SAFETY: the table lies in the first page.
        let headers = unsafe { std::slice::from_raw_parts(table, header.e_phnum.into()) };
        let first = headers.iter().find(|header| header.p_type == PT_LOAD)?;
        let first = usize::try_from(first.p_vaddr).ok()? & !page_size.saturating_sub(1);
        Some(Self { base: start.wrapping_sub(first), headers })
    }

    /// Start and end of a segment in memory.
    pub(crate) fn bounds(&self, segment: &Elf64_Phdr) -> Option<(usize, usize)> {
        let start = self.base.wrapping_add(usize::try_from(segment.p_vaddr).ok()?);
        Some((start, start.checked_add(usize::try_from(segment.p_memsz).ok()?)?))
    }

    /// How many bytes from an address on belong to the readable segment that holds it; 0 = none.
    pub(crate) fn room(&self, address: usize) -> usize {
        let readable = self.headers.iter().filter(|s| s.p_type == PT_LOAD && s.p_flags & 4 != 0);
        let mut bounds = readable.filter_map(|segment| self.bounds(segment));
        let holder = bounds.find(|(start, end)| (*start..*end).contains(&address));
        holder.map_or(0, |(_, end)| end.saturating_sub(address))
    }

    /// The readable bytes from an address to the end of its segment; empty when there are none.
    ///
    /// # Safety
    /// The module stays loaded, and nobody writes to the segment, for `'a`.
    pub(crate) unsafe fn bytes(&self, address: usize) -> &'a [u8] {
        let start = std::ptr::with_exposed_provenance::<u8>(address);
        match self.room(address) {
            0 => &[],
            // SAFETY: that many bytes are mapped for reading.
            room => unsafe { std::slice::from_raw_parts(start, room) },
        }
    }
}
