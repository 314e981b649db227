//! `lastwords analyze FILE --json` where it is so plain that Python would only pass it on.
//!
//! Whatever is not, and whatever fails, is left to the command line in Python, which knows all
//! options, other kinds of files, servers of symbols, and the words for what is wrong.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use lastwords_analyze::Options;

use crate::{cache, verb};

/// Runs the verb; `words` is what stands behind `lastwords analyze`. `None` = it is Python's.
#[must_use]
pub fn run(words: &[OsString]) -> Option<ExitCode> {
    let (file, options) = parse(words, cache::folder())?;
    let analyzed =
        catch_unwind(AssertUnwindSafe(|| lastwords_analyze::analyze_path(&file, &options).ok()));
    let mut line = serde_json::to_vec(&analyzed.ok()??).ok()?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    Some(verb::written(out.write_all(&line).and_then(|()| out.flush()), 0))
}

/// One file, `--json`, and options that need nothing but the core.
fn parse(words: &[OsString], cache_dir: Option<PathBuf>) -> Option<(PathBuf, Options)> {
    let mut options = Options { cache_dir, ..Options::default() };
    let (mut file, mut is_json) = (None, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.to_str()? {
            "--json" => is_json = true,
            "--no-local-modules" => options.local_modules = false,
            "--no-cache" => options.cache_dir = None,
            "--symbols" => options.symbols.push(local(words.next()?)?),
            text if text.starts_with('-') || text.is_empty() || file.is_some() => return None,
            text => file = Some(PathBuf::from(text)),
        }
    }
    is_json.then_some((file?, options))
}

/// A folder or file that is there; servers, and lists in Microsoft's form, are Python's.
fn local(source: &OsStr) -> Option<PathBuf> {
    let text = source.to_str()?;
    let is_plain = !text.contains(['*', ';']) && !text.contains("://");
    let path = PathBuf::from(text);
    (is_plain && path.exists()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(PathBuf, Options)> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(&words, Some("/cache".into()))
    }

    #[test]
    fn plain_lines_are_done_here() {
        let (file, options) = parsed("a.dmp --json").unwrap();
        assert_eq!(file, PathBuf::from("a.dmp"));
        assert_eq!(options, Options { cache_dir: Some("/cache".into()), ..Options::default() });
        let (_, options) = parsed("--json --no-cache --no-local-modules --symbols / a").unwrap();
        assert_eq!((options.cache_dir, options.local_modules), (None, false));
        assert_eq!(options.symbols, [PathBuf::from("/")]);
    }

    #[test]
    fn all_others_are_left_to_python() {
        for line in [
            "a.dmp",
            "--json",
            "a b --json",
            "a --json --strict",
            "a --json --help",
            "a --json --symbols",
            "a --json --symbols /nowhere/at/all",
            "a --json --symbols https://example.com",
            "a --json --symbols srv*/tmp",
            "a --json --symbols=/",
            "-- a --json",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
