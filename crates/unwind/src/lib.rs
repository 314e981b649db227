//! Call frame information from the modules' own files, for minidump-unwind.
//!
//! Owns: [`Provider`], the symbol provider that minidump-unwind asks for each frame: where the
//! caller's registers are (`.eh_frame` and `.debug_frame` straight from ELF files, else `.sym`
//! records), what the function is called, and whether a word on the stack can be a return
//! address. Does not own: finding and opening files, looking up lines (`lastwords-symbols`);
//! walking, frame pointers and scanning (`minidump-unwind`).
//!
//! ```no_run
//! use lastwords_symbols::Sources;
//! use lastwords_unwind::Provider;
//!
//! let provider = Provider::new(Sources { symbols: vec!["symbols/".into()], local_modules: true });
//! // minidump_unwind::walk_stack(0, (), &mut stack, memory, &modules, &system, &provider).await;
//! // for module in modules.iter() { println!("{:?}", provider.module_status(module)); }
//! ```
#![forbid(unsafe_code)]

mod arm_call;
mod bytes;
mod caller;
mod cfi;
mod code;
mod compact;
mod exidx;
mod expression;
mod interrupted;
mod pe;
mod provider;
mod registers;
mod row;
mod signal;
mod signature;
mod unwinder;

pub use provider::Provider;
pub use signature::strip_signature;
