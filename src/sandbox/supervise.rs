//! Watches one program while the judge evaluates its tests: talks to the judge, keeps the limits,
//! and says what ended it. It knows no tests.

use crate::message::{self, Report};
use crate::options::Limits;
use crate::system::Process;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest time between two looks at what a program has used.
const LOOK: Duration = Duration::from_millis(20);
/// Looking at the scratch folder is dearer, so it is done less often.
const LOOK_AT_FOLDER: Duration = Duration::from_millis(40);
/// The end of a program that gets no core, as a multiple of the time that it may wait by itself.
const WALL_CEILING: u32 = 60;

/// How watching ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The judge's last report.
    Report(Report),
    /// A limit on time was reached.
    OutOfTime(&'static str),
    /// A limit that is not one of time was reached.
    OverLimit(&'static str),
    /// The judge ended without a verdict; whether it had found code before.
    JudgeEnded { parsed: bool },
}

/// What is watched.
pub(crate) struct Watched<'a> {
    pub(crate) judge: &'a Process,
    /// The program, and its scratch folder.
    pub(crate) program: Option<(&'a Process, &'a Path)>,
    pub(crate) limits: &'a Limits,
}

impl Watched<'_> {
    /// Sends the request and waits for the judge's verdict, or for a limit.
    pub(crate) fn until_report(&self, stream: &UnixStream, request: &[u8]) -> io::Result<Ending> {
        stream.set_nonblocking(true)?;
        let (mut unsent, mut received, mut parsed) = (request, Vec::new(), false);
        let started = Instant::now();
        let mut folder_seen = started;
        loop {
            wait(stream, !unsent.is_empty(), LOOK)?;
            unsent = &unsent[write_some(stream, unsent)..];
            let open = read_some(stream, &mut received)?;
            while let Some(report) = message::take(&mut received) {
                match report {
                    Report::Parsed => parsed = true,
                    last => return Ok(Ending::Report(last)),
                }
            }
            if let Some(limit) = self.out_of_time(started.elapsed()) {
                return Ok(Ending::OutOfTime(limit));
            }
            if !open {
                return Ok(Ending::JudgeEnded { parsed });
            }
            if self.program.is_some_and(|(program, _)| program.threads() > self.limits.threads) {
                return Ok(Ending::OverLimit("it started too many threads"));
            }
            if folder_seen.elapsed() >= LOOK_AT_FOLDER {
                folder_seen = Instant::now();
                if self.written() > self.limits.scratch_mib << 20 {
                    return Ok(Ending::OverLimit("it wrote too much to its scratch folder"));
                }
            }
        }
    }

    fn out_of_time(&self, elapsed: Duration) -> Option<&'static str> {
        let cpu = Duration::from_millis(self.limits.cpu_ms);
        let wall = Duration::from_millis(self.limits.wall_ms);
        if self.program.is_some_and(|(program, _)| program.cpu() >= cpu) {
            return Some("it used up its CPU time");
        }
        if self.judge.cpu() >= cpu {
            return Some("its tests used up their CPU time");
        }
        if elapsed < wall {
            return None;
        }
        let program = self.program.map_or(Duration::ZERO, |(program, _)| program.waited_for_core());
        let idle = elapsed.saturating_sub(program + self.judge.waited_for_core());
        (idle >= wall || elapsed >= wall * WALL_CEILING).then_some("it waited too long")
    }

    /// Returns the bytes in the scratch folder, which has no folders in it.
    fn written(&self) -> u64 {
        let Some((_, folder)) = self.program else { return 0 };
        let entries = folder.read_dir().into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|data| data.len().max(4096)).sum()
    }
}

/// Waits until the judge has said something, or until there is room for what it is told.
fn wait(stream: &UnixStream, to_write: bool, time: Duration) -> io::Result<()> {
    let events = if to_write { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
    let mut polled = libc::pollfd { fd: stream.as_raw_fd(), events, revents: 0 };
    // SAFETY: one structure is passed, and the call writes to that one.
    let answer = unsafe { libc::poll(&mut polled, 1, time.as_millis() as i32) };
    let error = io::Error::last_os_error();
    if answer >= 0 || error.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

/// Writes what there is room for. A judge that has ended is found when it is read from.
fn write_some(mut stream: &UnixStream, unsent: &[u8]) -> usize {
    if unsent.is_empty() { 0 } else { stream.write(unsent).unwrap_or(0) }
}

/// Reads what there is; returns whether there can be more.
fn read_some(mut stream: &UnixStream, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    while received.len() <= message::MAX_REPORT + 8 {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
