//! Finding the loaded module that holds an address, and its unwind table.
//!
//! glibc 2.35 answers without a lock (`_dl_find_object`); before that the dynamic linker's list is
//! walked, as libgcc does.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{PT_GNU_EH_FRAME, c_int, c_void, dl_phdr_info};

use crate::got::{Segments, page_size};

/// A loaded module.
pub(super) struct Image<'a> {
    pub(super) segments: Segments<'a>,
    /// Address of `.eh_frame_hdr`.
    pub(super) header: usize,
    /// The file's path; empty for the main program.
    pub(super) name: Option<&'a CStr>,
}

/// `struct dl_find_object` on x86-64 (glibc, `dlfcn/dlfcn.h`).
#[repr(C)]
#[derive(Default)]
struct FoundObject {
    flags: u64,
    map_start: usize,
    map_end: usize,
    link_map: usize,
    eh_frame: usize,
    reserved: [u64; 7],
}

/// The public start of `struct link_map` (glibc, `elf/link.h`).
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
}

/// # Safety
/// Null, or a string that lives as long as its module.
unsafe fn c_string<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: as promised by the caller.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

type FindObject = unsafe extern "C" fn(usize, *mut FoundObject) -> c_int;

/// Address of `_dl_find_object`; 0 = there is none.
static FIND_OBJECT: AtomicUsize = AtomicUsize::new(0);

/// Asks for the functions needed. Waits for a `dlopen` of another thread: not in a throw.
pub(super) fn prepare() {
    // SAFETY: looks up a name.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    FIND_OBJECT.store(found.expose_provenance(), Ordering::Release);
    PAGE_SIZE.store(page_size(), Ordering::Release);
}

static PAGE_SIZE: AtomicUsize = AtomicUsize::new(4096);

/// Calls `then` with the module that holds an address of running code, so that it stays loaded.
pub(super) fn with_image_of<T>(address: usize, then: impl FnOnce(&Image<'_>) -> T) -> Option<T> {
    let find = std::ptr::with_exposed_provenance::<c_void>(FIND_OBJECT.load(Ordering::Acquire));
    if find.is_null() {
        return walk_list(address, then);
    }
    // SAFETY: the address is that of the function of this name, which has this type.
    let find: FindObject = unsafe { std::mem::transmute(find) };
    let mut found = FoundObject::default();
    // SAFETY: `found` is a valid place.
    if unsafe { find(address, &raw mut found) } != 0 || found.eh_frame == 0 {
        return None;
    }
    // SAFETY: the dynamic linker says so; the thread that asks has its code on the stack.
    let segments = unsafe { Segments::at(found.map_start, PAGE_SIZE.load(Ordering::Acquire)) }?;
    let link_map = std::ptr::with_exposed_provenance::<LinkMap>(found.link_map);
    // SAFETY: as above.
    let name = unsafe { link_map.as_ref().and_then(|link_map| c_string(link_map.name)) };
    Some(then(&Image { segments, header: found.eh_frame, name }))
}

struct Search<T, F> {
    address: usize,
    then: Option<F>,
    result: Option<T>,
}

fn walk_list<T, F: FnOnce(&Image<'_>) -> T>(address: usize, then: F) -> Option<T> {
    let mut search = Search { address, then: Some(then), result: None };
    // SAFETY: the callback gets the pointer to `search`.
    unsafe { libc::dl_iterate_phdr(Some(visit::<T, F>), (&raw mut search).cast()) };
    search.result
}

unsafe extern "C" fn visit<T, F: FnOnce(&Image<'_>) -> T>(
    info: *mut dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: the dynamic linker gives a valid `info` with its headers; `search` is `walk_list`'s.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search<T, F>>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: as above.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let Ok(base) = usize::try_from(info.dlpi_addr) else { return 0 };
    let segments = Segments { base, headers };
    if segments.room(search.address) == 0 {
        return 0;
    }
    let header = headers.iter().find(|header| header.p_type == PT_GNU_EH_FRAME);
    let header = header.and_then(|header| segments.bounds(header));
    if let (Some((header, _)), Some(then)) = (header, search.then.take()) {
        // SAFETY: as above.
        let name = unsafe { c_string(info.dlpi_name) };
        search.result = Some(then(&Image { segments, header, name }));
    }
    1
}
