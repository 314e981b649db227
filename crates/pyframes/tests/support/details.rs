//! Victims for the tests of details: scripts that print the truth about themselves as one line
//! of JSON when they stand still.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use lastwords_pyframes::{DetailsOptions, Limits, Outcome, Target, read_python_with_details};
use serde_json::Value;

use super::{Interpreter, Victim, interpreters, script};

impl Victim {
    /// Runs a script, waits until it sleeps, and stops it. `packages`: a folder that it may
    /// import from.
    pub fn start_script(interpreter: &Interpreter, name: &str, packages: Option<&Path>) -> Self {
        let mut child = Command::new(&interpreter.executable)
            .arg(script(name))
            .env("PYTHONPATH", packages.unwrap_or(Path::new("")))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("the script's output is text");
        let truth: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("the victim of {interpreter:?} failed: {line}"));
        let runtime_address = truth["runtime"].as_u64().expect("an address");
        let target = Target { runtime_address, python_version: interpreter.version };
        let victim = Self { child, truth, target };
        victim.wait_for_state(&["S"]);
        victim.stop();
        victim
    }

    pub fn read_details(&self, options: &DetailsOptions) -> Outcome {
        read_python_with_details(&self.memory(), &self.target, &Limits::default(), options)
            .expect("the interpreter can be read")
    }
}

/// Runs a script in every interpreter whose objects are known. The victims are children of a
/// thread that lives as long as the process, as those of `victims` are.
pub fn start_everywhere(name: &'static str) -> Vec<(Interpreter, Victim)> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let start = |interpreter: Interpreter| {
            let victim = Victim::start_script(&interpreter, name, None);
            (interpreter, victim)
        };
        let victims: Vec<_> = known_interpreters().into_iter().map(start).collect();
        sender.send(victims).expect("the test waits");
        loop {
            std::thread::park();
        }
    });
    receiver.recv().expect("every victim started")
}

/// The interpreters whose objects are known.
pub fn known_interpreters() -> Vec<Interpreter> {
    interpreters()
}
