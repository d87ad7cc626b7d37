//! The system calls that a confined process may make: a list of what an interpreter needs. Every
//! other call fails with ENOSYS, as if the kernel had none of that number; the x32 numbers are
//! among these, and a call of another architecture's table ends the process.
//!
//! Not on the list, so denied: sockets of every kind, ptrace and the reading of other processes'
//! memory, new processes (`clone` is for threads, `clone3` absent) and programs, namespaces,
//! mounts, keyrings, io_uring, bpf, signals to processes, and every call that changes a file by its
//! path without Landlock having a say in it (modes, owners, times, attributes, `truncate`).

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// The descriptor that the interpreter is started from. It is above the limit on descriptors that
/// the process has, and closed by the start. So the one `execveat` that the filter allows can be
/// made once: a process can never have a descriptor of this number again. The call has to name the
/// file by an empty text at an address that only this process knows, because an absolute path
/// would be followed whatever the descriptor is.
pub(super) const INTERPRETER: i32 = 250;

/// Calls that are allowed whatever their arguments.
const ALLOWED: &[libc::c_long] = &[
    // Descriptors that are open already.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fadvise64,
    libc::SYS_fstatfs,
    libc::SYS_pipe2,
    // Paths, which Landlock decides about.
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_statfs,
    libc::SYS_umask,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_msync,
    // Threads and waiting.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals to itself by the kernel, and timers.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    // Clocks, ids, figures.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_renameat,
];

/// The older calls of x86_64, which libraries still make.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_readlink,
    libc::SYS_access,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_pause,
    libc::SYS_alarm,
    libc::SYS_time,
    libc::SYS_getpgrp,
    libc::SYS_getrlimit,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// The flags that every thread of a C library has.
const THREAD: i32 = libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND;
const NEW_NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP;

const FIONCLEX: u64 = 0x5450;
const FIOCLEX: u64 = 0x5451;
const TCGETS: u64 = 0x5401;
const FIONREAD: u64 = 0x541b;

/// Builds the filter. `empty` is the address of the empty text that the start names its file by.
pub(super) fn build(empty: *const libc::c_char) -> Result<BpfProgram, BackendError> {
    let condition = |argument: u8, op: SeccompCmpOp, value: i64| {
        SeccompCondition::new(argument, Dword, op, u64::from(value as u32))
    };
    let one_of = |argument: u8, values: &[u64]| -> Result<Vec<SeccompRule>, BackendError> {
        values.iter().map(|value| SeccompRule::new(vec![condition(argument, Eq, *value as i64)?])).collect()
    };
    let masked =
        |argument: u8, mask: i32, value: i32| condition(argument, MaskedEq(u64::from(mask as u32)), value.into());
    // Landlock's first versions let a file that may only be read be emptied while it is opened.
    let opening = |flags: u8| -> Result<Vec<SeccompRule>, BackendError> {
        [(libc::O_TRUNC, 0), (libc::O_ACCMODE, libc::O_WRONLY), (libc::O_ACCMODE, libc::O_RDWR)]
            .map(|(mask, value)| SeccompRule::new(vec![masked(flags, mask, value)?]))
            .into_iter()
            .collect()
    };
    let mut rules: Vec<(libc::c_long, Vec<SeccompRule>)> =
        ALLOWED.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    // Not F_SETOWN, F_SETSIG and O_ASYNC, by which the kernel sends signals for a process.
    let commands =
        [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL].map(|c| c as u64);
    let mut fcntl = one_of(1, &commands)?;
    fcntl.push(SeccompRule::new(vec![condition(1, Eq, libc::F_SETFL.into())?, masked(2, libc::O_ASYNC, 0)?])?);
    let clone = vec![SeccompRule::new(vec![masked(0, THREAD | NEW_NAMESPACES, THREAD)?])?];
    let start = SeccompRule::new(vec![
        condition(0, Eq, INTERPRETER.into())?,
        SeccompCondition::new(1, Qword, Eq, empty.addr() as u64)?,
        condition(4, Eq, libc::AT_EMPTY_PATH.into())?,
    ])?;
    let undumpable = SeccompRule::new(vec![condition(0, Eq, libc::PR_SET_DUMPABLE.into())?, condition(1, Eq, 0)?])?;
    let is_dumpable = SeccompRule::new(vec![condition(0, Eq, libc::PR_GET_DUMPABLE.into())?])?;
    let named = SeccompRule::new(vec![condition(0, Eq, libc::PR_SET_NAME.into())?])?;
    // Reads a limit of its own; the address of a new one has to be null, in both halves.
    let null = |argument: u8| SeccompCondition::new(argument, Qword, Eq, 0);
    let own_limits = SeccompRule::new(vec![condition(0, Eq, 0)?, null(2)?])?;
    rules.extend([
        (libc::SYS_openat, opening(2)?),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, opening(1)?),
        (libc::SYS_fcntl, fcntl),
        (libc::SYS_ioctl, one_of(1, &[TCGETS, FIOCLEX, FIONCLEX, FIONREAD])?),
        (libc::SYS_clone, clone),
        (libc::SYS_execveat, vec![start]),
        (libc::SYS_prctl, vec![undumpable, is_dumpable, named]),
        (libc::SYS_prlimit64, vec![own_limits]),
    ]);
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules.into_iter().collect(), absent, SeccompAction::Allow, architecture)?.try_into()
}
