//! One file per stream.

pub mod assertion_info;
pub mod comment;
pub mod crashpad_info;
pub mod exception;
pub mod handle_data;
pub mod linux_dso_debug;
pub mod memory64_list;
pub mod memory_info_list;
pub mod memory_list;
pub mod misc_info;
pub mod module_list;
pub mod process_vm_counters;
pub mod python;
pub mod system_info;
pub mod thread_info_list;
pub mod thread_list;
pub mod thread_names;

/// Stream types, as they stand in the directory of a minidump.
///
/// Standard ones: `minidumpapiset.h`, `MINIDUMP_STREAM_TYPE`. `LINUX_*`: Breakpad's
/// `minidump_format.h`. `CRASHPAD_INFO`: Crashpad's `minidump_extensions.h`.
/// `MOZ_SOFT_ERRORS`: rust-minidump. `LASTWORDS_*`: ours, prefix `LW` (0x4C57).
#[allow(missing_docs)] // The names are the specification's own.
pub mod stream_type {
    pub const THREAD_LIST: u32 = 3;
    pub const MODULE_LIST: u32 = 4;
    pub const MEMORY_LIST: u32 = 5;
    pub const EXCEPTION: u32 = 6;
    pub const SYSTEM_INFO: u32 = 7;
    pub const MEMORY64_LIST: u32 = 9;
    pub const COMMENT_A: u32 = 10;
    pub const COMMENT_W: u32 = 11;
    pub const HANDLE_DATA: u32 = 12;
    pub const MISC_INFO: u32 = 15;
    pub const MEMORY_INFO_LIST: u32 = 16;
    pub const THREAD_INFO_LIST: u32 = 17;
    pub const PROCESS_VM_COUNTERS: u32 = 22;
    pub const THREAD_NAMES: u32 = 24;
    pub const ASSERTION_INFO: u32 = 0x4767_0002;
    pub const LINUX_CPU_INFO: u32 = 0x4767_0003;
    pub const LINUX_PROC_STATUS: u32 = 0x4767_0004;
    pub const LINUX_LSB_RELEASE: u32 = 0x4767_0005;
    pub const LINUX_CMD_LINE: u32 = 0x4767_0006;
    pub const LINUX_ENVIRON: u32 = 0x4767_0007;
    pub const LINUX_AUXV: u32 = 0x4767_0008;
    pub const LINUX_MAPS: u32 = 0x4767_0009;
    pub const LINUX_DSO_DEBUG: u32 = 0x4767_000A;
    pub const CRASHPAD_INFO: u32 = 0x4350_0001;
    pub const MOZ_SOFT_ERRORS: u32 = 0x4D7A_0004;
    pub const LASTWORDS_PYTHON: u32 = 0x4C57_0001;
    /// JSON object: what the report says of the event.
    pub const LASTWORDS_METADATA: u32 = 0x4C57_0002;
    /// JSON array: the last breadcrumbs, oldest first.
    pub const LASTWORDS_BREADCRUMBS: u32 = 0x4C57_0003;
    /// JSON: `lastwords-monitor`, `throws.rs`.
    pub const LASTWORDS_THROWS: u32 = 0x4C57_0004;
    /// UTF-8 text: where each thread stands in the kernel.
    pub const LASTWORDS_KERNEL: u32 = 0x4C57_0006;
    /// `lastwords-monitor`, `write/extended_state.rs`.
    pub const LASTWORDS_EXTENDED_STATE: u32 = 0x4C57_0007;
    /// JSON object: `lastwords-pyframes`, `details.rs`.
    pub const LASTWORDS_PYTHON_DETAILS: u32 = 0x4C57_0008;
}
