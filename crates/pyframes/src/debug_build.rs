//! Whether the target was built with `Py_DEBUG`: then its `sys.abiflags` (PEP 3149) has a `d`.
//!
//! No structure tells it, and none that the reader uses differs in debug builds, so the name is
//! looked for in the dict of the module `sys`, key by key. `PyDictObject`
//! (`Include/cpython/dictobject.h`) has, behind its header, `ma_used` (8), a version tag (8) and
//! `ma_keys`, the address of its keys (`Objects/dict-common.h`, from 3.11 on
//! `Include/internal/pycore_dict.h`; 3.9.18 to 3.15.2):
//!
//! | 3.9, 3.10 | 3.11 and later | type | field | meaning |
//! |---|---|---|---|---|
//! | 8 | - | i64 | dk_size | indices |
//! | - | 9 | u8 | dk_log2_index_bytes | 2 to the power of it = bytes of all indices |
//! | - | 10 | u8 | dk_kind | 0 = entries of hash, key, value; 1 = of key, value |
//! | 32 | 24 | i64 | dk_nentries | entries in use |
//! | 40 | 32 | | dk_indices | indices of 1, 2, 4 or 8 bytes, then the entries |

use crate::layout::Field;
use crate::objects::Objects;
use crate::source::Fault;

const NAME: u64 = u64::from_le_bytes(*b"abiflags");
const NAME_LENGTH: u64 = 8;
const FIRST_WITH_KINDS: u32 = 0x030B_0000;
/// `sys` has some 100 names; more than this is not its dict.
const MAX_ENTRIES: u64 = 4096;

const fn word(offset: u64) -> Field {
    Field { offset, width: 8 }
}

/// The entries of a dict.
struct Entries {
    /// Address of the first key.
    first_key: u64,
    /// From one key to the next; the value stands behind the key.
    stride: u64,
    count: u64,
}

/// Looks at the dict of the module `sys` at `sysdict`.
///
/// # Errors
/// [`Fault`] when it is none, cannot be read, or has no such name.
pub(crate) fn is_debug_build(
    objects: &mut Objects<'_>,
    sysdict: u64,
    python_version: u32,
) -> Result<bool, Fault> {
    let entries = entries(objects, sysdict, python_version)?;
    let fields = [word(0), word(entries.count.saturating_mul(entries.stride))];
    let record = objects.source.record(entries.first_key, &fields)?;
    for index in 0..entries.count {
        let at = index.saturating_mul(entries.stride);
        let key = record.get(word(at))?;
        if is_name(objects, key).unwrap_or(false) {
            let flags = objects.string(record.get(word(at.saturating_add(8)))?)?;
            return Ok(flags.contains('d'));
        }
    }
    let expected = "one with the name abiflags";
    Err(Fault::Implausible { what: "the dict of sys", address: sysdict, found: 0, expected })
}

fn entries(objects: &mut Objects<'_>, dict: u64, version: u32) -> Result<Entries, Fault> {
    let object_type = objects.layout.object_type;
    // The header ends with the type; ma_used and the version tag follow.
    let ma_keys = word(object_type.offset.saturating_add(8).saturating_add(16));
    let record = objects.source.record(dict, &[object_type, ma_keys])?;
    objects.expect_type(dict, record.get(object_type)?, "dict")?;
    let keys = record.get(ma_keys)?;
    let head = objects.source.record(keys, &[word(0), word(32)])?;
    let byte = |offset| head.get(Field { offset, width: 1 });
    let (indices, index_bytes, count, has_hashes) = if version < FIRST_WITH_KINDS {
        let size = head.get(word(8))?;
        let index_size = if size <= 0xff { 1 } else { 2 };
        (40, size.saturating_mul(index_size), head.get(word(32))?, true)
    } else {
        let log2 = u32::try_from(byte(9)?).unwrap_or(u32::MAX);
        let index_bytes = 1_u64.checked_shl(log2).unwrap_or(u64::MAX);
        (32, index_bytes, head.get(word(24))?, byte(10)? == 0)
    };
    if count > MAX_ENTRIES || index_bytes > MAX_ENTRIES.saturating_mul(2) {
        let (what, expected) = ("size of the dict of sys", "some 100 names");
        return Err(Fault::Implausible { what, address: keys, found: count, expected });
    }
    let first = keys.saturating_add(indices).saturating_add(index_bytes);
    let (to_key, stride) = if has_hashes { (8, 24) } else { (0, 16) };
    Ok(Entries { first_key: first.saturating_add(to_key), stride, count })
}

/// Whether the object at `key` is the name, by as few bytes as tell it.
fn is_name(objects: &mut Objects<'_>, key: u64) -> Result<bool, Fault> {
    let (object_type, unicode) = (objects.layout.object_type, objects.layout.unicode);
    let text = word(unicode.ascii_data);
    let record = objects.source.record(key, &[object_type, unicode.length, text])?;
    if record.get(unicode.length)? != NAME_LENGTH || record.get(text)? != NAME {
        return Ok(false);
    }
    objects.expect_type(key, record.get(object_type)?, "str").map(|()| true)
}
