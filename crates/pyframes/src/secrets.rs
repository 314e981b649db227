//! Names whose values are secrets: one list for what is read of a program and for what the
//! monitor writes of its environment, its command line and its texts.

/// Words in a name that make its value a secret, whatever else it is.
pub const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "auth",
    "cookie",
    "sessionid",
    "connectionstring",
    "dsn",
];

/// Further words for names in a program, where nothing is lost by taking too much: there are
/// harmless environment variables with `SESSION` in them.
const PROGRAM_WORDS: &[&str] = &["session", "csrf", "xsrf", "bearer", "cardnumber", "cvv"];

/// Whether a variable, option or header of that name holds a secret: one of [`SECRET_WORDS`]
/// stands in it, in any case, with or without separators (`API_KEY`, `api-key`, `apiKey`).
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = plain(name);
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The list for values of a program, with the words that a caller adds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    added: Vec<String>,
}

impl Secrets {
    pub fn new(added: &[String]) -> Self {
        let added = added.iter().map(|word| plain(word)).filter(|word| !word.is_empty());
        Self { added: added.collect() }
    }

    /// Whether the value behind this name must not be told.
    pub fn covers(&self, name: &str) -> bool {
        let name = plain(name);
        let lists = SECRET_WORDS.iter().chain(PROGRAM_WORDS).copied();
        lists.chain(self.added.iter().map(String::as_str)).any(|word| name.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_separators_do_not_matter() {
        for name in ["API_KEY", "x-api-key", "apiKey", "db_Password2", "Authorization", "PGPASSWD"]
        {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["keys", "path", "XDG_SESSION_TYPE", ""] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_program_has_more_secrets_and_a_caller_adds_some() {
        let secrets = Secrets::new(&["Patient-Name".to_owned(), "--".to_owned()]);
        for name in ["session", "csrfmiddleware", "patient_name", "password"] {
            assert!(secrets.covers(name), "{name}");
        }
        assert!(!secrets.covers("patient"));
    }
}
