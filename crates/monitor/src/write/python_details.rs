//! The stream of details beside the Python stream: names, exceptions, tasks, greenlets, and the
//! variables that were asked for (docs/formats/python-details.md).

use lastwords_format::streams::stream_type;
use lastwords_pyframes::{DetailsOptions, LocalsLimits, PythonDetails};

use super::{DumpWriter, StreamResult};
use crate::plan::DumpFlags;
use crate::scrub;
use crate::snapshot::Crash;

/// Most bytes of the stream: readers take 4 MiB of JSON.
const MOST_BYTES: usize = 2 * 1024 * 1024;

impl DumpWriter<'_> {
    /// What is to be read of this process for this kind of dump.
    pub(super) fn details_options(&self, crash: &Crash) -> DetailsOptions {
        // Values may say anything of the user, as memory does.
        let filters = [DumpFlags::FILTER_MEMORY, DumpFlags::FILTER_TRIAGE];
        let is_filtered = filters.iter().any(|flag| self.flags.contains(*flag));
        let is_wanted = self.python_locals && !is_filtered;
        DetailsOptions {
            locals: is_wanted.then(LocalsLimits::default),
            first_thread: Some(crash.thread_id.into()),
            ..DetailsOptions::default()
        }
    }

    /// Nothing is written when nothing was found.
    pub(super) fn python_details(&mut self, mut details: PythonDetails) -> StreamResult {
        self.scrub_details(&mut details);
        if details.is_empty() {
            return Ok(());
        }
        let json = fitting(details, MOST_BYTES)?;
        self.dump.add_stream(stream_type::LASTWORDS_PYTHON_DETAILS, &json)
    }

    fn scrub_details(&self, details: &mut PythonDetails) {
        if self.flags.contains(DumpFlags::FILTER_TRIAGE) {
            for thread in &mut details.threads {
                for exception in thread.pending.iter_mut().chain(&mut thread.handled) {
                    exception.text = None;
                    exception.chain.iter_mut().for_each(|link| link.text = None);
                }
            }
        }
        details.for_each_text(|text| *text = scrub::text(text));
        if let Some(paths) = &self.paths {
            details.for_each_text(|text| *text = paths.text(text));
            details.for_each_file(|file| *file = paths.path(file));
        }
    }
}

/// The details as JSON of at most `most` bytes: parts are given up until the rest fits, the last
/// of each first, variables before greenlets, tasks and threads.
fn fitting(mut details: PythonDetails, most: usize) -> std::io::Result<Vec<u8>> {
    loop {
        let json = serde_json::to_vec(&details)?;
        if json.len() <= most {
            return Ok(json);
        }
        let is_shorter = halve(&mut details.locals)
            || halve(&mut details.greenlets)
            || halve(&mut details.tasks)
            || halve(&mut details.threads);
        if !is_shorter {
            return Err(std::io::Error::other("details do not fit"));
        }
        if !details.limits.iter().any(|limit| limit == "max_stream_bytes") {
            details.limits.push("max_stream_bytes".to_owned());
        }
    }
}

/// Whether there was something to give up.
fn halve<T>(list: &mut Vec<T>) -> bool {
    let is_empty = list.is_empty();
    list.truncate(list.len() / 2);
    !is_empty
}

#[cfg(test)]
mod tests {
    use lastwords_pyframes::{FrameLocals, Greenlet, Task, ThreadDetails};

    use super::*;

    fn named(name: String) -> ThreadDetails {
        ThreadDetails { name: Some(name), ..ThreadDetails::default() }
    }

    #[test]
    fn what_does_not_fit_is_given_up_the_variables_first() {
        let details = PythonDetails {
            threads: vec![named("main".into())],
            locals: vec![FrameLocals::default(); 100],
            tasks: vec![Task::default(); 100],
            greenlets: vec![Greenlet::default(); 10],
            limits: Vec::new(),
        };
        let whole = serde_json::to_vec(&details).unwrap();
        assert_eq!(fitting(details.clone(), whole.len()).unwrap(), whole);
        let cut = fitting(details.clone(), whole.len() - 1).unwrap();
        let cut: PythonDetails = serde_json::from_slice(&cut).unwrap();
        assert_eq!((cut.locals.len(), cut.tasks.len(), cut.greenlets.len()), (50, 100, 10));
        assert_eq!(cut.limits, ["max_stream_bytes"]);
        let cut: PythonDetails = serde_json::from_slice(&fitting(details, 2_000).unwrap()).unwrap();
        assert!(cut.tasks.len() < 20 && cut.threads.len() == 1, "{cut:?}");
    }

    #[test]
    fn what_can_never_fit_is_refused() {
        let details = PythonDetails { limits: vec!["x".into(); 100], ..PythonDetails::default() };
        assert!(fitting(details, 10).is_err());
    }

    #[test]
    fn threads_are_given_up_last() {
        let details = PythonDetails {
            threads: vec![named("x".repeat(1_000)); 50],
            ..PythonDetails::default()
        };
        let cut = fitting(details, 2_500).unwrap();
        let cut: PythonDetails = serde_json::from_slice(&cut).unwrap();
        assert!(!cut.threads.is_empty() && cut.threads.len() < 3);
    }
}
