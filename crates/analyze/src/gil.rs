//! Who waits for the GIL: the threads that sleep on its lock.
//!
//! CPython waits for the GIL in `pthread_cond_timedwait` (`Python/ceval_gil.c`, `take_gil`), which
//! the C library turns into `futex(2)` on a word of the condition variable inside the GIL's
//! structure. The registers of a thread in a system call still hold its arguments, so the word that
//! it waits on is known; no symbol name is asked.

use lastwords_format::streams::python::GIL_SIZE;
use minidump::{MinidumpRawContext, MinidumpThread};

use crate::panics::caught;
use crate::python::{ByThread, OnThread};
use crate::state::Threads;

/// `FUTEX_WAIT` and `FUTEX_WAIT_BITSET` (`linux/futex.h`), without their flags.
const WAITS: [u64; 2] = [0, 9];
const COMMAND_MASK: u64 = 0x7f;

/// For each thread of the dump, whether it waits for the GIL of one of its interpreters.
pub(crate) fn waiting(threads: &Threads<'_>, python: &ByThread<'_>) -> Vec<bool> {
    let pairs = threads.list.iter().zip(&python.threads);
    pairs.map(|(thread, on_thread)| is_waiting(threads, thread, on_thread)).collect()
}

fn is_waiting(threads: &Threads<'_>, thread: &MinidumpThread<'_>, on: &OnThread<'_>) -> bool {
    let Some(word) = awaited_word(threads, thread) else { return false };
    on.states.iter().filter(|state| !state.holds_gil).any(|state| {
        let into = state.gil_address.and_then(|gil| word.checked_sub(gil));
        into.is_some_and(|into| into < GIL_SIZE)
    })
}

/// The address of the futex that a thread waits on; x86-64 only.
fn awaited_word(threads: &Threads<'_>, thread: &MinidumpThread<'_>) -> Option<u64> {
    let system = threads.system.as_ref()?;
    let context = caught(|| thread.context(system, threads.misc.as_ref())).ok()??;
    let MinidumpRawContext::Amd64(registers) = &context.raw else { return None };
    WAITS.contains(&(registers.rsi & COMMAND_MASK)).then_some(registers.rdi)
}
