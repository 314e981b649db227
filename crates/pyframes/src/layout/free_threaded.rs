//! Builds without a GIL (PEP 703), as changes to the builds of the same version that have one.

use super::{CodeFields, Field, Gil, Layout, UnicodeFields, int, word};

/// `PyObject` holds its owner's thread and a second reference count
/// (`Include/object.h`, 3.13): 32 bytes instead of 16.
const LONGER_HEADER: u64 = 16;

const fn moved(field: Field) -> Field {
    Field { offset: moved_offset(field.offset), ..field }
}

const fn moved_offset(offset: u64) -> u64 {
    offset.saturating_add(LONGER_HEADER)
}

const fn moved_if_any(field: Option<Field>) -> Option<Field> {
    match field {
        Some(field) => Some(moved(field)),
        None => None,
    }
}

/// The layout without a GIL: every object's fields lie behind a longer header, and the GIL
/// has a first field that tells whether it is used at all.
pub(super) const fn free_threaded(layout: Layout) -> Layout {
    let Gil::Interpreter { gil, .. } = layout.gil else { return layout };
    let (code, unicode) = (layout.code, layout.unicode);
    Layout {
        is_free_threaded: true,
        gil: Gil::Interpreter {
            gil,
            last_holder: word(16),
            locked: int(24),
            enabled: Some(int(0)),
        },
        code: CodeFields {
            file: moved(code.file),
            name: moved(code.name),
            qualname: moved_if_any(code.qualname),
            line_table: moved(code.line_table),
            first_line: moved(code.first_line),
            first_traceable: moved_if_any(code.first_traceable),
            bytecode: match code.bytecode {
                Some(offset) => Some(moved_offset(offset)),
                None => None,
            },
            ..code
        },
        object_type: moved(layout.object_type),
        var_size: moved(layout.var_size),
        unicode: UnicodeFields {
            length: moved(unicode.length),
            state: moved(unicode.state),
            ascii_data: moved_offset(unicode.ascii_data),
            compact_data: moved_offset(unicode.compact_data),
        },
        bytes_data: moved_offset(layout.bytes_data),
        type_name: moved(layout.type_name),
        type_flags: moved(layout.type_flags),
        ..layout
    }
}
