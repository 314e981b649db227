//! Finding a dynamic symbol of a loaded ELF image by its name, as the dynamic linker does.
//!
//! `DT_GNU_HASH`: u32 bucket count, u32 first hashed symbol, u32 bloom words, u32 bloom shift;
//! u64[] bloom; u32[] buckets; u32[] chain, whose lowest bit marks the end. `DT_HASH`: u32 bucket
//! count, u32 chain count; u32[] buckets; u32[] chain. A symbol: u32 name, u8 info, u8 other, u16
//! section, u64 value, u64 size.
//!
//! Source: System V ABI, chapter 5, "Hash Table"; glibc, elf/dl-lookup.c.

use std::collections::HashSet;

use lastwords_format::Reader;

use super::image::Image;
use super::text::Needle;
use crate::memory::{Memory, read_available};

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_GNU_HASH: u64 = 0x6FFF_FEF5;
const MOST_DYNAMIC_BYTES: u64 = 16 * 1024;
/// Names that are read at once.
const MOST_STRING_BYTES: u64 = 256 * 1024;
/// Symbols of others that are looked at one by one.
const MOST_IMPORTS: u32 = 4096;
const MOST_STEPS: u32 = 4096;
const SYMBOL_SIZE: u64 = 24;
/// Bits of a word of the bloom filter.
const BLOOM_BITS: u32 = 64;

/// Address of the symbol `name` that the image at `base` defines; `None` when it defines none.
#[must_use]
pub fn symbol_address(memory: &dyn Memory, base: u64, name: &str) -> Option<u64> {
    let image = Image::read(memory, base)?;
    DynamicSymbols::read(memory, &image, base)?.find(memory, name)
}

/// Where an image has its table of dynamic symbols.
#[derive(Debug)]
pub(super) struct DynamicSymbols {
    bias: u64,
    symbols: u64,
    strings: u64,
    string_bytes: u64,
    gnu_hash: Option<u64>,
    hash: Option<u64>,
}

impl DynamicSymbols {
    /// Reads the dynamic section; `None` when there is none, as in wholly static programs, or it
    /// names no symbols.
    pub(super) fn read(memory: &dyn Memory, image: &Image, base: u64) -> Option<Self> {
        let (address, size) = image.dynamic()?;
        let dynamic = read_available(memory, address, size.min(MOST_DYNAMIC_BYTES));
        let bias = image.bias();
        // glibc replaces the addresses in the dynamic section by those in memory; others do not.
        let loaded = |value: u64| if value < base { bias.wrapping_add(value) } else { value };
        let address = |wanted: u64| entry(&dynamic, wanted).map(loaded);
        Some(Self {
            bias,
            symbols: address(DT_SYMTAB)?,
            strings: address(DT_STRTAB)?,
            string_bytes: entry(&dynamic, DT_STRSZ).unwrap_or(0),
            gnu_hash: address(DT_GNU_HASH),
            hash: address(DT_HASH),
        })
    }

    /// Address of the symbol `name`, if it is defined here.
    pub(super) fn find(&self, memory: &dyn Memory, name: &str) -> Option<u64> {
        let tables = Tables { memory, places: self };
        match (self.gnu_hash, self.hash) {
            (Some(table), _) => tables.find_by_gnu_hash(table, name),
            (None, Some(table)) => tables.find_by_hash(table, name),
            (None, None) => None,
        }
    }

    /// Whether the image uses all of these symbols of others, as far as can be told cheaply.
    ///
    /// In a table by GNU's hash the symbols of others come first, and are counted. Names are read
    /// at once, or one by one where those of what the image itself defines are very many.
    pub(super) fn imports(&self, memory: &dyn Memory, names: &[&str], least: u32) -> bool {
        let count = self.gnu_hash.and_then(|table| read_u32(memory, table.checked_add(4)?));
        // GNU's linker says 1 where the image defines nothing (`elflink.c`, "Empty .gnu.hash").
        let count = count.filter(|count| *count > 1);
        if count.is_some_and(|count| count < least) {
            return false;
        }
        if self.string_bytes > MOST_STRING_BYTES {
            return count.is_some_and(|count| self.are_among_first(memory, names, count));
        }
        let strings = read_available(memory, self.strings, self.string_bytes);
        names.iter().all(|name| {
            let text = [b"\0", name.as_bytes(), b"\0"].concat();
            Needle::new(&text).is_in(&strings)
        })
    }

