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
    /// Debug id (GUID and age): a PDB's; a Mach-O file's UUID; for ELF made of the build id's
    /// first 16 bytes.
    pub debug_id: Option<DebugId>,
    /// Time stamp and size of a PE image, under which symbol servers keep it.
    pub image_stamp: Option<ImageStamp>,
}

/// What tells PE images of one name apart, beside their debug id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageStamp {
    /// `TimeDateStamp` of the file header: seconds since 1970, or a hash.
    pub time_stamp: u32,
    /// `SizeOfImage` of the optional header, in bytes.
    pub size_of_image: u32,
}

impl ImageStamp {
    /// As symbol servers and dumps write it: 8 digits, then the size without leading zeros.
    pub(crate) fn from_code_id(code_id: &str) -> Option<Self> {
        let (time_stamp, size_of_image) = code_id.split_at_checked(8)?;
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        Some(Self { time_stamp: number(time_stamp)?, size_of_image: number(size_of_image)? })
    }
}

impl std::fmt::Display for ImageStamp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:08X}{:x}", self.time_stamp, self.size_of_image)
    }
}

impl ModuleId {
    /// Describes an ELF module by its path and GNU build id.
    pub fn with_build_id(code_file: &str, build_id: &[u8]) -> Self {
        Self {
            code_file: code_file.to_owned(),
            debug_file: None,
            build_id: Some(build_id.to_vec()),
            debug_id: debug_id_of(build_id),
            image_stamp: None,
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

    /// Whether there is anything to match files by.
    pub(crate) fn has_id(&self) -> bool {
        self.build_id.is_some() || self.debug_id.is_some() || self.image_stamp.is_some()
    }

    /// Whether a PE image with these ids is this module's. The debug id decides where both have
    /// one.
    pub(crate) fn is_image(&self, debug_id: Option<DebugId>, stamp: ImageStamp) -> bool {
        match (self.debug_id, debug_id) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => self.build_id.is_none() && self.image_stamp == Some(stamp),
        }
    }

    /// The id as users write it: build id in hexadecimal, else the debug id, else the stamp.
    pub(crate) fn display_id(&self) -> Option<String> {
        match (&self.build_id, self.debug_id) {
            (Some(build_id), _) => Some(hex(build_id)),
            (None, Some(debug_id)) => Some(debug_id.breakpad().to_string()),
            (None, None) => self.image_stamp.map(|stamp| stamp.to_string()),
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
        let code_id = module.code_identifier().filter(|_| build_id.is_none());
        Self {
            code_file: module.code_file().into_owned(),
            debug_file: module.debug_file().map(|name| name.into_owned()),
            build_id,
            debug_id,
            // The ids of other systems have 32 digits and more.
            image_stamp: code_id
                .and_then(|id| ImageStamp::from_code_id(id.as_str()))
                .filter(|stamp| stamp.time_stamp != 0),
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

/// The debug id of a Mach-O UUID: the same 16 bytes, read as a GUID in big-endian layout, age 0.
pub(crate) fn debug_id_of_uuid(uuid: &[u8; 16]) -> Option<DebugId> {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *uuid;
    let mut guid = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
    for (to, from) in guid.iter_mut().skip(8).zip(rest) {
        *to = from;
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
    fn debug_id_of_a_uuid_reads_like_the_uuid() {
        let uuid: Vec<u8> = (1..=16).collect();
        let debug_id = debug_id_of_uuid(&uuid.try_into().unwrap()).unwrap();
        assert_eq!(debug_id.to_string(), "01020304-0506-0708-090a-0b0c0d0e0f10");
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
    fn image_is_told_by_debug_id_then_by_stamp() {
        let stamp = ImageStamp { time_stamp: 0x0a1b_2c3d, size_of_image: 0x1_5000 };
        assert_eq!(stamp.to_string(), "0A1B2C3D15000");
        assert_eq!(ImageStamp::from_code_id("0a1b2c3d15000"), Some(stamp));
        assert_eq!(ImageStamp::from_code_id("0A1B2C3D"), None);
        assert_eq!(ImageStamp::from_code_id(&"a".repeat(32)), None, "a build id");
        let debug_id = debug_id_of(&[1; 16]);
        let module = ModuleId { image_stamp: Some(stamp), ..ModuleId::default() };
        assert!(module.is_image(debug_id, stamp) && module.has_id());
        let module = ModuleId { debug_id, ..module };
        assert!(module.is_image(None, stamp) && !module.is_image(debug_id_of(&[2; 16]), stamp));
        let other = ImageStamp { time_stamp: 1, ..stamp };
        assert!(module.is_image(debug_id, other) && !module.is_image(None, other));
    }

    #[test]
    fn names_never_leave_their_folder() {
        assert_eq!(leaf("C:\\app\\a.pdb"), Some("a.pdb"));
        assert_eq!(leaf("/usr/lib/.."), None);
        assert_eq!(leaf(""), None);
    }
}
