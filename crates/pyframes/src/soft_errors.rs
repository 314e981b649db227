//! The list of what could not be had: each thing once, and never without end.

use crate::error::SoftError;

/// Collects soft errors up to a limit.
pub(crate) struct SoftErrors {
    list: Vec<SoftError>,
    limit: usize,
    left_out: usize,
}

impl SoftErrors {
    pub fn new(limit: usize) -> Self {
        Self { list: Vec::new(), limit, left_out: 0 }
    }

    /// Adds one, unless the same is there already.
    pub fn push(&mut self, code: &'static str, where_: String, message: String) {
        let new = SoftError { code, where_, message };
        if self.list.contains(&new) {
            return;
        }
        if self.list.len() < self.limit {
            self.list.push(new);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// The list; a last entry says how many were left out.
    pub fn into_list(mut self) -> Vec<SoftError> {
        if self.left_out > 0 {
            self.list.push(SoftError {
                code: "python_limit",
                where_: "soft errors".to_owned(),
                message: format!("{} more were left out", self.left_out),
            });
        }
        self.list
    }
}
