//! Numbers, texts and bytes.

use super::{MORE, Writer};
use crate::layout::values::{FLOAT_VALUE, IMAGINARY_PART};
use crate::source::Fault;

impl Writer<'_, '_> {
    pub(super) fn truth(&mut self, address: u64) -> Result<(), Fault> {
        let is_true = self.reader.small_int(address)? != Some(0);
        self.push(if is_true { "True" } else { "False" });
        Ok(())
    }

    pub(super) fn int(&mut self, address: u64) -> Result<(), Fault> {
        let text = self.reader.int_text(address, self.limits.max_characters)?;
        self.push(&text);
        Ok(())
    }

    pub(super) fn float(&mut self, address: u64) -> Result<(), Fault> {
        let value = f64::from_bits(self.reader.field(address, FLOAT_VALUE)?);
        self.push(&float_text(value, true));
        Ok(())
    }

    pub(super) fn complex(&mut self, address: u64) -> Result<(), Fault> {
        let record = self.reader.object(address, &[FLOAT_VALUE, IMAGINARY_PART])?;
        let real = f64::from_bits(record.get(FLOAT_VALUE)?);
        let imaginary = f64::from_bits(record.get(IMAGINARY_PART)?);
        self.push(&complex_text(real, imaginary));
        Ok(())
    }

    pub(super) fn string(&mut self, address: u64) -> Result<(), Fault> {
        let text = self.reader.text(address, self.limits.max_characters)?;
        let quote = quote(text.text.contains('\''), text.text.contains('"'));
        self.push_char(quote);
        for character in text.text.chars() {
            self.character(character, quote);
        }
        self.close(text.is_cut, quote);
        Ok(())
    }

    fn character(&mut self, character: char, quote: char) {
        match character {
            '\\' => self.push("\\\\"),
            '\n' => self.push("\\n"),
            '\r' => self.push("\\r"),
            '\t' => self.push("\\t"),
            _ if character == quote => self.push(if quote == '\'' { "\\'" } else { "\\\"" }),
            _ if character.is_control() => {
                self.push(&format!("\\x{:02x}", u32::from(character)));
            }
            _ => self.push_char(character),
        }
    }

    pub(super) fn byte_string(&mut self, address: u64) -> Result<(), Fault> {
        let bytes = self.reader.byte_string(address, self.limits.max_characters)?;
        self.bytes(&bytes.bytes, bytes.is_cut);
        Ok(())
    }

    pub(super) fn byte_array(&mut self, address: u64) -> Result<(), Fault> {
        let bytes = self.reader.byte_array(address, self.limits.max_characters)?;
        self.push("bytearray(");
        self.bytes(&bytes.bytes, bytes.is_cut);
        self.push(")");
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8], is_cut: bool) {
        let quote = quote(bytes.contains(&b'\''), bytes.contains(&b'"'));
        self.push("b");
        self.push_char(quote);
        for byte in bytes {
            match byte {
                0x20..=0x7e | b'\n' | b'\r' | b'\t' => self.character((*byte).into(), quote),
                _ => self.push(&format!("\\x{byte:02x}")),
            }
        }
        self.close(is_cut, quote);
    }

    fn close(&mut self, is_cut: bool, quote: char) {
        if is_cut {
            self.push_char(MORE);
        }
        self.push_char(quote);
    }
}

/// The quotes that Python chooses.
fn quote(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

/// `repr()` of a float: the shortest digits that mean it, with an exponent below 1e-4 and from
/// 1e16 on (`PyOS_double_to_string` with `r`). `has_point`: a whole number ends in `.0`.
fn float_text(value: f64, has_point: bool) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}inf");
    }
    let scientific = format!("{:e}", value.abs());
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let point = if has_point && value.fract() == 0.0 { ".0" } else { "" };
        return format!("{sign}{}{point}", value.abs());
    }
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{digits}e{exponent_sign}{:02}", exponent.unsigned_abs())
}

fn complex_text(real: f64, imaginary: f64) -> String {
    let part = float_text(imaginary, false);
    if real == 0.0 && real.is_sign_positive() {
        return format!("{part}j");
    }
    let sign = if part.starts_with('-') { "" } else { "+" };
    format!("({}{sign}{part}j)", float_text(real, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-300, "1.5e-300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(float_text(value, true), expected);
        }
    }

    #[test]
    fn complex_numbers_are_written_as_python_does() {
        assert_eq!(complex_text(1.0, 2.5), "(1+2.5j)");
        assert_eq!(complex_text(0.0, -1.0), "-1j");
        assert_eq!(complex_text(-0.0, 1.0), "(-0+1j)");
        assert_eq!(complex_text(1.0, f64::NAN), "(1+nanj)");
    }
}
