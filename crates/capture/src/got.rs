//! Hooks by GOT: every loaded module calls a function of ours instead of a function it imports.
//!
//! A module calls what it imports through slots that the dynamic linker fills. [`apply`]
//! stores the address of a replacement in the slots of given symbols, in every module but our
//! own, the dynamic linker and the vDSO; [`uninstall`] stores the originals again. No instruction
//! is changed, and a replacement that ends in a tail jump leaves no trace on the stack.
//!
//! Modules that are loaded later are found by counting: the dynamic linker counts its loads
//! (`dlpi_adds`), and whoever loads a module asks `dlsym` for something in it right after, Python's
//! import and `ctypes` included. `dlsym` is therefore hooked with any set of hooks (`trigger.rs`);
//! a hook that is often called may ask [`rescan_if_changed`] itself.
//!
//! What is relied on (glibc, `elf/dl-iteratephdr.c`, `elf/dl-open.c`, `elf/dl-close.c`):
//!
//! * modules are neither added nor unmapped while `dl_iterate_phdr` runs its callback;
//! * new modules come last, so what was scanned need not be scanned again until one is unloaded;
//! * a module is listed before it is relocated: its slots then hold no address yet, and the pages
//!   to be protected (RELRO) are still writable. Such modules are left alone until later.
//!
//! Locks: one of our own (`SCANNING`), only ever tried for, never waited for, except by `fork` and by
//! `apply` and `uninstall`; it is taken before the dynamic linker's, never inside its callback. So
//! a constructor that waits for another thread cannot be caught between the two. `dlsym` itself,
//! which waits for a `dlopen` of another thread, is only called where the host does so anyway.

mod lock;
mod module;
mod scan;
mod segments;
mod slot;
mod trigger;

use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use module::Module;
pub(crate) use scan::{refresh_unloads, unloads_seen};
pub(crate) use segments::Segments;
pub(crate) use slot::{load, page_size};
pub(crate) use trigger::rescan_if_changed;

/// Most hooks of all sets together.
pub(crate) const MOST_HOOKS: usize = 32;

/// One way into a hook: a replacement, and the one original that it calls.
pub(crate) struct Thunk {
    /// Address of the function that is called instead.
    pub(crate) replacement: fn() -> usize,
    /// What the replacement has to call; 0 until a module was found that imports it. Stays after
    /// [`uninstall`], because a thread may still be in the replacement.
    pub(crate) original: &'static AtomicUsize,
}

/// A symbol, and what is to be called instead.
pub(crate) struct Hook {
    /// The name in the modules' symbol tables, of any version.
    pub(crate) symbol: &'static CStr,
    /// One per definition of the symbol in this process (a statically linked copy, an interposed
    /// one). Slots that lead to one definition more are left alone.
    pub(crate) thunks: &'static [Thunk],
    /// What to do with a module that has such slots. Asked once per scan, when hooking and when
    /// unhooking alike; may patch more of the module itself. Runs inside the dynamic linker's
    /// lock: no allocation, no locks.
    pub(crate) wanted: fn(&Module<'_>) -> Wish,
}

/// What is to be done with the slots of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Patch them.
    Patch,
    /// Leave them.
    Leave,
    /// Leave them, and ask again: the module is not ready.
    Later,
}

/// For [`Hook::wanted`].
pub(crate) fn every_module(_: &Module<'_>) -> Wish {
    Wish::Patch
}

/// Adds hooks; [`apply`] then puts them into the modules, all sets in one pass. Adding a hook again
/// does nothing new.
pub(crate) fn add(hooks: &'static [Hook]) {
    lock::before_forks();
    let _alone = lock::wait();
    scan::add_hooks(trigger::HOOKS);
    scan::add_hooks(hooks);
}

/// Hooks every module that is loaded or will be.
///
/// Best effort: slots that cannot be written, or are not understood, stay as they are. Waits for
/// a `dlopen` of another thread.
pub(crate) fn apply() {
    scan::resolve_defaults();
    scan::start_over();
    scan::run();
}

/// Takes all hooks out of all modules. Threads may be in a replacement meanwhile and later:
/// their code and [`Thunk::original`] stay.
pub(crate) fn uninstall() {
    let alone = lock::wait();
    scan::undo(&alone);
    scan::remove_hooks();
}

impl Hook {
    /// Where slots lead that the dynamic linker has not filled yet (lazy binding); 0 = not known.
    fn default_original(&self) -> usize {
        // SAFETY: looks up a name; the address is only passed on.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, self.symbol.as_ptr()) }.expose_provenance()
    }

    /// The replacement for an original; claims a free thunk. Under the scanning lock.
    fn replacement_of(&self, original: usize) -> Option<usize> {
        let of = |wanted: usize| {
            let is_it = |thunk: &&Thunk| thunk.original.load(Ordering::Acquire) == wanted;
            self.thunks.iter().find(is_it)
        };
        let thunk = of(original).or_else(|| of(0))?;
        thunk.original.store(original, Ordering::Release);
        Some((thunk.replacement)())
    }

    /// The original behind one of our replacements.
    fn original_of(&self, replacement: usize) -> Option<usize> {
        let thunk = self.thunks.iter().find(|thunk| (thunk.replacement)() == replacement)?;
        Some(thunk.original.load(Ordering::Acquire)).filter(|original| *original != 0)
    }
}

#[cfg(test)]
mod tests;
