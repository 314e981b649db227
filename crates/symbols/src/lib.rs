//! Address to function, file, line and inline frames, from the modules' own debug information or Breakpad .sym files.
//!
//! Owns: finding the symbol file of a module (by debug id or build id, never by name alone),
//! opening it safely, and looking addresses up in it. Does not own: unwinding
//! (`lastwords-unwind` asks for [`ModuleSymbols::elf`] and [`ModuleSymbols::breakpad`]), and
//! no network: what is downloaded is downloaded elsewhere.
//!
//! Formats, one file each: `elf/` (ELF with DWARF, or its symbol tables), `breakpad.rs`
//! (`.sym`). Answers of earlier runs come from `cache/`. Symbol files are foreign bytes: sizes, counts and depths are bounded, and what
//! cannot be read is a [`ModuleStatus`], never an error of the whole.
//!
//! ```no_run
//! use lastwords_symbols::{ModuleId, Sources, Symbols};
//!
//! let symbols = vec!["symbols/".into()];
//! let symbols = Symbols::new(Sources { symbols, local_modules: true, cache_dir: None });
//! let module = ModuleId::with_build_id("/usr/lib/libpython3.11.so.1.0", &[0xab; 20]);
//! for frame in symbols.lookup(&module, 0x1234) {
//!     println!("{:?} {:?}:{:?}", frame.function, frame.file, frame.line);
//! }
//! ```

mod boundaries;
mod breakpad;
mod bytes;
mod cache;
mod catalog;
mod checksums;
mod demangle;
mod dwarf;
mod elf;
mod file;
mod identity;
mod image;
mod locate;
mod macho;
mod module;
mod module_symbols;
mod pe;
mod source_walk;
mod stack_records;
mod status;
mod symbols;
mod symtab;
mod write_sym;

pub use breakpad::BreakpadSymbols;
pub use cache::{Answer, Question};
pub use demangle::demangle;
pub use elf::{ElfImage, ElfSymbols};
pub use file::{MappedFile, OpenError};
pub use identity::{FileIdentity, identify_file};
pub use image::{Architecture, CfiSection, CfiSections, Image, ImageFormat};
pub use macho::{MachImage, MachSymbols};
pub use module::{ImageStamp, ModuleId};
pub use module_symbols::ModuleSymbols;
pub use pe::{FrameRecord, PeImage, PeSymbols, SourceServer};
pub use status::{ModuleStatus, SourceProblem, SymbolKind};
pub use symbols::{SourceFrame, Sources, Symbolication, Symbols};
pub use write_sym::{SymError, SymHeader, SymReport, register_name};
