//! System calls that the kernel refuses: seccomp filters, as sandboxes install them.
//!
//! A filter is a classic BPF program over `struct seccomp_data`, of which offset 0 holds the number of the
//! system call as a u32 (Linux, Documentation/userspace-api/seccomp_filter.rst). It cannot be taken back and
//! is inherited by every child.

const OFFSET_OF_NUMBER: u32 = 0;

const fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Load the number; the calls in `numbers` end in `refusal`, all others are allowed.
fn program<const N: usize>(numbers: [libc::c_long; N], refusal: u32) -> Vec<libc::sock_filter> {
    let mut steps = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, OFFSET_OF_NUMBER)];
    for number in numbers {
        let is_number = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        let k = u32::try_from(number).unwrap_or(u32::MAX);
        steps.push(libc::sock_filter { code: is_number as u16, jt: 0, jf: 1, k });
        steps.push(statement(libc::BPF_RET | libc::BPF_K, refusal));
    }
    steps.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    steps
}

/// Install a filter for the calling thread and all its children; returns 0, or -1 if the kernel refuses.
fn install<const N: usize>(numbers: [libc::c_long; N], refusal: u32) -> libc::c_int {
    let mut steps = program(numbers, refusal);
    let filter = libc::sock_fprog {
        len: u16::try_from(steps.len()).unwrap_or(u16::MAX),
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: `filter` points to `steps`, which live until the kernel has copied them.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return -1;
        }
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
    }
}

/// Refuse `ptrace` and reading another process's memory with EPERM, as containers and hardened machines do.
///
/// Returns 0, or -1 if the kernel has no seccomp.
#[unsafe(no_mangle)]
pub extern "C" fn faults_deny_ptrace() -> libc::c_int {
    let refusal = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPERM).unwrap_or(1);
    install([libc::SYS_ptrace, libc::SYS_process_vm_readv], refusal)
}

/// Make a system call that a filter answers with SIGSYS.
#[unsafe(no_mangle)]
pub extern "C" fn fault_system_call() {
    install([libc::SYS_getppid], libc::SECCOMP_RET_TRAP);
    // SAFETY: `getppid` has no precondition.
    unsafe { libc::syscall(libc::SYS_getppid) };
}
