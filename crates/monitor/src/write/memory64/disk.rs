//! Free space on the dump's disk.

use crate::dump_file::DumpFile;
use crate::os::linux::sys;

/// Whether so many bytes more would leave less free than must stay free. A disk that does not tell
/// is not short.
pub(super) fn is_short(dump: &DumpFile, next: u64) -> bool {
    let kept = dump.min_free();
    kept > 0 && sys::free_bytes(dump.file()).is_ok_and(|free| free < kept.saturating_add(next))
}
