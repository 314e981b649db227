//! Linker names to source names.

mod budget;
mod closures;
mod decoration;
mod msvc;
mod spelling;

use std::borrow::Cow;

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};

pub(crate) use self::budget::Demangler;
pub(crate) use self::decoration::{Decoration, without_argument_bytes};

/// Longer names are left as they are: demangling may blow a name up.
const MAX_MANGLED_BYTES: usize = 64 << 10;
/// A demangled name is cut to this; real template names reach some 100 KiB.
const MAX_DEMANGLED_BYTES: usize = 64 << 10;
/// Nesting of templates and expressions.
const RECURSION_LIMIT: u32 = 96;

/// Demangles a C++ (Itanium and Microsoft) or Rust (legacy and v0) name; anything else comes back
/// as it is.
///
/// Rust's hash is left out. Names above 64 KiB are not demangled, results are cut to it.
pub fn demangle(name: &str) -> Cow<'_, str> {
    if name.len() > MAX_MANGLED_BYTES {
        return Cow::Borrowed(cut(name));
    }
    demangle_rust(name)
        .or_else(|| demangle_cpp(name))
        .or_else(|| msvc::demangle(name))
        .or_else(|| msvc::name_anonymous(name))
        .map_or(Cow::Borrowed(name), |demangled| Cow::Owned(cut(&demangled).to_owned()))
}

fn demangle_rust(name: &str) -> Option<String> {
    let is_legacy = name.starts_with("_ZN") && name.contains("17h");
    if !is_legacy && !name.starts_with("_R") {
        return None;
    }
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    if is_legacy && format!("{demangled}") == format!("{demangled:#}") {
        // No hash: a C++ name that happens to hold "17h".
        return None;
    }
    Some(format!("{demangled:#}"))
}

fn demangle_cpp(name: &str) -> Option<String> {
    // `__Z` is how Mach-O spells it; `_GLOBAL__` are constructors of a translation unit.
    if !["_Z", "__Z", "_GLOBAL__"].iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    let parse = ParseOptions::default().recursion_limit(RECURSION_LIMIT);
    let options = DemangleOptions::new().recursion_limit(RECURSION_LIMIT);
    let symbol = Symbol::new_with_options(name, &parse).ok()?;
    let demangled = spelling::respell(&symbol.demangle_with_options(&options).ok()?);
    Some(closures::shorten_stream(name, demangled))
}

/// Cuts at a character border.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(MAX_DEMANGLED_BYTES);
    while !name.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    name.get(..end).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_language_are_demangled() {
        for (mangled, expected) in [
            (
                "_ZN3sim4stepERKSt6vectorIdSaIdEE",
                "sim::step(std::vector<double, std::allocator<double> > const&)",
            ),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("_RNvCskwGfYPst2Cb_3foo3bar", "foo::bar"),
            ("_ZN3foo3barEv.cold", "foo::bar() [clone .cold]"),
            ("?step@Sim@@QEBAHPEBUState@@H@Z", "Sim::step(struct State const *, int) const"),
            ("?broken@", "?broken@"),
            ("PyObject_Call", "PyObject_Call"),
            ("_Zgarbage", "_Zgarbage"),
        ] {
            assert_eq!(demangle(mangled), expected);
        }
    }

    #[test]
    fn hostile_names_are_bounded() {
        let nested = format!("_Z1f{}", "P".repeat(60_000));
        assert!(demangle(&nested).len() <= MAX_DEMANGLED_BYTES);
        // Parameters that are functions of all parameters before.
        let mut doubled = "?f@@YAXU?$a@HH@@".to_owned();
        for index in 0..9 {
            doubled += &format!("P6AX{}@Z", index.to_string().repeat(40));
        }
        doubled += "@Z";
        let demangler = Demangler::default();
        let started = std::time::Instant::now();
        for _ in 0..1000 {
            assert_eq!(demangler.demangle(&doubled), doubled);
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
        let long = "é".repeat(70_000);
        assert!(demangle(&long).len() <= MAX_DEMANGLED_BYTES);
    }
}
