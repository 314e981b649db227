//! The tables, compared with what a C compiler makes of CPython's headers: also those of builds
//! that nobody ships, such as 3.14 without a GIL.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::claims::claims;
use crate::interpreters::interpreters;

/// `Include/internal` is for CPython itself, and says so when this is missing.
const PREAMBLE: &str = "
#define Py_BUILD_CORE 1
#include \"Python.h\"
#include \"internal/pycore_runtime.h\"
#include \"internal/pycore_interp.h\"
#include \"internal/pycore_frame.h\"
#include \"internal/pycore_code.h\"
#include <stdio.h>
int main(void) {
";

/// Folders of headers under the root of an interpreter, if they are there.
fn headers(root: &Path, minor: u32) -> Option<[PathBuf; 5]> {
    let include = root.join("usr/include");
    let own = include.join(format!("python3.{minor}"));
    own.join("internal/pycore_frame.h").is_file().then(|| {
        let settings = include.join(format!("x86_64-linux-gnu/python3.{minor}"));
        // `pyconfig.h` of Debian is found from the folder above.
        let above = own.parent().unwrap_or(&own).to_owned();
        [own.join("internal/mimalloc"), own.join("internal"), settings, own, above]
    })
}

/// What the compiled questions answer; `None` when there is no compiler.
fn ask_compiler(folders: &[PathBuf], defines: &[&str], program: &str) -> Option<String> {
    let name = format!("lastwords-layout-{}", std::process::id());
    let source = std::env::temp_dir().join(format!("{name}.c"));
    let executable = std::env::temp_dir().join(name);
    std::fs::write(&source, program).unwrap();
    let mut compiler = Command::new("cc");
    compiler.arg("-w").args(defines).arg(&source).arg("-o").arg(&executable);
    // Behind those of the compiler's own library.
    compiler.args(folders.iter().flat_map(|folder| ["-idirafter".as_ref(), folder.as_os_str()]));
    let compiled = compiler.output().ok()?;
    let errors = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{defines:?}: {errors}");
    let answers = Command::new(&executable).output().unwrap();
    std::fs::remove_file(source).unwrap();
    std::fs::remove_file(executable).unwrap();
    Some(String::from_utf8(answers.stdout).unwrap())
}

#[test]
fn tables_agree_with_headers_of_every_kind_of_build() {
    let releases = interpreters().into_iter().filter(|known| !known.is_debug && !known.uses_jit);
    for interpreter in releases {
        let minor = interpreter.minor();
        let Some(folders) = interpreter.root.as_ref().and_then(|root| headers(root, minor)) else {
            continue;
        };
        for (defines, is_free_threaded) in [
            (&[][..], false),
            (&["-DPy_DEBUG=1"], false),
            (&["-DPy_GIL_DISABLED=1"], true),
            (&["-DPy_GIL_DISABLED=1", "-DPy_DEBUG=1"], true),
        ] {
            let claims = claims(minor, is_free_threaded);
            let (mut program, mut expected) = (PREAMBLE.to_owned(), String::new());
            for (name, expression, value) in &claims {
                writeln!(program, "printf(\"{name} %lu\\n\", {expression});").unwrap();
                writeln!(expected, "{name} {value}").unwrap();
            }
            program.push('}');
            match ask_compiler(&folders, defines, &program) {
                None => eprintln!("skipped: there is no C compiler"),
                Some(answers) => assert_eq!(answers, expected, "3.{minor} {defines:?}"),
            }
        }
    }
}
