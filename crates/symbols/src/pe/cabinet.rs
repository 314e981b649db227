//! Cabinets: symbol servers keep `name.pdb` as `name.pd_`, and images likewise.

use std::io::{Cursor, Read};
use std::sync::Arc;

use cab::Cabinet;

use crate::file::MappedFile;

const MAGIC: &[u8] = b"MSCF";
/// What a file may grow to.
const MAX_UNPACKED_BYTES: u64 = 4 << 30;
/// What a file may grow to whatever its packed size.
const FREE_UNPACKED_BYTES: u64 = 64 << 20;
/// Above that, no file may grow by more than this factor; PDBs grow by 3 to 10.
const MAX_RATIO: u64 = 64;

/// Why a cabinet cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CabinetError {
    #[error("not a readable cabinet: {0}")]
    Cabinet(#[from] std::io::Error),
    #[error("an empty cabinet")]
    Empty,
    #[error("the file in it says it has {size_bytes} bytes, which is refused")]
    Size { size_bytes: u64 },
}

/// Whether a file starts as a cabinet.
pub(crate) fn is_cabinet(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The first file of a cabinet: symbol servers put one into each.
pub(crate) fn unpack(file: &MappedFile) -> Result<Arc<MappedFile>, CabinetError> {
    let mut cabinet = Cabinet::new(Cursor::new(&**file))?;
    let mut entries = cabinet.folder_entries().flat_map(|folder| folder.file_entries());
    let (name, size_bytes) = entries
        .next()
        .map(|entry| (entry.name().to_owned(), u64::from(entry.uncompressed_size())))
        .ok_or(CabinetError::Empty)?;
    drop(entries);
    let packed_bytes = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let allowed = packed_bytes.saturating_mul(MAX_RATIO).max(FREE_UNPACKED_BYTES);
    if size_bytes > allowed.min(MAX_UNPACKED_BYTES) {
        return Err(CabinetError::Size { size_bytes });
    }
    let mut bytes = Vec::new();
    cabinet.read_file(&name)?.take(size_bytes).read_to_end(&mut bytes)?;
    Ok(MappedFile::unpacked(file.path(), bytes))
}
