//! CodeView's register numbers (microsoft-pdb, `cvconst.h`, `CV_HREG_e`), as minidump's contexts
//! name them.

use pdb2::MachineType;

/// The virtual frame pointer of x86: where the saved frame pointer is, or would be.
pub(super) const VIRTUAL_FRAME: u16 = 30_006;

/// A register: its name, and the bytes of it that are meant.
pub(super) fn register(machine: MachineType, number: u16) -> Option<(String, usize)> {
    const LOW: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
    const AMD64: [&str; 8] = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"];
    let wide = if machine == MachineType::Amd64 { 'r' } else { 'e' };
    let whole = |name: &str| format!("{wide}{name}");
    let listed = |list: &[&'static str; 8], first: u16| {
        list.get(usize::from(number.checked_sub(first)?)).copied()
    };
    match machine {
        MachineType::Arm64 => match number {
            10..=40 => Some((arm64(number.saturating_sub(10)), 4)),
            50..=80 => Some((arm64(number.saturating_sub(50)), 8)),
            81 => Some(("sp".to_owned(), 8)),
            _ => None,
        },
        _ => match number {
            1..=4 => listed(&LOW, 1).map(|name| (whole(name), 1)),
            9..=16 => listed(&LOW, 9).map(|name| (whole(name), 2)),
            17..=24 => listed(&LOW, 17).map(|name| (whole(name), 4)),
            154..=161 => Some((format!("xmm{}", number.saturating_sub(154)), 16)),
            252..=259 => Some((format!("xmm{}", number.saturating_sub(244)), 16)),
            328..=335 => listed(&AMD64, 328).map(|name| (name.to_owned(), 8)),
            336..=343 => Some((format!("r{}", number.saturating_sub(328)), 8)),
            344..=351 => Some((format!("r{}", number.saturating_sub(336)), 1)),
            352..=359 => Some((format!("r{}", number.saturating_sub(344)), 2)),
            360..=367 => Some((format!("r{}", number.saturating_sub(352)), 4)),
            _ => None,
        },
    }
}

fn arm64(number: u16) -> String {
    match number {
        29 => "fp".to_owned(),
        30 => "lr".to_owned(),
        _ => format!("x{number}"),
    }
}

/// The register that `S_FRAMEPROC` says variables (or parameters) are counted from.
pub(super) fn frame_pointer(machine: MachineType, encoded: u8) -> Option<&'static str> {
    match (machine, encoded) {
        (MachineType::Amd64, 1) => Some("rsp"),
        (MachineType::Amd64, 2) => Some("rbp"),
        (MachineType::Amd64, 3) => Some("r13"),
        (MachineType::Arm64, 1) => Some("sp"),
        (MachineType::Arm64, 2) => Some("fp"),
        (MachineType::Arm64, 3) => Some("x19"),
        (MachineType::X86, 2) => Some("ebp"),
        (MachineType::X86, 3) => Some("ebx"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_cvconst() {
        let name = |machine, number| register(machine, number).unwrap();
        assert_eq!(name(MachineType::Amd64, 328), ("rax".to_owned(), 8));
        assert_eq!(name(MachineType::Amd64, 335), ("rsp".to_owned(), 8));
        assert_eq!(name(MachineType::Amd64, 343), ("r15".to_owned(), 8));
        assert_eq!(name(MachineType::Amd64, 18), ("rcx".to_owned(), 4));
        assert_eq!(name(MachineType::Amd64, 367), ("r15".to_owned(), 4));
        assert_eq!(name(MachineType::Amd64, 252), ("xmm8".to_owned(), 16));
        assert_eq!(name(MachineType::X86, 22), ("ebp".to_owned(), 4));
        assert_eq!(name(MachineType::Arm64, 79), ("fp".to_owned(), 8));
        assert_eq!(register(MachineType::Amd64, 9999), None);
    }
}
