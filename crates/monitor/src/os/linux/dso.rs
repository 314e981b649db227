//! The dynamic linker's rendezvous structure (`link.h`, `struct r_debug`).
//!
//! `r_debug`: i32 version, 4 bytes padding, u64 map, u64 brk, i32 state, 4 bytes padding,
//! u64 ldbase. `link_map`: u64 addr, u64 name, u64 ld, u64 next, u64 prev.

use std::collections::HashSet;

use lastwords_format::Reader;
use lastwords_format::streams::linux_dso_debug::{DsoDebug, LinkMapEntry};
use lastwords_pyframes::Memory;
use lastwords_pyframes::find::Image;

use super::memory::read_available;

const DT_DEBUG: u64 = 21;
const MOST_LIBRARIES: usize = 4096;
const MOST_DYNAMIC_BYTES: u64 = 16 * 1024;
const NAME_BYTES: u64 = 512;

/// Reads the list; `Err` says what was not found.
pub(crate) fn read(
    memory: &dyn Memory,
    program_headers: u64,
    header_count: usize,
) -> Result<DsoDebug, &'static str> {
    let page = program_headers & !0xFFF;
    let image = Image::from_table(memory, page, program_headers, header_count)
        .ok_or("the executable's program headers cannot be read")?;
    let (dynamic, size) = image.dynamic().ok_or("the executable has no dynamic section")?;
    let dynamic_bytes = read_available(memory, dynamic, size.min(MOST_DYNAMIC_BYTES));
    let r_debug = debug_pointer(&dynamic_bytes).ok_or("the dynamic section names no r_debug")?;
    let mut bytes = [0; 40];
    memory.read(r_debug, &mut bytes).map_err(|_| "r_debug cannot be read")?;
    let mut reader = Reader::new(&bytes);
    let debug = (|| {
        let version = reader.u32("r_version")?;
        reader.u32("padding")?;
        let map = reader.u64("r_map")?;
        let brk = reader.u64("r_brk")?;
        reader.u64("r_state")?;
        Ok::<_, lastwords_format::DecodeError>((version, map, brk, reader.u64("r_ldbase")?))
    })();
    let (version, map, brk, ldbase) = debug.map_err(|_| "r_debug is too short")?;
    let libraries = walk(memory, map);
    Ok(DsoDebug { version, brk, ldbase, dynamic, dynamic_bytes, libraries })
}

fn debug_pointer(dynamic: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(dynamic);
    loop {
        let tag = reader.u64("d_tag").ok()?;
        let value = reader.u64("d_val").ok()?;
        if tag == DT_DEBUG && value != 0 {
            return Some(value);
        }
        if tag == 0 {
            return None;
        }
    }
}

fn walk(memory: &dyn Memory, first: u64) -> Vec<LinkMapEntry> {
    let mut libraries = Vec::new();
    let mut next = first;
    let mut seen = HashSet::new();
    while next != 0 && libraries.len() < MOST_LIBRARIES && seen.insert(next) {
        let Some((entry, following)) = entry(memory, next) else { break };
        libraries.push(entry);
        next = following;
    }
    libraries
}

fn entry(memory: &dyn Memory, address: u64) -> Option<(LinkMapEntry, u64)> {
    let mut bytes = [0; 32];
    memory.read(address, &mut bytes).ok()?;
    let mut reader = Reader::new(&bytes);
    let load_bias = reader.u64("l_addr").ok()?;
    let name = reader.u64("l_name").ok()?;
    let dynamic = reader.u64("l_ld").ok()?;
    let next = reader.u64("l_next").ok()?;
    let text = read_available(memory, name, NAME_BYTES);
    let text = text.split(|byte| *byte == 0).next().unwrap_or(&[]);
    let name = String::from_utf8_lossy(text).into_owned();
    Some((LinkMapEntry { load_bias, name, dynamic }, next))
}
