//! Symbols by address and by name.

use std::collections::HashSet;

use crate::pattern::Pattern;

/// Symbols of one module that are kept: the largest libraries have some hundred thousand.
const MAX_NAMES: usize = 4 << 20;

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    /// Code, told by debug information.
    Function,
    /// A variable, told by debug information.
    Data,
    /// Of a symbol table, exports or public records.
    Public,
}

impl NameKind {
    /// `function`, `data`, `public`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Data => "data",
            Self::Public => "public",
        }
    }
}

/// A symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Demangled, with its namespaces.
    pub name: String,
    /// Where it is.
    pub rva: u64,
    /// Bytes; `None` when not told.
    pub size: Option<u64>,
    /// What it is.
    pub kind: NameKind,
}

/// The symbols of one module.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    names: Vec<Name>,
    is_cut: bool,
}

impl NameTable {
    /// Adds a symbol.
    pub(crate) fn push(&mut self, name: String, rva: u64, size: Option<u64>, kind: NameKind) {
        if self.names.len() >= MAX_NAMES {
            self.is_cut = true;
        } else if !name.is_empty() {
            self.names.push(Name { name, rva, size, kind });
        }
    }

    /// Whether some were left out.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Sorts; what debug information names is not named by a symbol table once more.
    pub(crate) fn finish(&mut self) {
        let told: HashSet<u64> = self
            .names
            .iter()
            .filter(|name| name.kind != NameKind::Public)
            .map(|name| name.rva)
            .collect();
        let mut publics: HashSet<(u64, String)> = HashSet::new();
        self.names.retain(|name| {
            name.kind != NameKind::Public
                || (!told.contains(&name.rva) && publics.insert((name.rva, name.name.clone())))
        });
        self.names.sort_by(|a, b| (a.rva, a.kind, &a.name).cmp(&(b.rva, b.kind, &b.name)));
        self.names.dedup_by(|a, b| a.rva == b.rva && a.name == b.name);
    }

    /// At or below an address, and above.
    pub(crate) fn around(&self, rva: u64) -> (Option<&Name>, Option<&Name>) {
        let above = self.names.partition_point(|name| name.rva <= rva);
        let last = above.checked_sub(1).and_then(|index| self.names.get(index));
        // Of several at one address the first is the best.
        let before = last.and_then(|last| {
            let first = self.names.partition_point(|name| name.rva < last.rva);
            self.names.get(first)
        });
        (before, self.names.get(above))
    }

    /// By pattern.
    pub(crate) fn like(&self, pattern: &Pattern, max: usize) -> (Vec<&Name>, bool) {
        let mut found = self.names.iter().filter(|name| pattern.matches(&name.name));
        let list: Vec<&Name> = found.by_ref().take(max).collect();
        (list, found.next().is_some())
    }

    /// By name: exactly, else whatever its case, else without its parameters.
    pub(crate) fn equal(&self, wanted: &str) -> Vec<&Name> {
        let find = |is_it: &dyn Fn(&str) -> bool| {
            let mut found: Vec<&Name> =
                self.names.iter().filter(|name| is_it(&name.name)).take(256).collect();
            found.sort_by_key(|name| name.kind);
            found
        };
        let exact = find(&|name| name == wanted);
        if !exact.is_empty() {
            return exact;
        }
        let any_case = find(&|name| name.eq_ignore_ascii_case(wanted));
        if !any_case.is_empty() {
            return any_case;
        }
        find(&|name| without_parameters(name).eq_ignore_ascii_case(wanted))
    }
}

/// `ns::f(int) const` → `ns::f`; names of operators and closures keep their parentheses.
pub(crate) fn without_parameters(name: &str) -> &str {
    let trimmed = name.trim_end();
    let trimmed = trimmed.strip_suffix(" const").unwrap_or(trimmed);
    if !trimmed.ends_with(')') {
        return name;
    }
    let mut depth = 0_usize;
    for (at, byte) in trimmed.bytes().enumerate().rev() {
        match byte {
            b')' => depth = depth.saturating_add(1),
            b'(' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let head = trimmed.get(..at).unwrap_or_default();
                    let is_name = !head.is_empty() && !head.ends_with("::");
                    let is_operator = head.ends_with("operator");
                    return if is_name && !is_operator { head } else { name };
                }
            }
            _ => {}
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_cut_off_and_operators_kept() {
        assert_eq!(without_parameters("ns::f(int, void (*)(int)) const"), "ns::f");
        assert_eq!(without_parameters("S::operator()(int)"), "S::operator()");
        assert_eq!(without_parameters("main"), "main");
        assert_eq!(without_parameters("(anonymous namespace)"), "(anonymous namespace)");
    }

    #[test]
    fn debug_information_comes_before_symbol_tables() {
        let mut table = NameTable::default();
        table.push("_Z4mainv".into(), 16, None, NameKind::Public);
        table.push("main".into(), 16, Some(8), NameKind::Function);
        table.push("other".into(), 32, None, NameKind::Public);
        table.push("other".into(), 32, None, NameKind::Public);
        table.finish();
        let (before, after) = table.around(20);
        assert_eq!(
            (before.unwrap().name.as_str(), after.unwrap().name.as_str()),
            ("main", "other")
        );
        assert_eq!(table.like(&Pattern::new("*"), 1).0.len(), 1);
        assert!(table.like(&Pattern::new("*"), 1).1);
        assert_eq!(table.equal("MAIN").len(), 1);
        assert_eq!(table.around(3).0, None);
    }
}
