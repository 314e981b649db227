//! `cargo run -p lastwords-analyze --example analyze -- FILE [OPTIONS_JSON]`: the core without
//! Python, for work on the core itself.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().unwrap_or_default());
    let options = arguments.next().unwrap_or_default();
    match lastwords_analyze::analyze_file(&path, options.as_encoded_bytes()) {
        Ok(document) => match std::io::stdout().write_all(&document) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("error[{}]: {}", error.code(), error.message());
            ExitCode::from(3)
        }
    }
}
