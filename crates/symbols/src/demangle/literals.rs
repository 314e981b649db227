//! Literals in template arguments, as compilers' own tools spell them: `20u` and not
//! `(unsigned int)20`, `true` and not `(bool)1`.

const SUFFIXES: [(&str, &str); 6] = [
    ("(int)", ""),
    ("(unsigned int)", "u"),
    ("(long)", "l"),
    ("(unsigned long)", "ul"),
    ("(long long)", "ll"),
    ("(unsigned long long)", "ull"),
];
const BOOL: &str = "(bool)";

/// Respells all literals of a demangled name.
pub(super) fn respell(name: &str) -> String {
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
    fn literals_are_respelt_and_parameters_are_not() {
        for (given, expected) in [
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
