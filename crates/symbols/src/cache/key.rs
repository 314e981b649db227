//! What an answer depends on besides files: the module, the sources that are searched, and us.

use std::path::PathBuf;

use super::fnv::Fnv;
use crate::module::ModuleId;

/// Raised when the same files give other answers than before, within one version of the crate.
const CONVERTER_REVISION: u32 = 3;
/// Digits of the module's id in a file's name: all of a SHA-1 build id.
const MAX_ID_DIGITS: usize = 40;
/// End of a cache file's name; nothing else in the folder is ever touched.
const SUFFIX: &str = ".symbols";

/// Says which cache file is meant, beyond doubt.
pub(crate) struct Key {
    /// Kept in the file, and compared: a name may be that of two keys.
    pub(crate) bytes: Vec<u8>,
    /// `ID-HASH.symbols`.
    pub(crate) file_name: String,
}

impl Key {
    /// `None` for a module without id, of which nothing is ever found, and where relative sources
    /// are relative to nothing.
    ///
    /// Of the module's path only the name counts where no file of this machine may be opened, so
    /// that dumps of many machines share what was found.
    pub(crate) fn new(
        module: &ModuleId,
        sources: &[PathBuf],
        may_open_local: bool,
    ) -> Option<Self> {
        let id = module.display_id()?;
        let debug_id = module.debug_id.map(|id| id.breakpad().to_string()).unwrap_or_default();
        let stamp = module.image_stamp.map(|stamp| stamp.to_string()).unwrap_or_default();
        let place = if may_open_local { module.code_file.as_str() } else { "" };
        let converter = format!("{} {CONVERTER_REVISION}", env!("CARGO_PKG_VERSION"));
        let mut bytes = Vec::new();
        for field in [
            converter.as_bytes(),
            &[u8::from(may_open_local)],
            place.as_bytes(),
            module.code_name().unwrap_or_default().as_bytes(),
            module.debug_name().unwrap_or_default().as_bytes(),
            module.build_id.as_deref().unwrap_or_default(),
            debug_id.as_bytes(),
            stamp.as_bytes(),
        ] {
            push(&mut bytes, field);
        }
        for source in sources {
            push(&mut bytes, source.as_os_str().as_encoded_bytes());
        }
        if sources.iter().any(|source| source.is_relative()) {
            push(&mut bytes, std::env::current_dir().ok()?.as_os_str().as_encoded_bytes());
        }
        let mut hash = Fnv::new();
        hash.write(&bytes);
        let id: String = id.chars().take(MAX_ID_DIGITS).collect();
        let file_name = format!("{}-{:016x}{SUFFIX}", id.to_lowercase(), hash.finish());
        Some(Self { bytes, file_name })
    }
}

/// Whether a file of this name is one of ours.
pub(crate) fn is_cache_file(name: &str) -> bool {
    let stem = name.strip_suffix(SUFFIX);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    stem.and_then(|stem| stem.split_once('-')).is_some_and(|(id, hash)| {
        (1..=MAX_ID_DIGITS).contains(&id.len()) && is_hex(id) && hash.len() == 16 && is_hex(hash)
    })
}

/// Length first: no two lists of fields are the same bytes.
fn push(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_le_bytes());
    bytes.extend_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(module: &ModuleId, sources: &[&str], may_open_local: bool) -> String {
        let sources: Vec<_> = sources.iter().map(PathBuf::from).collect();
        Key::new(module, &sources, may_open_local).unwrap().file_name
    }

    #[test]
    fn each_thing_that_changes_answers_changes_the_name() {
        let module = ModuleId::with_build_id("/lib/a.so", &[7; 20]);
        let other_id = ModuleId::with_build_id("/lib/a.so", &[8; 20]);
        let elsewhere = ModuleId::with_build_id("/opt/a.so", &[7; 20]);
        let renamed = ModuleId::with_build_id("/lib/b.so", &[7; 20]);
        let of_debug_file = ModuleId { debug_file: Some("a.debug".to_owned()), ..module.clone() };
        let names = [
            name(&module, &["/x", "/y"], false),
            name(&module, &["/y", "/x"], false),
            name(&module, &["/x/y"], false),
            name(&module, &[], false),
            name(&module, &[], true),
            name(&other_id, &[], false),
            name(&elsewhere, &[], true),
            name(&renamed, &[], false),
            name(&of_debug_file, &[], false),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(is_cache_file(name), "{name}");
            assert!(!names[index + 1..].contains(name), "{name}");
        }
        assert_eq!(name(&module, &[], false), name(&elsewhere, &[], false));
    }

    #[test]
    fn long_ids_make_no_long_names_and_no_id_makes_none() {
        let long = ModuleId::with_build_id("/lib/a.so", &[7; 100_000]);
        assert_eq!(name(&long, &[], false).len(), 40 + 1 + 16 + SUFFIX.len());
        assert!(Key::new(&ModuleId::default(), &[], true).is_none());
    }

    #[test]
    fn files_of_others_are_not_ours() {
        for name in [
            "a.symbols",
            "0-1.symbols",
            "-0123456789abcdef.symbols",
            "notes.txt",
            "zz-0123456789abcdef.symbols",
            "00-0123456789abcdef.symbols.bak",
        ] {
            assert!(!is_cache_file(name), "{name}");
        }
    }
}
