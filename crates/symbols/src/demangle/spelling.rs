//! What `cpp_demangle` spells in its own way, as compilers' own tools spell it.
//!
//! | `cpp_demangle` | others |
//! |---|---|
//! | `(unsigned int)20`, `(bool)1` | `20u`, `true` |
//! | `a<b, >`, for an empty list at the end | `a<b>` |
//! | `{virtual override thunk({offset(-16)}, f())}` | `non-virtual thunk to f()` |
//! | `{virtual override thunk({virtual offset(0, -24)}, f())}` | `virtual thunk to f()` |
//!
//! Closures and streams: `closures`.

use super::closures;

const SUFFIXES: [(&str, &str); 6] = [
    ("(int)", ""),
    ("(unsigned int)", "u"),
    ("(long)", "l"),
    ("(unsigned long)", "ul"),
    ("(long long)", "ll"),
    ("(unsigned long long)", "ull"),
];
const BOOL: &str = "(bool)";

const THUNK: &str = "{virtual override thunk({";

/// Respells a demangled name.
pub(super) fn respell(name: &str) -> String {
    let name = respell_thunk(name).unwrap_or_else(|| name.to_owned());
    let name = respell_literals(&name);
    let name = if name.contains(", >") || name.contains(", )") {
        without_empty_lists(&name)
    } else {
        name
    };
    closures::respell(name)
}

fn respell_thunk(name: &str) -> Option<String> {
    let rest = name.strip_prefix(THUNK)?.strip_suffix(")}")?;
    let (offset, function) = rest.split_once(")}, ")?;
    let kind = if offset.starts_with("virtual") { "virtual" } else { "non-virtual" };
    Some(format!("{kind} thunk to {function}"))
}

fn without_empty_lists(name: &str) -> String {
    let mut respelt = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '>' | ')') && respelt.ends_with(", ") {
            respelt.truncate(respelt.len().saturating_sub(2));
            if letter == '>' && respelt.ends_with('>') {
                respelt.push(' ');
            }
        }
        respelt.push(letter);
    }
    respelt
}

fn respell_literals(name: &str) -> String {
    let mut respelt = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('(') {
        let (before, from) = rest.split_at(at);
        respelt.push_str(before);
        match literal(from) {
            Some((text, behind)) => {
                respelt.push_str(&text);
                rest = behind;
            }
            None => {
                respelt.push('(');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    respelt.push_str(rest);
    respelt
}

/// The literal at the start, and what is behind it.
fn literal(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix(BOOL) {
        let (digits, behind) = number(rest)?;
        return match digits {
            "0" => Some(("false".to_owned(), behind)),
            "1" => Some(("true".to_owned(), behind)),
            _ => None,
        };
    }
    let (rest, suffix) =
        SUFFIXES.iter().find_map(|(prefix, suffix)| Some((text.strip_prefix(prefix)?, *suffix)))?;
    let (digits, behind) = number(rest)?;
    Some((format!("{digits}{suffix}"), behind))
}

fn number(text: &str) -> Option<(&str, &str)> {
    let sign = usize::from(text.starts_with('-'));
    let digits = text.get(sign..)?.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| text.split_at_checked(sign.saturating_add(digits)))?
}

#[cfg(test)]
mod tests {
    use super::respell;

    #[test]
    fn names_are_spelt_as_others_spell_them() {
        for (given, expected) in [
            (
                "{virtual override thunk({offset(-16)}, A::f(int))}",
                "non-virtual thunk to A::f(int)",
            ),
            (
                "{virtual override thunk({virtual offset(0, -24)}, A::~A())}",
                "virtual thunk to A::~A()",
            ),
            ("a<b, c<d, >, >::f(e, )", "a<b, c<d> >::f(e)"),
            ("a<(unsigned int)20, (bool)1>::f(int)", "a<20u, true>::f(int)"),
            (
                "a<(int)-3, (unsigned long)0>::f((anonymous namespace)::b)",
                "a<-3, 0ul>::f((anonymous namespace)::b)",
            ),
            ("f(bool)", "f(bool)"),
            ("f(int (*)(int), a<(char)65>)", "f(int (*)(int), a<(char)65>)"),
            ("plain", "plain"),
        ] {
            assert_eq!(respell(given), expected);
        }
    }
}
