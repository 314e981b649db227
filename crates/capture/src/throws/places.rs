//! Names for return addresses, from what is loaded: for people who read a stack at once. Reports
//! are symbolicated from files, which know more.

use std::ffi::CStr;

use super::images;
use crate::got::Module;

/// Where an address lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// File name of the module, without its folder; empty for the main program.
    pub module: String,
    /// Bytes from where the module is loaded.
    pub module_offset: u64,
    /// The exported function that holds the address (its name in the file), and the bytes from its
    /// start.
    pub function: Option<(String, u64)>,
}

/// The place of a return address; `None` when no module holds it. Waits for no lock of glibc 2.35
/// and later.
#[must_use]
pub fn place_of(return_address: u64) -> Option<Place> {
    let address = usize::try_from(return_address).ok()?;
    let call = address.checked_sub(1)?;
    images::with_image_of(call, |image| {
        let module_offset = address.wrapping_sub(image.segments.base);
        // SAFETY: the module stays loaded: the address is that of a call that has not returned, or
        // was running a moment ago under the lock of the interpreter.
        let module = unsafe { Module::of(image.segments) };
        let function = module.as_ref().and_then(|module| module.function_at(call));
        let function = function.map(|(name, start)| {
            let offset = u64::try_from(address.wrapping_sub(start)).unwrap_or(0);
            (name.to_string_lossy().into_owned(), offset)
        });
        Place {
            module: file_name(image.name),
            module_offset: u64::try_from(module_offset).unwrap_or(0),
            function,
        }
    })
}

fn file_name(path: Option<&CStr>) -> String {
    let path = path.map(CStr::to_bytes).unwrap_or_default();
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exported_function_is_named() {
        images::prepare();
        // SAFETY: looks up a name.
        let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"qsort_r".as_ptr()) };
        let address = u64::try_from(function.expose_provenance()).unwrap();
        let place = place_of(address.wrapping_add(5)).unwrap();
        assert!(place.module.starts_with("libc.so"), "{place:?}");
        let (name, offset) = place.function.unwrap();
        assert!(name.contains("qsort"), "{name}");
        assert_eq!(offset, 5);
        assert_eq!(place_of(0), None);
        assert_eq!(place_of(1), None);
    }
}
