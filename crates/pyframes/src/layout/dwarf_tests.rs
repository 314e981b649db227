//! The tables, compared with the debug information of the interpreters of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::claims::claims;
use crate::interpreters::{Interpreter, interpreters};

/// The file with the interpreter's code: its shared library, or the executable itself.
pub(super) fn binary(interpreter: &Interpreter) -> PathBuf {
    let find = "import os, sys, sysconfig; get = sysconfig.get_config_var; \
                path = os.path.join(get('LIBDIR') or '', get('INSTSONAME') or ''); \
                print(path if os.path.isfile(path) and '.so' in path else os.path.realpath(sys.executable))";
    let output = interpreter.command().args(["-c", find]).output().unwrap();
    interpreter.outside(Path::new(String::from_utf8(output.stdout).unwrap().trim()))
}

/// What GDB answers of a file of the interpreter, line by line; `None` when it is not installed.
pub(super) fn ask_gdb(
    interpreter: &Interpreter,
    file: &Path,
    questions: &[String],
) -> Option<Vec<String>> {
    let mut gdb = Command::new("gdb");
    gdb.args(["--nx", "--batch", "-iex", "set debuginfod enabled off", "-iex"]);
    let debug_files = interpreter.outside(Path::new("/usr/lib/debug"));
    gdb.arg(format!("set debug-file-directory {}", debug_files.display()));
    for question in questions {
        gdb.args(["-ex", question]);
    }
    let output = gdb.arg(file).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

#[test]
fn tables_agree_with_debug_information() {
    for interpreter in interpreters().into_iter().filter(|known| !known.uses_jit) {
        let claims = claims(interpreter.minor(), interpreter.is_free_threaded);
        let question =
            |(name, expression, _): &_| format!("printf \"{name} %lu\\n\", {expression}");
        let questions: Vec<String> = claims.iter().map(question).collect();
        let expected: Vec<String> =
            claims.iter().map(|(name, _, value)| format!("{name} {value}")).collect();
        match ask_gdb(&interpreter, &binary(&interpreter), &questions) {
            None => eprintln!("skipped: gdb is not installed"),
            Some(answers) if answers.is_empty() => {
                eprintln!("skipped: {interpreter:?} carries no debug information");
            }
            Some(answers) => assert_eq!(answers, expected, "{interpreter:?}"),
        }
    }
}
