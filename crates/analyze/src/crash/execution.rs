//! Detectors: what was wrong with the code that ran, or with the instruction.

use lastwords_disasm::Kind;
use minidump::Module;

use super::access::NULL_PAGES;
use super::fault::Fault;
use super::finding::{Confidence, Finding};
use super::map::Region;
use super::scene::Scene;

/// What is known of the memory that the instruction pointer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodePlace {
    Code,
    /// Mapped without the right to execute.
    Data(Region),
    Unmapped,
    Unknown,
}

/// Tells whether `ip` can be code.
pub(crate) fn code_place(scene: &Scene<'_>, ip: u64) -> CodePlace {
    let in_module = scene.modules.iter().any(|module| {
        module.base_address() <= ip && ip.wrapping_sub(module.base_address()) < module.size()
    });
    match scene.map.at(ip) {
        Some(region) if region.executable => CodePlace::Code,
        // Writers of old dumps tell no protection of pages that are there.
        Some(region) => CodePlace::Data(region),
        None if in_module => CodePlace::Code,
        None if scene.map.is_empty() && ip >= NULL_PAGES => CodePlace::Unknown,
        None => CodePlace::Unmapped,
    }
}

/// Exceptions that a processor raises at code that is none.
fn is_of_code(scene: &Scene<'_>) -> bool {
    scene.is_fetch() || scene.fault == Fault::IllegalInstruction
}

/// A call of a null function pointer.
pub(crate) fn null_call(scene: &Scene<'_>) -> Option<Finding> {
    let ip = scene.ip()?;
    if ip >= NULL_PAGES || !is_of_code(scene) {
        return None;
    }
    let mut evidence = vec![format!("the instruction pointer is {ip:#x}")];
    evidence.extend(scene.caller_words());
    let title = match ip {
        0 => "Call of a null function pointer".to_owned(),
        _ => format!("Call through a null pointer: {ip:#x}"),
    };
    Some(Finding::new("null_call", Confidence::High, title, evidence))
}

/// A jump to what is no code.
pub(crate) fn jump_to_non_code(scene: &Scene<'_>) -> Option<Finding> {
    let ip = scene.ip().filter(|ip| *ip >= NULL_PAGES)?;
    if !is_of_code(scene) {
        return None;
    }
    let is_stack = |region: &Region| scene.sp().is_some_and(|sp| region.holds(sp));
    let (title, word) = match code_place(scene, ip) {
        CodePlace::Data(region) if is_stack(&region) => {
            ("Execution of the stack", format!("it is in the stack: {}", region.words()))
        }
        CodePlace::Data(region) => {
            ("Jump to memory that is not executable", format!("it is in {}", region.words()))
        }
        CodePlace::Unmapped => {
            ("Jump to memory that is not mapped", "no mapping holds it".to_owned())
        }
        CodePlace::Unknown if scene.is_fetch() => {
            ("Jump to an address that is in no module", "no module holds it".to_owned())
        }
        CodePlace::Code | CodePlace::Unknown => return None,
    };
    let mut evidence = vec![format!("the instruction pointer is {ip:#x}"), word];
    evidence.extend(scene.caller_words());
    Some(Finding::new("jump_to_non_code", Confidence::High, title, evidence))
}

/// An instruction that is made to fail, or that the processor does not have.
pub(crate) fn illegal_instruction(scene: &Scene<'_>) -> Option<Finding> {
    if scene.fault != Fault::IllegalInstruction {
        return None;
    }
    let ip = scene.ip()?;
    let place = scene.place_words(ip);
    let Some(instruction) = &scene.instruction else { return Some(no_instruction(scene, &place)) };
    let evidence = scene.instruction_words().into_iter().collect();
    if instruction.kind == Kind::Undefined {
        let title = "The program ended itself by an instruction that is made to fail \
                     (`__builtin_trap`, a check that the compiler put there, Rust's `abort`)";
        return Some(Finding::new("deliberate_trap", Confidence::High, title, evidence));
    }
    let title =
        "The processor does not have this instruction: the program was built for another one";
    Some(Finding::new("unsupported_instruction", Confidence::Medium, title, evidence))
}

