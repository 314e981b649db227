//! `LC_FUNCTION_STARTS`: where functions begin, named or not.
//!
//! A list of ULEB128 numbers, each the distance from the function before (the first from
//! `__TEXT`), ended by 0 (`mach-o/loader.h`).

use object::macho::LC_FUNCTION_STARTS;
use object::read::macho::{LoadCommandVariant, MachHeader, MachOFile};

/// Functions of one image beyond this are left out.
const MAX_STARTS: usize = 16 << 20;

/// Addresses at which functions begin, ascending; empty when the file does not tell, or for
/// other formats.
pub(crate) fn function_starts(object: &object::File<'_>, image_base: u64) -> Vec<u64> {
    match object {
        object::File::MachO32(file) => read(file, image_base),
        object::File::MachO64(file) => read(file, image_base),
        _ => None,
    }
    .unwrap_or_default()
}

fn read<'data, Mach: MachHeader>(
    file: &MachOFile<'data, Mach, &'data [u8]>,
    image_base: u64,
) -> Option<Vec<u64>> {
    let mut commands = file.macho_load_commands().ok()?;
    while let Some(command) = commands.next().ok()? {
        if command.cmd() != LC_FUNCTION_STARTS {
            continue;
        }
        let Ok(LoadCommandVariant::LinkeditData(command)) = command.variant() else { return None };
        let starts = command.function_starts(file.endian(), file.data(), image_base).ok()?;
        return Some(starts.map_while(Result::ok).take(MAX_STARTS).collect());
    }
    None
}
