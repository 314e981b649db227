//! How far the observed process is in its life.

/// The field `life` of the area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Never noted.
    Unknown,
    /// It runs.
    Running,
    /// The interpreter finalises (`atexit`): whatever exit status follows was chosen.
    Finalising,
    /// The C library's `exit()` was called while the interpreter ran.
    Exit,
    /// A crash was handed to a monitor.
    Crashed,
    /// It executed another program.
    Exec,
}

impl Life {
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Running => 1,
            Self::Finalising => 2,
            Self::Exit => 3,
            Self::Crashed => 4,
            Self::Exec => 5,
        }
    }

    pub(super) fn from_code(code: u32) -> Self {
        let all = [Self::Running, Self::Finalising, Self::Exit, Self::Crashed, Self::Exec];
        all.into_iter().find(|life| life.code() == code).unwrap_or(Self::Unknown)
    }
}
