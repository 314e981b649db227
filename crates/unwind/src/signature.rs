//! Signed return addresses of AArch64.
//!
//! Pointer authentication (Armv8.3) keeps a signature in the bits that addresses do not need: Apple's
//! systems have addresses of 47 bits, kernels of Linux of 39, 42 or 48. minidump-unwind takes all above 47 for
//! the signature. Linux puts stacks at the top of the addresses, so they tell how many bits there are.

use lastwords_symbols::Architecture;
use minidump::{CpuContext, MinidumpModuleList, MinidumpRawContext};
use minidump_unwind::{FrameWalker, StackFrame};

use crate::caller::Caller;

/// Sizes of addresses.
const ADDRESS_BITS: [u32; 4] = [39, 42, 47, 48];

/// Takes a signature off a frame's instruction, if that leads into a module: an address whose signature
/// did not fit cannot be reached, and is then what the newest frame holds.
pub fn strip_signature(frame: &mut StackFrame, modules: &MinidumpModuleList) {
    let MinidumpRawContext::Arm64(context) = &mut frame.context.raw else { return };
    if modules.module_at_address(frame.instruction).is_some() {
        return;
    }
    let stripped = ADDRESS_BITS.iter().map(|bits| frame.instruction & mask(*bits));
    let is_code = |address: &u64| modules.module_at_address(*address).is_some();
    if let Some(stripped) = stripped.into_iter().find(is_code)
        && context.set_register("pc", stripped).is_some()
    {
        frame.instruction = stripped;
        frame.resume_address = stripped;
    }
}

/// Takes the signatures off what a frame of Linux saved.
pub(crate) fn strip_signatures(
    caller: Caller,
    architecture: Architecture,
    walker: &(dyn FrameWalker + Send),
) -> Caller {
    match walker.get_callee_register("sp").filter(|_| architecture == Architecture::Aarch64) {
        Some(stack) => strip_caller(caller, stack),
        None => caller,
    }
}

/// `stack`: the frame's stack pointer.
fn strip_caller(caller: Caller, stack: u64) -> Caller {
    let Caller::Frame { cfa, return_address, registers } = caller else { return caller };
    let bits = ADDRESS_BITS.iter().find(|bits| stack <= mask(**bits));
    let Some(mask) = bits.map(|bits| mask(*bits)) else {
        return Caller::Frame { cfa, return_address, registers };
    };
    let strip = |(name, value): (&'static str, Option<u64>)| match name {
        "lr" | "fp" => (name, value.map(|value| value & mask)),
        _ => (name, value),
    };
    let registers = registers.into_iter().map(strip).collect();
    Caller::Frame { cfa, return_address: return_address & mask, registers }
}

fn mask(bits: u32) -> u64 {
    1u64.checked_shl(bits).unwrap_or(0).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_tells_how_many_bits_are_an_address() {
        let strip = |stack| {
            let registers = vec![("lr", Some(0x3bdc_3908_8274)), ("x19", Some(u64::MAX))];
            let caller = Caller::Frame { cfa: 1, return_address: 0x3bdc_3908_8274, registers };
            let Caller::Frame { return_address, registers, .. } = strip_caller(caller, stack)
            else {
                panic!()
            };
            assert_eq!(registers[0].1, Some(return_address));
            assert_eq!(registers[1].1, Some(u64::MAX));
            return_address
        };
        assert_eq!(strip(0x7f_f351_1750), 0x5c_3908_8274);
        assert_eq!(strip(0x7fff_f351_1750), 0x3bdc_3908_8274);
        assert_eq!(strip(u64::MAX), 0x3bdc_3908_8274);
    }
}
