//! Victims for the tests of details: scripts that print the truth about themselves as one line
//! of JSON when they stand still.

use std::path::Path;

use lastwords_pyframes::{DetailsOptions, Limits, Outcome, read_python_with_details};

use super::{Interpreter, Starting, Victim, interpreters};

/// Of newer ones, objects are not known yet.
const NEWEST_KNOWN: u32 = 14;

impl Victim {
    /// Runs a script, waits until it sleeps, and stops it. `packages`: a folder that it may
    /// import from.
    pub fn start_script(interpreter: &Interpreter, name: &str, packages: Option<&Path>) -> Self {
        let mut command = interpreter.command();
        command.env("PYTHONPATH", packages.unwrap_or(Path::new("")));
        Starting::call(command, interpreter, name, &[]).finish()
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
    let is_known = |found: &Interpreter| found.minor() <= NEWEST_KNOWN && !found.is_free_threaded;
    interpreters().into_iter().filter(is_known).collect()
}
