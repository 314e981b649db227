//! Walks of this very process, beside libgcc's.

#![allow(clippy::arithmetic_side_effects)]

use std::arch::naked_asm;
use std::ffi::{c_int, c_void};

use super::*;
use crate::throws::images;

unsafe extern "C" {
    fn _Unwind_Backtrace(
        step: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        to: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

thread_local! {
    static TRAIL: std::cell::RefCell<Trail> = std::cell::RefCell::new(Trail::new());
}

extern "C" fn collect(context: *mut c_void, to: *mut c_void) -> c_int {
    // SAFETY: called by the unwinder with its context, and what `walks` gave it.
    unsafe { (*to.cast::<Vec<u64>>()).push(_Unwind_GetIP(context) as u64) };
    0
}

/// Calls `walks` with where this function was called from.
#[unsafe(naked)]
unsafe extern "C" fn probe() -> usize {
    naked_asm!(
        ".cfi_startproc",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "lea rdi, [rsp + 8]",
        "mov rsi, rbp",
        "call {walks}",
        "pop rcx",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
        walks = sym walks,
    )
}

/// How many frames both walks agree on; all of ours must be libgcc's.
extern "C" fn walks(entry: usize, rbp: usize) -> usize {
    // SAFETY: `probe` gives the address of its return address.
    let start = unsafe { crate::throws::hooks::start(entry, rbp) };
    let stack = Stack { low: start.rsp, high: start.rsp + 64 * 1024, distance: 0 };
    let mut pcs = [0; MOST_FRAMES];
    let count = TRAIL.with_borrow_mut(|trail| walk(start, &stack, trail, &mut pcs));
    let mut afresh = [0; MOST_FRAMES];
    assert_eq!(walk(start, &stack, &mut Trail::new(), &mut afresh), count);
    assert_eq!(afresh, pcs);
    let mut expected: Vec<u64> = Vec::new();
    // SAFETY: the callback gets the pointer to `expected`.
    unsafe { _Unwind_Backtrace(collect, (&raw mut expected).cast()) };
    let first = expected.iter().position(|pc| *pc == pcs[0]).unwrap();
    assert_eq!(pcs[..count], expected[first..first + count]);
    count
}

#[inline(never)]
fn deep(levels: usize) -> usize {
    if levels == 0 {
        // SAFETY: takes no arguments.
        return unsafe { probe() };
    }
    std::hint::black_box(deep(levels - 1))
}

#[test]
fn a_walk_gives_the_return_addresses_that_libgcc_gives() {
    images::prepare();
    let in_thread = |levels| std::thread::spawn(move || deep(levels)).join().unwrap();
    let (shallow, deeper) = (in_thread(1), in_thread(20));
    assert_eq!(deeper - shallow, 19, "one frame per level");
    assert_eq!(in_thread(20), deeper, "with remembered rules");
    assert_eq!(in_thread(200), MOST_FRAMES, "cut");
}

#[test]
fn a_walk_ends_where_the_readable_stack_ends() {
    images::prepare();
    let nowhere = Start { return_address: collect as *const () as usize + 1, rsp: 4096, rbp: 1 };
    for (low, high) in [(0, 0), (4096, 4096), (4096, 4100), (usize::MAX - 8, usize::MAX)] {
        let stack = Stack { low, high, distance: 0 };
        assert_eq!(walk(nowhere, &stack, &mut Trail::new(), &mut [0; MOST_FRAMES]), 1);
    }
}

#[test]
fn a_walk_that_follows_another_is_the_same_as_one_alone() {
    images::prepare();
    let walks = || {
        for levels in [3, 3, 10, 2, 90, 30, 90, 100, 5, 64, 63, 1] {
            deep(levels);
            elsewhere(levels);
        }
    };
    std::thread::spawn(walks).join().unwrap();
}

#[inline(never)]
fn elsewhere(levels: usize) -> usize {
    let padding = std::hint::black_box([levels; 9]);
    if levels.is_multiple_of(3) { deep(levels / 2) + padding[0] } else { deep(levels) + padding[1] }
}

/// Pages for a stack, between pages that nobody may read.
fn fenced_pages() -> (usize, usize) {
    const PAGE: usize = 4096;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new memory.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), 4 * PAGE, libc::PROT_NONE, flags, -1, 0) };
    let low = start.expose_provenance() + PAGE;
    let pages = std::ptr::with_exposed_provenance_mut(low);
    // SAFETY: the two pages in the middle are ours.
    assert_eq!(unsafe { libc::mprotect(pages, 2 * PAGE, libc::PROT_READ | libc::PROT_WRITE) }, 0);
    (low, low + 2 * PAGE)
}

#[test]
fn any_rules_on_any_stack_stay_inside_it() {
    let (low, high) = fenced_pages();
    let stack = Stack { low, high, distance: 0 };
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    // SAFETY: the pages are ours, and aligned.
    let words = unsafe { std::slice::from_raw_parts_mut(low as *mut usize, (high - low) / 8) };
    // Addresses of no code, so that only the rules below are known of them.
    let callers = [0x1000_usize, 0x1008, 0x1010, 0x1018];
    let (mut deepest, mut trail) = (0, Trail::new());
    for _ in 0..20_000 {
        for word in words.iter_mut() {
            *word = if next() % 8 < 7 { callers[next() % 4] } else { low + next() % 9000 };
        }
        for caller in callers {
            let far = next() % 8 == 0;
            let offset = |bits: usize| if far { bits as i32 } else { (bits % 512) as i32 - 64 };
            let (cfa, rbp) = (offset(next()), offset(next()));
            let cfa = [Cfa::Rsp(cfa & !7), Cfa::Rbp(cfa), Cfa::At(cfa)][next() % 3];
            let rbp = [Rbp::Same, Rbp::InFrame(rbp & !7), Rbp::InSlot(rbp)][next() % 3];
            cache::put(caller, super::super::rule::Rule::frame(cfa, rbp));
        }
        let rsp = [low + next() % 0x2000, low, high, next()][next() % 4] & !7;
        let start = Start { return_address: callers[0], rsp, rbp: low + next() % 0x2000 };
        // The last walk was on another stack, by other rules.
        for trail in [&mut trail, &mut Trail::new()] {
            deepest = deepest.max(walk(start, &stack, trail, &mut [0; MOST_FRAMES]));
        }
        if next() % 2 == 0 {
            let place = next() % words.len();
            words[place] = callers[next() % 4];
            walk(start, &stack, &mut trail, &mut [0; MOST_FRAMES]);
        }
    }
    assert!(deepest > 8, "{deepest} frames at the most");
}