    fn are_among_first(&self, memory: &dyn Memory, names: &[&str], count: u32) -> bool {
        let size = u64::from(count.min(MOST_IMPORTS)).saturating_mul(SYMBOL_SIZE);
        let symbols = read_available(memory, self.symbols, size);
        let longest = names.iter().map(|name| name.len()).max().unwrap_or(0).saturating_add(1);
        let mut found: HashSet<&str> = HashSet::new();
        let offsets = symbols.chunks_exact(24).filter_map(<[u8]>::first_chunk::<4>);
        let mut offsets = offsets;
        offsets.any(|offset| {
            let place = self.strings.saturating_add(u32::from_le_bytes(*offset).into());
            let text = read_available(memory, place, u64::try_from(longest).unwrap_or(0));
            let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
            found.extend(names.iter().filter(|name| name.as_bytes() == text).copied());
            found.len() == names.len()
        })
    }
}

fn read_u32(memory: &dyn Memory, address: u64) -> Option<u32> {
    let mut bytes = [0; 4];
    memory.read(address, &mut bytes).ok()?;
    Some(u32::from_le_bytes(bytes))
}

struct Tables<'m> {
    memory: &'m dyn Memory,
    places: &'m DynamicSymbols,
}

impl Tables<'_> {
    fn u32(&self, table: u64, index: u64) -> Option<u32> {
        read_u32(self.memory, table.checked_add(index.checked_mul(4)?)?)
    }

    fn find_by_gnu_hash(&self, table: u64, name: &str) -> Option<u64> {
        let hash = gnu_hash(name);
        let mut header = [0; 16];
        self.memory.read(table, &mut header).ok()?;
        let mut reader = Reader::new(&header);
        let (buckets, first) = (reader.u32("nbuckets").ok()?, reader.u32("symndx").ok()?);
        let (bloom_words, shift) = (reader.u32("maskwords").ok()?, reader.u32("shift2").ok()?);
        let bloom = table.checked_add(16)?;
        if !self.is_in_bloom(bloom, bloom_words, shift, hash)? {
            return None;
        }
        let bucket_table = bloom.checked_add(u64::from(bloom_words).checked_mul(8)?)?;
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

    /// Whether the bloom filter lets a name with this hash be there.
    fn is_in_bloom(&self, bloom: u64, words: u32, shift: u32, hash: u32) -> Option<bool> {
        let index = hash.checked_div(BLOOM_BITS)?.checked_rem(words)?;
        let mut word = [0; 8];
        let address = bloom.checked_add(u64::from(index).checked_mul(8)?)?;
        self.memory.read(address, &mut word).ok()?;
        let bit = |hash: u32| 1_u64.checked_shl(hash % BLOOM_BITS).unwrap_or(0);
        let mask = bit(hash) | bit(hash.checked_shr(shift).unwrap_or(0));
        Some(u64::from_le_bytes(word) & mask == mask)
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
        let address =
            self.places.symbols.checked_add(u64::from(symbol).checked_mul(SYMBOL_SIZE)?)?;
        self.memory.read(address, &mut bytes).ok()?;
        let mut reader = Reader::new(&bytes);
        let name_offset = reader.u32("st_name").ok()?;
        reader.take(2, "st_info, st_other").ok()?;
        let section = reader.u16("st_shndx").ok()?;
        let value = reader.u64("st_value").ok()?;
        let mut found = vec![0; name.len().checked_add(1)?];
        let place = self.places.strings.checked_add(name_offset.into())?;
        self.memory.read(place, &mut found).ok()?;
        let is_it = found.strip_suffix(&[0]) == Some(name.as_bytes()) && section != 0;
        is_it.then(|| self.places.bias.wrapping_add(value))
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

    #[test]
    fn hashes_are_those_of_the_specifications() {
        assert_eq!(gnu_hash("printf"), 0x156B_2BB8);
        assert_eq!(sysv_hash("printf"), 0x0779_05A6);
    }
}
