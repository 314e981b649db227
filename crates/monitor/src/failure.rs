//! Why something that a person asked for could not be done.

use serde_json::{Value, json};

/// A stable code, what happened, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One of `lastwords.errors.CODES`.
    pub code: &'static str,
    /// What, where.
    pub message: String,
    /// What to type next.
    pub hint: String,
}

impl Failure {
    /// A failure.
    pub fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }

    /// As JSON: `code`, `message`, `hint`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"code": self.code, "message": self.message, "hint": self.hint})
    }

    /// The exit status that stands for it: 1 failed, 2 usage, 3 no such process, 4 permission,
    /// 126 the command cannot be started, 127 there is no such command.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self.code {
            "order_invalid" | "process_ambiguous" => 2,
            "process_not_found" | "process_not_dumpable" => 3,
            "dump_not_found"
            | "dump_not_readable"
            | "dump_empty"
            | "dump_not_a_minidump"
            | "dump_malformed" => 3,
            "process_not_traceable" => 4,
            "command_not_executable" => 126,
            "command_not_found" => 127,
            _ => 1,
        }
    }
}
