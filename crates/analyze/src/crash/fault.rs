//! What kind of exception it was, on every system the same.

use minidump::system_info::Os;

/// Kinds of exceptions, as far as detectors tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Memory that is not there, or may not be used so.
    Access,
    /// Memory at an address that is not a multiple of what the instruction needs.
    Misaligned,
    /// A file behind the memory could not be read.
    Paging,
    Division,
    IllegalInstruction,
    Privileged,
    Breakpoint,
    StackOverflow,
    /// The heap's own checks failed.
    HeapCorruption,
    /// A check of compiler or system failed: `__fastfail`, `/GS`.
    FailFast,
    /// The program ended itself, or was told to.
    Abort,
    /// An exception of C++ that nobody caught.
    Cpp,
    /// Nobody crashed.
    Requested,
    Other,
}

const DUMP_REQUESTED_LINUX: u32 = 0xffff_ffff;

/// Tells the kind of an exception by its code, and by the code's details.
pub(crate) fn fault(os: Os, code: u32, flags: u32) -> Fault {
    match os {
        Os::Windows => windows(code),
        Os::MacOs | Os::Ios => mac(code, flags),
        _ => linux(code, flags),
    }
}

fn windows(code: u32) -> Fault {
    match code {
        0xC000_0005 => Fault::Access,
        0xC000_0006 => Fault::Paging,
        0x8000_0001 => Fault::Access,
        0x8000_0002 => Fault::Misaligned,
        0xC000_0094 | 0xC000_0095 => Fault::Division,
        0xC000_001D => Fault::IllegalInstruction,
        0xC000_0096 => Fault::Privileged,
        0x8000_0003 => Fault::Breakpoint,
        0xC000_00FD => Fault::StackOverflow,
        0xC000_0374 => Fault::HeapCorruption,
        0xC000_0409 => Fault::FailFast,
        0xE06D_7363 => Fault::Cpp,
        0x0517_A7ED | 0x0000_0517 => Fault::Requested,
        _ => Fault::Other,
    }
}

fn linux(code: u32, flags: u32) -> Fault {
    // SI_USER and what is below: the signal was sent.
    let is_sent = flags > 0x7fff_ffff;
    match code {
        4 | 5 | 7 | 8 | 11 if is_sent => Fault::Abort,
        4 => match flags {
            5 | 6 => Fault::Privileged,
            _ => Fault::IllegalInstruction,
        },
        5 => Fault::Breakpoint,
        7 => match flags {
            1 => Fault::Misaligned,
            2 | 3 => Fault::Paging,
            _ => Fault::Access,
        },
        // Only the codes of integers are divisions: FPE_INTDIV, FPE_INTOVF; 0 is not told.
        8 if flags <= 2 => Fault::Division,
        11 => Fault::Access,
        DUMP_REQUESTED_LINUX => Fault::Requested,
        1..=64 if code != 8 => Fault::Abort,
        _ => Fault::Other,
    }
}

fn mac(code: u32, flags: u32) -> Fault {
    match code {
        1 if flags == 0x101 => Fault::Misaligned,
        1 => Fault::Access,
        2 => Fault::IllegalInstruction,
        3 => Fault::Division,
        // EXC_SOFTWARE / EXC_SOFT_SIGNAL carries SIGABRT.
        5 => Fault::Abort,
        6 => Fault::Breakpoint,
        // Crashpad's `DumpWithoutCrash`; older ones write no code.
        0 | 0x4350_7378 => Fault::Requested,
        _ => Fault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_has_its_own_codes_for_the_same_kinds() {
        let cases = [
            (Os::Windows, 0xC000_0005, 0, Fault::Access),
            (Os::Windows, 0xC000_0094, 0, Fault::Division),
            (Os::Windows, 0xC000_0374, 0, Fault::HeapCorruption),
            (Os::Linux, 11, 1, Fault::Access),
            (Os::Linux, 11, 0xffff_fffa, Fault::Abort),
            (Os::Linux, 7, 1, Fault::Misaligned),
            (Os::Linux, 7, 2, Fault::Paging),
            (Os::Linux, 8, 1, Fault::Division),
            (Os::Linux, 8, 3, Fault::Other),
            (Os::Android, 6, 0, Fault::Abort),
            (Os::Linux, 0xffff_ffff, 0, Fault::Requested),
            (Os::MacOs, 1, 2, Fault::Access),
            (Os::MacOs, 3, 1, Fault::Division),
            (Os::MacOs, 0x4350_7378, 0, Fault::Requested),
        ];
        for (os, code, flags, expected) in cases {
            assert_eq!(fault(os, code, flags), expected, "{os:?} {code:#x} {flags:#x}");
        }
    }
}
