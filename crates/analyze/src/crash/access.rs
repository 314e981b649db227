//! What the instruction did to memory, and what was wrong with the address.

use lastwords_disasm::{Direction, Flow, Kind, Place};
use minidump::system_info::{Cpu, Os};

use super::fault::Fault;
use super::scene::{MAX_INSTRUCTION_BYTES, Scene};

/// What no system maps for programs: Windows' and Linux' lowest 64 KiB.
pub(crate) const NULL_PAGES: u64 = 0x1_0000;
/// x86-64: bits 48 to 63 of an address must repeat bit 47.
const NON_CANONICAL: std::ops::RangeInclusive<u64> = 0x0000_8000_0000_0000..=0xffff_7fff_ffff_ffff;

/// `si_code` of Linux: sent by the kernel, without an address.
const SI_KERNEL: u32 = 0x80;
/// ARM64: the top byte may be a tag.
const ADDRESS_WITHOUT_TAG: u64 = 0x00ff_ffff_ffff_ffff;

/// What the processor was told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
    Execute,
}

impl Use {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
        }
    }
}

/// An operand in memory, its address known.
#[derive(Clone, Debug)]
pub(crate) struct Accessed {
    pub(crate) address: u64,
    pub(crate) size_bytes: u32,
    pub(crate) direction: Direction,
    pub(crate) place: Place,
}

impl Accessed {
    pub(crate) fn holds(&self, address: u64) -> bool {
        address.wrapping_sub(self.address) < u64::from(self.size_bytes.max(1))
    }
}

impl Scene<'_> {
    /// Where the system tells no address, the operand that cannot be one is it.
    pub(super) fn used_address(&self) -> u64 {
        if self.is_address_told() {
            return self.told_address;
        }
        let operands = self.accesses.iter().map(|access| access.address);
        operands
            .chain(self.target)
            .find(|address| self.is_impossible(*address))
            .unwrap_or(self.told_address)
    }

    /// Whether a program cannot have memory there.
    fn is_impossible(&self, address: u64) -> bool {
        if self.cpu == Cpu::X86_64 {
            return self.is_non_canonical(address);
        }
        address < NULL_PAGES || (!self.map.is_empty() && self.map.at(address).is_none())
    }

    /// Linux says `SI_KERNEL` where there is no address to tell.
    pub(crate) fn is_address_told(&self) -> bool {
        let is_linux = !matches!(self.os, Os::Windows | Os::MacOs | Os::Ios);
        let is_untold = is_linux && self.fault == Fault::Access && self.flags == SI_KERNEL;
        !is_untold && !self.is_protection_fault()
    }

    /// Whether the system tells no address, and the instruction neither.
    pub(crate) fn is_unresolved(&self) -> bool {
        !self.is_address_told() && self.address == self.told_address
    }

    /// x86-64 tells no address of an access that is not canonical: Windows says a read of -1,
    /// Linux `SI_KERNEL`, macOS `EXC_I386_GPFLT`.
    pub(crate) fn is_protection_fault(&self) -> bool {
        if self.cpu != Cpu::X86_64 || self.fault != Fault::Access {
            return false;
        }
        match self.os {
            Os::Windows => {
                let is_real = self.accesses.iter().any(|access| access.holds(u64::MAX));
                self.told_address == u64::MAX && self.parameters.first() == Some(&0) && !is_real
            }
            Os::MacOs | Os::Ios => self.flags == 13,
            _ => self.flags == SI_KERNEL,
        }
    }

    /// Whether the address is of the half that the kernel keeps for itself.
    pub(crate) fn is_of_kernel(&self, address: u64) -> bool {
        let first = match self.cpu {
            Cpu::X86_64 => 0xffff_8000_0000_0000,
            Cpu::Arm64 => 0xffff_0000_0000_0000,
            _ => return false,
        };
        address >= first
    }

    pub(crate) fn is_non_canonical(&self, address: u64) -> bool {
        self.cpu == Cpu::X86_64 && NON_CANONICAL.contains(&address)
    }

    /// Whether an instruction failed on memory, so that the address means something.
    pub(crate) fn is_access(&self) -> bool {
        matches!(self.fault, Fault::Access | Fault::Paging | Fault::Misaligned)
    }

    /// Whether it was the instruction itself that could not be fetched.
    pub(crate) fn is_fetch(&self) -> bool {
        self.is_access() && self.usage() == Some(Use::Execute)
    }

    /// The operand that failed.
    pub(crate) fn failed_access(&self) -> Option<&Accessed> {
        if !self.is_access() {
            return None;
        }
        self.accesses.iter().find(|access| self.is_of(access))
    }

    /// Whether the address stands in the instruction itself, so that no register can be wrong.
    pub(crate) fn is_fixed_address(&self) -> bool {
        self.failed_access().is_some_and(|access| access.place.registers().next().is_none())
    }

    /// Whether the address is one of the operand's; systems tell addresses of ARM64 without tags.
    fn is_of(&self, access: &Accessed) -> bool {
        let has_tags = self.cpu == Cpu::Arm64 && self.address & !ADDRESS_WITHOUT_TAG == 0;
        let address = if has_tags { access.address & ADDRESS_WITHOUT_TAG } else { access.address };
        Accessed { address, ..access.clone() }.holds(self.address)
    }

    /// Whether the address is in the instruction, which may reach into the next page.
    fn is_in_instruction(&self) -> bool {
        let inside = |ip| self.address.wrapping_sub(ip) < MAX_INSTRUCTION_BYTES as u64;
        let has_code = self.map.at(self.address).is_some_and(|region| region.executable);
        self.ip().is_some_and(inside) && !(self.is_unresolved() && has_code)
    }

    /// What the instruction wanted of the memory: as the system tells, else by the instruction.
    pub(crate) fn usage(&self) -> Option<Use> {
        if !self.is_access() {
            return None;
        }
        if self.os == Os::Windows {
            let told = match self.parameters.first() {
                Some(0) => Some(Use::Read),
                Some(1) => Some(Use::Write),
                Some(8) => Some(Use::Execute),
                _ => None,
            };
            if told.is_some() && !self.is_protection_fault() {
                return told;
            }
        }
        let Some(access) = self.failed_access() else {
            return self.is_in_instruction().then_some(Use::Execute);
        };
        Some(match access.direction {
            Direction::Read => Use::Read,
            // The right to read is missing less often; a page that can be written can be read.
            Direction::Write | Direction::ReadWrite => Use::Write,
        })
    }

    /// Whether the instruction cannot have used the address that the system tells.
    ///
    /// Folklore: a signal that was raised again, of which the writer keeps no code, has the
    /// registers of the system call that sent it.
    pub(crate) fn is_access_impossible(&self) -> bool {
        let Some(instruction) = &self.instruction else { return false };
        let is_told = self.fault == Fault::Access && !self.is_protection_fault();
        let is_behind_system_call = self.before == Some([0x0f, 0x05]);
        let is_known = !instruction.has_unknown_accesses
            && self.accesses.len() == instruction.accesses.len()
            && self.accesses.iter().all(|access| access.size_bytes != 0)
            && instruction.flow == Flow::Next;
        self.is_x86()
            && is_told
            && is_known
            && !is_behind_system_call
            && instruction.kind == Kind::Other
            && !self.is_in_instruction()
            && self.failed_access().is_none()
    }
}
