//! Byte layouts of every stream that lastwords writes into a minidump, and of its
//! private streams: one file per stream, each with its offset table; and the notes of ELF cores.
//!
//! Owns: layout, encoding and (for private streams) decoding. Does not own: where the
//! facts come from (`lastwords-monitor`), nor reading dumps of other writers
//! (`lastwords-analyze`, through the `minidump` crate). No I/O, no unsafe code.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod context;
pub mod core_notes;
pub mod header;
pub mod sink;
pub mod streams;

pub use bytes::{DecodeError, Reader, Writer};
pub use sink::{Location, Sink};
