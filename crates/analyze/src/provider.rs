//! Where symbols and call frame information come from.

use minidump_unwind::{SymbolProvider, Symbolizer, simple_symbol_supplier};

use crate::Options;

/// The provider that `options` ask for.
pub(crate) fn build(options: &Options) -> impl SymbolProvider + Sync {
    Symbolizer::new(simple_symbol_supplier(options.symbols.clone()))
}
