//! What could not be had, collected while the work goes on.

use serde::Serialize;

/// More than this says nothing new; the rest is counted.
const MAX_SOFT_ERRORS: usize = 256;

/// One thing that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SoftError {
    /// Stable, for programs.
    pub(crate) code: &'static str,
    /// Stream, thread or module.
    pub(crate) r#where: String,
    /// For people.
    pub(crate) message: String,
}

/// The list, bounded.
#[derive(Debug, Default)]
pub(crate) struct SoftErrors {
    errors: Vec<SoftError>,
    left_out: usize,
}

impl SoftErrors {
    /// Notes one thing that could not be had.
    pub(crate) fn push(
        &mut self,
        code: &'static str,
        r#where: impl Into<String>,
        message: impl Into<String>,
    ) {
        if self.errors.len() < MAX_SOFT_ERRORS {
            self.errors.push(SoftError { code, r#where: r#where.into(), message: message.into() });
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// The list, with a last entry that counts what was left out.
    pub(crate) fn into_list(mut self) -> Vec<SoftError> {
        if self.left_out > 0 {
            self.errors.push(SoftError {
                code: "soft_errors_cut",
                r#where: "soft_errors".to_owned(),
                message: format!("{} more were left out", self.left_out),
            });
        }
        self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut errors = SoftErrors::default();
        for number in 0..MAX_SOFT_ERRORS + 7 {
            errors.push("thread_panicked", format!("thread {number}"), "x");
        }
        let list = errors.into_list();
        assert_eq!(list.len(), MAX_SOFT_ERRORS + 1);
        assert_eq!(list[MAX_SOFT_ERRORS].message, "7 more were left out");
    }
}
