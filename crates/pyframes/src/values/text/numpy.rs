//! `numpy.ndarray`: shape and type of its items, never the items.
//!
//! `PyArrayObject_fields` (`numpy/_core/include/numpy/ndarraytypes.h`, numpy 1.13 to 2.3):
//!
//! | offset | field |
//! |---|---|
//! | 24 | nd: number of dimensions, an int |
//! | 32 | dimensions: a pointer to `nd` words |
//! | 56 | descr: `PyArray_Descr` |
//!
//! `PyArray_Descr`: kind (24), type (25), byteorder (26), characters; type_num (28), an int; the
//! size of an item: numpy 1 an int at 32, numpy 2 a word at 40, behind flags of 64 bits.

use super::Writer;
use crate::layout::Field;
use crate::source::Fault;
use crate::values::implausible;

const DIMENSION_COUNT: Field = Field { offset: 24, width: 4 };
const DIMENSIONS: Field = Field { offset: 32, width: 8 };
const DESCRIPTION: Field = Field { offset: 56, width: 8 };
const BYTE_ORDER: Field = Field { offset: 26, width: 1 };
const TYPE_NUMBER: Field = Field { offset: 28, width: 4 };
const SIZE_1: Field = Field { offset: 32, width: 4 };
const ALIGNMENT_1: Field = Field { offset: 36, width: 4 };
const SIZE_2: Field = Field { offset: 40, width: 8 };
/// `NPY_MAXDIMS` of numpy 2.
const MAX_DIMENSIONS: u64 = 64;

/// Names of the types by `type_num` (`enum NPY_TYPES`) where `long` has 64 bits.
const TYPE_NAMES: [&str; 24] = [
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "int64",
    "uint64",
    "float32",
    "float64",
    "float128",
    "complex64",
    "complex128",
    "complex256",
    "object",
    "bytes",
    "str",
    "void",
    "datetime64",
    "timedelta64",
    "float16",
];
const FLEXIBLE: std::ops::RangeInclusive<u64> = 18..=20;
const STR_NUMBER: u64 = 19;
const STRING_DTYPE: u64 = 2056;

impl Writer<'_, '_> {
    pub(super) fn array(&mut self, address: u64) -> Result<(), Fault> {
        let record = self.reader.object(address, &[DIMENSION_COUNT, DIMENSIONS, DESCRIPTION])?;
        let count = record.get(DIMENSION_COUNT)?;
        let dimensions = match count {
            0 => Vec::new(),
            1..=MAX_DIMENSIONS => {
                let count = usize::try_from(count).unwrap_or(0);
                self.reader.words(record.get(DIMENSIONS)?, count)?
            }
            _ => return Err(implausible("dimensions of an array", address, count, "up to 64")),
        };
        let shape: Vec<String> = dimensions.iter().map(u64::to_string).collect();
        let comma = if shape.len() == 1 { "," } else { "" };
        let name = self.item_type(record.get(DESCRIPTION)?)?;
        self.push(&format!("<numpy.ndarray shape=({}{comma}) dtype={name}>", shape.join(", ")));
        Ok(())
    }

    fn item_type(&mut self, description: u64) -> Result<String, Fault> {
        let wanted = [BYTE_ORDER, TYPE_NUMBER, SIZE_1, ALIGNMENT_1, SIZE_2];
        let record = self.reader.object(description, &wanted)?;
        let number = record.get(TYPE_NUMBER)?;
        if number == STRING_DTYPE {
            return Ok("StringDType".to_owned());
        }
        let known = usize::try_from(number).ok().and_then(|number| TYPE_NAMES.get(number));
        let Some(name) = known else { return Ok(format!("type {number}")) };
        let order = if record.get(BYTE_ORDER)? == u64::from(b'>') { ">" } else { "" };
        if !FLEXIBLE.contains(&number) {
            return Ok(format!("{order}{name}"));
        }
        // Alignment is a power of two of at most 16; flags of numpy 2 are 0 for these but for
        // structures, and its upper half always is.
        let (size, alignment) = (record.get(SIZE_1)?, record.get(ALIGNMENT_1)?);
        let size = if (1..=16).contains(&alignment) { size } else { record.get(SIZE_2)? };
        let units = if number == STR_NUMBER { size / 4 } else { size };
        Ok(format!("{order}{name}[{units}]"))
    }
}
