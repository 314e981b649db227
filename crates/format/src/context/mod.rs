//! Register contexts, one file per processor.

pub mod amd64;
