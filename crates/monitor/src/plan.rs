//! What is to be written of one event: which dumps, how large, how much of the disk.
//!
//! A plan comes as JSON, from the settings of the SDK (through the shared area), from the
//! monitor's command line or from a dump on demand:
//!
//! | key | type | meaning |
//! |---|---|---|
//! | `dumps` | array | one object per dump: `{"kind": "mini"}`, `{"kind": "custom", "flags": 6182}`, `{"kind": "callback", "library": "/path.so"}`, or a text: `"mini"`, `"custom:0x1826"`; absent = one mini |
//! | `limits.max_dump_bytes` | int | most bytes of one dump; 0 = no limit |
//! | `limits.min_free_bytes` | int | what stays free on the disk |
//! | `limits.compress` | bool | dumps are compressed with zstd |
//! | `python_locals` | bool | dumps hold values of Python's local variables; absent = no |

mod flags;
mod kind;
mod limits;

use serde_json::{Value, json};
use thiserror::Error;

pub use flags::DumpFlags;
pub use kind::DumpKind;
pub use limits::Limits;

/// Most dumps of one event.
pub const MOST_DUMPS: usize = 16;

/// Why a plan, a kind or a set of flags could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} is {found}, expected {expected}")]
pub struct PlanError {
    /// Which part of the plan.
    pub what: &'static str,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub expected: String,
}

impl PlanError {
    fn new(what: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { what, found: found.into(), expected: expected.into() }
    }
}

/// The dumps of one event, the smallest first, and their limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpPlan {
    kinds: Vec<DumpKind>,
    /// How large the dumps may become.
    pub limits: Limits,
    /// Whether values of Python's local variables are told.
    pub python_locals: bool,
}

impl Default for DumpPlan {
    /// One mini dump.
    fn default() -> Self {
        let (kinds, limits) = (vec![DumpKind::Mini], Limits::default());
        Self { kinds, limits, python_locals: false }
    }
}

impl DumpPlan {
    /// Puts the smallest first; doubles are left out, and what is beyond [`MOST_DUMPS`]. No kind
    /// at all means one mini.
    #[must_use]
    pub fn new(kinds: Vec<DumpKind>, limits: Limits) -> Self {
        let mut unique: Vec<DumpKind> = Vec::with_capacity(kinds.len());
        for kind in kinds {
            if !unique.contains(&kind) {
                unique.push(kind);
            }
        }
        unique.sort_by_key(DumpKind::expected_size);
        unique.truncate(MOST_DUMPS);
        if unique.is_empty() {
            unique.push(DumpKind::Mini);
        }
        Self { kinds: unique, limits, python_locals: false }
    }

    /// The dumps, the smallest first; at least one.
    #[must_use]
    pub fn kinds(&self) -> &[DumpKind] {
        &self.kinds
    }

    /// Whether one of the dumps may hold much of the process's memory.
    #[must_use]
    pub fn is_large(&self) -> bool {
        let flags = [
            DumpFlags::WITH_FULL_MEMORY,
            DumpFlags::WITH_PRIVATE_READ_WRITE_MEMORY,
            DumpFlags::WITH_PRIVATE_WRITE_COPY_MEMORY,
            DumpFlags::WITH_DATA_SEGS,
        ];
        self.kinds.iter().any(|kind| flags.iter().any(|flag| kind.flags().contains(*flag)))
    }

    /// Whether one of the dumps tells where each thread stands in the kernel.
    #[must_use]
    pub fn is_kernel(&self) -> bool {
        self.kinds.contains(&DumpKind::Kernel)
    }

