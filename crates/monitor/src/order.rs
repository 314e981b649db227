//! What a healthy process says with a dump on demand, and what it hears.
//!
//! The order, a JSON object of at most 16 KiB:
//!
//! | key | type | meaning |
//! |---|---|---|
//! | `dumps`, `limits`, `python_locals` | | as in a dump plan |
//! | `reason` | string or null | why, in the caller's words |
//! | `file` | string or null | only the dumps, under this name (a pattern, an absolute path); null = a report in the spool |
//!
//! The result, a JSON object:
//!
//! | key | type | meaning |
//! |---|---|---|
//! | `path` | string or null | the report's folder, or the first dump |
//! | `dumps` | array | as in `report.json`; `file` is a path when the order had one |
//! | `line` | string | what happened, in one line |
//! | `error` | object or null | `code`, `message`, `hint`, when nothing was written |

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::destination::Destination;
use crate::failure::Failure;
use crate::plan::DumpPlan;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which dumps.
    pub plan: DumpPlan,
    /// Why.
    pub reason: Option<String>,
    /// Where the dumps go; `None` = a report in the spool.
    pub destination: Option<Destination>,
}

impl Order {
    /// Reads an order.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let plan = DumpPlan::from_json(&value).map_err(|error| error.to_string())?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let destination =
            text("file").map(|file| Destination { pattern: file.into(), is_overwriting: false });
        if let Some(path) = destination.iter().map(|d| &d.pattern).find(|p| !p.is_absolute()) {
            return Err(format!("file is {}, expected an absolute path", path.display()));
        }
        Ok(Self { plan, reason: text("reason"), destination })
    }
}

/// What became of an order.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The report's folder, or the first dump.
    pub path: Option<PathBuf>,
    /// The dumps that were written.
    pub dumps: Vec<Value>,
    /// What happened.
    pub line: String,
    /// Why nothing was written.
    pub error: Option<Failure>,
}

impl Outcome {
    /// Nothing was written.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        Self { line: failure.message.clone(), error: Some(failure), ..Self::default() }
    }

    /// The result message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let error = self.error.as_ref().map(Failure::to_json);
        json!({"path": self.path, "dumps": self.dumps, "line": self.line, "error": error})
            .to_string()
            .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::DumpKind;

    #[test]
    fn an_order_says_what_and_where() {
        let order = br#"{"dumps": ["full"], "reason": "slow", "file": "/tmp/a.dmp"}"#;
        let order = Order::from_bytes(order).unwrap();
        assert_eq!(order.plan.kinds(), [DumpKind::Full]);
        assert_eq!(order.reason.as_deref(), Some("slow"));
        assert_eq!(order.destination.unwrap().pattern, PathBuf::from("/tmp/a.dmp"));
        assert_eq!(Order::from_bytes(b"{}").unwrap().destination, None);
    }

    #[test]
    fn a_wrong_order_is_refused_in_words() {
        assert!(Order::from_bytes(b"{").is_err());
        let told = Order::from_bytes(br#"{"dumps": ["huge"]}"#).unwrap_err();
        assert!(told.contains("huge") && told.contains("mini"), "{told}");
        let told = Order::from_bytes(br#"{"file": "a.dmp"}"#).unwrap_err();
        assert!(told.contains("an absolute path"), "{told}");
    }

    #[test]
    fn a_damaged_order_is_refused_or_taken_within_its_types() {
        let good = br#"{"dumps": [{"kind": "custom", "flags": 6182}, "full", {"kind": "callback",
            "library": "/a.so"}], "limits": {"max_dump_bytes": 9, "min_free_bytes": 268435456,
            "compress": true}, "reason": "slow", "file": "/tmp/a.dmp"}"#;
        assert!(Order::from_bytes(good).is_ok());
        let mut taken = 0;
        for at in 0..good.len() {
            for value in b"\"0-9e{}[]:,\\/\0\xff" {
                let mut order = good.to_vec();
                if let Some(byte) = order.get_mut(at) {
                    *byte = *value;
                }
                let Ok(order) = Order::from_bytes(&order) else { continue };
                taken += 1;
                assert!(order.destination.is_none_or(|to| to.pattern.is_absolute()));
            }
        }
        assert!(taken > 100, "{taken} were taken");
        assert!(Order::from_bytes("[".repeat(16_384).as_bytes()).is_err(), "too deep");
    }
}
