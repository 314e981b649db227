//! From the command line to the printed stacks.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lastwords_analyze::Options;
use lastwords_monitor::failure::Failure;
use lastwords_monitor::os::linux::find_process;
use lastwords_monitor::stacks::{StacksDump, stacks_of_core, stacks_of_running};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::arguments::{Arguments, HELP, Parsed, parse};
use crate::cache;
use crate::document::Document;
use crate::text::{self, Look};

const USAGE: u8 = 2;
const PARTIAL: u8 = 5;
const SNIFFED: u64 = 18;
/// Stands for the variable of the environment.
const SYMBOL_PATH: &str = "_NT_SYMBOL_PATH";

/// Runs the verb; `words` is what stands behind `lastwords stacks`. `None` = symbols are to be
/// downloaded, which is Python's.
#[must_use]
pub fn run(words: &[OsString]) -> Option<ExitCode> {
    let arguments = match parse(words) {
        Ok(Parsed::Show(arguments)) => arguments,
        Ok(Parsed::Help) => return Some(written(io::stdout().write_all(HELP.as_bytes()), 0)),
        Err(wrong) => {
            eprintln!("error: {wrong}\nhint: lastwords stacks --help");
            return Some(ExitCode::from(USAGE));
        }
    };
    if arguments.symbols.iter().any(|source| is_elsewhere(source)) {
        return None;
    }
    Some(show(&arguments).unwrap_or_else(|failure| {
        eprintln!("error: {}", text::printable(&failure.message));
        if !failure.hint.is_empty() {
            eprintln!("hint: {}", failure.hint);
        }
        ExitCode::from(failure.exit_status())
    }))
}

/// A server, or a list in Microsoft's form, and no file that has such a name.
fn is_elsewhere(source: &Path) -> bool {
    let text = source.to_string_lossy();
    let has_form = text.contains("://") || text.contains(['*', ';']) || text == SYMBOL_PATH;
    has_form && !source.exists()
}

fn show(arguments: &Arguments) -> Result<ExitCode, Failure> {
    check_symbols(&arguments.symbols)?;
    let target = Target::of(arguments)?;
    let mut document = target.analyze(arguments)?;
    if let Some(own) = document.get_mut("lastwords").and_then(Value::as_object_mut) {
        own.insert("stacks".to_owned(), target.to_json());
    }
    let is_partial = document.pointer("/soft_errors/0").is_some();
    let status = if arguments.is_strict && is_partial { PARTIAL } else { 0 };
    let mut out = io::stdout().lock();
    if arguments.is_json {
        let printed = serde_json::to_writer(&mut out, &document).map_err(io::Error::from);
        return Ok(written(printed.and_then(|()| out.write_all(b"\n")), status));
    }
    let document = Document::deserialize(&document).map_err(|error| {
        Failure::new("core_failed", format!("the analysis has another shape: {error}"), REPORT)
    })?;
    let look = Look::new(arguments, &document, target.pid());
    let page = text::page(&document, &target.title(), &look);
    Ok(written(out.write_all(page.as_bytes()).and_then(|()| out.flush()), status))
}

const REPORT: &str = "please report it, with the dump if you may share it";

/// A reader that has seen enough is no failure.
pub(crate) fn written(result: io::Result<()>, status: u8) -> ExitCode {
    match result {
        Ok(()) => ExitCode::from(status),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: the output cannot be written: {error}");
            eprintln!("hint: write it to a disk with free space");
            ExitCode::FAILURE
        }
    }
}

/// A typing error must not look like missing symbols.
fn check_symbols(symbols: &[PathBuf]) -> Result<(), Failure> {
    match symbols.iter().find(|path| !path.exists()) {
        None => Ok(()),
        Some(path) => Err(Failure::new(
            "symbols_not_found",
            format!("symbol source {}: there is no such file or folder", path.display()),
            "check the path given to --symbols",
        )),
    }
}

/// Where the stacks come from.
enum Target {
    Process(StacksDump),
    Core(PathBuf, StacksDump),
    Dump(PathBuf),
}

impl Target {
    fn of(arguments: &Arguments) -> Result<Self, Failure> {
        let path = PathBuf::from(&arguments.target);
        let name = arguments.target.to_string_lossy();
        let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            match kind_of_file(&path) {
                Some(FileKind::Core) => {
                    let dump = stacks_of_core(&path, arguments.has_locals)?;
                    return Ok(Self::Core(path, dump));
                }
                Some(FileKind::Dump) => return Ok(Self::Dump(path)),
                // What has a slash in it is a path; another file is perhaps a running script.
                None if name.contains('/') => return Ok(Self::Dump(path)),
                None => {}
            }
        }
        let pid = find_process(&name, "stacks")?;
        Ok(Self::Process(stacks_of_running(pid, arguments.has_locals)?))
    }

    fn analyze(&self, arguments: &Arguments) -> Result<Value, Failure> {
        let options = Options {
            symbols: arguments.symbols.clone(),
            local_modules: !arguments.has_no_local_modules,
            native: arguments.is_native,
            locals: arguments.has_locals,
            cache_dir: if arguments.has_no_cache { None } else { cache::folder() },
            ..Options::default()
        };
        let document = match self {
            Self::Process(dump) => {
                let path = PathBuf::from(format!("/proc/{}", dump.pid));
                lastwords_analyze::analyze_bytes(&path, dump.bytes.clone(), &options)
            }
            Self::Core(path, dump) => {
                lastwords_analyze::analyze_bytes(path, dump.bytes.clone(), &options)
            }
            Self::Dump(path) => lastwords_analyze::analyze_path(path, &options),
        };
        document.map_err(|error| {
            Failure::new(error.code(), error.message(), error.hint().unwrap_or_default())
        })
    }

    fn pid(&self) -> Option<i32> {
        match self {
            Self::Process(dump) => Some(dump.pid),
            Self::Core(..) | Self::Dump(_) => None,
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Process(dump) => format!("{} ({})", dump.process_name, dump.pid),
            Self::Core(path, dump) => {
                format!("{}, core of {} ({})", path.display(), dump.process_name, dump.pid)
            }
            Self::Dump(path) => path.display().to_string(),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Process(dump) => json!({
                "source": "process",
                "pid": dump.pid,
                "process": dump.process_name,
                "stopped_us": dump.stopped.and_then(|time| u64::try_from(time.as_micros()).ok()),
            }),
            Self::Core(path, dump) => json!({
                "source": "core", "path": path, "pid": dump.pid, "process": dump.process_name,
            }),
            Self::Dump(path) => json!({"source": "dump", "path": path}),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Core,
    Dump,
}

/// Tells cores and dumps, also packed ones, by their first bytes.
fn kind_of_file(path: &Path) -> Option<FileKind> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut start = Vec::new();
    File::open(path).ok()?.take(SNIFFED).read_to_end(&mut start).ok()?;
    let is_core = start.starts_with(b"\x7fELF") && start.get(16..18) == Some(&[4, 0]);
    let is_dump = [b"MDMP", b"PMDM", b"\x28\xb5\x2f\xfd"].iter().any(|m| start.starts_with(*m));
    match (is_core, is_dump && metadata.len() > 0) {
        (true, _) => Some(FileKind::Core),
        (false, true) => Some(FileKind::Dump),
        (false, false) => None,
    }
}
