//! Names of Microsoft's C++ compilers (`?f@@YAXXZ`), by `undname`.

use undname::Flags;

/// Compilers hash longer names (`??@…@`).
const MAX_MANGLED_BYTES: usize = 4096;

/// What a stack needs of a function is what tells overloads apart.
const FLAGS: Flags = Flags::NO_ACCESS_SPECIFIER.union(Flags::NO_MEMBER_TYPE);
/// These would take calling conventions and return types off function pointers in parameters, too.
const SHORT_FLAGS: Flags = FLAGS.union(Flags::NO_CALLING_CONVENTION).union(Flags::NO_RETURN_TYPE);
const ANONYMOUS: &str = "?A0x";
const CONVENTIONS: [&str; 9] = [
    "__cdecl ",
    "__thiscall ",
    "__stdcall ",
    "__fastcall ",
    "__vectorcall ",
    "__clrcall ",
    "__eabi ",
    "__pascal ",
    "__regcall ",
];

/// The name with its parameters, without access, calling convention and return type. `None` when
/// it is no such name.
pub(super) fn demangle(name: &str) -> Option<String> {
    if !name.starts_with('?') || name.len() > MAX_MANGLED_BYTES {
        return None;
    }
    let short = undname::demangle(name, SHORT_FLAGS).ok()?;
    if !short.contains("(*)") && !short.contains("::*)") {
        return Some(short);
    }
    Some(from_declaration(name).unwrap_or(short))
}

/// Names that compilers write into debug information without mangling them hold anonymous namespaces
/// as `?A0x` and the hash of their file. `None` when there is none.
pub(super) fn name_anonymous(name: &str) -> Option<String> {
    let mut parts = name.split(ANONYMOUS);
    let mut named = parts.next().filter(|before| before.len() < name.len())?.to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_hexdigit());
        if rest.len() < part.len() && (rest.is_empty() || rest.starts_with("::")) {
            named.push_str("`anonymous namespace'");
            named.push_str(rest);
        } else {
            named.push_str(ANONYMOUS);
            named.push_str(part);
        }
    }
    Some(named)
}

/// The part of the whole declaration from the name on.
fn from_declaration(name: &str) -> Option<String> {
    let whole = undname::demangle(name, FLAGS).ok()?;
    let own_name = undname::demangle(name, FLAGS.union(Flags::NAME_ONLY)).ok()?;
    let start = CONVENTIONS.iter().find_map(|convention| {
        let at = whole.find(&format!("{convention}{own_name}("))?;
        at.checked_add(convention.len())
    })?;
    let declaration = whole.get(start..)?;
    // A function that returns a function pointer stands in brackets.
    let mut depth = 0usize;
    let end = declaration.char_indices().find_map(|(at, letter)| {
        match letter {
            '(' => depth = depth.saturating_add(1),
            ')' if depth == 0 => return Some(at),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        None
    });
    declaration.get(..end.unwrap_or(declaration.len())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{demangle, name_anonymous};

    #[test]
    fn anonymous_namespaces_are_named() {
        for (given, expected) in [
            ("?A0xc3a0617d::crash", Some("`anonymous namespace'::crash")),
            (
                "a::?A0x1::b<?A0xdeadbeef::c>::f",
                Some("a::`anonymous namespace'::b<`anonymous namespace'::c>::f"),
            ),
            ("f<?A0x>", Some("f<?A0x>")),
            ("f", None),
        ] {
            assert_eq!(name_anonymous(given).as_deref(), expected);
        }
    }

    #[test]
    fn declarations_are_cut_to_what_tells_overloads_apart() {
        for (mangled, expected) in [
            ("?f@@YAXXZ", "f(void)"),
            ("??0C@google_breakpad@@QEAA@XZ", "google_breakpad::C::C(void)"),
            ("?on@A@@SAXP6AHPEBD@Z@Z", "A::on(int (__cdecl *)(char const *))"),
            ("?get@A@@QEBAP6AHH@ZXZ", "A::get(void) const"),
            ("?set@A@@QEAAXP81@EAAHH@ZH@Z", "A::set(int (__cdecl A::*)(int), int)"),
            ("??_GA@@UEAAPEAXI@Z", "A::`scalar deleting dtor'(unsigned int)"),
            ("?v@A@@3HA", "int A::v"),
        ] {
            assert_eq!(demangle(mangled).as_deref(), Some(expected), "{mangled}");
        }
        assert_eq!(demangle("?cut@"), None);
        assert_eq!(demangle("f"), None);
    }
}
