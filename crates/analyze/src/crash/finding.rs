//! What a detector says.

use serde::Serialize;

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confidence {
    /// The facts say it themselves.
    High,
    /// Other causes are possible and less likely.
    Medium,
    /// A hint.
    Low,
}

/// A likely cause, and what a person can check it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) title: String,
    pub(crate) confidence: Confidence,
    pub(crate) evidence: Vec<String>,
}

impl Finding {
    pub(crate) fn new(
        code: &'static str,
        confidence: Confidence,
        title: impl Into<String>,
        evidence: Vec<String>,
    ) -> Self {
        Self { code, title: title.into(), confidence, evidence }
    }
}
