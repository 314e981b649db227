//! Checks of types, strings, byte strings and code objects.

use super::known::{Known, Verdict};
use super::truths::CodeTruth;
use crate::Limits;
use crate::layout::Layout;
use crate::layout::fields::FieldId;
use crate::objects::Objects;
use crate::source::Source;

/// `Py_TPFLAGS_VALID_VERSION_TAG`, which looking up an attribute may set.
const HAS_VERSION_TAG: u64 = 1 << 19;

pub(super) fn object_type(known: &Known<'_>, layout: &Layout) -> Verdict {
    let truths = known.truths;
    let codes = truths.codes.iter().map(|code| (code.address, truths.code_type));
    let strings = truths.strings.iter().map(|string| (string.address, truths.string_type));
    let bytes = truths.bytes.iter().map(|bytes| (bytes.address, truths.bytes_type));
    let offset = layout.offset(FieldId::ObjectType);
    let objects = codes.chain(strings).chain(bytes);
    Verdict::all(objects.map(|(object, kind)| Verdict::of(known.word(object, offset), kind)))
}

pub(super) fn size(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::VarSize);
    Verdict::all(
        known.truths.bytes.iter().map(|bytes| {
            Verdict::of(known.word(bytes.address, offset), length(bytes.content.len()))
        }),
    )
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

pub(super) fn bytes_data(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::BytesData);
    let bytes = known.truths.bytes.iter();
    Verdict::all(bytes.map(|bytes| known.holds(bytes.address, offset, &bytes.content)))
}

pub(super) fn string_length(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::StringLength);
    Verdict::all(known.truths.strings.iter().map(|string| {
        Verdict::of(known.word(string.address, offset), length(string.text.chars().count()))
    }))
}

/// A string's characters as CPython stores them (PEP 393).
fn stored(text: &str) -> Vec<u8> {
    let highest = text.chars().map(u32::from).max().unwrap_or(0);
    let width = match highest {
        0..0x100 => 1,
        0x100..0x1_0000 => 2,
        _ => 4,
    };
    text.chars().flat_map(|c| u32::from(c).to_le_bytes().into_iter().take(width)).collect()
}

pub(super) fn ascii_data(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::StringAsciiData);
    let strings = known.truths.strings.iter().filter(|string| string.text.is_ascii());
    Verdict::all(strings.map(|string| known.holds(string.address, offset, &stored(&string.text))))
}

pub(super) fn compact_data(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::StringCompactData);
    let strings = known.truths.strings.iter().filter(|string| !string.text.is_ascii());
    Verdict::all(strings.map(|string| known.holds(string.address, offset, &stored(&string.text))))
}

/// Which bits of the state mean what is the reader's to know, so the whole string is read.
pub(super) fn string_state(known: &Known<'_>, layout: &Layout) -> Verdict {
    let others = [object_type, type_name, string_length, ascii_data, compact_data];
    if others.iter().any(|test| test(known, layout) == Verdict::Fails) {
        return Verdict::Untold;
    }
    let limits = Limits::default();
    let mut objects = Objects::new(Source::new(&known.memory, &limits), *layout, &limits);
    Verdict::all(known.truths.strings.iter().map(|string| {
        let read = objects.string(string.address);
        Verdict::from_bool(read.is_ok_and(|text| text == string.text))
    }))
}

pub(super) fn type_name(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::TypeName);
    Verdict::all(known.truths.types.iter().map(|kind| {
        let text = [kind.name.as_bytes(), b"\0"].concat();
        known
            .word(kind.address, offset)
            .map_or(Verdict::Fails, |at| known.holds(at, Some(0), &text))
    }))
}

pub(super) fn type_flags(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::TypeFlags);
    let flags = |address| known.word(address, offset).map(|flags| flags & !HAS_VERSION_TAG);
    let types = known.truths.types.iter();
    Verdict::all(types.map(|t| Verdict::of(flags(t.address), t.flags & !HAS_VERSION_TAG)))
}

/// Whether a word of every known code object is what is known of it.
fn of_codes(
    known: &Known<'_>,
    layout: &Layout,
    id: FieldId,
    truth: impl Fn(&CodeTruth) -> Option<u64>,
) -> Verdict {
    let offset = layout.offset(id);
    Verdict::all(
        known
            .truths
            .codes
            .iter()
            .filter_map(|code| Some(Verdict::of(known.word(code.address, offset), truth(code)?))),
    )
}

pub(super) fn code_file(known: &Known<'_>, layout: &Layout) -> Verdict {
    of_codes(known, layout, FieldId::CodeFile, |code| Some(code.file))
}

pub(super) fn code_name(known: &Known<'_>, layout: &Layout) -> Verdict {
    of_codes(known, layout, FieldId::CodeName, |code| Some(code.name))
}

pub(super) fn code_qualname(known: &Known<'_>, layout: &Layout) -> Verdict {
    of_codes(known, layout, FieldId::CodeQualname, |code| code.qualname)
}

pub(super) fn code_line_table(known: &Known<'_>, layout: &Layout) -> Verdict {
    of_codes(known, layout, FieldId::CodeLineTable, |code| Some(code.line_table))
}

/// Numbers of four bytes; one that is 0 in all known code objects says nothing.
fn of_code_numbers(
    known: &Known<'_>,
    layout: &Layout,
    id: FieldId,
    truth: impl Fn(&CodeTruth) -> Option<i32>,
) -> Verdict {
    let offset = layout.offset(id);
    Verdict::all(known.truths.codes.iter().filter_map(|code| {
        let truth = truth(code)?;
        let is_it = known.int(code.address, offset) == Some(truth);
        let is_telling = truth != 0 || !is_it;
        Some(if is_telling { Verdict::from_bool(is_it) } else { Verdict::Untold })
    }))
}

pub(super) fn code_first_line(known: &Known<'_>, layout: &Layout) -> Verdict {
    of_code_numbers(known, layout, FieldId::CodeFirstLine, |code| Some(code.first_line))
}

pub(super) fn code_first_traceable(known: &Known<'_>, layout: &Layout) -> Verdict {
    of_code_numbers(known, layout, FieldId::CodeFirstTraceable, |code| code.first_traceable)
}
