//! Sockets of every kind, and what reaches into other processes or starts others: a seccomp filter. Landlock has no word for
//! datagrams, and older kernels none for TCP.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// Calls that a worker has no use for. They are answered with "not permitted".
const REFUSED: [libc::c_long; 25] = [
    // The network, and sockets on this machine.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Makes sockets, and reads and writes, past this filter.
    libc::SYS_io_uring_setup,
    // Other programs, in place of this one.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    // Another view of the system.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    // The kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
];

/// The same calls by the numbers of x86-64's variant with short pointers, where a kernel has it.
const SHORT_POINTERS: libc::c_long = 0x4000_0000;

/// Refuses those calls to this thread and all that it starts. False where the kernel has no such filters.
pub(super) fn close() -> bool {
    program().is_ok_and(|program| apply_filter(&program).is_ok())
}

fn program() -> Result<BpfProgram, BackendError> {
    let short = REFUSED.iter().filter(|_| ARCH == "x86_64").map(|call| call | SHORT_POINTERS);
    let rules: BTreeMap<i64, _> = REFUSED.iter().copied().chain(short).map(|call| (call, vec![])).collect();
    let refusal = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, TargetArch::try_from(ARCH)?)?.try_into()
}
