//! Which process a person means: by its id, or by a name that only one of them has.

use std::collections::HashSet;

use super::procfs::{parent, process_name, read_bounded, thread_name};
use crate::failure::Failure;

const MOST_LISTED: usize = 10;
const MOST_COMMAND_CHARACTERS: usize = 100;
/// Programs that people call by the name of the script which they interpret.
const INTERPRETERS: &[&str] = &["python", "pypy", "node", "ruby", "perl", "bash", "sh", "dash"];

/// A process, and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: i32,
    /// File name of its program, its own name for itself, the script it interprets.
    names: Vec<String>,
    /// Its command line in one line.
    command: String,
}

/// The process id that `target` means: a number stands for itself, whether it exists or not.
///
/// Neither the caller nor those that started it are meant by a name. `verb` is what a person
/// typed, for the hint.
///
/// # Errors
/// `process_not_found`, `process_ambiguous`.
pub fn find_process(target: &str, verb: &str) -> Result<i32, Failure> {
    if let (Ok(pid), true) = (target.parse(), target.bytes().all(|byte| byte.is_ascii_digit())) {
        return Ok(pid);
    }
    let is_it = |process: &Process| process.names.iter().any(|name| name == target);
    let found: Vec<Process> = running().into_iter().filter(is_it).collect();
    match found.as_slice() {
        [only] => Ok(only.pid),
        [] => {
            let message = format!("there is no process named {target}");
            Err(Failure::new("process_not_found", message, "see which there are: ps -e"))
        }
        [.., last] => {
            let hint = format!("name one by its id: lastwords {verb} {}", last.pid);
            Err(Failure::new("process_ambiguous", ambiguous(target, &found), hint))
        }
    }
}

fn ambiguous(target: &str, found: &[Process]) -> String {
    let mut lines = vec![format!("{} processes are named {target}:", found.len())];
    lines.extend(found.iter().take(MOST_LISTED).map(|process| {
        let command: String = process.command.chars().take(MOST_COMMAND_CHARACTERS).collect();
        format!("{:>8}  {command}", process.pid)
    }));
    if let Some(more) = found.len().checked_sub(MOST_LISTED).filter(|more| *more > 0) {
        lines.push(format!("     and {more} more"));
    }
    lines.join("\n")
}

/// The processes that can be meant, by id.
fn running() -> Vec<Process> {
    let own = ancestors();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut ids: Vec<i32> = ids.filter(|pid| !own.contains(pid)).collect();
    ids.sort_unstable();
    ids.into_iter().filter_map(process).collect()
}

fn ancestors() -> HashSet<i32> {
    let mut found = HashSet::new();
    let mut pid = super::sys::own_pid();
    while pid > 1 && found.insert(pid) {
        pid = parent(pid).and_then(|parent| i32::try_from(parent).ok()).unwrap_or(0);
    }
    found
}

/// `None` when it has ended.
fn process(pid: i32) -> Option<Process> {
    let own_name = thread_name(pid, pid).filter(|name| !name.is_empty())?;
    let line = read_bounded(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).into_owned();
    let arguments: Vec<&str> = line.split('\0').filter(|word| !word.is_empty()).collect();
    let mut names = vec![own_name.clone(), process_name(pid)];
    if let Some((program, rest)) = arguments.split_first() {
        let called = file_name(program);
        names.push(called.to_owned());
        if INTERPRETERS.iter().any(|name| called.starts_with(name)) {
            let script = rest.iter().find(|word| !word.starts_with('-'));
            names.extend(script.map(|script| file_name(script).to_owned()));
        }
    }
    let command = if arguments.is_empty() { format!("[{own_name}]") } else { arguments.join(" ") };
    Some(Process { pid, names, command })
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A shell that interprets a script of this name and waits for the end of its stdin.
    fn script(folder: &std::path::Path, name: &str) -> Child {
        let path = folder.join(name);
        std::fs::write(&path, "echo ready\nread line\n").unwrap();
        let mut child = Command::new("sh")
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        child
    }

    fn end(mut child: Child) {
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_number_is_a_process_id_whether_it_exists_or_not() {
        assert_eq!(find_process("4194999", "dump"), Ok(4_194_999));
    }

    #[test]
    fn a_script_is_found_by_its_name_and_two_of_them_are_listed() {
        let folder = folder("lw-processes");
        let name = "lw_a_script_of_its_own.sh";
        let first = script(&folder, name);
        let found = find_process(name, "dump");
        let second = script(&folder, name);
        let ambiguous = find_process(name, "stacks").unwrap_err();
        let ids = [first.id(), second.id()];
        end(first);
        end(second);
        std::fs::remove_dir_all(folder).unwrap();
        assert_eq!(found, Ok(ids[0].cast_signed()));
        assert_eq!((ambiguous.code, ambiguous.exit_status()), ("process_ambiguous", 2));
        assert!(ids.iter().all(|id| ambiguous.message.contains(&id.to_string())));
        assert!(ambiguous.hint.starts_with("name one by its id: lastwords stacks "));
    }

    #[test]
    fn a_name_of_nobody_is_told() {
        let failure = find_process("lw-nobody-has-this-name", "dump").unwrap_err();
        assert_eq!((failure.code, failure.exit_status()), ("process_not_found", 3));
    }

    #[test]
    fn neither_we_nor_those_who_started_us_are_meant() {
        let found = running();
        let own = super::super::sys::own_pid();
        let parent = i32::try_from(parent(own).unwrap()).unwrap();
        assert!(found.iter().all(|process| process.pid != own && process.pid != parent));
    }
}
