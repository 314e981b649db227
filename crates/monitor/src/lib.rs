//! The out-of-process dumper: watches one process and writes its minidump
