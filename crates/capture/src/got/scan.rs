//! One pass over the loaded modules.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use libc::{c_int, c_void, dl_phdr_info};

use super::lock::{self, Alone};
use super::module::{Import, JUMP_SLOT, Module};
use super::{Hook, MOST_HOOKS, Wish, slot};
use crate::sys;

/// A hook, and what is known of its symbol.
struct Place {
    hook: AtomicPtr<Hook>,
    /// Where lazily bound slots lead; 0 = not known.
    default: AtomicUsize,
    /// Linkage stub of an executable that is not position-independent and takes the function's
    /// address: that address is the stub's for everybody (System V ABI, x86-64 supplement, "Function
    /// Addresses"). The stub jumps through the executable's slot, which is patched: what leads
    /// there stays as it is. 0 = none.
    stub: AtomicUsize,
}

/// Filled from the front, emptied all at once.
static PLACES: [Place; MOST_HOOKS] = [const {
    Place {
        hook: AtomicPtr::new(std::ptr::null_mut()),
        default: AtomicUsize::new(0),
        stub: AtomicUsize::new(0),
    }
}; MOST_HOOKS];

impl Place {
    fn hook(&self) -> Option<&'static Hook> {
        // SAFETY: null, or a hook, which lives for ever.
        unsafe { self.hook.load(Ordering::Acquire).as_ref() }
    }
}

/// What the dynamic linker had counted when the last scan began.
static ADDS: AtomicU64 = AtomicU64::new(u64::MAX);
static SUBS: AtomicU64 = AtomicU64::new(u64::MAX);
/// The newest known value of what [`SUBS`] had at a scan.
static UNLOADS: AtomicU64 = AtomicU64::new(0);
/// Modules at the head of the list that need no further scan while nothing is unloaded.
static DONE: AtomicUsize = AtomicUsize::new(0);
/// Somebody wanted a scan while one was at work.
static IS_MISSED: AtomicBool = AtomicBool::new(false);
/// When a module that was not relocated yet is to be looked at again; `u64::MAX` = none waits.
static RETRY_AT_NS: AtomicU64 = AtomicU64::new(u64::MAX);
static RETRIES: AtomicUsize = AtomicUsize::new(0);
const MOST_RETRIES: usize = 20;
const RETRY_NS: u64 = 5_000_000;

/// Adds hooks that are not there yet, as far as there is room. Under the scanning lock.
pub(super) fn add_hooks(new: &'static [Hook]) {
    for hook in new {
        let is_hooked = |place: &Place| place.hook().is_some_and(|known| std::ptr::eq(known, hook));
        let free = PLACES.iter().find(|place| place.hook().is_none());
        if let Some(place) = free.filter(|_| !PLACES.iter().any(is_hooked)) {
            place.hook.store(std::ptr::from_ref(hook).cast_mut(), Ordering::Release);
        }
    }
}

/// Forgets all hooks. Under the scanning lock.
pub(super) fn remove_hooks() {
    for place in &PLACES {
        place.hook.store(std::ptr::null_mut(), Ordering::Release);
        place.default.store(0, Ordering::Release);
        place.stub.store(0, Ordering::Release);
    }
}

/// Asks the dynamic linker where the symbols lead. Waits for a `dlopen` of another thread.
pub(super) fn resolve_defaults() {
    for place in PLACES.iter().filter(|place| place.default.load(Ordering::Acquire) == 0) {
        if let Some(hook) = place.hook() {
            place.default.store(hook.default_original(), Ordering::Release);
        }
    }
}

/// Forgets what was scanned.
pub(super) fn start_over() {
    ADDS.store(u64::MAX, Ordering::Release);
    SUBS.store(u64::MAX, Ordering::Release);
    DONE.store(0, Ordering::Release);
    RETRIES.store(0, Ordering::Release);
}

/// How many modules had been unloaded when anybody last looked.
pub(crate) fn unloads_seen() -> u64 {
    UNLOADS.load(Ordering::Relaxed)
}

/// Looks whether modules were unloaded. Costs one call of `dl_iterate_phdr` that stops at the
/// first module.
pub(crate) fn refresh_unloads() {
    if let Some((_, subs)) = counts() {
        UNLOADS.store(subs, Ordering::Relaxed);
    }
}

/// How many modules the dynamic linker has loaded and unloaded so far; `None` while somebody forks.
fn counts() -> Option<(u64, u64)> {
    let mut counts = (0_u64, 0_u64);
    lock::while_no_fork(|| {
        // SAFETY: the callback gets the pointer to `counts`.
        unsafe { libc::dl_iterate_phdr(Some(read_counts), (&raw mut counts).cast()) };
    })?;
    Some(counts)
}

