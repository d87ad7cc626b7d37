//! Systems without Landlock and seccomp: processes with resource limits only, for unsafe execution.

use crate::interpreter::{Interpreter, Role};
use crate::system::{MAX_DESCRIPTORS, OPEN_FILES, Process, Start, cpu_seconds};
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Descriptors are moved here first, so that none is overwritten before it is in its place.
const ABOVE_ALL: i32 = 100;

/// Starts processes that nothing confines.
pub(crate) struct Confinement {
    judge_arguments: Vec<OsString>,
    program_arguments: Vec<OsString>,
    missing: Vec<String>,
}

impl Confinement {
    pub(crate) fn new(interpreter: &Interpreter) -> io::Result<Self> {
        let arguments = |role| interpreter.arguments(role).into_iter().map(Into::into).collect();
        let system = std::env::consts::OS;
        Ok(Self {
            judge_arguments: arguments(Role::Judge),
            program_arguments: arguments(Role::Program),
            missing: vec![format!("there is no sandbox for {system}")],
        })
    }

    /// Returns what the system lacks.
    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Returns the names of the parts that are in force.
    pub(crate) fn parts(&self) -> Vec<String> {
        vec!["resource limits".to_string()]
    }

    /// Returns false: there are no namespaces to go on without.
    pub(crate) fn without_namespaces(&mut self) -> bool {
        false
    }

    /// Starts a process.
    pub(crate) fn start(&self, start: &Start<'_>) -> io::Result<Process> {
        let arguments = if start.role == Role::Judge { &self.judge_arguments } else { &self.program_arguments };
        let mut command = Command::new(&arguments[0]);
        command.args(&arguments[1..]).env_clear().env("PYTHONHASHSEED", "0").current_dir(start.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut places = [-1; MAX_DESCRIPTORS];
        for (place, descriptor) in places.iter_mut().zip(start.descriptors) {
            *place = descriptor.as_raw_fd();
        }
        let limits = [
            (libc::RLIMIT_CPU, cpu_seconds(start.limits)),
            (libc::RLIMIT_FSIZE, start.limits.scratch_mib << 20),
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_NOFILE, OPEN_FILES),
        ];
        // SAFETY: after the fork only system calls are made, on numbers and on copies of plain
        // values that the closure owns.
        unsafe {
            command.pre_exec(move || {
                for place in &mut places[3..] {
                    if *place >= 0 {
                        *place = libc::fcntl(*place, libc::F_DUPFD_CLOEXEC, ABOVE_ALL);
                    }
                }
                for (number, place) in places.iter().enumerate().skip(3) {
                    if *place >= 0 && libc::dup2(*place, number as i32) < 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                for (resource, limit) in limits {
                    let limit = libc::rlimit { rlim_cur: limit as libc::rlim_t, rlim_max: limit as libc::rlim_t };
                    if libc::setrlimit(resource, &limit) < 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        Ok(Process::new(command.spawn()?.id() as libc::pid_t))
    }
}
