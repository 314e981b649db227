//! Calls of 32-bit ARM: 4 bytes, or in Thumb code 2 (`blx reg`) or 4 (`bl`, `blx`).
//!
//! Bit 0 of a return address says that its code is Thumb. A `bl` there begins with bits 11110, its second
//! half with 11; a `blx reg` begins with 010. Source: Arm, "Architecture Reference Manual
//! ARMv7-A", A6.1.

/// Address of the call before a return address, without the Thumb bit. Where the code is not known, calls
/// of Thumb code count as short: the address lies in the call anyway.
pub(crate) fn before(code_at: impl Fn(u64) -> Option<[u8; 4]>, return_address: u64) -> Option<u64> {
    if return_address & 1 == 0 {
        return return_address.checked_sub(4);
    }
    let behind = return_address & !1;
    let long = behind.checked_sub(4)?;
    let is_long = code_at(long).is_some_and(|[a, b, c, d]| {
        u16::from_le_bytes([a, b]) & 0xf000 == 0xf000
            && u16::from_le_bytes([c, d]) & 0xc000 == 0xc000
    });
    if is_long { Some(long) } else { behind.checked_sub(2) }
}

#[cfg(test)]
mod tests {
    use super::before;

    #[test]
    fn calls_have_two_bytes_or_four() {
        let code = |bytes: [u8; 4]| move |_| Some(bytes);
        assert_eq!(before(code([0xff, 0xf7, 0xfe, 0xff]), 0x1005), Some(0x1000), "bl");
        assert_eq!(before(code([0x20, 0x46, 0x98, 0x47]), 0x1005), Some(0x1002), "blx r3");
        assert_eq!(before(|_| None, 0x1005), Some(0x1002));
        assert_eq!(before(|_| None, 0x1004), Some(0x1000), "ARM code");
        assert_eq!(before(|_| None, 1), None);
    }
}
