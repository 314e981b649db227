//! Names of Breakpad `.sym` files: `FUNC [m] address size parameters name` and
//! `PUBLIC [m] address parameters name`, numbers in hexadecimal digits
//! (Breakpad, `docs/symbol_files.md`).

use std::path::Path;

use lastwords_symbols::{MappedFile, OpenError};

use crate::names::{NameKind, NameTable};

/// Adds the symbols of a file.
pub(crate) fn add_names(path: &Path, table: &mut NameTable) -> Result<(), OpenError> {
    let file = MappedFile::map(path)?;
    for line in file.split(|byte| *byte == b'\n') {
        let is_function = line.starts_with(b"FUNC ");
        if is_function || line.starts_with(b"PUBLIC ") {
            add_line(&String::from_utf8_lossy(line), is_function, table);
        }
    }
    Ok(())
}

fn add_line(line: &str, is_function: bool, table: &mut NameTable) -> Option<()> {
    let mut rest = line.split_once(' ')?.1;
    rest = rest.strip_prefix("m ").unwrap_or(rest);
    let mut number = || {
        let (digits, tail) = rest.split_once(' ')?;
        rest = tail;
        u64::from_str_radix(digits, 16).ok()
    };
    let rva = number()?;
    let size = if is_function { Some(number()?) } else { None };
    number()?;
    let kind = if is_function { NameKind::Function } else { NameKind::Public };
    table.push(rest.trim().to_owned(), rva, size, kind);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_and_publics_are_read_and_other_lines_passed_over() {
        let mut table = NameTable::default();
        add_line("FUNC m 1010 20 0 ns::f(int, char)", true, &mut table);
        add_line("PUBLIC 2000 0 _start\r", false, &mut table);
        add_line("FUNC zz 20 0 f", true, &mut table);
        add_line("PUBLIC 2000", false, &mut table);
        table.finish();
        assert_eq!(table.equal("ns::f")[0].size, Some(0x20));
        assert_eq!(table.equal("_start")[0].rva, 0x2000);
        assert_eq!(table.around(u64::MAX).0.unwrap().name, "_start");
    }
}
