//! Symbols of the modules that are sure to be walked through, read on another processor while
//! the first stack is walked.
//!
//! Of a waiting CPython process, the C library and the interpreter take nearly all of the time, and
//! every stack goes through both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, available_parallelism, scope};

use lastwords_unwind::Provider;
use minidump::{MinidumpModule, MinidumpModuleList, Module};

use crate::panics::caught;
use crate::state::Threads;

/// More are rarely sure to be needed.
const MAX_MODULES: usize = 4;
/// Threads that are looked at: further ones wait in the same places.
const MAX_THREADS: usize = 32;

/// Does `work`, and meanwhile prepares `modules`.
///
/// The result is the same as without: what is not ready is read when it is asked for.
pub(crate) fn while_preparing<T>(
    provider: &Provider,
    modules: &[&MinidumpModule],
    work: impl FnOnce() -> T,
) -> T {
    let unknown: Vec<_> = modules.iter().filter(|module| !provider.is_kept(**module)).collect();
    let has_other_processor = available_parallelism().is_ok_and(|count| count.get() > 1);
    if unknown.is_empty() || !has_other_processor {
        return work();
    }
    let is_over = AtomicBool::new(false);
    scope(|scope| {
        let prepare = || {
            for module in unknown {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever asks for the module meets the panic again, and says so.
                let _ = caught(|| provider.prepare(*module));
            }
        };
        // Without another thread the work is done all the same.
        let _ = Builder::new().name("symbols".to_owned()).spawn_scoped(scope, prepare);
        let result = work();
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

/// The interpreter's module (that holds `runtime_address`, 0 = none) and those whose code the
/// threads run. The one that the first walk begins in comes last: it is read by that walk.
pub(crate) fn modules<'a>(
    threads: &Threads<'_>,
    modules: &'a MinidumpModuleList,
    runtime_address: u64,
) -> Vec<&'a MinidumpModule> {
    let at = |address| modules.module_at_address(address);
    let first = threads.requesting_thread().unwrap_or(0);
    let looked_at = threads.list.len().min(MAX_THREADS);
    let running = (0..looked_at).filter_map(|index| instruction_of(threads, index));
    let mut found: Vec<&MinidumpModule> = Vec::new();
    for module in [runtime_address].into_iter().chain(running).filter_map(at) {
        let is_known = found.iter().any(|known| known.base_address() == module.base_address());
        if !is_known && found.len() < MAX_MODULES {
            found.push(module);
        }
    }
    let begins_in = instruction_of(threads, first).and_then(at).map(Module::base_address);
    found.sort_by_key(|module| Some(module.base_address()) == begins_in);
    found
}

/// What a thread runs, after the exception's registers where it is the one that crashed.
fn instruction_of(threads: &Threads<'_>, index: usize) -> Option<u64> {
    let system = threads.system.as_ref()?;
    let misc = threads.misc.as_ref();
    let exception =
        threads.exception.as_ref().filter(|_| threads.requesting_thread() == Some(index));
    caught(|| {
        let of_exception = exception.and_then(|exception| exception.context(system, misc));
        let thread = threads.list.get(index)?;
        let context = of_exception.or_else(|| thread.context(system, misc))?;
        Some(context.get_instruction_pointer())
    })
    .ok()
    .flatten()
}