    /// Reads a plan; other keys of the object are somebody else's.
    ///
    /// # Errors
    /// What is wrong, and what was expected.
    pub fn from_json(value: &Value) -> Result<Self, PlanError> {
        let kinds = match value.get("dumps") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(dumps)) => {
                dumps.iter().map(DumpKind::from_json).collect::<Result<_, _>>()?
            }
            Some(other) => {
                return Err(PlanError::new("dumps", other.to_string(), "a list of dump kinds"));
            }
        };
        let limits = value.get("limits").unwrap_or(&Value::Null);
        let python_locals = match value.get("python_locals") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(is_wanted)) => *is_wanted,
            Some(other) => {
                return Err(PlanError::new("python_locals", other.to_string(), "true or false"));
            }
        };
        Ok(Self { python_locals, ..Self::new(kinds, Limits::from_json(limits)?) })
    }

    /// The plan as JSON, as [`DumpPlan::from_json`] reads it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let dumps: Vec<Value> = self.kinds.iter().map(DumpKind::to_json).collect();
        json!({
            "dumps": dumps,
            "limits": self.limits.to_json(),
            "python_locals": self.python_locals,
        })
    }

    /// Names of the dumps' files: `dump.dmp`, then `dump-KIND.dmp`, numbered where a kind comes
    /// again.
    #[must_use]
    pub fn file_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::with_capacity(self.kinds.len());
        for (index, kind) in self.kinds.iter().enumerate() {
            let plain = format!("dump-{}", kind.name());
            let name = match (index, self.kinds.iter().take(index).filter(|k| is_alike(k, kind))) {
                (0, _) => "dump".to_owned(),
                (_, before) => match before.count() {
                    0 => plain,
                    count => format!("{plain}-{}", count.saturating_add(1)),
                },
            };
            names.push(format!("{name}.dmp"));
        }
        names
    }
}

fn is_alike(one: &DumpKind, other: &DumpKind) -> bool {
    one.name() == other.name()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn nothing_said_means_one_mini() {
        for text in ["{}", "null", r#"{"dumps": [], "spool_dir": "/x"}"#, r#"{"dumps": null}"#] {
            let plan = DumpPlan::from_json(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!(plan.kinds(), [DumpKind::Mini], "{text}");
            assert_eq!(plan.limits.min_free_bytes, 268_435_456);
        }
    }

    #[test]
    fn the_smallest_dump_is_written_first_and_none_twice() {
        let dumps = json!([{"kind": "full"}, {"kind": "mini"}, {"kind": "miniplus"},
            {"kind": "custom", "flags": 2}, {"kind": "custom", "flags": "WithHandleData"},
            "full", "callback:/a.so"]);
        let plan = DumpPlan::from_json(&json!({"dumps": dumps})).unwrap();
        let names: Vec<&str> = plan.kinds().iter().map(DumpKind::name).collect();
        assert_eq!(names, ["mini", "callback", "custom", "miniplus", "full", "custom"]);
        let files = ["dump", "dump-callback", "dump-custom", "dump-miniplus", "dump-full"];
        let mut files: Vec<String> = files.iter().map(|name| format!("{name}.dmp")).collect();
        files.push("dump-custom-2.dmp".to_owned());
        assert_eq!(plan.file_names(), files);
    }

    #[test]
    fn a_plan_survives_json() {
        let kinds = vec![
            DumpKind::Custom(DumpFlags::parse("0x1826").unwrap()),
            DumpKind::Callback(PathBuf::from("/x.so")),
            DumpKind::Triage,
            DumpKind::Kernel,
        ];
        let limits = Limits { max_dump_bytes: 5, min_free_bytes: 6, compress: true };
        let mut plan = DumpPlan::new(kinds, limits);
        assert!(!plan.python_locals, "only when asked for");
        plan.python_locals = true;
        assert_eq!(DumpPlan::from_json(&plan.to_json()).unwrap(), plan);
    }

    #[test]
    fn what_is_wrong_is_told_with_what_was_expected() {
        let told = |value: Value| DumpPlan::from_json(&value).unwrap_err().to_string();
        assert_eq!(told(json!({"dumps": 7})), "dumps is 7, expected a list of dump kinds");
        let unknown = told(json!({"dumps": [{"kind": "huge"}]}));
        assert!(unknown.contains("\"huge\", expected mini, triage, full"), "{unknown}");
        let flags = told(json!({"dumps": [{"kind": "custom", "flags": "WithNothing"}]}));
        assert!(flags.contains("WithNothing") && flags.contains("WithFullMemory"), "{flags}");
        let library = told(json!({"dumps": [{"kind": "callback"}]}));
        assert!(library.contains("path of a shared library"), "{library}");
        let locals = told(json!({"python_locals": "yes"}));
        assert_eq!(locals, "python_locals is \"yes\", expected true or false");
        let limit = told(json!({"limits": {"max_dump_bytes": -1}}));
        assert!(limit.contains("max_dump_bytes is -1, expected a number of bytes"), "{limit}");
    }
}
