//! The start of a confined process, by a `clone` that shares memory with its parent until the child
//! is another program (as `vfork` does): it takes as long for a parent of many gigabytes as for a
//! small one. Everything that the child needs is prepared before; it allocates nothing, takes no
//! lock and makes system calls only.

use super::filter::INTERPRETER;
use crate::system::MAX_DESCRIPTORS;
use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::RawFd;
use std::ptr;

/// The child's stack until it is another program.
const STACK_BYTES: usize = 64 << 10;
/// Descriptors are moved here first, so that none is overwritten before it is in its place.
const ABOVE_ALL: c_int = 300;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// The type of `RLIMIT_…` in the C library.
#[cfg(target_env = "musl")]
type Resource = c_int;
#[cfg(not(target_env = "musl"))]
type Resource = libc::__rlimit_resource_t;

/// What the child does, all of it prepared.
pub(super) struct Launch<'a> {
    pub(super) interpreter: RawFd,
    /// The empty text that the filter knows by its address.
    pub(super) empty: &'a CString,
    pub(super) arguments: &'a [CString],
    pub(super) environment: &'a [CString],
    pub(super) descriptors: &'a [RawFd],
    pub(super) folder: &'a CString,
    /// The Landlock rules, and the seccomp filter, where the kernel has them.
    pub(super) rules: Option<RawFd>,
    pub(super) filter: Option<&'a [seccompiler::sock_filter]>,
    /// Resource limits, soft and hard alike.
    pub(super) limits: &'a [(Resource, u64)],
    /// `CLONE_NEW…` flags.
    pub(super) namespaces: c_int,
}

/// `Launch` as C wants it, and where the child says what failed.
struct Plan<'a> {
    launch: &'a Launch<'a>,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    filter: libc::sock_fprog,
    parent: libc::pid_t,
    failed: &'static str,
    errno: c_int,
}

impl Launch<'_> {
    /// Starts the child and returns its id once it is the other program.
    pub(super) fn start(&self) -> io::Result<libc::pid_t> {
        assert!(self.descriptors.len() <= MAX_DESCRIPTORS);
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect();
        let filter = self.filter.unwrap_or(&[]);
        let mut plan = Plan {
            launch: self,
            arguments: pointers(self.arguments),
            environment: pointers(self.environment),
            filter: libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut().cast() },
            // SAFETY: this call only returns a number.
            parent: unsafe { libc::getpid() },
            failed: "",
            errno: 0,
        };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD | self.namespaces;
        // SAFETY: `child` keeps to what a child of such a clone may do, and `plan` outlives it.
        let (id, errno) = unsafe { clone_held(child, (&raw mut plan).cast(), flags) };
        if id < 0 {
            return Err(io::Error::new(errno.kind(), format!("a new process: {errno}")));
        }
        // SAFETY: the child wrote this before it ended, through the pointer that clone was given.
        let (failed, errno) =
            unsafe { ((&raw const plan.failed).read_volatile(), (&raw const plan.errno).read_volatile()) };
        if failed.is_empty() {
            return Ok(id);
        }
        // SAFETY: the child has ended or is about to; nothing else waits for it.
        unsafe { libc::waitpid(id, ptr::null_mut(), 0) };
        let error = io::Error::from_raw_os_error(errno);
        Err(io::Error::new(error.kind(), format!("{failed}: {error}")))
    }
}

/// The child, up to the point where it is another program.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: `start` passes a plan that lives until the child has left its memory, and does not
    // touch it in that time.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    // SAFETY: see `confine_and_run`, called in the child of a clone with a plan made by `start`.
    plan.failed = unsafe { confine_and_run(plan) };
    plan.errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

