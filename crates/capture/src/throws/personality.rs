//! Modules that bring their own unwinder and export nothing of it: linked with `-static-libgcc
//! -static-libstdc++` and hidden symbols, they raise exceptions without asking anybody.
//!
//! Their unwinder still asks the language's personality function about each frame, through a pointer
//! that the call frame information names (CIE augmentation `P`, indirect: LSB Core, "Exception
//! Frames"). That pointer is exchanged for a thunk, which records the throw at the first question
//! about it: the search for a handler, when the stack is still whole. Then it jumps on.

use std::arch::naked_asm;
use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use gimli::{
    BaseAddresses, CieOrFde, EhFrame, EhFrameHdr, EndianSlice, NativeEndian, Pointer, UnwindSection,
};
use libc::PT_GNU_EH_FRAME;

use super::hooks::start;
use super::record::{self, IS_ON, UnwindException};
use super::ring;
use crate::got::{self, Module, Wish};

/// Most modules of this kind at the same time.
const MOST: usize = 16;
/// `_UA_SEARCH_PHASE` (Itanium C++ ABI, 1.6.1).
const SEARCH_PHASE: u32 = 1;
/// How much stack the unwinder takes between the throw and its first question.
const MOST_UNWINDER_STACK: usize = 16 * 1024;
const RAISE: &CStr = c"_Unwind_RaiseException";

/// Any unwinder finds its tables with one of these.
const NEEDED: [&CStr; 2] = [c"dl_iterate_phdr", c"_dl_find_object"];

static ORIGINALS: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

type Personality = unsafe extern "C" fn();

static THUNKS: [Personality; MOST] = [
    thunk::<0>,
    thunk::<1>,
    thunk::<2>,
    thunk::<3>,
    thunk::<4>,
    thunk::<5>,
    thunk::<6>,
    thunk::<7>,
    thunk::<8>,
    thunk::<9>,
    thunk::<10>,
    thunk::<11>,
    thunk::<12>,
    thunk::<13>,
    thunk::<14>,
    thunk::<15>,
];

/// For [`got::Hook::wanted`]: exchanges the module's personality pointers, or puts them back when
/// capture is off.
pub(super) fn visit(module: &Module<'_>) -> Wish {
    if !has_own_unwinder(module) {
        return Wish::Leave;
    }
    let is_done = visit_pointers(module).unwrap_or(true);
    if is_done { Wish::Leave } else { Wish::Later }
}

/// Whether the module raises exceptions with an unwinder that it shares with nobody.
pub(super) fn has_own_unwinder(module: &Module<'_>) -> bool {
    let has_list = NEEDED.iter().any(|name| module.imports_symbol(name));
    // Whoever imports or exports the unwinder is caught there; the C library asks a personality
    // about cancelled threads only.
    has_list && !module.imports_symbol(RAISE) && !module.holds((libc::getpid as *const ()).addr())
}

/// Whether all pointers of the module are as they should be.
fn visit_pointers(module: &Module<'_>) -> Option<bool> {
    let segments = module.segments();
    let header = segments.headers.iter().find(|header| header.p_type == PT_GNU_EH_FRAME)?;
    let (address, _) = segments.bounds(header)?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(u64::try_from(address).ok()?);
    // SAFETY: the module stays loaded inside the callback; its unwind tables are constants.
    let bytes = unsafe { segments.bytes(address) };
    let header = EhFrameHdr::new(bytes, NativeEndian).parse(&bases, 8).ok()?;
    let Pointer::Direct(frames_address) = header.eh_frame_ptr() else { return None };
    // SAFETY: as above.
    let bytes = unsafe { segments.bytes(usize::try_from(frames_address).ok()?) };
    let bases = bases.set_eh_frame(frames_address);
    let frames = EhFrame::<EndianSlice<'_, _>>::new(bytes, NativeEndian);
    let mut is_done = true;
    each_slot(&frames, &bases, |slot| is_done &= visit_pointer(module, slot));
    Some(is_done)
}