fn no_instruction(scene: &Scene<'_>, place: &str) -> Finding {
    if scene.has_code && scene.machine().is_some() {
        let evidence = vec![format!("the bytes at {place} are no instruction")];
        let title = "The processor met bytes that are no instruction: a jump into data";
        return Finding::new("illegal_instruction", Confidence::Medium, title, evidence);
    }
    let evidence = vec![format!("the dump does not hold the instruction at {place}")];
    let title = "The processor met an instruction that it cannot execute";
    Finding::new("illegal_instruction", Confidence::Low, title, evidence)
}

/// A breakpoint: a failed check, or a debugger's own.
pub(crate) fn breakpoint(scene: &Scene<'_>) -> Option<Finding> {
    if scene.fault != Fault::Breakpoint {
        return None;
    }
    let is_here = scene.instruction.as_ref().is_some_and(|one| one.kind == Kind::Breakpoint);
    // The processor stops behind `int3`, and systems other than Windows tell it so.
    let is_behind = scene.is_x86() && scene.before.is_some_and(|[_, byte]| byte == 0xcc);
    let mut evidence = Vec::new();
    if is_here {
        evidence.extend(scene.instruction_words());
    } else if is_behind {
        let ip = scene.ip()?.wrapping_sub(1);
        evidence.push(format!("instruction `int3` at {}", scene.place_words(ip)));
    } else {
        let ip = scene.ip()?;
        evidence.push(format!("the exception is a breakpoint, at {}", scene.place_words(ip)));
    }
    let is_known = is_here || is_behind;
    let confidence = if is_known { Confidence::High } else { Confidence::Medium };
    let title = "The program stopped itself at a breakpoint (a failed check, `__debugbreak`), \
                 or a debugger did";
    Some(Finding::new("breakpoint", confidence, title, evidence))
}

/// An integer division by zero, or one whose result is too large.
pub(crate) fn division(scene: &Scene<'_>) -> Option<Finding> {
    if scene.fault != Fault::Division {
        return None;
    }
    let kind = scene.instruction.as_ref().map(|one| one.kind);
    if kind.is_some_and(|kind| kind != Kind::Division) && scene.is_x86() {
        return None;
    }
    let mut evidence: Vec<String> = scene.instruction_words().into_iter().collect();
    evidence.push(
        "an x86 division fails by a divisor of 0, and by a quotient that is too large".into(),
    );
    let confidence = if kind.is_some() { Confidence::High } else { Confidence::Medium };
    Some(Finding::new("division_by_zero", confidence, "Integer division by zero", evidence))
}

/// An instruction of the kernel in a program.
pub(crate) fn privileged(scene: &Scene<'_>) -> Option<Finding> {
    let is_possible = scene.fault == Fault::Privileged || scene.is_protection_fault();
    let is_privileged = scene.instruction.as_ref().is_some_and(|one| one.kind == Kind::Privileged);
    if !is_possible || !is_privileged {
        return None;
    }
    let evidence = scene.instruction_words().into_iter().collect();
    let title =
        "An instruction that only the kernel may use: a jump into data, or a crash that is meant";
    Some(Finding::new("privileged_instruction", Confidence::High, title, evidence))
}

/// An operand that does not lie where the instruction needs it.
pub(crate) fn misaligned(scene: &Scene<'_>) -> Option<Finding> {
    let is_possible = scene.fault == Fault::Misaligned || scene.is_protection_fault();
    let alignment = scene.instruction.as_ref().map_or(1, |one| one.alignment);
    if !is_possible {
        return None;
    }
    let wrong = scene.accesses.iter().find(|access| {
        access.address.checked_rem(alignment).is_some_and(|rest| rest != 0)
            && !scene.is_non_canonical(access.address)
    });
    let (confidence, words) = match wrong {
        Some(access) => (
            Confidence::High,
            format!("it needs a multiple of {alignment}, and used {:#x}", access.address),
        ),
        None if scene.fault == Fault::Misaligned => {
            (Confidence::Medium, "the system says that the address was not aligned".to_owned())
        }
        None => return None,
    };
    let mut evidence: Vec<String> = scene.instruction_words().into_iter().collect();
    evidence.push(words);
    Some(Finding::new("misaligned_access", confidence, "Access that is not aligned", evidence))
}