/// Takes everything from this process that the other program must not have, and becomes that
/// program. Returns what failed.
///
/// # Safety
/// Only for the child of a clone: it closes descriptors and gives up rights for good.
unsafe fn confine_and_run(plan: &Plan<'_>) -> &'static str {
    let launch = plan.launch;
    // SAFETY: only system calls, on numbers and on memory that the plan keeps alive; locals are as
    // large as the calls say.
    unsafe {
        // Handlers are the parent's code; ignored signals would stay ignored.
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=64 {
            libc::sigaction(signal, &action, ptr::null_mut());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, ptr::null_mut());

        if libc::setsid() < 0 {
            return "a session of its own";
        }
        // Descriptors: each to its number, all others closed by the start.
        let mut open = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, ptr::null::<u8>(), &mut open);
        open.rlim_cur = open.rlim_max;
        libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, &open, ptr::null::<u8>());
        let moved = |fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, ABOVE_ALL);
        let mut places = [-1; MAX_DESCRIPTORS];
        for (place, fd) in places.iter_mut().zip(launch.descriptors) {
            *place = moved(*fd);
            if *place < 0 {
                return "descriptors";
            }
        }
        let interpreter = moved(launch.interpreter);
        let rules = launch.rules.map_or(-1, moved);
        if interpreter < 0 || launch.rules.is_some() && rules < 0 {
            return "descriptors";
        }
        let count = launch.descriptors.len();
        for (number, place) in places.iter().take(count).enumerate() {
            if libc::dup2(*place, number as c_int) < 0 {
                return "descriptors";
            }
        }
        if libc::dup3(interpreter, INTERPRETER, libc::O_CLOEXEC) < 0 || !close_from(count as u32, open.rlim_max) {
            return "closing descriptors";
        }
        if libc::chdir(launch.folder.as_ptr()) < 0 {
            return "its folder";
        }
        libc::umask(0o077);
        drop_capabilities();
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
            return "its end with its parent";
        }
        // In a process namespace of its own, its parent has no number.
        if libc::getppid() != plan.parent && launch.namespaces & libc::CLONE_NEWPID == 0 {
            return "its parent has ended";
        }
        for (resource, limit) in launch.limits {
            let limit = libc::rlimit { rlim_cur: *limit as libc::rlim_t, rlim_max: *limit as libc::rlim_t };
            if libc::syscall(libc::SYS_prlimit64, 0, *resource, &limit, ptr::null::<u8>()) < 0 {
                return "resource limits";
            }
        }
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 {
            return "no new privileges";
        }
        if launch.rules.is_some() && libc::syscall(libc::SYS_landlock_restrict_self, rules, 0) < 0 {
            return "Landlock";
        }
        if launch.filter.is_some()
            && libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &plan.filter) < 0
        {
            return "seccomp";
        }
        let (arguments, environment) = (plan.arguments.as_ptr(), plan.environment.as_ptr());
        libc::syscall(
            libc::SYS_execveat,
            INTERPRETER,
            launch.empty.as_ptr(),
            arguments,
            environment,
            libc::AT_EMPTY_PATH,
        );
        "the interpreter"
    }
}

/// Marks all descriptors from a number on to be closed when the process becomes another program.
///
/// # Safety
/// Only for the child of a clone.
unsafe fn close_from(first: u32, limit: libc::rlim_t) -> bool {
    // SAFETY: system calls on numbers only.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0 {
            return true;
        }
        // A kernel before 5.11, on which only unsafe execution is possible.
        for fd in first..limit.min(1 << 16) as u32 {
            libc::fcntl(fd as c_int, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        true
    }
}

/// Gives up what root may do beyond other users. A program that is started later cannot get it
/// back, because no-new-privileges is set too.
///
/// # Safety
/// Only for the child of a clone.
unsafe fn drop_capabilities() {
    let header = [CAPABILITY_VERSION_3, 0];
    let none = [0_u32; 6];
    // SAFETY: the header and the six words are what version 3 of the call reads.
    unsafe {
        for capability in 0..64 {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::syscall(libc::SYS_capset, &header, &none);
    }
}

/// Clones this process, and holds this thread until the child has left its memory.
///
/// # Safety
/// The flags have CLONE_VM and CLONE_VFORK. The entry makes system calls only, and what it is given
/// stays in its place until this function returns.
unsafe fn clone_held(
    entry: extern "C" fn(*mut c_void) -> c_int,
    given: *mut c_void,
    flags: c_int,
) -> (libc::pid_t, io::Error) {
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    // SAFETY: all signals are blocked around the call, so no handler of the parent's runs in the
    // child, which shares its memory. The stack outlives the child's use of it; it grows down from
    // its end, which is aligned to 16 bytes.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed::<libc::sigset_t>(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
        let top = stack.as_mut_ptr_range().end.cast::<c_void>();
        let id = libc::clone(entry, top, flags, given);
        let errno = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        (id, errno)
    }
}

/// Says whether the kernel makes these namespaces for this process.
pub(super) fn namespaces_work(namespaces: c_int) -> bool {
    extern "C" fn nothing(_: *mut c_void) -> c_int {
        0
    }
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD | namespaces;
    // SAFETY: the child does nothing and is given nothing; it is reaped here.
    unsafe {
        let (id, _) = clone_held(nothing, ptr::null_mut(), flags);
        id > 0 && libc::waitpid(id, ptr::null_mut(), 0) == id
    }
}
