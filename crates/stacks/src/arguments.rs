//! The command line of `lastwords stacks`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

/// What a person asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments {
    /// Process id, process name, or path of a core file or dump.
    pub target: OsString,
    /// Native frames are wanted too.
    pub is_native: bool,
    /// Arguments and variables of Python frames are wanted.
    pub has_locals: bool,
    /// The document instead of text.
    pub is_json: bool,
    /// Everything that is folded otherwise.
    pub is_all: bool,
    /// The newest frame stands first.
    pub is_newest_first: bool,
    /// No lines of source files.
    pub has_no_source: bool,
    /// Module files of this machine are not read.
    pub has_no_local_modules: bool,
    /// The cache of symbols is neither read nor written.
    pub has_no_cache: bool,
    /// Symbol sources.
    pub symbols: Vec<PathBuf>,
    /// A partial result is told by the exit status.
    pub is_strict: bool,
}

/// What the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Show stacks.
    Show(Arguments),
    /// Print the help.
    Help,
}

/// What `--help` prints.
pub const HELP: &str = "\
Usage: lastwords stacks [OPTIONS] PID|NAME|CORE|DUMP

  Show where every thread stands: the stacks of Python and of native code merged into one.

  The target is a running process (its id, or the name of a program or script that only one
  process has; it stands still for about a millisecond and needs to know nothing of lastwords), a
  core file, or a dump. The newest frame comes last, as in Python's own tracebacks.

Options:
  -n, --native           Show native frames too: C, C++, Rust, inlined calls.
  -l, --locals           Show arguments and variables of Python frames: built-in types only,
                         cut when long; what is named like a secret is not shown.
  -a, --all              Show everything: the interpreter's call plumbing, each round of a
                         recursion, waiting asyncio tasks and greenlets with their stacks.
  -r, --newest-first     Begin with the newest frame of each thread.
      --no-source        Do not show lines of source files.
      --json             Print the analysis document instead (docs/formats/analysis.md).
      --symbols PATH     Symbol source: file, folder, address of a server, or srv*CACHE*URL;
                         matched by debug id. May be repeated.
      --insecure-http    Allow http:// addresses of other machines.
      --no-local-modules Do not read the modules' files on this machine.
      --no-cache         Neither read nor write the cache of symbols.
      --strict           End with status 5 when something could not be had.
  -h, --help             Show this message and exit.

Examples:
  lastwords stacks 4711
  lastwords stacks --native --locals worker.py
  lastwords stacks --native core.4711
  lastwords stacks --json crash.dmp | jq '.threads[].frames[0]'

Exit status: 0 done, 1 failed, 2 usage, or several processes have that name, 3 no such process or
the file is not readable, 4 no permission to look at the process, 5 partial result under --strict.
";

/// Reads the command line behind the verb.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn parse(words: &[OsString]) -> Result<Parsed, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut arguments = Arguments::default();
    let mut target = None;
    while let Some(word) = parser.next().map_err(|error| error.to_string())? {
        let option = match word {
            Value(value) if target.is_none() => {
                target = Some(value);
                continue;
            }
            Value(value) => return Err(format!("one target too many: {}", value.display())),
            Short(letter) => format!("-{letter}"),
            Long(name) => format!("--{name}"),
        };
        if matches!(option.as_str(), "-h" | "--help") {
            return Ok(Parsed::Help);
        }
        read_option(&mut arguments, &option, &mut parser)?;
    }
    arguments.target = target.ok_or("the target is missing: PID, NAME, CORE or DUMP")?;
    Ok(Parsed::Show(arguments))
}

fn read_option(
    arguments: &mut Arguments,
    option: &str,
    parser: &mut lexopt::Parser,
) -> Result<(), String> {
    let mut path = || parser.value().map(PathBuf::from).map_err(|error| error.to_string());
    match option {
        "-n" | "--native" => arguments.is_native = true,
        "-l" | "--locals" => arguments.has_locals = true,
        "-a" | "--all" => arguments.is_all = true,
        "-r" | "--newest-first" => arguments.is_newest_first = true,
        "--no-source" => arguments.has_no_source = true,
        "--json" => arguments.is_json = true,
        "--symbols" => arguments.symbols.push(path()?),
        // Of downloads alone, which are Python's.
        "--insecure-http" => {}
        "--no-local-modules" => arguments.has_no_local_modules = true,
        "--no-cache" => arguments.has_no_cache = true,
        "--strict" => arguments.is_strict = true,
        unknown => return Err(format!("there is no option {unknown}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Parsed, String> {
        parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_may_stand_anywhere_and_be_joined() {
        let expected = Arguments {
            target: "4711".into(),
            is_native: true,
            has_locals: true,
            symbols: vec!["a".into(), "b".into()],
            ..Arguments::default()
        };
        let words = ["-nl", "--symbols", "a", "4711", "--symbols=b"];
        assert_eq!(parsed(&words), Ok(Parsed::Show(expected)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, told) in [
            (vec![], "target is missing"),
            (vec!["1", "2"], "one target too many: 2"),
            (vec!["1", "--nativ"], "no option --nativ"),
            (vec!["1", "--symbols"], "--symbols"),
            (vec!["1", "--json=x"], "--json"),
        ] {
            let error = parsed(&words).unwrap_err();
            assert!(error.contains(told), "{words:?}: {error}");
        }
    }

    #[test]
    fn help_wins_over_what_is_missing_and_names_every_option() {
        assert_eq!(parsed(&["--help"]), Ok(Parsed::Help));
        let options = HELP.split_whitespace().filter(|word| word.starts_with("--"));
        for option in options.filter(|option| *option != "--help") {
            let parsed = parsed(&["1", option.trim_end_matches([',', '.']), "x"]);
            let is_unknown = parsed.is_err_and(|error| error.contains("no option"));
            assert!(!is_unknown, "{option}");
        }
    }
}
