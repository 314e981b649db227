//! The folder of the symbol cache, as `lastwords.symbols.cache` chooses it.

use std::ffi::OsString;
use std::path::PathBuf;

/// `$LASTWORDS_CACHE_DIR`, else `lastwords/symbols` in `$XDG_CACHE_HOME`, else in `~/.cache`;
/// `None` where no home is known.
pub(crate) fn folder() -> Option<PathBuf> {
    choose(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn choose(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(own) = variable("LASTWORDS_CACHE_DIR") {
        return Some(own.into());
    }
    // Relative paths are no cache folders (XDG Base Directory Specification).
    let of_user = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = of_user.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?;
    Some(base.join("lastwords/symbols"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_counts() {
        let with = |words: &[(&str, &str)]| {
            let words: Vec<(String, OsString)> =
                words.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
            choose(|name| words.iter().find(|(known, _)| known == name).map(|(_, v)| v.clone()))
        };
        let (home, xdg) = (("HOME", "/home/a"), ("XDG_CACHE_HOME", "/c"));
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[home]), Some("/home/a/.cache/lastwords/symbols".into()));
        assert_eq!(with(&[home, xdg]), Some("/c/lastwords/symbols".into()));
        assert_eq!(
            with(&[home, ("XDG_CACHE_HOME", "c")]),
            Some("/home/a/.cache/lastwords/symbols".into())
        );
        assert_eq!(with(&[home, xdg, ("LASTWORDS_CACHE_DIR", "/own")]), Some("/own".into()));
    }
}
