//! Names of the signals that end a process, and of the codes of faults (`asm-generic/siginfo.h`, Linux).

/// Name of a signal number.
pub(crate) fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGABRT => "SIGABRT",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGSYS => "SIGSYS",
        other => other_name(other),
    }
}

/// Names of the signals that are no faults but end a process by default (signal(7)).
fn other_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSTKFLT => "SIGSTKFLT",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGIO => "SIGIO",
        libc::SIGPWR => "SIGPWR",
        _ => "unknown signal",
    }
}

/// Name of `si_code` for a signal; `None` when it has none that we know.
pub(crate) fn code_name(signal: i32, code: i32) -> Option<&'static str> {
    general_code(code).or_else(|| special_code(signal, code))
}

fn general_code(code: i32) -> Option<&'static str> {
    Some(match code {
        0 => "SI_USER",
        -1 => "SI_QUEUE",
        -2 => "SI_TIMER",
        -3 => "SI_MESGQ",
        -4 => "SI_ASYNCIO",
        -5 => "SI_SIGIO",
        -6 => "SI_TKILL",
        0x80 => "SI_KERNEL",
        _ => return None,
    })
}

fn special_code(signal: i32, code: i32) -> Option<&'static str> {
    let names: &[&str] = match signal {
        libc::SIGSEGV => &[
            "SEGV_MAPERR",
            "SEGV_ACCERR",
            "SEGV_BNDERR",
            "SEGV_PKUERR",
            "SEGV_ACCADI",
            "SEGV_ADIDERR",
            "SEGV_ADIPERR",
            "SEGV_MTEAERR",
            "SEGV_MTESERR",
            "SEGV_CPERR",
        ],
        libc::SIGBUS => {
            &["BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"]
        }
        libc::SIGFPE => &[
            "FPE_INTDIV",
            "FPE_INTOVF",
            "FPE_FLTDIV",
            "FPE_FLTOVF",
            "FPE_FLTUND",
            "FPE_FLTRES",
            "FPE_FLTINV",
            "FPE_FLTSUB",
        ],
        libc::SIGILL => &[
            "ILL_ILLOPC",
            "ILL_ILLOPN",
            "ILL_ILLADR",
            "ILL_ILLTRP",
            "ILL_PRVOPC",
            "ILL_PRVREG",
            "ILL_COPROC",
            "ILL_BADSTK",
        ],
        libc::SIGTRAP => {
            &["TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT", "TRAP_UNK", "TRAP_PERF"]
        }
        libc::SIGSYS => &["SYS_SECCOMP", "SYS_USER_DISPATCH"],
        _ => &[],
    };
    names.get(usize::try_from(code).ok()?.checked_sub(1)?).copied()
}

/// Signal, code and address in one: `SIGSEGV.SEGV_MAPERR at 0x0000000000000098`.
pub(crate) fn crash_title(signal: i32, code: i32, address: Option<u64>) -> String {
    let code = code_name(signal, code).map_or_else(String::new, |name| format!(".{name}"));
    let place = address.map_or_else(String::new, |address| format!(" at {address:#018x}"));
    format!("{}{code}{place}", signal_name(signal))
}

/// Whether the siginfo of this event holds an address.
pub(crate) fn has_address(signal: i32, code: i32) -> bool {
    let by_kernel = code > 0 && code != 0x80;
    by_kernel && signal != libc::SIGABRT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_kernels_names() {
        assert_eq!(code_name(libc::SIGSEGV, 1), Some("SEGV_MAPERR"));
        assert_eq!(code_name(libc::SIGBUS, 2), Some("BUS_ADRERR"));
        assert_eq!(code_name(libc::SIGABRT, -6), Some("SI_TKILL"));
        assert_eq!(code_name(libc::SIGSEGV, 99), None);
    }
}
