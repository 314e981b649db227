//! Patterns that allocators and debuggers fill memory with.

/// What a pattern means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// 32 bits of it.
    word: u32,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    /// Who writes it, and when.
    pub(crate) meaning: &'static str,
    /// Whether the value means nothing else.
    pub(crate) is_distinct: bool,
}

/// A pointer near a pattern.
pub(crate) struct Hit {
    pub(crate) pattern: &'static Pattern,
    /// How far from it: the offset of a member.
    pub(crate) distance: i64,
}

/// Members lie at most so far from a pointer that was read out of the pattern.
const MAX_OFFSET: u64 = 0x1_0000;

const FREED: (&str, &str) = ("freed_memory", "Use of memory after it was freed");
const FRESH: (&str, &str) = ("uninitialised_memory", "Use of memory that was never written");
const FENCE: (&str, &str) = ("out_of_bounds", "Read behind the end of an allocation");

const fn pattern(
    word: u32,
    (code, title): (&'static str, &'static str),
    meaning: &'static str,
    is_distinct: bool,
) -> Pattern {
    Pattern { word, code, title, meaning, is_distinct }
}

/// Sources: MSVC `crtdbg.h`, CPython `obmalloc.c`, jemalloc `opt.junk`, mozjemalloc `kAllocPoison`,
/// Mozilla `js/util/Poison.h`, PartitionAlloc `partition_alloc_constants.h`, ASan `malloc_fill`,
/// OpenBSD `malloc.c`, macOS `malloc(3)`.
const PATTERNS: &[Pattern] = &[
    pattern(
        0xdddd_dddd,
        FREED,
        "freed memory of MSVC's debug heap, or of CPython's debug allocators (PYMEM_DEADBYTE)",
        true,
    ),
    pattern(0xfeee_feee, FREED, "freed memory of the Windows heap under a debugger", true),
    pattern(0xe5e5_e5e5, FREED, "freed memory of mozjemalloc", true),
    pattern(0x5a5a_5a5a, FREED, "freed memory of jemalloc (junk), or of older mozjemalloc", true),
    pattern(0xefef_efef, FREED, "quarantined memory of PartitionAlloc (Chromium)", true),
    pattern(0xdfdf_dfdf, FREED, "freed memory of OpenBSD's malloc", true),
    pattern(0x5555_5555, FREED, "freed memory under MallocScribble (macOS)", false),
    pattern(0x6b6b_6b6b, FREED, "freed memory of slab allocators (POISON_FREE)", true),
    pattern(0x4b4b_4b4b, FREED, "swept memory of SpiderMonkey (JS_SWEPT_TENURED_PATTERN)", false),
    pattern(0x2b2b_2b2b, FREED, "swept memory of SpiderMonkey (JS_SWEPT_NURSERY_PATTERN)", false),
    pattern(0xdead_beef, FREED, "0xdeadbeef, by which many programs mark what is dead", true),
    pattern(
        0xcdcd_cdcd,
        FRESH,
        "fresh memory of MSVC's debug heap or of CPython's debug allocators (PYMEM_CLEANBYTE); freed memory of PartitionAlloc",
        true,
    ),
    pattern(0xcccc_cccc, FRESH, "variables on the stack that MSVC (/RTC) has filled", true),
    pattern(0xbaad_f00d, FRESH, "fresh memory of the Windows heap under a debugger", true),
    pattern(0xe4e4_e4e4, FRESH, "fresh memory of mozjemalloc", true),
    pattern(0xa5a5_a5a5, FRESH, "fresh memory of jemalloc (junk)", true),
    pattern(0xbebe_bebe, FRESH, "fresh memory of AddressSanitizer (malloc_fill)", true),
    pattern(0xdbdb_dbdb, FRESH, "fresh memory of OpenBSD's malloc", true),
    pattern(
        0xaaaa_aaaa,
        FRESH,
        "fresh memory under MallocScribble (macOS), or of -ftrivial-auto-var-init=pattern",
        false,
    ),
    pattern(
        0xfdfd_fdfd,
        FENCE,
        "the fence around blocks of MSVC's debug heap or of CPython's debug allocators (PYMEM_FORBIDDENBYTE)",
        true,
    ),
    pattern(
        0xabab_abab,
        FENCE,
        "the fence behind blocks of the Windows heap under a debugger; fresh memory of PartitionAlloc",
        true,
    ),
];

/// The pattern that a pointer of `width` bytes was read from.
pub(crate) fn find(value: u64, width: usize) -> Option<Hit> {
    PATTERNS.iter().find_map(|pattern| {
        let word = u64::from(pattern.word);
        let whole = if width == 8 { word | (word << 32) } else { word };
        // A 32-bit value may have been widened, without and with its sign.
        let candidates = [whole, word, word | 0xffff_ffff_0000_0000];
        let known = if width == 8 { candidates.get(..) } else { candidates.get(..1) };
        known?.iter().find_map(|candidate| {
            let distance = value.wrapping_sub(*candidate).cast_signed();
            (distance.unsigned_abs() < MAX_OFFSET).then_some(Hit { pattern, distance })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(value: u64, width: usize) -> Option<&'static str> {
        find(value, width).map(|hit| hit.pattern.code)
    }

    #[test]
    fn patterns_are_found_in_both_widths_and_with_an_offset() {
        assert_eq!(code(0xdddd_dddd, 4), Some("freed_memory"));
        assert_eq!(code(0xdddd_dddd_dddd_dddd, 8), Some("freed_memory"));
        assert_eq!(code(0xe5e5_e5e5_e5e5_e5ed, 8), Some("freed_memory"));
        assert_eq!(find(0xe5e5_e5e5_e5e5_e5ed, 8).unwrap().distance, 8);
        assert_eq!(find(0xcdcd_cdc9, 4).unwrap().distance, -4);
        assert_eq!(code(0xffff_ffff_baad_f00d, 8), Some("uninitialised_memory"));
        assert_eq!(code(0xabab_abab, 4), Some("out_of_bounds"));
    }

    #[test]
    fn other_values_are_no_patterns() {
        for value in [0, 0x10, 0x7fff_1234_5678, 0xdddd_dddd_0000_0000, u64::MAX] {
            assert_eq!(code(value, 8), None, "{value:#x}");
        }
    }
}
