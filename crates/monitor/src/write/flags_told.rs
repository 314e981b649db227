//! Flags of a custom dump that do nothing here are told: nobody shall look for what cannot be
//! there.

use super::DumpWriter;
use crate::plan::{DumpFlags, DumpKind};

/// Flag, why it does nothing.
const WITHOUT_MEANING: &[(DumpFlags, &str)] = &[
    (DumpFlags::WITH_UNLOADED_MODULES, "Linux keeps no list of modules that were unloaded"),
    (
        DumpFlags::WITH_IPT_TRACE,
        "Linux keeps no processor trace of a process unless perf records it",
    ),
    (
        DumpFlags::SCAN_INACCESSIBLE_PARTIAL_PAGES,
        "memory is read page by page wherever a part of it cannot be read",
    ),
    (
        DumpFlags::FILTER_WRITE_COMBINED_MEMORY,
        "memory of devices is never read, whatever its caching",
    ),
];

impl DumpWriter<'_> {
    pub(super) fn note_flags(&mut self) {
        if !matches!(self.kind, DumpKind::Custom(_)) {
            return;
        }
        let found = WITHOUT_MEANING.iter().filter(|(flag, _)| self.flags.contains(*flag));
        for (flag, reason) in found {
            let place = format!("flag {}", flag.names().join(" "));
            self.soft_errors.add("flag_without_meaning", place, *reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_but_custom_claims_a_flag_that_does_nothing() {
        let kinds = [
            DumpKind::Mini,
            DumpKind::Triage,
            DumpKind::Full,
            DumpKind::MiniPlus,
            DumpKind::Callback("/x".into()),
            DumpKind::Kernel,
        ];
        for (flag, _) in WITHOUT_MEANING {
            assert!(kinds.iter().all(|kind| !kind.flags().contains(*flag)), "{:?}", flag.names());
        }
    }
}
