//! The Rust core as seen from Python.
