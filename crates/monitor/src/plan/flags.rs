//! `MINIDUMP_TYPE`: the bits that say what a dump holds (`minidumpapiset.h`).
//!
//! | bit | name |
//! |---|---|
//! | 0x0 | `MiniDumpNormal` |
//! | 0x1 … 0x1000000 | [`DumpFlags::TABLE`] |

use std::ops::BitOr;

use serde_json::Value;

use super::PlanError;

/// A set of `MINIDUMP_TYPE` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct DumpFlags(u64);

macro_rules! flags {
    ($($constant:ident = $bit:literal, $name:literal;)*) => {
        #[allow(missing_docs)] // The names are the specification's own.
        impl DumpFlags {
            $(pub const $constant: Self = Self($bit);)*
            /// Bit and name without `MiniDump`, in the order of the bits.
            pub const TABLE: &'static [(Self, &'static str)] = &[$((Self($bit), $name)),*];
        }
    };
}

flags! {
    WITH_DATA_SEGS = 0x1, "WithDataSegs";
    WITH_FULL_MEMORY = 0x2, "WithFullMemory";
    WITH_HANDLE_DATA = 0x4, "WithHandleData";
    FILTER_MEMORY = 0x8, "FilterMemory";
    SCAN_MEMORY = 0x10, "ScanMemory";
    WITH_UNLOADED_MODULES = 0x20, "WithUnloadedModules";
    WITH_INDIRECTLY_REFERENCED_MEMORY = 0x40, "WithIndirectlyReferencedMemory";
    FILTER_MODULE_PATHS = 0x80, "FilterModulePaths";
    WITH_PROCESS_THREAD_DATA = 0x100, "WithProcessThreadData";
    WITH_PRIVATE_READ_WRITE_MEMORY = 0x200, "WithPrivateReadWriteMemory";
    WITHOUT_OPTIONAL_DATA = 0x400, "WithoutOptionalData";
    WITH_FULL_MEMORY_INFO = 0x800, "WithFullMemoryInfo";
    WITH_THREAD_INFO = 0x1000, "WithThreadInfo";
    WITH_CODE_SEGS = 0x2000, "WithCodeSegs";
    WITHOUT_AUXILIARY_STATE = 0x4000, "WithoutAuxiliaryState";
    WITH_FULL_AUXILIARY_STATE = 0x8000, "WithFullAuxiliaryState";
    WITH_PRIVATE_WRITE_COPY_MEMORY = 0x1_0000, "WithPrivateWriteCopyMemory";
    IGNORE_INACCESSIBLE_MEMORY = 0x2_0000, "IgnoreInaccessibleMemory";
    WITH_TOKEN_INFORMATION = 0x4_0000, "WithTokenInformation";
    WITH_MODULE_HEADERS = 0x8_0000, "WithModuleHeaders";
    FILTER_TRIAGE = 0x10_0000, "FilterTriage";
    WITH_AVX_X_STATE_CONTEXT = 0x20_0000, "WithAvxXStateContext";
    WITH_IPT_TRACE = 0x40_0000, "WithIptTrace";
    SCAN_INACCESSIBLE_PARTIAL_PAGES = 0x80_0000, "ScanInaccessiblePartialPages";
    FILTER_WRITE_COMBINED_MEMORY = 0x100_0000, "FilterWriteCombinedMemory";
}

const PREFIX: &str = "minidump";

impl DumpFlags {
    /// `MiniDumpNormal`: no bit at all.
    pub const NORMAL: Self = Self(0);

    /// The bits, as they stand in a dump's header.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether every bit of `other` is set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Takes bits; none may be set that the specification does not know.
    ///
    /// # Errors
    /// Which bits are not known.
    pub fn from_bits(bits: u64) -> Result<Self, PlanError> {
        let known = Self::TABLE.iter().fold(0, |all, (flag, _)| all | flag.0);
        if bits & !known == 0 {
            return Ok(Self(bits));
        }
        let found = format!("{bits:#x} (unknown bits: {:#x})", bits & !known);
        Err(PlanError::new("dump flags", found, format!("bits of {known:#x}")))
    }