/// Whether the dynamic linker has loaded or unloaded something since the last scan. Costs one
/// call of `dl_iterate_phdr` that stops at the first module. While somebody forks, the answer is
/// no: the next one who asks will learn of it.
pub(super) fn is_due() -> bool {
    let Some(counts) = counts() else { return false };
    UNLOADS.store(counts.1, Ordering::Relaxed);
    if counts != (ADDS.load(Ordering::Acquire), SUBS.load(Ordering::Acquire)) {
        RETRIES.store(0, Ordering::Relaxed);
        return true;
    }
    let retry_at = RETRY_AT_NS.load(Ordering::Relaxed);
    retry_at != u64::MAX && sys::clock_ns(libc::CLOCK_MONOTONIC_COARSE) >= retry_at
}

unsafe extern "C" fn read_counts(
    info: *mut dl_phdr_info,
    _size: usize,
    counts: *mut c_void,
) -> c_int {
    // SAFETY: the dynamic linker gives a valid `info`; `counts` is the caller's.
    unsafe { *counts.cast::<(u64, u64)>() = ((*info).dlpi_adds, (*info).dlpi_subs) };
    1
}

/// Patches what is new; leaves it to the thread that is at it already.
pub(super) fn run() {
    for _ in 0..3 {
        let Some(alone) = lock::try_take() else {
            IS_MISSED.store(true, Ordering::Release);
            return;
        };
        IS_MISSED.store(false, Ordering::Release);
        Scan::new(&alone, Purpose::Patch).run();
        drop(alone);
        if !IS_MISSED.load(Ordering::Acquire) {
            return;
        }
    }
}

/// Puts the originals back.
pub(super) fn undo(alone: &Alone) {
    start_over();
    Scan::new(alone, Purpose::Undo).run();
    start_over();
    RETRY_AT_NS.store(u64::MAX, Ordering::Release);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Patch,
    Undo,
}

/// A hook, ready for quick comparison.
struct Wanted {
    hook: &'static Hook,
    default: usize,
    stub: &'static AtomicUsize,
    /// The first bytes of the symbol, and which of them count.
    head: u64,
    mask: u64,
}

impl Wanted {
    fn new(place: &'static Place) -> Option<Self> {
        let hook = place.hook()?;
        let name = hook.symbol.to_bytes_with_nul();
        let (mut head, mut mask) = ([0_u8; 8], [0_u8; 8]);
        head.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        mask.iter_mut().zip(name).for_each(|(to, _)| *to = 0xff);
        Some(Self {
            hook,
            default: place.default.load(Ordering::Acquire),
            stub: &place.stub,
            head: u64::from_ne_bytes(head),
            mask: u64::from_ne_bytes(mask),
        })
    }

    fn is_meant(&self, import: &Import, head: Option<u64>) -> bool {
        head.is_none_or(|head| (head ^ self.head) & self.mask == 0)
            && import.is_called(self.hook.symbol)
    }
}

struct Scan {
    purpose: Purpose,
    wanted: [Option<Wanted>; MOST_HOOKS],
    /// Modules seen so far.
    index: usize,
    skip: usize,
    counts: Option<(u64, u64)>,
    /// Index of the first module that has to be looked at again.
    unfinished: Option<usize>,
}

impl Scan {
    fn new(_: &Alone, purpose: Purpose) -> Self {
        Self {
            purpose,
            wanted: std::array::from_fn(|index| PLACES.get(index).and_then(Wanted::new)),
            index: 0,
            skip: 0,
            counts: None,
            unfinished: None,
        }
    }

    fn run(mut self) {
        // SAFETY: the callback gets the pointer to this scan, which lives until it returns.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut self).cast()) };
        let Some((adds, subs)) = self.counts else { return };
        ADDS.store(adds, Ordering::Release);
        SUBS.store(subs, Ordering::Release);
        DONE.store(self.unfinished.unwrap_or(self.index), Ordering::Release);
        let is_retried =
            self.unfinished.is_some() && RETRIES.fetch_add(1, Ordering::Relaxed) < MOST_RETRIES;
        let retry_at = if is_retried {
            sys::clock_ns(libc::CLOCK_MONOTONIC_COARSE).saturating_add(RETRY_NS)
        } else {
            u64::MAX
        };
        RETRY_AT_NS.store(retry_at, Ordering::Release);
    }

    fn visit(&mut self, info: &dl_phdr_info) {
        if self.counts.is_none() {
            self.counts = Some((info.dlpi_adds, info.dlpi_subs));
            let is_grown = info.dlpi_subs == SUBS.load(Ordering::Acquire);
            self.skip = if is_grown { DONE.load(Ordering::Acquire) } else { 0 };
        }
        let index = self.index;
        self.index = index.saturating_add(1);
        if index < self.skip {
            return;
        }
        // SAFETY: this runs inside the callback of `dl_iterate_phdr`.
        let Some(module) = (unsafe { Module::new(info) }) else { return };
        if is_exempt(&module) {
            return;
        }
        if !self.visit_module(&module) && self.unfinished.is_none() {
            self.unfinished = Some(index);
        }
    }