/// The part that reads bytes only: where the personality pointers stand.
fn each_slot(
    frames: &EhFrame<EndianSlice<'_, NativeEndian>>,
    bases: &BaseAddresses,
    mut visit: impl FnMut(usize),
) {
    let mut entries = frames.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Cie(cie) = entry else { continue };
        if let Some(Pointer::Indirect(slot)) = cie.personality() {
            visit(usize::try_from(slot).unwrap_or(0));
        }
    }
}

/// Whether the pointer is as it should be.
fn visit_pointer(module: &Module<'_>, slot: usize) -> bool {
    if !module.holds_slot(slot) {
        return true;
    }
    // SAFETY: checked on the line before.
    let current = unsafe { got::load(slot) };
    let ours = THUNKS.iter().zip(&ORIGINALS);
    let mut ours =
        ours.map(|(thunk, original)| ((*thunk as *const ()).expose_provenance(), original));
    let hooked = ours.clone().find(|(thunk, _)| *thunk == current);
    let new = match (IS_ON.load(Ordering::Acquire), hooked) {
        (true, Some(_)) | (false, None) => return true,
        (false, Some((_, original))) => original.load(Ordering::Acquire),
        (true, None) => {
            if !module.holds(current) {
                return !(current == 0 || module.holds_unrelocated(current));
            }
            let of = |wanted: usize| {
                move |(_, original): &(usize, &AtomicUsize)| {
                    original.load(Ordering::Acquire) == wanted
                }
            };
            let free = ours.clone().find(of(current)).or_else(|| ours.find(of(0)));
            let Some((thunk, original)) = free else { return true };
            original.store(current, Ordering::Release);
            thunk
        }
    };
    // SAFETY: `holds_slot` was true.
    unsafe { module.exchange(slot, current, new) }
}

/// `_Unwind_Reason_Code personality(int version, _Unwind_Action actions, uint64_t class,
/// struct _Unwind_Exception *, struct _Unwind_Context *)`.
#[unsafe(naked)]
unsafe extern "C" fn thunk<const INDEX: usize>() {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push rdx",
        ".cfi_adjust_cfa_offset 8",
        "push rcx",
        ".cfi_adjust_cfa_offset 8",
        "push r8",
        ".cfi_adjust_cfa_offset 8",
        "mov edi, esi",
        "mov rsi, rcx",
        "lea rdx, [rsp + 40]",
        "mov rcx, rbp",
        "call {record}",
        "pop r8",
        ".cfi_adjust_cfa_offset -8",
        "pop rcx",
        ".cfi_adjust_cfa_offset -8",
        "pop rdx",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "jmp qword ptr [rip + {originals} + {offset}]",
        ".cfi_endproc",
        record = sym on_question,
        originals = sym ORIGINALS,
        offset = const INDEX * 8,
    )
}

/// # Safety
/// Called by [`thunk`] with what the unwinder gave it, the address of the return address, and `rbp`.
unsafe extern "C" fn on_question(
    actions: u32,
    exception: *const UnwindException,
    entry: usize,
    rbp: usize,
) {
    if !IS_ON.load(Ordering::Relaxed) {
        return;
    }
    let known = ring::own();
    if actions & SEARCH_PHASE == 0 {
        if let Some(ring) = known {
            // SAFETY: the ring is this thread's. The handler is found: the next search is another.
            unsafe { (*ring).searching = [0, 0] };
        }
        return;
    }
    // SAFETY: the ring is this thread's.
    let [searched, rsp] = known.map_or([0, 0], |ring| unsafe { (*ring).searching });
    let is_same =
        searched == exception.expose_provenance() && rsp.wrapping_sub(entry) < MOST_UNWINDER_STACK;
    if !is_same {
        // SAFETY: as promised by the caller.
        unsafe { record::on_throw(exception, start(entry, rbp), false) };
    }
}

#[cfg(test)]
mod tests;
