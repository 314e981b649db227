//! PDB files.

use std::sync::Arc;

use lastwords_symbols::MappedFile;

use crate::names::NameTable;
use crate::pattern::Pattern;
use crate::types::{Type, TypeEntry};
use crate::{FrameState, Scope};

/// An open PDB.
pub(crate) struct PdbInfo {}

impl PdbInfo {
    pub(crate) fn open(_: &Arc<MappedFile>) -> Result<Self, String> {
        Err("not yet".into())
    }
    pub(crate) fn add_names(&self, _: &mut NameTable) {}
    pub(crate) fn variables(&self, _: u64, _: &dyn FrameState) -> Vec<Scope> {
        Vec::new()
    }
    pub(crate) fn inline_starts(&self, _: u64) -> Vec<u64> {
        Vec::new()
    }
    pub(crate) fn types_like(&self, _: &Pattern, _: usize) -> (Vec<TypeEntry>, bool) {
        (Vec::new(), false)
    }
    pub(crate) fn describe(&self, _: u64) -> Option<Type> {
        None
    }
    pub(crate) fn global(&self, _: &str) -> Option<(u64, u64)> {
        None
    }
}
