//! Where well-formed trees keep a module's files.
//!
//! | tree | path | file |
//! |---|---|---|
//! | none | `app`, `app.pdb` | any |
//! | Breakpad | `app.pdb/GUIDAGE/app.sym` | `.sym` |
//! | build ids | `.build-id/xx/yyyy.debug` | ELF |
//! | symbol store | `app.pdb/GUIDAGE/app.pdb` | PDB |
//! | | `app.exe/STAMPsize/app.exe` | image |
//! | | `app.pdb/GUIDAGE/app.pd_` | cabinet |
//! | | `app.pdb/GUIDAGE/file.ptr` | text: where it really is |
//! | two-tier symbol store | `ap/app.pdb/…` | where `index2.txt` lies beside |
//! | Apple | `App.dSYM/Contents/Resources/DWARF/App` | Mach-O |
//!
//! Names of symbol stores come in the case of whoever stored them; what is not found here is found
//! by its id when the folders are walked. Source: Microsoft, "Using SymStore", "SymPath"; Breakpad,
//! `docs/symbol_files.md`.

use std::path::{Path, PathBuf};

use crate::breakpad::sym_name;
use crate::cache::Probes;
use crate::file::Links;
use crate::macho::dwarf_files;
use crate::module::{ModuleId, hex};

/// Marks a symbol store of two tiers.
const TWO_TIER_MARK: &str = "index2.txt";
const POINTER_NAME: &str = "file.ptr";
/// Longer ones are no pointers.
const MAX_POINTER_BYTES: usize = 64 << 10;

/// The existing files at known places below a source.
pub(super) fn existing(source: &Path, module: &ModuleId, probes: &Probes) -> Vec<PathBuf> {
    let names = [module.code_name(), module.debug_name()];
    let mut paths: Vec<_> = names.into_iter().flatten().map(|name| source.join(name)).collect();
    paths.dedup();
    paths.extend(breakpad_path(source, module));
    paths.extend(module.build_id.as_deref().and_then(|id| build_id_path(source, id, probes)));
    if module.build_id.is_none() {
        paths.extend(store_paths(source, module, probes));
        paths.extend(bundle_paths(source, module, probes));
    }
    paths.retain(|path| probes.is_file(path));
    paths
}

fn breakpad_path(source: &Path, module: &ModuleId) -> Option<PathBuf> {
    let name = module.debug_name()?;
    let id = module.debug_id?.breakpad().to_string();
    Some(sym_name(name, &source.join(name).join(id)))
}

/// `xx/yyyy.debug` below `root` or its `.build-id`, whichever exists.
pub(crate) fn build_id_path(root: &Path, build_id: &[u8], probes: &Probes) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    let relative = PathBuf::from(hex(&[*first])).join(format!("{}.debug", hex(rest)));
    let below = root.join(".build-id").join(&relative);
    probes.note(&below, Links::Follow);
    Some(if below.exists() { below } else { root.join(relative) })
}

/// Of a symbol store: the PDB and the image, as they are, packed, or elsewhere.
fn store_paths(source: &Path, module: &ModuleId, probes: &Probes) -> Vec<PathBuf> {
    let pdb_key = module.debug_id.map(|id| id.breakpad().to_string());
    let image_key = module.image_stamp.map(|stamp| stamp.to_string());
    let keys = [(module.debug_name(), pdb_key), (module.code_name(), image_key)];
    let is_two_tier = probes.is_file(&source.join(TWO_TIER_MARK));
    let mut paths = Vec::new();
    for (name, key) in keys {
        let Some((name, key)) = name.zip(key) else { continue };
        for name in spellings(name) {
            let root = match name.get(..2).filter(|_| is_two_tier) {
                Some(tier) => source.join(tier),
                None => source.to_owned(),
            };
            for key in spellings(&key) {
                paths.extend(in_folder(&root.join(&name).join(key), &name, probes));
            }
        }
    }
    paths
}

/// As it is, and in lower case where that is different.
fn spellings(name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    if lower == name { vec![lower] } else { vec![name.to_owned(), lower] }
}

fn in_folder(folder: &Path, name: &str, probes: &Probes) -> Vec<PathBuf> {
    probes.note(folder, Links::Follow);
    if !folder.is_dir() {
        return Vec::new();
    }
    let mut paths = vec![folder.join(name)];
    let packed = name.char_indices().next_back().and_then(|(last, _)| name.get(..last));
    paths.extend(packed.map(|stem| folder.join(format!("{stem}_"))));
    paths.extend(pointed_at(&folder.join(POINTER_NAME), probes));
    paths
}

/// What `file.ptr` says: `PATH:` and a path, or only a path; `MSG:` says why there is none.
fn pointed_at(pointer: &Path, probes: &Probes) -> Option<PathBuf> {
    let file = probes.open(pointer, Links::Follow).ok()?;
    let text = std::str::from_utf8(file.get(..file.len().min(MAX_POINTER_BYTES))?).ok()?;
    let line = text.trim_start_matches('\u{feff}').lines().next()?.trim();
    if line.starts_with("MSG:") {
        return None;
    }
    let path = line.strip_prefix("PATH:").unwrap_or(line).trim();
    (!path.is_empty() && !path.contains('\0')).then(|| pointer.with_file_name(path))
}

/// Of a bundle that lies in a source under the module's name, or is the source.
fn bundle_paths(source: &Path, module: &ModuleId, probes: &Probes) -> Vec<PathBuf> {
    let Some(name) = module.code_name() else { return Vec::new() };
    let bundle = source.join(format!("{name}.dSYM"));
    probes.note(&bundle, Links::Follow);
    dwarf_files(if bundle.is_dir() { &bundle } else { source }, probes)
}
