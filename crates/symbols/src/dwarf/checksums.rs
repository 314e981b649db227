//! Checksums of source files: DWARF 5 line programs may have an MD5 of each file (clang writes them).

use gimli::{UnitRef, UnitType};

use super::lookup::Parsed;
use super::sections::Reader;
use crate::checksums::Checksums;

/// Names of files looked at; units name the same headers again and again.
const MAX_FILES: usize = 4 << 20;

/// Adds the checksums of those files that are wanted.
pub(super) fn collect(parsed: &Parsed<'_>, wanted: &mut Checksums) {
    let dwarf = &*parsed.dwarf;
    let mut left = MAX_FILES;
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        if !matches!(header.type_(), UnitType::Compilation | UnitType::Skeleton(_)) {
            continue;
        }
        let Ok(unit) = dwarf.unit(header) else { continue };
        if add_unit(UnitRef::new(dwarf, &unit), &mut left, wanted).is_none() {
            return;
        }
    }
}

/// `None` when enough was looked at.
fn add_unit(unit: UnitRef<'_, Reader<'_>>, left: &mut usize, wanted: &mut Checksums) -> Option<()> {
    let Some(program) = unit.line_program.as_ref() else { return Some(()) };
    let header = program.header();
    if !header.file_has_md5() {
        return Some(());
    }
    for file in header.file_names() {
        *left = left.checked_sub(1)?;
        if wanted.is_complete() {
            return None;
        }
        if let Some(path) = path_of(unit, file) {
            wanted.add(&path, "md5", file.md5());
        }
    }
    Some(())
}

/// As lookups tell it: from the folder of the compilation on.
fn path_of<'a>(
    unit: UnitRef<'_, Reader<'a>>,
    file: &gimli::FileEntry<Reader<'a>>,
) -> Option<String> {
    let text = |value| Some(unit.attr_string(value).ok()?.to_string_lossy().into_owned());
    let name = text(file.path_name())?;
    let folder = file.directory(unit.line_program.as_ref()?.header()).and_then(text);
    let root = unit.comp_dir.as_ref().map(|root| root.to_string_lossy().into_owned());
    let mut path = String::new();
    for part in [root, folder, Some(name)].into_iter().flatten() {
        if part.starts_with('/') {
            path = part;
        } else if !part.is_empty() {
            if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(&part);
        }
    }
    Some(path)
}
