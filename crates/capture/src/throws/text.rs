//! Type and text of a thrown C++ object, by the run-time type information (Itanium C++ ABI, 2.9.5).
//!
//! `what()` is only called where it is the C++ runtime's own: such functions return a pointer they
//! keep. Code of the application does not run.

use std::ffi::{CStr, c_char};

use super::images;
use super::layout::{TYPE_SIZE, WHAT_SIZE};
use crate::got;

/// `type_info`: virtual table, name.
const NAME: usize = 8;
/// What a virtual table holds before its functions: the type.
const TYPE_BEFORE_TABLE: usize = 8;
/// `what()` is the third virtual function of `std::exception`, after its two destructors.
const WHAT_SLOT: usize = 16;
/// `__si_class_type_info`: then the base.
const SINGLE_BASE: usize = 16;
/// `__vmi_class_type_info`: then flags, count, and per base its type and `__offset_flags`.
const BASE_COUNT: usize = 20;
const BASES: usize = 24;
const BASE_SIZE: usize = 16;
const IS_VIRTUAL: isize = 1;
const IS_PUBLIC: isize = 2;
const OFFSET_SHIFT: u32 = 8;
/// Limits for tables that make no sense.
const MOST_DEPTH: usize = 16;
const MOST_BASES: usize = 8;

/// No text can be had from objects of the type.
const NO_TEXT: isize = isize::MIN;

/// The last type that a thread has thrown.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KnownType {
    type_info: usize,
    /// Unloaded modules when it was looked at.
    unloads: u64,
    /// The virtual table of its `std::exception`; 0 = none.
    table: usize,
    /// `what()` in it, which is the runtime's; 0 = none.
    what: usize,
    /// Where its `std::exception` starts.
    offset: isize,
}

impl KnownType {
    /// The `what()` of an object; `None` when only code of the application could tell. What is
    /// known may be about another type, which stood at this place in a module unloaded since:
    /// nothing of the object is followed before its virtual table is the known one.
    ///
    /// # Safety
    /// As for [`copy_what`].
    unsafe fn what_of(&mut self, type_info: usize, object: usize) -> Option<usize> {
        if self.type_info == type_info && self.unloads == got::unloads_seen() {
            if self.offset == NO_TEXT {
                return None;
            }
            // SAFETY: an object of the type is there.
            let table = unsafe { word(object.wrapping_add_signed(self.offset)) };
            // SAFETY: the second word is one of the virtual table of an object that lives.
            if table == self.table && unsafe { word(table.wrapping_add(WHAT_SLOT)) } == self.what {
                return Some(self.what);
            }
        }
        // SAFETY: as promised by the caller.
        unsafe { self.learn(type_info, object) }
    }

    /// [`Self::what_of`], by the type.
    ///
    /// # Safety
    /// As for [`copy_what`].
    #[cold]
    unsafe fn learn(&mut self, type_info: usize, object: usize) -> Option<usize> {
        let unloads = got::unloads_seen();
        *self = Self { type_info, unloads, table: 0, what: 0, offset: NO_TEXT };
        // SAFETY: as promised by the caller; a `std::exception` starts with its virtual table.
        let (offset, table, what) = unsafe {
            let offset = exception_offset(type_info, 0)?;
            let table = word(object.wrapping_add_signed(offset));
            (offset, table, word(table.wrapping_add(WHAT_SLOT)))
        };
        // SAFETY: as promised by the caller.
        if !unsafe { is_of_runtime(type_info, what) } {
            return None;
        }
        (self.offset, self.table, self.what) = (offset, table, what);
        Some(what)
    }
}

/// # Safety
/// A word is readable there.
unsafe fn word(address: usize) -> usize {
    // SAFETY: as promised by the caller.
    unsafe { std::ptr::with_exposed_provenance::<usize>(address).read() }
}

/// The mangled name of a type.
///
/// # Safety
/// `type_info` is that of a loaded module.
unsafe fn name(type_info: usize) -> &'static [u8] {
    // SAFETY: the name is a C string next to the type information.
    let name = unsafe {
        CStr::from_ptr(std::ptr::with_exposed_provenance(word(type_info.wrapping_add(NAME))))
    };
    let name = name.to_bytes();
    // GCC marks types that are to be compared by address.
    name.strip_prefix(b"*").unwrap_or(name)
}