    /// Whether nothing is left to do in the module.
    fn visit_module(&self, module: &Module<'_>) -> bool {
        // What the hooks say about this module, asked once each.
        let answers = [const { Cell::new(None) }; MOST_HOOKS];
        let mut is_done = true;
        for import in module.imports() {
            let head = import.head();
            let known = self.wanted.iter().zip(&answers);
            let mut known = known.filter_map(|(w, answer)| Some((w.as_ref()?, answer)));
            let found = known.find(|(wanted, _)| wanted.is_meant(&import, head));
            let Some((wanted, answer)) = found else { continue };
            let is_asked = answer.get().is_none();
            let wish = answer.get().unwrap_or_else(|| (wanted.hook.wanted)(module));
            answer.set(Some(wish));
            is_done &= !is_asked || wish != Wish::Later;
            if wish == Wish::Patch {
                is_done &= self.visit_import(module, &import, wanted);
            }
        }
        is_done
    }

    /// Whether nothing is left to do for the slot.
    fn visit_import(&self, module: &Module<'_>, import: &Import, wanted: &Wanted) -> bool {
        if !module.holds_slot(import.slot) {
            return true;
        }
        // SAFETY: checked before; the module stays loaded inside the callback.
        let current = unsafe { slot::load(import.slot) };
        let original = wanted.hook.original_of(current);
        let new = match (self.purpose, original) {
            (Purpose::Undo, original) => original,
            (Purpose::Patch, Some(_)) => return true,
            (Purpose::Patch, None) => match target(module, import, current, wanted) {
                Target::Nothing => return true,
                Target::NotYet => return false,
                Target::Original(original) => wanted.hook.replacement_of(original),
            },
        };
        let Some(new) = new else { return true };
        // SAFETY: as above.
        unsafe { module.exchange(import.slot, current, new) }
    }
}

enum Target {
    /// Without a definition.
    Nothing,
    /// Not relocated yet.
    NotYet,
    Original(usize),
}

/// Where a slot leads.
fn target(module: &Module<'_>, import: &Import, current: usize, wanted: &Wanted) -> Target {
    if import.stub != 0 {
        wanted.stub.store(import.stub, Ordering::Release);
    }
    let stub = wanted.stub.load(Ordering::Acquire);
    if current == 0 {
        return if import.is_weak { Target::Nothing } else { Target::NotYet };
    }
    if current == stub {
        return Target::Nothing;
    }
    let is_bound = import.kind != JUMP_SLOT || !module.holds(current);
    if is_bound || current == import.definition {
        let is_raw = module.holds_unrelocated(current) && current != wanted.default;
        return if is_raw { Target::NotYet } else { Target::Original(current) };
    }
    // Lazy binding: the slot still leads back into the module's own linkage table.
    let known = [wanted.default, import.definition].into_iter();
    known
        .filter(|known| *known != 0 && *known != stub)
        .map(Target::Original)
        .next()
        .unwrap_or(Target::NotYet)
}

impl Module<'_> {
    /// Stores `new` in a slot that holds `old`, whatever protects it; whether it is done. A slot
    /// whose module is still being relocated is left for later.
    ///
    /// # Safety
    /// [`Module::holds_slot`] was true.
    pub(crate) unsafe fn exchange(&self, slot: usize, old: usize, new: usize) -> bool {
        let is_relro = self.is_relro(slot, slot::page_size());
        // SAFETY: as promised by the caller; the module stays loaded inside the callback.
        let protection = match unsafe { slot::is_writable(slot) } {
            // To be read-only and is not: the module is being relocated, and would be protected
            // under our hands. After a while it is one that somebody else has opened.
            true if is_relro && RETRIES.load(Ordering::Relaxed) < MOST_RETRIES => return false,
            true => libc::PROT_READ | libc::PROT_WRITE,
            false if is_relro => libc::PROT_READ,
            false => slot::protection(slot).unwrap_or(libc::PROT_READ),
        };
        // SAFETY: as above.
        unsafe { slot::exchange(slot, old, new, protection) }
    }
}

/// Our own module, the dynamic linker, the vDSO.
fn is_exempt(module: &Module<'_>) -> bool {
    let own = (&raw const PLACES).expose_provenance();
    let auxiliary = |kind| {
        // SAFETY: asks for a number.
        let address = unsafe { libc::getauxval(kind) };
        usize::try_from(address).ok().filter(|address| *address != 0)
    };
    let linker = auxiliary(libc::AT_BASE);
    let vdso = auxiliary(libc::AT_SYSINFO_EHDR);
    module.holds(own)
        || linker.is_some_and(|address| module.holds(address))
        || vdso.is_some_and(|address| module.holds(address))
}

unsafe extern "C" fn visit(info: *mut dl_phdr_info, _size: usize, scan: *mut c_void) -> c_int {
    // SAFETY: the dynamic linker gives a valid `info`; `scan` is `run`'s.
    unsafe { (*scan.cast::<Scan>()).visit(&*info) };
    0
}
