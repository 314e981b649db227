//! The errors of an analysis, and their stable codes.

use std::path::PathBuf;

use thiserror::Error;

/// Why a file gave no analysis at all.
///
/// What is merely missing from a dump is not an error: it stands in `soft_errors` of the
/// document.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such file.
    #[error("{}: there is no such file", path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{}: {reason}", path.display())]
    NotReadable {
        /// The path as given.
        path: PathBuf,
        /// What the system said, or what it is instead of a regular file.
        reason: String,
    },
    /// The file holds no bytes.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// The path as given.
        path: PathBuf,
    },
    /// The file is of another kind.
    #[error("{}: this is {kind}; expected a minidump, which starts with `MDMP`", path.display())]
    NotAMinidump {
        /// The path as given.
        path: PathBuf,
        /// What the file is, with its article.
        kind: &'static str,
        /// What to do with a file of this kind.
        hint: &'static str,
    },
    /// The file starts like a minidump, and nothing of it can be used.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The path as given.
        path: PathBuf,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The options are not what `docs/formats/analysis.md` says.
    #[error("the analysis options are not valid: {reason}")]
    Options {
        /// What the JSON reader said.
        reason: String,
    },
    /// A session was asked what it does not know.
    #[error("the request is not valid: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// A defect of this crate, or of one that it uses.
    #[error("the analysis failed in a way that it has no name for: {reason}")]
    Internal {
        /// What is known of it.
        reason: String,
    },
}

/// Every code that [`Error::code`] can give.
pub const ERROR_CODES: &[&str] = &[
    "dump_not_found",
    "dump_not_readable",
    "dump_empty",
    "dump_not_a_minidump",
    "dump_malformed",
    "options_invalid",
    "request_invalid",
    "core_failed",
];

impl Error {
    /// The stable code, one of [`ERROR_CODES`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "dump_not_found",
            Self::NotReadable { .. } => "dump_not_readable",
            Self::Empty { .. } => "dump_empty",
            Self::NotAMinidump { .. } => "dump_not_a_minidump",
            Self::Malformed { .. } => "dump_malformed",
            Self::Options { .. } => "options_invalid",
            Self::Request { .. } => "request_invalid",
            Self::Internal { .. } => "core_failed",
        }
    }

    /// What happened, where, and what was expected.
    #[must_use]
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// What to do next; `None` when there is nothing to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } => {
                "check the path; `lastwords spool list` names the dumps of this machine"
            }
            Self::NotReadable { .. } => "give a regular file that this user may read",
            Self::Empty { .. } => {
                "the writer was interrupted or the disk was full; look for another report"
            }
            Self::NotAMinidump { hint, .. } => hint,
            Self::Malformed { .. } => {
                "the file is damaged or was cut off; fetch it again from where it was written"
            }
            Self::Options { .. } => "see docs/formats/analysis.md for the options",
            Self::Request { .. } => "the requests are in crates/analyze/src/session/request.rs",
            Self::Internal { .. } => {
                "please report this as a defect, with the dump if you may share it"
            }
        };
        Some(hint.to_owned())
    }
}
