//! Finding a dynamic symbol of a loaded ELF image by its name, as the dynamic linker does.
//!
//! `DT_GNU_HASH`: u32 bucket count, u32 first hashed symbol, u32 bloom words, u32 bloom shift;
//! u64[] bloom; u32[] buckets; u32[] chain, whose lowest bit marks the end. `DT_HASH`: u32 bucket
//! count, u32 chain count; u32[] buckets; u32[] chain. A symbol: u32 name, u8 info, u8 other, u16
//! section, u64 value, u64 size.
//!
//! Source: System V ABI, chapter 5, "Hash Table"; glibc, elf/dl-lookup.c.

use lastwords_format::Reader;
use lastwords_pyframes::Memory;

use super::elf::Image;
use super::memory::read_available;

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6FFF_FEF5;
const MOST_DYNAMIC_BYTES: u64 = 16 * 1024;
const MOST_STEPS: u32 = 4096;
const SYMBOL_SIZE: u64 = 24;

/// Address of the symbol `name` that the image at `base` defines; `None` when it defines none.
pub(crate) fn find(memory: &dyn Memory, base: u64, name: &str) -> Option<u64> {
    let image = Image::read(memory, base)?;
    let (address, size) = image.dynamic()?;
    let dynamic = read_available(memory, address, size.min(MOST_DYNAMIC_BYTES));
    let tables = Tables::new(memory, &image, base, &dynamic)?;
    match (tables.gnu_hash, tables.hash) {
        (Some(table), _) => tables.find_by_gnu_hash(table, name),
        (None, Some(table)) => tables.find_by_hash(table, name),
        (None, None) => None,
    }
}

struct Tables<'m> {
    memory: &'m dyn Memory,
    bias: u64,
    symbols: u64,
    strings: u64,
    gnu_hash: Option<u64>,
    hash: Option<u64>,
}

impl<'m> Tables<'m> {
    fn new(memory: &'m dyn Memory, image: &Image, base: u64, dynamic: &[u8]) -> Option<Self> {
        let bias = image.bias();
        // glibc replaces the addresses in the dynamic section by those in memory; others do not.
        let loaded = |value: u64| if value < base { bias.wrapping_add(value) } else { value };
        let entry = |wanted: u64| entry(dynamic, wanted).map(loaded);
        Some(Self {
            memory,
            bias,
            symbols: entry(DT_SYMTAB)?,
            strings: entry(DT_STRTAB)?,
            gnu_hash: entry(DT_GNU_HASH),
            hash: entry(DT_HASH),
        })
    }

    fn u32(&self, table: u64, index: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        let address = table.checked_add(index.checked_mul(4)?)?;
        self.memory.read(address, &mut bytes).ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    fn find_by_gnu_hash(&self, table: u64, name: &str) -> Option<u64> {
        let hash = gnu_hash(name);
        let (buckets, first) = (self.u32(table, 0)?, self.u32(table, 1)?);
        let bloom_words = u64::from(self.u32(table, 2)?);
        let bucket_table = table.checked_add(16)?.checked_add(bloom_words.checked_mul(8)?)?;
        let chain = bucket_table.checked_add(u64::from(buckets).checked_mul(4)?)?;
        let mut symbol = self.u32(bucket_table, hash.checked_rem(buckets)?.into())?;
        for _ in 0..MOST_STEPS {
            let found = self.u32(chain, symbol.checked_sub(first)?.into())?;
            if found | 1 == hash | 1
                && let Some(address) = self.defined(symbol, name)
            {
                return Some(address);
            }
            if found & 1 == 1 {
                return None;
            }
            symbol = symbol.checked_add(1)?;
        }
        None
    }

    fn find_by_hash(&self, table: u64, name: &str) -> Option<u64> {
        let buckets = self.u32(table, 0)?;
        let chain = u64::from(buckets).checked_add(2)?;
        let bucket = sysv_hash(name).checked_rem(buckets)?;
        let mut symbol = self.u32(table, u64::from(bucket).checked_add(2)?)?;
        for _ in 0..MOST_STEPS {
            if symbol == 0 {
                return None;
            }
            if let Some(address) = self.defined(symbol, name) {
                return Some(address);
            }
            symbol = self.u32(table, chain.checked_add(symbol.into())?)?;
        }
        None
    }

    /// Address of a symbol, if it has this name and is defined here.
    fn defined(&self, symbol: u32, name: &str) -> Option<u64> {
        let mut bytes = [0; 24];
        let address = self.symbols.checked_add(u64::from(symbol).checked_mul(SYMBOL_SIZE)?)?;
        self.memory.read(address, &mut bytes).ok()?;
        let mut reader = Reader::new(&bytes);
        let name_offset = reader.u32("st_name").ok()?;
        reader.take(2, "st_info, st_other").ok()?;
        let section = reader.u16("st_shndx").ok()?;
        let value = reader.u64("st_value").ok()?;
        let mut found = vec![0; name.len().checked_add(1)?];
        let place = self.strings.checked_add(name_offset.into())?;
        self.memory.read(place, &mut found).ok()?;
        let is_it = found.strip_suffix(&[0]) == Some(name.as_bytes()) && section != 0;
        is_it.then(|| self.bias.wrapping_add(value))
    }
}

fn entry(dynamic: &[u8], wanted: u64) -> Option<u64> {
    let mut reader = Reader::new(dynamic);
    loop {
        let tag = reader.u64("d_tag").ok()?;
        let value = reader.u64("d_val").ok()?;
        if tag == wanted {
            return Some(value);
        }
        if tag == 0 {
            return None;
        }
    }
}

fn gnu_hash(name: &str) -> u32 {
    name.bytes().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

fn sysv_hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xF000_0000;
        (hash ^ high >> 24) & !high
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::linux::memory::ProcessMemory;

    #[test]
    fn symbols_of_this_process_are_found_where_the_linker_put_them() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let memory = ProcessMemory::open(pid, 0, None);
        for name in ["malloc", "getpid", "__abort_msg"] {
            let text = std::ffi::CString::new(name).unwrap();
            // SAFETY: looks up names; the library of `getpid` is the C library.
            let (address, library) = unsafe {
                let address = libc::dlsym(libc::RTLD_DEFAULT, text.as_ptr());
                let mut info: libc::Dl_info = std::mem::zeroed();
                assert_ne!(libc::dladdr(libc::getpid as *const _, &raw mut info), 0);
                (address.addr() as u64, info.dli_fbase.addr() as u64)
            };
            assert_eq!(find(&memory, library, name), Some(address), "{name}");
            assert_eq!(find(&memory, library, &format!("{name}_not")), None);
        }
    }

    #[test]
    fn hashes_are_those_of_the_specifications() {
        assert_eq!(gnu_hash("printf"), 0x156B_2BB8);
        assert_eq!(sysv_hash("printf"), 0x0779_05A6);
    }
}
