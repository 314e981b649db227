//! The kinds of dumps, with the meaning that ProcDump gave them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{DumpFlags, PlanError};

const KINDS: &str = "mini, triage, full, miniplus, custom:FLAGS, callback:LIBRARY or kernel";

/// One kind of dump; docs/formats/dump-kinds.md tells what each holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpKind {
    /// Stacks, and what registers and stacks point to.
    Mini,
    /// Stacks only, without secrets, user names and text.
    Triage,
    /// All memory that can be read.
    Full,
    /// All private memory and all writable memory of images, except the largest private area.
    MiniPlus,
    /// What the flags say.
    Custom(DumpFlags),
    /// A mini dump, and what a function in this shared library adds.
    Callback(PathBuf),
    /// Where each thread stands in the kernel.
    Kernel,
}

impl DumpKind {
    /// Its name in settings, reports and file names.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mini => "mini",
            Self::Triage => "triage",
            Self::Full => "full",
            Self::MiniPlus => "miniplus",
            Self::Custom(_) => "custom",
            Self::Callback(_) => "callback",
            Self::Kernel => "kernel",
        }
    }

    /// The `MINIDUMP_TYPE` bits that say what the kind holds: what the dump's header tells.
    #[must_use]
    pub fn flags(&self) -> DumpFlags {
        let facts = DumpFlags::WITH_HANDLE_DATA
            | DumpFlags::WITH_FULL_MEMORY_INFO
            | DumpFlags::WITH_THREAD_INFO
            | DumpFlags::IGNORE_INACCESSIBLE_MEMORY;
        let mini = facts | DumpFlags::WITH_INDIRECTLY_REFERENCED_MEMORY;
        match self {
            Self::Mini | Self::Callback(_) => mini,
            Self::Triage => {
                facts
                    | DumpFlags::FILTER_MEMORY
                    | DumpFlags::FILTER_MODULE_PATHS
                    | DumpFlags::FILTER_TRIAGE
                    | DumpFlags::WITHOUT_OPTIONAL_DATA
            }
            Self::Full => mini | DumpFlags::WITH_PROCESS_THREAD_DATA | DumpFlags::WITH_FULL_MEMORY,
            Self::MiniPlus => {
                mini | DumpFlags::WITH_PROCESS_THREAD_DATA
                    | DumpFlags::WITH_PRIVATE_READ_WRITE_MEMORY
                    | DumpFlags::WITH_PRIVATE_WRITE_COPY_MEMORY
                    | DumpFlags::WITH_DATA_SEGS
            }
            Self::Custom(flags) => *flags,
            Self::Kernel => facts,
        }
    }

    /// Order by size: a small dump is written before a large one.
    pub(super) fn expected_size(&self) -> u8 {
        match self {
            Self::Triage => 0,
            Self::Mini => 1,
            Self::Kernel => 2,
            Self::Callback(_) => 3,
            Self::Custom(flags) if flags.contains(DumpFlags::WITH_FULL_MEMORY) => 7,
            Self::Custom(_) => 4,
            Self::MiniPlus => 5,
            Self::Full => 6,
        }
    }

    /// Reads `mini`, `custom:0x1826`, `callback:/path.so` and so on.
    ///
    /// # Errors
    /// What was expected.
    pub fn from_text(text: &str) -> Result<Self, PlanError> {
        let (name, detail) = text.split_once(':').map_or((text, None), |(n, d)| (n, Some(d)));
        match (name.trim().to_ascii_lowercase().as_str(), detail) {
            ("custom", Some(flags)) => Ok(Self::Custom(DumpFlags::parse(flags)?)),
            ("callback", Some(library)) => Self::callback(Path::new(library)),
            ("custom", None) => Err(PlanError::new("dump kind", text, "custom:FLAGS")),
            ("callback", None) => Err(PlanError::new("dump kind", text, "callback:LIBRARY")),
            (name, None) => Self::plain(name)
                .ok_or_else(|| PlanError::new("dump kind", format!("{text:?}"), KINDS)),
            (_, Some(_)) => Err(PlanError::new("dump kind", format!("{text:?}"), KINDS)),
        }
    }

    fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "mini" => Self::Mini,
            "triage" => Self::Triage,
            "full" => Self::Full,
            "miniplus" => Self::MiniPlus,
            "kernel" => Self::Kernel,
            _ => return None,
        })
    }

    fn callback(library: &Path) -> Result<Self, PlanError> {
        if library.is_absolute() {
            return Ok(Self::Callback(library.to_owned()));
        }
        let found = library.display().to_string();
        Err(PlanError::new("library of the callback", found, "an absolute path"))
    }

    pub(super) fn from_json(value: &Value) -> Result<Self, PlanError> {
        if let Some(text) = value.as_str() {
            return Self::from_text(text);
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        match text("kind") {
            Some("custom") => {
                Ok(Self::Custom(DumpFlags::from_json(value.get("flags").unwrap_or(&Value::Null))?))
            }
            Some("callback") => match text("library") {
                Some(library) => Self::callback(Path::new(library)),
                None => Err(PlanError::new(
                    "library of the callback",
                    "missing",
                    "the path of a shared library",
                )),
            },
            Some(name) => Self::plain(name)
                .ok_or_else(|| PlanError::new("dump kind", format!("{name:?}"), KINDS)),
            None => Err(PlanError::new("dump kind", value.to_string(), KINDS)),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Custom(flags) => json!({"kind": self.name(), "flags": flags.bits()}),
            Self::Callback(library) => json!({"kind": self.name(), "library": library}),
            _ => json!({"kind": self.name()}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_can_be_named_in_one_word() {
        assert_eq!(DumpKind::from_text("Mini"), Ok(DumpKind::Mini));
        assert_eq!(DumpKind::from_text("miniplus"), Ok(DumpKind::MiniPlus));
        let custom = DumpKind::from_text("custom:WithFullMemory|0x4").unwrap();
        assert_eq!(custom.flags().bits(), 6);
        let callback = DumpKind::from_text("callback:/opt/a:b.so").unwrap();
        assert_eq!(callback, DumpKind::Callback(PathBuf::from("/opt/a:b.so")));
        for wrong in ["", "huge", "mini:3", "custom", "callback", "callback:a.so", "custom:"] {
            let told = DumpKind::from_text(wrong).unwrap_err().to_string();
            assert!(told.contains("expected"), "{wrong}: {told}");
        }
    }

    #[test]
    fn a_triage_dump_never_claims_memory() {
        let memory = DumpFlags::WITH_FULL_MEMORY
            | DumpFlags::WITH_DATA_SEGS
            | DumpFlags::WITH_INDIRECTLY_REFERENCED_MEMORY
            | DumpFlags::WITH_PRIVATE_READ_WRITE_MEMORY;
        assert_eq!(DumpKind::Triage.flags().bits() & memory.bits(), 0);
        assert!(DumpKind::Full.flags().contains(DumpFlags::WITH_FULL_MEMORY));
    }
}
