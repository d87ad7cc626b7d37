//! The egress lock: once it is applied, this process opens no network connection, whatever it is
//! made to do.
//!
//! On Linux it is a seccomp filter over all threads, after which only AF_UNIX sockets can be made
//! and nothing can be connected. It sets no-new-privileges, so that no program that is started from
//! here gets out of it either. Elsewhere there is no lock, and the report says so. It knows nothing
//! of what the program does.

use crate::report::EgressLock;
use std::sync::OnceLock;

/// What [`apply`] achieved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LockState {
    /// The kernel refuses network access to every thread.
    Applied,
    /// The kernel does not, for this reason.
    Unsupported(String),
}

static STATE: OnceLock<LockState> = OnceLock::new();

/// Locks this process for good. To be called at the top of `main`, before any thread starts; a
/// second call changes nothing.
pub fn apply() -> &'static LockState {
    STATE.get_or_init(|| match system::install() {
        Ok(()) => LockState::Applied,
        Err(reason) => LockState::Unsupported(reason),
    })
}

/// Returns what the kernel reports about the lock now; the report prints this, not what [`apply`]
/// achieved.
pub fn read_back() -> EgressLock {
    let reason = match STATE.get() {
        None => Some("the lock was not applied".to_string()),
        Some(LockState::Unsupported(reason)) => Some(reason.clone()),
        Some(LockState::Applied) => None,
    };
    let (threads, locked_threads) = system::threads();
    EgressLock {
        applied: reason.is_none() && threads > 0 && locked_threads == threads,
        threads,
        locked_threads,
        inherited_sockets: system::network_sockets(),
        endpoints: crate::remote::reachable(),
        reason,
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod system {
    //! The filter. A denied call fails with EPERM; a call of another architecture's table ends the
    //! process.

    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch, sock_filter,
    };
    use std::path::Path;

    /// The flag `MSG_FASTOPEN`, which connects while sending. The C library's constants lack it on
    /// some targets.
    const MSG_FASTOPEN: u64 = 0x2000_0000;
    /// Call numbers from here on are the x32 table of x86_64, which reaches every call a second
    /// way.
    const X32_SYSCALL_BIT: u32 = 0x4000_0000;

    pub(super) fn install() -> Result<(), String> {
        let filter = filter().map_err(|error| format!("the filter was not built: {error}"))?;
        seccompiler::apply_filter_all_threads(&filter)
            .map_err(|error| format!("the kernel refused the filter: {error}"))
    }

    fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
        let when = |argument: u8, op: SeccompCmpOp, value: u64| {
            SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)?])
        };
        let fast_open = || SeccompCmpOp::MaskedEq(MSG_FASTOPEN);
        let other_family = || when(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64);
        let always = Vec::new;
        let rules = [
            (libc::SYS_socket, vec![other_family()?]),
            (libc::SYS_socketpair, vec![other_family()?]),
            (libc::SYS_connect, always()),
            (libc::SYS_sendto, vec![when(3, fast_open(), MSG_FASTOPEN)?]),
            (libc::SYS_sendmsg, vec![when(2, fast_open(), MSG_FASTOPEN)?]),
            (libc::SYS_sendmmsg, vec![when(3, fast_open(), MSG_FASTOPEN)?]),
            // Rings do all of the above without calls that a filter sees.
            (libc::SYS_io_uring_setup, always()),
            (libc::SYS_io_uring_enter, always()),
            (libc::SYS_io_uring_register, always()),
            // The ways to act through another process or take its sockets.
            (libc::SYS_pidfd_getfd, always()),
            (libc::SYS_ptrace, always()),
            (libc::SYS_process_vm_writev, always()),
        ];
        let arch: TargetArch = std::env::consts::ARCH.try_into()?;
        let denied = SeccompAction::Errno(libc::EPERM as u32);
        let filter = SeccompFilter::new(rules.into_iter().collect(), SeccompAction::Allow, denied.clone(), arch)?;
        let mut program = x32_guard(denied);
        program.extend(BpfProgram::try_from(filter)?);
        Ok(program)
    }

    /// Denies numbers of the x32 table; every jump is relative, so the rest may follow as it is.
    fn x32_guard(denied: SeccompAction) -> BpfProgram {
        let statement = |code: u32, k: u32, jt: u8, jf: u8| sock_filter { code: code as u16, jt, jf, k };
        vec![
            // Offset 0 of the call's data is its number.
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, X32_SYSCALL_BIT, 0, 1),
            statement(libc::BPF_RET | libc::BPF_K, denied.into(), 0, 0),
        ]
    }

    /// Returns the number of threads of this process, and how many of them the kernel reports as
    /// filtered and without new privileges.
    pub(super) fn threads() -> (usize, usize) {
        let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return (0, 0) };
        let locked: Vec<bool> = tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok())
            .map(|status| field(&status, "Seccomp:") == Some("2") && field(&status, "NoNewPrivs:") == Some("1"))
            .collect();
        (locked.len(), locked.iter().filter(|locked| **locked).count())
    }

    fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
        status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
    }

    /// Returns the number of open sockets that are not AF_UNIX, which the starting process left
    /// open.
    pub(super) fn network_sockets() -> usize {
        let local = std::fs::read_to_string("/proc/self/net/unix").unwrap_or_default();
        let is_local = |inode: &str| local.lines().any(|line| line.split_whitespace().nth(6) == Some(inode));
        let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else { return 0 };
        descriptors
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|target| socket_inode(&target))
            .filter(|inode| !is_local(inode))
            .count()
    }

    fn socket_inode(target: &Path) -> Option<String> {
        Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_string())
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod system {
    //! Fails, because there is no lock on this system.

    pub(super) fn install() -> Result<(), String> {
        Err(format!("there is no egress lock for {} on {}", std::env::consts::OS, std::env::consts::ARCH))
    }

    pub(super) fn threads() -> (usize, usize) {
        (0, 0)
    }

    pub(super) fn network_sockets() -> usize {
        0
    }
}
