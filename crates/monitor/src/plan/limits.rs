//! How large a dump may become.

use serde_json::{Value, json};

use super::PlanError;

const MIN_FREE_BYTES: u64 = 256 * 1024 * 1024;

/// Limits of every dump of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one dump; 0 = no limit.
    pub max_dump_bytes: u64,
    /// What stays free on the disk.
    pub min_free_bytes: u64,
    /// Compress with zstd.
    pub compress: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_dump_bytes: 0, min_free_bytes: MIN_FREE_BYTES, compress: false }
    }
}

impl Limits {
    pub(super) fn from_json(value: &Value) -> Result<Self, PlanError> {
        let default = Self::default();
        Ok(Self {
            max_dump_bytes: bytes(value, "max_dump_bytes", default.max_dump_bytes)?,
            min_free_bytes: bytes(value, "min_free_bytes", default.min_free_bytes)?,
            compress: match value.get("compress") {
                None | Some(Value::Null) => default.compress,
                Some(Value::Bool(compress)) => *compress,
                Some(other) => {
                    return Err(PlanError::new("compress", other.to_string(), "true or false"));
                }
            },
        })
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "max_dump_bytes": self.max_dump_bytes,
            "min_free_bytes": self.min_free_bytes,
            "compress": self.compress,
        })
    }
}

fn bytes(value: &Value, key: &'static str, default: u64) -> Result<u64, PlanError> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(given) => given
            .as_u64()
            .ok_or_else(|| PlanError::new(key, given.to_string(), "a number of bytes")),
    }
}
