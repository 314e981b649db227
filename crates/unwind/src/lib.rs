//! Call frame information from the modules' own files, for minidump-unwind