/// Copies the type's name; gives its length.
///
/// # Safety
/// As for [`name`].
pub(super) unsafe fn copy_name(type_info: usize, to: &mut [u8; TYPE_SIZE]) -> u16 {
    // SAFETY: as promised by the caller.
    copy(unsafe { name(type_info) }, to)
}

fn copy(from: &[u8], to: &mut [u8]) -> u16 {
    let length = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..length), to.get_mut(..length)) {
        to.copy_from_slice(from);
    }
    u16::try_from(length).unwrap_or(0)
}

/// Copies what `what()` says of an object; `None` when only code of the application could tell.
///
/// # Safety
/// `object` is a thrown object of the type, not yet destroyed.
pub(super) unsafe fn copy_what(
    known: &mut KnownType,
    type_info: usize,
    object: usize,
    to: &mut [u8; WHAT_SIZE],
) -> Option<u16> {
    // SAFETY: as promised by the caller.
    let what = unsafe { known.what_of(type_info, object) }?;
    let exception = object.wrapping_add_signed(known.offset);
    let what = std::ptr::with_exposed_provenance::<()>(what);
    // SAFETY: the third virtual function of `std::exception`: `const char *what() const noexcept`.
    let what: extern "C" fn(usize) -> *const c_char = unsafe { std::mem::transmute(what) };
    let text = what(exception);
    if text.is_null() {
        return None;
    }
    // SAFETY: `what()` gives a string that lives as long as the object.
    let text = unsafe { std::slice::from_raw_parts(text.cast(), libc::strnlen(text, WHAT_SIZE)) };
    Some(copy(text, to))
}

/// Where the `std::exception` in objects of a type starts; `None` when it has none, or a virtual
/// one.
///
/// # Safety
/// As for [`name`].
unsafe fn exception_offset(type_info: usize, depth: usize) -> Option<isize> {
    // SAFETY: all type information of a thrown type, and of its bases, is complete.
    unsafe {
        if name(type_info) == b"St9exception" {
            return Some(0);
        }
        if depth >= MOST_DEPTH {
            return None;
        }
        let depth = depth.wrapping_add(1);
        match name(type_of(type_info)) {
            b"N10__cxxabiv120__si_class_type_infoE" => {
                exception_offset(word(type_info.wrapping_add(SINGLE_BASE)), depth)
            }
            b"N10__cxxabiv121__vmi_class_type_infoE" => exception_base(type_info, depth),
            _ => None,
        }
    }
}

/// The type of a type information: a class of the C++ runtime.
///
/// # Safety
/// As for [`name`].
unsafe fn type_of(type_info: usize) -> usize {
    // SAFETY: type information starts with a virtual table.
    unsafe { word(word(type_info).wrapping_sub(TYPE_BEFORE_TABLE)) }
}

/// [`exception_offset`] of a type with several bases.
///
/// # Safety
/// `type_info` is a `__vmi_class_type_info`.
unsafe fn exception_base(type_info: usize, depth: usize) -> Option<isize> {
    let count = std::ptr::with_exposed_provenance::<u32>(type_info.wrapping_add(BASE_COUNT));
    // SAFETY: as promised by the caller.
    let count = usize::try_from(unsafe { count.read() }).ok()?.min(MOST_BASES);
    (0..count).find_map(|index| {
        let base = type_info.wrapping_add(BASES).wrapping_add(index.wrapping_mul(BASE_SIZE));
        // SAFETY: as promised by the caller.
        let (base_type, flags) = unsafe { (word(base), word(base.wrapping_add(8))) };
        let flags = flags.cast_signed();
        if flags & IS_VIRTUAL != 0 || flags & IS_PUBLIC == 0 {
            return None;
        }
        // SAFETY: the base's type information is complete.
        let inner = unsafe { exception_offset(base_type, depth) }?;
        (flags >> OFFSET_SHIFT).checked_add(inner)
    })
}

/// Whether a function is the C++ runtime's: in its module, and if that holds everything (linked
/// statically), of a type that the standard library has made.
///
/// # Safety
/// As for [`name`].
unsafe fn is_of_runtime(type_info: usize, function: usize) -> bool {
    // SAFETY: as promised by the caller.
    let (runtime, name) = unsafe { (word(type_info), name(type_info)) };
    let base = |address| images::with_image_of(address, |image| image.segments.base);
    let Some(module) = base(function) else { return false };
    let is_apart = base(type_info).is_some_and(|of_type| of_type != module);
    let is_standard = name.starts_with(b"St") || name.starts_with(b"NSt");
    base(runtime) == Some(module) && (is_apart || is_standard)
}
