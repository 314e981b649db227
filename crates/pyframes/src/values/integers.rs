//! `int`: digits of 30 bits, any number of them.

use super::{Reader, implausible, plausible};
use crate::layout::values::IntFields;
use crate::source::Fault;

/// `PyLong_SHIFT`.
const DIGIT_BITS: u32 = 30;
const DIGIT_BYTES: usize = 4;
/// Of so many digits the leading decimal ones are worked out.
const LEADING: usize = 3;

/// Sign and number of digits.
struct Shape {
    is_negative: bool,
    digits: usize,
    start: u64,
}

impl Reader<'_> {
    /// The `int` (or `bool`) at `address`, whose type is known, if it fits.
    pub(super) fn small_int(&mut self, address: u64) -> Result<Option<i64>, Fault> {
        let shape = self.int_shape(address)?;
        if shape.digits > LEADING {
            return Ok(None);
        }
        let digits = self.int_digits(shape.start, shape.digits)?;
        let value = digits.iter().rev().try_fold(0_i128, |value, digit| {
            value.checked_shl(DIGIT_BITS).map(|high| high | i128::from(*digit))
        });
        let value = value.and_then(|value| i64::try_from(value).ok());
        Ok(value
            .and_then(|value| if shape.is_negative { value.checked_neg() } else { Some(value) }))
    }

    /// The `int` at `address`, if it is one and fits into 64 bits without sign.
    pub(super) fn exact_u64(&mut self, address: u64) -> Option<u64> {
        let of = self.type_of(address).ok()?;
        if of.built_in() != "int" {
            return None;
        }
        let shape = self.int_shape(address).ok()?;
        if shape.is_negative || shape.digits > LEADING {
            return None;
        }
        let digits = self.int_digits(shape.start, shape.digits).ok()?;
        let value = digits
            .iter()
            .rev()
            .fold(0_u128, |value, digit| value << DIGIT_BITS | u128::from(*digit));
        u64::try_from(value).ok()
    }

    /// The `int` at `address`, whose type is known, in decimal digits; `<int of N digits>` when
    /// there are more than `max`. N comes from the leading 90 bits, so next to a power of ten it
    /// may be one too many.
    pub(super) fn int_text(&mut self, address: u64, max: usize) -> Result<String, Fault> {
        let shape = self.int_shape(address)?;
        let most = max.saturating_mul(4).div_ceil(DIGIT_BITS as usize).saturating_add(1);
        if shape.digits > most {
            return self.huge_int(&shape);
        }
        let digits = self.int_digits(shape.start, shape.digits)?;
        let text = decimal(&digits);
        if text.len() > max {
            return Ok(format!("<int of {} digits>", text.len()));
        }
        Ok(if shape.is_negative { format!("-{text}") } else { text })
    }

    fn huge_int(&mut self, shape: &Shape) -> Result<String, Fault> {
        let rest = shape.digits.saturating_sub(LEADING);
        let skipped = u64::try_from(rest.saturating_mul(DIGIT_BYTES)).unwrap_or(u64::MAX);
        let leading = self.int_digits(shape.start.saturating_add(skipped), LEADING)?;
        let value = leading.iter().rev().fold(0.0_f64, |value, digit| {
            value.mul_add(f64::from(1_u32 << DIGIT_BITS), f64::from(*digit))
        });
        #[allow(clippy::cast_precision_loss)] // Less than 2^52 bits.
        let bits = rest as f64 * f64::from(DIGIT_BITS);
        let log10 = bits.mul_add(std::f64::consts::LOG10_2, value.log10());
        // Powers of ten must not fall short of themselves by rounding.
        Ok(format!("<int of {:.0} digits>", (log10 + 1e-9).floor() + 1.0))
    }

    fn int_shape(&mut self, address: u64) -> Result<Shape, Fault> {
        let (is_negative, digits, start) = match self.layout.int {
            IntFields::Signed { size, digits } => {
                let size = self.field(address, size)?.cast_signed();
                (size < 0, size.unsigned_abs(), digits)
            }
            IntFields::Tagged { tag, digits } => {
                let tag = self.field(address, tag)?;
                let count = if tag & 3 == 1 { 0 } else { tag >> 3 };
                (tag & 3 == 2, count, digits)
            }
        };
        let start = address.saturating_add(start);
        let digits = plausible(digits)
            .ok_or_else(|| implausible("digits of an int", address, digits, "less than 1 T"))?;
        Ok(Shape { is_negative, digits, start })
    }

    fn int_digits(&mut self, start: u64, count: usize) -> Result<Vec<u32>, Fault> {
        let bytes = self.source().unrecorded(start, count.saturating_mul(DIGIT_BYTES))?;
        let digit = |bytes: &[u8]| {
            let value = bytes.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
            value & ((1 << DIGIT_BITS) - 1)
        };
        Ok(bytes.chunks_exact(DIGIT_BYTES).map(digit).collect())
    }
}

/// Little-endian digits of 30 bits in decimal.
fn decimal(digits: &[u32]) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut digits: Vec<u32> = digits.to_vec();
    let mut groups: Vec<u64> = Vec::new();
    while digits.iter().any(|digit| *digit != 0) {
        let mut rest = 0_u64;
        for digit in digits.iter_mut().rev() {
            let value = rest << DIGIT_BITS | u64::from(*digit);
            *digit = u32::try_from(value / BASE).unwrap_or(0);
            rest = value % BASE;
        }
        groups.push(rest);
    }
    let mut text = groups.pop().unwrap_or(0).to_string();
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_decimal() {
        assert_eq!(decimal(&[]), "0");
        assert_eq!(decimal(&[7]), "7");
        assert_eq!(decimal(&[0, 1]), "1073741824");
        assert_eq!(decimal(&[0, 0, 1]), "1152921504606846976");
        assert_eq!(decimal(&[(1 << 30) - 1; 3]), "1237940039285380274899124223");
        assert_eq!(decimal(&[1_000_000_000]), "1000000000");
    }
}
