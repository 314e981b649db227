//! System calls that were interrupted are made again.

use std::io;

/// Signals do not come that often; a call that always says so is broken.
const MOST_TRIES: usize = 100;

/// Repeats what was interrupted. The standard library does that for files that are open; creating,
/// renaming and asking for the kind of a file it leaves to its callers, and file systems of networks
/// and of processes (FUSE) interrupt those too.
pub(crate) fn uninterrupted<T>(mut run: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..MOST_TRIES {
        match run() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
    run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_always_interrupted_ends_all_the_same() {
        let mut tries = 0;
        let done: io::Result<()> = uninterrupted(|| {
            tries += 1;
            Err(io::ErrorKind::Interrupted.into())
        });
        assert_eq!(done.unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(tries, MOST_TRIES);
    }
}
