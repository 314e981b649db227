//! What can be chosen about the capture, beyond what every arming needs.

use std::ffi::c_int;

/// When the handler that was there before ours gets a fault first, and decides whether it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChainFirst {
    /// Where a runtime that raises faults on purpose is in the process (JVM, .NET, Mono, Julia, Go).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never: every fault is reported.
    Never,
}

impl ChainFirst {
    /// Reads the setting's word; `None` for any other.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }
}

/// The choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Signals to report that are no faults: see [`optional_signal`].
    pub extra_signals: Vec<c_int>,
    /// Whether the previous handler goes first.
    pub chain_first: ChainFirst,
    /// Whether threads get alternate signal stacks, so that their stack overflows are reported.
    pub alternate_stacks: bool,
    /// The session file to make; `None`: how the process ends is not watched.
    pub session: Option<String>,
    /// Whether the stacks of throws are recorded.
    pub capture_throws: bool,
    /// Throws per second of which all are recorded, of the whole process; 0 = no limit.
    pub max_throws_per_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            extra_signals: Vec::new(),
            chain_first: ChainFirst::default(),
            alternate_stacks: true,
            session: None,
            capture_throws: true,
            max_throws_per_s: 50_000,
        }
    }
}

/// Number of a signal that is reported on request only, by its name without `SIG`: `QUIT`,
/// `XCPU`, `XFSZ`; `None` for any other.
#[must_use]
pub fn optional_signal(name: &str) -> Option<c_int> {
    match name {
        "QUIT" => Some(libc::SIGQUIT),
        "XCPU" => Some(libc::SIGXCPU),
        "XFSZ" => Some(libc::SIGXFSZ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_are_taken() {
        assert_eq!(ChainFirst::from_name("always"), Some(ChainFirst::Always));
        assert_eq!(ChainFirst::from_name("sometimes"), None);
        assert_eq!(optional_signal("XCPU"), Some(libc::SIGXCPU));
        assert_eq!(optional_signal("SEGV"), None);
    }
}
