//! What could not be had, and why.

use std::fmt::Display;

use serde_json::{Value, json};

/// One missing piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftError {
    /// Stable name of the kind.
    pub code: &'static str,
    /// Which thread, file or stream.
    pub place: String,
    /// What happened.
    pub message: String,
}

/// A growing, bounded list.
#[derive(Debug, Default)]
pub struct SoftErrors {
    list: Vec<SoftError>,
    left_out: usize,
}

const MOST: usize = 200;

impl SoftErrors {
    /// Adds one; beyond 200 they are only counted.
    pub fn add(&mut self, code: &'static str, place: impl Into<String>, message: impl Display) {
        if self.list.len() >= MOST {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.list.push(SoftError { code, place: place.into(), message: message.to_string() });
    }

    /// Keeps the value, or notes why there is none.
    pub fn keep<T, E: Display>(
        &mut self,
        result: Result<T, E>,
        code: &'static str,
        place: impl Into<String>,
    ) -> Option<T> {
        result.map_err(|error| self.add(code, place, error)).ok()
    }

    /// The messages, for a line that a person reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.list.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// The list as it stands in reports and in the dump.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut list: Vec<Value> = self
            .list
            .iter()
            .map(|e| json!({"code": e.code, "where": e.place, "message": e.message}))
            .collect();
        if self.left_out > 0 {
            let message = format!("{} more were left out", self.left_out);
            list.push(json!({"code": "soft_errors_cut", "where": "monitor", "message": message}));
        }
        Value::Array(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_says_so() {
        let mut errors = SoftErrors::default();
        for number in 0..250 {
            errors.add("thread_not_stopped", number.to_string(), "timed out");
        }
        let list = errors.to_json();
        assert_eq!(list.as_array().map(Vec::len), Some(201));
        assert_eq!(list[200]["message"], "50 more were left out");
    }
}
