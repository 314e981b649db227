//! From a minidump file to one analysis document
