//! CPython threads and frames read from the memory of a stopped process
