//! Call frame information from the modules' own files, for minidump-unwind.
//!
//! Owns: [`Provider`], the symbol provider that minidump-unwind asks for each frame: where the
//! caller's registers are (call frame information straight from ELF, PE and Mach-O files, else
//! `.sym` records), what the function is called, and whether a word on the stack can be a return
//! address. Does not own: finding and opening files, looking up lines (`lastwords-symbols`);
//! walking, frame pointers and scanning (`minidump-unwind`).
//!
//! ```no_run
//! use lastwords_symbols::Sources;
//! use lastwords_unwind::Provider;
//!
//! let symbols = vec!["symbols/".into()];
//! let provider = Provider::new(Sources { symbols, local_modules: true, cache_dir: None });
//! // minidump_unwind::walk_stack(0, (), &mut stack, memory, &modules, &system, &provider).await;
//! // for module in modules.iter() { println!("{:?}", provider.module_status(module)); }
//! // provider.keep();
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
mod loaded;
mod pe;
mod probe;
mod provider;
mod registers;
mod resume;
mod row;
mod rules;
mod signal;
mod signature;
mod steps;
mod sym_rules;
mod trampoline;
mod unwinder;
mod ways;

pub use interrupted::{Interrupted, RegisterOf, WordAt};
pub use provider::Provider;
pub use signature::strip_signature;
pub use sym_rules::{SymRules, write_stack_cfi};
