//! Colours, on terminals only.

use std::io::IsTerminal as _;

/// Whether and how text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    None,
    Ansi,
}

impl Paint {
    /// None when stdout is no terminal, `NO_COLOR` is set (no-color.org) or `TERM` is `dumb`.
    pub(crate) fn for_stdout() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb {
            Self::Ansi
        } else {
            Self::None
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn python(self, text: &str) -> String {
        self.with("1;32", text)
    }

    pub(crate) fn native(self, text: &str) -> String {
        self.with("36", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.with("33", text)
    }
}
