//! The names that `threading` gives to threads: its dict `_active`, from `get_ident()` to
//! `Thread` objects, which keep `_name` among their attributes.

use std::collections::HashMap;

use super::Reader;
use super::read::Interpreter;

/// As many as thread states of a process are read.
const MAX_THREADS: usize = 4_096;

impl Reader<'_> {
    /// Names by `pthread_self()`.
    pub(super) fn thread_names(
        &mut self,
        interpreter: &Interpreter,
        max_text: usize,
    ) -> HashMap<u64, String> {
        let Some(threading) = interpreter.threading else { return HashMap::new() };
        let active = self.lookup(threading, "_active");
        let threads = active.and_then(|active| match active {
            Some(active) => self.dict(active, MAX_THREADS),
            None => Ok(super::dicts::Entries::default()),
        });
        let threads = threads.unwrap_or_else(|fault| {
            self.note("module threading".to_owned(), "names of threads", &fault);
            super::dicts::Entries::default()
        });
        let mut names = HashMap::new();
        for (ident, thread) in threads.items {
            let Some(ident) = self.exact_u64(ident) else { continue };
            let [name] = self.attributes(thread, ["_name"]);
            let Some(name) = name else { continue };
            if let Ok(name) = self.exact_text(name, max_text) {
                names.insert(ident, name.text);
            }
        }
        names
    }
}
