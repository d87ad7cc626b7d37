//! What the kernel offers, prepared for every start.

use super::launch::{self, Launch};
use super::paths::Readable;
use super::{filter, paths};
use crate::interpreter::{Interpreter, Role};
use crate::system::{OPEN_FILES, Process, STACK_BYTES, Start, cpu_seconds};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Namespaces that are tried besides: with a user namespace, as other users need, or as root.
const NAMESPACES: i32 = libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;

/// The parts of the sandbox, and the interpreter that they are for.
pub(crate) struct Confinement {
    executable: File,
    empty: CString,
    readable: Option<Readable>,
    filter: Option<Vec<seccompiler::sock_filter>>,
    judge_arguments: Vec<CString>,
    program_arguments: Vec<CString>,
    environment: Vec<CString>,
    namespaces: i32,
    missing: Vec<String>,
}

impl Confinement {
    /// Looks at what the kernel has, and prepares it. What it lacks is in `missing`.
    pub(crate) fn new(interpreter: &Interpreter) -> io::Result<Self> {
        let mut missing = Vec::new();
        let mut readable = None;
        if paths::landlock_version() > 0 {
            let programs = [Some(interpreter.executable.clone()), loader(&interpreter.executable)];
            let cache = PathBuf::from("/etc/ld.so.cache");
            // Rules are made for each program, so no file is named that lies in a named folder.
            let is_inside = |path: &PathBuf| interpreter.folders.iter().any(|folder| path.starts_with(folder));
            let files = interpreter.files.iter().filter(|path| !is_inside(path)).cloned();
            let files: Vec<PathBuf> = files.chain([cache]).collect();
            let scripts = interpreter.script(Role::Judge).parent().map(Path::to_path_buf);
            let folders: Vec<PathBuf> = interpreter.folders.iter().cloned().chain(scripts).collect();
            readable = Some(Readable::new(&programs.into_iter().flatten().collect::<Vec<_>>(), &files, &folders));
        } else {
            missing.push("no Landlock, which confines the paths that code can open".to_string());
        }
        let empty = CString::default();
        let filter = filter::build(empty.as_ptr()).map_err(|error| error.to_string()).and_then(filters_work);
        let filter = filter
            .map_err(|reason| missing.push(format!("no seccomp, which confines its system calls ({reason})")))
            .ok();
        let arguments = |role| interpreter.arguments(role).iter().map(|path| c_text(path)).collect::<io::Result<_>>();
        let candidates = [NAMESPACES | libc::CLONE_NEWUSER, NAMESPACES];
        Ok(Self {
            executable: File::open(&interpreter.executable)?,
            empty,
            readable,
            filter,
            judge_arguments: arguments(Role::Judge)?,
            program_arguments: arguments(Role::Program)?,
            // The order of sets is the same in every run; both programs remove it before they
            // start.
            environment: vec![CString::from(c"PYTHONHASHSEED=0")],
            namespaces: candidates.into_iter().find(|flags| launch::namespaces_work(*flags)).unwrap_or(0),
            missing,
        })
    }

    /// Returns what the kernel lacks.
    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Returns the names of the parts that are in force.
    pub(crate) fn parts(&self) -> Vec<String> {
        let mut parts = vec!["resource limits".to_string()];
        parts.extend(self.readable.as_ref().map(|_| format!("Landlock (version {})", paths::landlock_version())));
        parts.extend(self.filter.as_ref().map(|_| "seccomp".to_string()));
        let spaces = [
            (libc::CLONE_NEWUSER, "user"),
            (libc::CLONE_NEWPID, "process"),
            (libc::CLONE_NEWIPC, "IPC"),
            (libc::CLONE_NEWNET, "network"),
        ];
        parts.extend(
            spaces.iter().filter(|(flag, _)| self.namespaces & flag != 0).map(|(_, name)| format!("{name} namespace")),
        );
        parts
    }

    /// Goes on without namespaces. Returns false if there were none.
    pub(crate) fn without_namespaces(&mut self) -> bool {
        std::mem::take(&mut self.namespaces) != 0
    }

    /// Starts a process.
    pub(crate) fn start(&self, start: &Start<'_>) -> io::Result<Process> {
        let scratch = (start.role == Role::Program).then_some(start.folder);
        let rules: Option<OwnedFd> = match &self.readable {
            Some(readable) => readable.rules(scratch).map_err(io::Error::other)?,
            None => None,
        };
        let (mib, limits) = (1 << 20, start.limits);
        let written = if start.role == Role::Program { limits.scratch_mib * mib } else { 0 };
        let limits = [
            (libc::RLIMIT_CPU, cpu_seconds(limits)),
            (libc::RLIMIT_AS, limits.memory_mib * mib),
            (libc::RLIMIT_FSIZE, written),
            (libc::RLIMIT_STACK, STACK_BYTES),
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_MEMLOCK, 0),
            (libc::RLIMIT_MSGQUEUE, 0),
            (libc::RLIMIT_NOFILE, OPEN_FILES),
        ];
        let descriptors: Vec<RawFd> = start.descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let launch = Launch {
            interpreter: self.executable.as_raw_fd(),
            empty: &self.empty,
            arguments: if start.role == Role::Judge { &self.judge_arguments } else { &self.program_arguments },
            environment: &self.environment,
            descriptors: &descriptors,
            folder: &c_text(start.folder)?,
            rules: rules.as_ref().map(AsRawFd::as_raw_fd),
            filter: self.filter.as_deref(),
            limits: &limits,
            // The judge runs none of the program's code, and an own network costs milliseconds.
            namespaces: if start.role == Role::Judge { self.namespaces & !libc::CLONE_NEWNET } else { self.namespaces },
        };
        launch.start().map(Process::new)
    }
}

fn c_text(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Says whether the kernel takes filters at all, and gives this one back.
fn filters_work(filter: Vec<seccompiler::sock_filter>) -> Result<Vec<seccompiler::sock_filter>, String> {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the call reads one number and changes nothing.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &action) };
    if answer == 0 { Ok(filter) } else { Err(io::Error::last_os_error().to_string()) }
}

/// Returns the program that an executable asks the kernel to load it with (its PT_INTERP).
fn loader(executable: &Path) -> Option<PathBuf> {
    use std::io::{Read, Seek, SeekFrom};
    const PT_INTERP: u32 = 3;
    let mut file = File::open(executable).ok()?;
    let mut header = [0; 64];
    file.read_exact(&mut header).ok()?;
    let is_elf_64 = header.starts_with(b"\x7fELF\x02\x01");
    let number = |bytes: &[u8], at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let (table, size, count) = (number(&header, 32, 8), number(&header, 54, 2), number(&header, 56, 2));
    for entry in (0..count).filter(|_| is_elf_64 && size >= 56) {
        let mut program = [0; 56];
        file.seek(SeekFrom::Start(table.checked_add(entry * size)?)).ok()?;
        file.read_exact(&mut program).ok()?;
        if number(&program, 0, 4) == u64::from(PT_INTERP) {
            let mut path = Vec::new();
            file.seek(SeekFrom::Start(number(&program, 8, 8))).ok()?;
            file.take(number(&program, 32, 8).min(4096)).read_to_end(&mut path).ok()?;
            let path = std::ffi::CStr::from_bytes_until_nul(&path).ok()?;
            return Some(PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes())));
        }
    }
    None
}