    /// Parses a hexadecimal mask (`0x1826`, `1826`), names (`MiniDumpWithFullMemory` or
    /// `WithFullMemory`, in any case), or both mixed; separated by comma, colon, bar or blank.
    ///
    /// # Errors
    /// The word that is no flag, and what was expected.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let is_separator = |c: char| matches!(c, ',' | ':' | '|') || c.is_whitespace();
        let words: Vec<&str> = text.split(is_separator).filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Err(PlanError::new("dump flags", "empty", Self::expected()));
        }
        words.iter().try_fold(Self::NORMAL, |all, word| Ok(all | Self::parse_word(word)?))
    }

    fn parse_word(word: &str) -> Result<Self, PlanError> {
        let lower = word.to_ascii_lowercase();
        let name = lower.strip_prefix(PREFIX).unwrap_or(&lower);
        if name == "normal" {
            return Ok(Self::NORMAL);
        }
        if let Some((flag, _)) = Self::TABLE.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)) {
            return Ok(*flag);
        }
        let digits = lower.strip_prefix("0x").unwrap_or(&lower);
        let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(digits, 16) {
            Ok(bits) if is_hex => Self::from_bits(bits),
            _ => Err(PlanError::new("dump flags", format!("{word:?}"), Self::expected())),
        }
    }

    /// A number, or text as [`DumpFlags::parse`] takes it.
    ///
    /// # Errors
    /// As [`DumpFlags::parse`].
    pub fn from_json(value: &Value) -> Result<Self, PlanError> {
        match (value.as_u64(), value.as_str()) {
            (Some(bits), _) => Self::from_bits(bits),
            (_, Some(text)) => Self::parse(text),
            _ => Err(PlanError::new("dump flags", value.to_string(), Self::expected())),
        }
    }

    /// Names of the bits that are set, without `MiniDump`.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let is_set = |(flag, _): &&(Self, &'static str)| self.contains(*flag);
        Self::TABLE.iter().filter(is_set).map(|(_, name)| *name).collect()
    }

    fn expected() -> String {
        let names: Vec<&str> = Self::TABLE.iter().map(|(_, name)| *name).collect();
        format!("a hexadecimal mask such as 0x1826, or names out of: Normal, {}", names.join(", "))
    }
}

impl BitOr for DumpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_names_prefixes_and_separators() {
        let both = DumpFlags::WITH_FULL_MEMORY | DumpFlags::WITH_HANDLE_DATA;
        for text in [
            "0x6",
            "6",
            "0X0006",
            "WithFullMemory,WithHandleData",
            "MiniDumpWithFullMemory:WithHandleData",
            "withfullmemory|minidumpwithhandledata",
            " WithFullMemory \t WithHandleData ",
            "2|WithHandleData,,Normal",
        ] {
            assert_eq!(DumpFlags::parse(text), Ok(both), "{text}");
        }
        assert_eq!(DumpFlags::parse("MiniDumpNormal"), Ok(DumpFlags::NORMAL));
        assert_eq!(DumpFlags::parse("0"), Ok(DumpFlags::NORMAL));
    }

    #[test]
    fn what_is_no_flag_is_named() {
        for (text, said) in [
            ("", "empty"),
            (" , ", "empty"),
            ("WithFullMemroy", "\"WithFullMemroy\""),
            ("0x", "\"0x\""),
            ("0x+6", "\"0x+6\""),
            ("0xFFFFFFFFFFFFFFFFF", "0xFFFFFFFFFFFFFFFFF"),
            ("0x2000006", "unknown bits: 0x2000000"),
        ] {
            let told = DumpFlags::parse(text).unwrap_err().to_string();
            assert!(told.contains(said) && told.contains("expected"), "{text}: {told}");
        }
    }

    #[test]
    fn every_bit_has_one_name_and_stands_in_order() {
        let bits: Vec<u64> = DumpFlags::TABLE.iter().map(|(flag, _)| flag.bits()).collect();
        assert_eq!(bits, (0..25).map(|index| 1 << index).collect::<Vec<u64>>());
        assert_eq!(DumpFlags::from_bits(0x1_2345).unwrap().names().len(), 5 + 2);
        assert_eq!(DumpFlags::parse("0x6").unwrap().names(), ["WithFullMemory", "WithHandleData"]);
    }
}
