//! What linkers put around a compiler's names.
//!
//! | format | name | in the symbol table |
//! |---|---|---|
//! | ELF, PE of 64 bits | `f` | `f` |
//! | Mach-O | `f` | `_f` |
//! | PE, 32-bit x86, `__cdecl` | `f` | `_f` |
//! | `__stdcall` | `f` | `_f@8` |
//! | `__fastcall` | `f` | `@f@8` |
//! | `__vectorcall` | `f` | `f@@8` |
//! | C++ (MSVC) | | `?f@@YAXXZ`, as it is |

use crate::image::{Architecture, ImageFormat};

/// How the names of one symbol table are decorated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoration {
    None,
    Underscore,
    Pe32,
    /// Exported names have no underscore of their own, but may have been exported decorated.
    Pe32Export,
}

impl Decoration {
    pub(crate) fn of(format: ImageFormat, architecture: Architecture) -> Self {
        match (format, architecture) {
            (ImageFormat::MachO, _) => Self::Underscore,
            (ImageFormat::Pe, Architecture::X86) => Self::Pe32,
            _ => Self::None,
        }
    }

    /// The compiler's name.
    pub(crate) fn remove(self, name: &str) -> &str {
        match self {
            Self::None => name,
            Self::Underscore => name.strip_prefix('_').unwrap_or(name),
            Self::Pe32 => pe32(name),
            Self::Pe32Export if has_argument_bytes(name) => pe32(name),
            Self::Pe32Export => name,
        }
    }
}

fn pe32(name: &str) -> &str {
    if name.starts_with('?') {
        return name;
    }
    let base = without_argument_bytes(name);
    match base.strip_suffix('@').filter(|_| base.len() < name.len()) {
        Some(vectorcall) => vectorcall,
        None => base.strip_prefix(['_', '@']).unwrap_or(base),
    }
}

/// A name without `@` and digits at its end.
pub(crate) fn without_argument_bytes(name: &str) -> &str {
    match name.rsplit_once('@').filter(|_| has_argument_bytes(name)) {
        Some((base, _)) => base,
        None => name,
    }
}

/// Whether a name ends in `@` and digits.
fn has_argument_bytes(name: &str) -> bool {
    let digits = name.rsplit_once('@').map(|(_, digits)| digits);
    !name.starts_with('?')
        && digits.is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conventions_of_32_bit_windows_are_undone() {
        for (decorated, plain) in [
            ("_main", "main"),
            ("_WinMain@16", "WinMain"),
            ("@fast@8", "fast"),
            ("vector@@16", "vector"),
            ("?f@@YAXXZ", "?f@@YAXXZ"),
            ("___chkstk_ms", "__chkstk_ms"),
            ("_a@b", "a@b"),
        ] {
            assert_eq!(Decoration::Pe32.remove(decorated), plain);
        }
        assert_eq!(Decoration::Pe32Export.remove("_onexit"), "_onexit");
        assert_eq!(Decoration::Pe32Export.remove("_DllFunc@4"), "DllFunc");
        assert_eq!(Decoration::Underscore.remove("__ZN1a1bEv"), "_ZN1a1bEv");
    }
}
