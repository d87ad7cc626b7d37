//! A started process: what it has used, its end, and what it left of its time.

use std::time::Duration;

/// A child process, killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    id: libc::pid_t,
    ended: Option<Ended>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// The CPU time of all its threads.
    pub(crate) cpu: Duration,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

impl Process {
    /// Takes over a child that nothing else waits for.
    pub(in crate::system) fn new(id: libc::pid_t) -> Self {
        Self { id, ended: None }
    }

    /// Returns the CPU time that the process has used up to now; zero where the system does not
    /// say, so that the kernel's own limit has to do.
    pub(crate) fn cpu(&self) -> Duration {
        if let Some(ended) = self.ended {
            return ended.cpu;
        }
        self.cpu_clock()
    }

    #[cfg(not(target_os = "linux"))]
    fn cpu_clock(&self) -> Duration {
        Duration::ZERO
    }

    #[cfg(target_os = "linux")]
    fn cpu_clock(&self) -> Duration {
        let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: both calls write to the locals that they are given. The process is not reaped, so
        // its id is its own.
        let known = unsafe {
            libc::clock_getcpuclockid(self.id, &mut clock) == 0 && libc::clock_gettime(clock, &mut time) == 0
        };
        if known { Duration::new(time.tv_sec as u64, time.tv_nsec as u32) } else { Duration::ZERO }
    }

    /// Returns for how long its first thread has waited for a core; zero where the kernel does not
    /// say.
    pub(crate) fn waited_for_core(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.id)).unwrap_or_default();
        let nanoseconds = text.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or(0))
    }

    /// Returns the number of its threads; zero where the system does not say.
    pub(crate) fn threads(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.id)).unwrap_or_default();
        // The name, in parentheses, may hold anything; the number of threads is the 18th word
        // after.
        let words = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        words.skip(17).find_map(|word| word.parse().ok()).unwrap_or(0)
    }

    /// Kills the process with its group and waits for it.
    pub(crate) fn end(&mut self) -> Ended {
        if let Some(ended) = self.ended {
            return ended;
        }
        let mut status = 0;
        // SAFETY: all zeros is a value of this plain C struct.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the child is not reaped, so its id and its group are its own; wait4 writes to the
        // two locals.
        unsafe {
            libc::kill(-self.id, libc::SIGKILL);
            libc::kill(self.id, libc::SIGKILL);
            while libc::wait4(self.id, &mut status, 0, &mut usage) < 0 && errno() == libc::EINTR {}
        }
        let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        let ended = Ended {
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        };
        *self.ended.insert(ended)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
