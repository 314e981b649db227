//! Which module of a dump: its names and its ids.

use debugid::DebugId;
use minidump_common::traits::Module;

/// Names and ids of a module, as its dump tells them.
///
/// Files are matched by `build_id` where the dump has a whole one, else by `debug_id`; the
/// names only say where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModuleId {
    /// Path of the file on the machine that crashed; empty when unknown.
    pub code_file: String,
    /// Name of the debug file (`app.pdb`), where the dump gives one.
    pub debug_file: Option<String>,
    /// GNU build id, whole; `None` for modules that are not ELF or have none.
    pub build_id: Option<Vec<u8>>,
    /// Debug id (GUID and age); for ELF made of the build id's first 16 bytes.
    pub debug_id: Option<DebugId>,
}

impl ModuleId {
    /// Describes an ELF module by its path and GNU build id.
    pub fn with_build_id(code_file: &str, build_id: &[u8]) -> Self {
        Self {
            code_file: code_file.to_owned(),
            debug_file: None,
            build_id: Some(build_id.to_vec()),
            debug_id: debug_id_of(build_id),
        }
    }

    /// The last component of the code file, whatever system wrote it.
    pub fn code_name(&self) -> Option<&str> {
        leaf(&self.code_file)
    }

    /// The last component of the debug file, else of the code file.
    pub fn debug_name(&self) -> Option<&str> {
        self.debug_file.as_deref().and_then(leaf).or_else(|| self.code_name())
    }

    /// Whether a file with this build id is this module's.
    pub(crate) fn is_build_id(&self, build_id: &[u8]) -> bool {
        match &self.build_id {
            Some(expected) => expected == build_id,
            None => self.debug_id.is_some() && self.debug_id == debug_id_of(build_id),
        }
    }

    /// The id as users write it: build id in hexadecimal, else the debug id.
    pub(crate) fn display_id(&self) -> Option<String> {
        match (&self.build_id, self.debug_id) {
            (Some(build_id), _) => Some(hex(build_id)),
            (None, Some(debug_id)) => Some(debug_id.breakpad().to_string()),
            (None, None) => None,
        }
    }
}

impl<M: Module + ?Sized> From<&M> for ModuleId {
    fn from(module: &M) -> Self {
        let debug_id = module.debug_identifier().filter(|id| !id.is_nil());
        let build_id = module
            .code_identifier()
            .and_then(|id| unhex(id.as_str()))
            // Windows' time stamp and size is hexadecimal too, but does not make the debug id.
            .filter(|bytes| debug_id.is_some() && debug_id_of(bytes) == debug_id);
        Self {
            code_file: module.code_file().into_owned(),
            debug_file: module.debug_file().map(|name| name.into_owned()),
            build_id,
            debug_id,
        }
    }
}

/// The debug id that Breakpad derives from a build id: its first 16 bytes (padded with zeros)
/// as a GUID in little-endian layout, age 0. `None` for an empty build id.
pub(crate) fn debug_id_of(build_id: &[u8]) -> Option<DebugId> {
    if build_id.is_empty() {
        return None;
    }
    let mut guid = [0u8; 16];
    for (to, from) in guid.iter_mut().zip(build_id) {
        *to = *from;
    }
    DebugId::from_guid_age(&guid, 0).ok()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len().is_multiple_of(2))?;
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from((high << 4) | low).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

/// The last component of a path of any system, if it can be a file name.
pub(crate) fn leaf(path: &str) -> Option<&str> {
    let leaf = path.rsplit(['/', '\\']).next()?;
    (!matches!(leaf, "" | "." | "..") && !leaf.contains('\0')).then_some(leaf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_id_is_the_build_id_as_little_endian_guid() {
        let id: Vec<u8> = (1..=20).collect();
        let debug_id = debug_id_of(&id).unwrap();
        assert_eq!(debug_id.breakpad().to_string(), "0403020106050807090A0B0C0D0E0F100");
        assert_eq!(debug_id_of(&[]), None);
    }

    #[test]
    fn whole_build_id_must_match_where_the_dump_has_one() {
        let id: Vec<u8> = (1..=20).collect();
        let mut other = id.clone();
        other[19] = 99;
        let module = ModuleId::with_build_id("/lib/a.so", &id);
        assert!(module.is_build_id(&id) && !module.is_build_id(&other));
        let short = ModuleId { build_id: None, ..module };
        assert!(short.is_build_id(&other), "only the debug id's 16 bytes are known");
        assert!(!ModuleId::default().is_build_id(&id));
    }

    #[test]
    fn names_never_leave_their_folder() {
        assert_eq!(leaf("C:\\app\\a.pdb"), Some("a.pdb"));
        assert_eq!(leaf("/usr/lib/.."), None);
        assert_eq!(leaf(""), None);
    }
}
