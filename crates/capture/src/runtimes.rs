//! Is a runtime in this process that raises faults on purpose, and repairs them in its handler?

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, c_void, dl_phdr_info};

/// Beginnings of the file names: JVM, Android's runtime, .NET, Mono, Julia.
const NAMES: &[&[u8]] = &[b"libjvm.so", b"libart.so", b"libcoreclr.so", b"libmono", b"libjulia"];
/// Owner of the note that Go's linker puts into everything it makes (`.note.go.buildid`; Go,
/// `src/cmd/link/internal/ld/elf.go`, `ELF_NOTE_GO_NAME`).
const GO: &[u8] = b"Go\0\0";
/// A note is `u32` length of the name, `u32` length of the contents, `u32` type, then both, each
/// padded to 4 bytes (ELF, "Note Section").
const NOTE_HEADER: usize = 12;

/// Looks through the loaded modules. Takes the dynamic linker's lock: not for signal handlers.
pub(crate) fn has_faulting_runtime() -> bool {
    let found = AtomicBool::new(false);
    // SAFETY: the callback gets the pointer to `found`.
    unsafe {
        libc::dl_iterate_phdr(Some(look), std::ptr::from_ref(&found).cast_mut().cast());
    }
    found.load(Ordering::Relaxed)
}

unsafe extern "C" fn look(info: *mut dl_phdr_info, _size: usize, found: *mut c_void) -> c_int {
    // SAFETY: the dynamic linker gives a valid `info`; `found` is the caller's.
    let (info, found) = unsafe { (&*info, &*found.cast::<AtomicBool>()) };
    // SAFETY: a valid string, or null for the program itself.
    let name = (!info.dlpi_name.is_null()).then(|| unsafe { CStr::from_ptr(info.dlpi_name) });
    let is_found = name.is_some_and(|name| is_runtime(name.to_bytes())) || has_go_note(info);
    found.fetch_or(is_found, Ordering::Relaxed);
    c_int::from(is_found)
}

fn is_runtime(path: &[u8]) -> bool {
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    NAMES.iter().any(|name| file.starts_with(name))
}

fn has_go_note(info: &dl_phdr_info) -> bool {
    // SAFETY: the dynamic linker gives the table and its length.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    headers.iter().filter(|header| header.p_type == libc::PT_NOTE).any(|header| {
        let address = info.dlpi_addr.wrapping_add(header.p_vaddr);
        let start =
            std::ptr::with_exposed_provenance(usize::try_from(address).unwrap_or(usize::MAX));
        let length = usize::try_from(header.p_memsz).unwrap_or(0);
        // SAFETY: a note segment of a loaded module is mapped readable.
        is_go(unsafe { std::slice::from_raw_parts::<u8>(start, length) })
    })
}

/// Whether one of the notes is Go's.
fn is_go(mut notes: &[u8]) -> bool {
    let number = |notes: &[u8], at: usize| {
        let bytes = notes.get(at..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_ne_bytes(*bytes)).ok()
    };
    while let (Some(name), Some(contents)) = (number(notes, 0), number(notes, 4)) {
        let name_end = NOTE_HEADER.saturating_add(name);
        if notes.get(NOTE_HEADER..name_end) == Some(GO) {
            return true;
        }
        let contents_start = name_end.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        let end = contents_start.saturating_add(contents).checked_next_multiple_of(4);
        notes = notes.get(end.unwrap_or(usize::MAX)..).unwrap_or(&[]);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_known_by_their_file_names() {
        assert!(is_runtime(b"/usr/lib/jvm/java-17/lib/server/libjvm.so"));
        assert!(is_runtime(b"libmonosgen-2.0.so.1"));
        assert!(is_runtime(b"/opt/julia/lib/libjulia-internal.so.1.10"));
        assert!(!is_runtime(b"/home/libjvm.so/libx.so"));
        assert!(!is_runtime(b""));
    }

    #[test]
    fn gos_note_is_found_behind_others() {
        let note = |name: &[u8], contents: &[u8]| {
            let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_ne_bytes();
            let mut note = [length(name), length(contents), 4_u32.to_ne_bytes()].concat();
            note.extend(name);
            note.resize(note.len().next_multiple_of(4), 0);
            note.extend(contents);
            note.resize(note.len().next_multiple_of(4), 0);
            note
        };
        let gnu = note(b"GNU\0", b"12345");
        assert!(is_go(&[gnu.clone(), note(b"Go\0\0", b"id")].concat()));
        assert!(!is_go(&gnu));
        assert!(!is_go(&[0xff; 40]));
        assert!(!is_go(&[]));
    }

    #[test]
    fn this_process_has_none() {
        assert!(!has_faulting_runtime());
    }
}
