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
/// What could be there and is not.
const NOT_AVAILABLE: &[(DumpFlags, &str)] = &[(
    DumpFlags::WITH_AVX_X_STATE_CONTEXT,
    "contexts hold the registers up to SSE; the rest of the crashing thread's is on its stack, in \
     the signal frame",
)];

impl DumpWriter<'_> {
    pub(super) fn note_flags(&mut self) {
        if !matches!(self.kind, DumpKind::Custom(_)) {
            return;
        }
        let codes =
            [("flag_without_meaning", WITHOUT_MEANING), ("flag_not_available", NOT_AVAILABLE)];
        for (code, table) in codes {
            for (flag, reason) in table.iter().filter(|(flag, _)| self.flags.contains(*flag)) {
                let name = flag.names().join(" ");
                self.soft_errors.add(code, format!("flag {name}"), *reason);
            }
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
        for (flag, _) in WITHOUT_MEANING.iter().chain(NOT_AVAILABLE) {
            assert!(kinds.iter().all(|kind| !kind.flags().contains(*flag)), "{:?}", flag.names());
        }
    }
}
