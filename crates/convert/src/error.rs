//! The errors of conversions, and their stable codes.

use std::path::{Path, PathBuf};

use lastwords_monitor::failure::Failure;
use thiserror::Error;

/// Every code that a conversion can end with.
pub const CODES: &[&str] = &[
    "dump_not_found",
    "dump_not_readable",
    "dump_malformed",
    "convert_unsupported",
    "convert_failed",
];

/// Why there is no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The source cannot be opened.
    #[error("{}: {reason}", path.display())]
    NotReadable {
        /// The source.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The source is damaged.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The source.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The source is of a kind, system or architecture that is not converted.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The source.
        path: PathBuf,
        /// What it is, and what was expected.
        reason: String,
    },
    /// The result cannot be written.
    #[error("{}: {reason}", path.display())]
    NotWritten {
        /// The result.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The reader of cores refused the file.
    #[error("{}", .0.message)]
    Core(Failure),
}

impl ConvertError {
    pub(crate) fn malformed(path: &Path, reason: impl ToString) -> Self {
        Self::Malformed { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn unsupported(path: &Path, reason: impl ToString) -> Self {
        Self::Unsupported { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn not_written(path: &Path, reason: std::io::Error) -> Self {
        Self::NotWritten { path: path.to_owned(), reason }
    }

    /// The stable code, one of [`CODES`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotReadable { reason, .. } => match reason.kind() {
                std::io::ErrorKind::NotFound => "dump_not_found",
                _ => "dump_not_readable",
            },
            Self::Malformed { .. } => "dump_malformed",
            Self::Unsupported { .. } => "convert_unsupported",
            Self::NotWritten { .. } => "convert_failed",
            Self::Core(failure) => {
                let code = CODES.iter().find(|code| **code == failure.code);
                code.copied().unwrap_or("convert_failed")
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotReadable { .. } => "check the path: ls -l FILE".to_owned(),
            Self::Malformed { .. } => "is the file whole?".to_owned(),
            Self::Unsupported { .. } => {
                "minidumps of Linux (x86-64, arm64), cores of x86-64 and microdumps are converted"
                    .to_owned()
            }
            Self::NotWritten { .. } => "give another place, with free space".to_owned(),
            Self::Core(failure) => failure.hint.clone(),
        }
    }
}
