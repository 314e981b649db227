//! Closures, unnamed types and the standard's abbreviations, as LLVM spells them.
//!
//! | `cpp_demangle` | LLVM |
//! |---|---|
//! | `{lambda(int)#1}`, `{lambda(int)#2}` | `'lambda'(int)`, `'lambda0'(int)` |
//! | `{unnamed type#1}` | `'unnamed'` |
//! | `std::basic_istream<char, std::char_traits<char> >` | `std::istream` |

const LAMBDA: &str = "{lambda";
const UNNAMED: &str = "{unnamed type";
/// Abbreviation in a mangled name, long name, short name.
const STREAMS: [(&str, &str, &str); 3] = [
    ("Si", "basic_istream", "istream"),
    ("So", "basic_ostream", "ostream"),
    ("Sd", "basic_iostream", "iostream"),
];
const TRAITS: &str = "<char, std::char_traits<char> >";
/// Parameters of a closure are looked through again: closures in closures.
const MAX_DEPTH: usize = 16;

/// Respells a demangled name.
pub(super) fn respell(name: String) -> String {
    let has_closure = name.contains(LAMBDA) || name.contains(UNNAMED);
    if has_closure { respell_closures(&name, MAX_DEPTH) } else { name }
}

/// Shortens the stream whose member a function is, where the mangled name does so. Constructors and
/// destructors keep the long name: they repeat it.
pub(super) fn shorten_stream(mangled: &str, name: String) -> String {
    let member = mangled.strip_prefix("_ZN").unwrap_or_default().trim_start_matches('K');
    let stream = STREAMS.iter().find(|(abbreviation, ..)| member.starts_with(abbreviation));
    let Some((_, long, short)) = stream else { return name };
    let own = [format!("::{long}("), format!("::~{long}(")];
    if own.iter().any(|member| name.contains(member)) {
        return name;
    }
    name.replace(&format!("std::{long}{TRAITS}"), &format!("std::{short}"))
}

fn respell_closures(name: &str, depth: usize) -> String {
    let mut respelt = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        respelt.push_str(before);
        if let Some((text, behind)) = closure(from, depth) {
            respelt.push_str(&text);
            rest = behind;
        } else {
            respelt.push('{');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    respelt.push_str(rest);
    respelt
}

/// The closure or unnamed type at the start, respelt, and what is behind it.
fn closure(text: &str, depth: usize) -> Option<(String, &str)> {
    let depth = depth.checked_sub(1)?;
    let (inside, behind) = text.split_at_checked(closing_brace(text)?)?;
    let behind = behind.get(1..)?;
    let (body, number) = inside.rsplit_once('#')?;
    // Compilers leave the first one's number out, and count the others from 0.
    let number = match number.parse::<u64>().ok()? {
        1 => String::new(),
        number => number.checked_sub(2)?.to_string(),
    };
    if body == UNNAMED {
        return Some((format!("'unnamed{number}'"), behind));
    }
    let parameters = body.strip_prefix(LAMBDA)?;
    let parameters = respell_closures(parameters, depth);
    Some((format!("'lambda{number}'{parameters}"), behind))
}

fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open = open.checked_add(1)?,
            b'}' => open = open.checked_sub(1)?,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::respell;
    use crate::demangle::demangle;

    #[test]
    fn closures_are_spelt_as_llvm_spells_them() {
        for (given, expected) in [
            ("main::{lambda()#1}::operator()() const", "main::'lambda'()::operator()() const"),
            ("f(int)::{lambda(int)#3}::g()", "f(int)::'lambda1'(int)::g()"),
            ("a<main::{lambda({unnamed type#2}*)#1}>", "a<main::'lambda'('unnamed0'*)>"),
            ("{lambda(int)#0}", "{lambda(int)#0}"),
            ("{lambda(int", "{lambda(int"),
            ("f::{default arg#1}", "f::{default arg#1}"),
        ] {
            assert_eq!(respell(given.to_owned()), expected);
        }
    }

    #[test]
    fn members_of_streams_are_spelt_as_llvm_spells_them() {
        for (mangled, expected) in [
            (
                "_ZNSirsEPFRSt8ios_baseS0_E",
                "std::istream::operator>>(std::ios_base& (*)(std::ios_base&))",
            ),
            ("_ZNSo9_M_insertIlEERSoT_", "std::ostream& std::ostream::_M_insert<long>(long)"),
            ("_ZNSiD2Ev", "std::basic_istream<char, std::char_traits<char> >::~basic_istream()"),
            (
                "_ZNSt13basic_ostreamIcSt11char_traitsIcEE5flushEv",
                "std::basic_ostream<char, std::char_traits<char> >::flush()",
            ),
        ] {
            assert_eq!(demangle(mangled), expected);
        }
    }

    #[test]
    fn nested_braces_end_soon() {
        let nested = "{lambda(".repeat(4_000) + &")#1}".repeat(4_000);
        assert!(respell(nested).len() <= 64_000);
        let open = "{lambda(".repeat(8_000);
        assert_eq!(respell(open.clone()), open);
    }
}
