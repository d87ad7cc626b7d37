//! The Python interpreter: where it and its files are, and the programs that it runs in the two
//! processes, compiled once so that a start costs as little as it can.

use crate::error::SandboxError;
use std::fs;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROBE: &str = include_str!("python/probe.py");
const JUDGE: &str = concat!(
    include_str!("python/values.py"),
    include_str!("python/pipe.py"),
    include_str!("python/extract.py"),
    include_str!("python/judge.py")
);
const CANDIDATE: &str =
    concat!(include_str!("python/values.py"), include_str!("python/pipe.py"), include_str!("python/candidate.py"));

/// The oldest version that the programs of this package run on.
const OLDEST: (u32, u32) = (3, 9);
/// From this version on, `-P` keeps the script's folder out of the search path.
const SAFE_PATH: (u32, u32) = (3, 11);
/// The longest that an interpreter may take to report about itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// An interpreter that works, and what it needs.
#[derive(Debug)]
pub(crate) struct Interpreter {
    pub(crate) executable: PathBuf,
    pub(crate) version: String,
    /// The folders of the standard library.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Landlock confines paths"))]
    pub(crate) folders: Vec<PathBuf>,
    /// The libraries that the interpreter and its extension modules load.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Landlock confines paths"))]
    pub(crate) files: Vec<PathBuf>,
    /// Holds the two compiled programs.
    scripts: TempDir,
    flags: Vec<&'static str>,
}

impl Interpreter {
    /// Asks `python` about itself and compiles the two programs.
    pub(crate) fn find(python: &Path, temporary: &Path) -> Result<Self, SandboxError> {
        let scripts = tempfile::Builder::new().prefix("maspo-sandbox-").tempdir_in(temporary);
        let scripts = scripts.map_err(SandboxError::io("cannot make a temporary folder"))?;
        let sources = [("judge.py", JUDGE), ("candidate.py", CANDIDATE)];
        for (name, source) in sources {
            fs::write(scripts.path().join(name), source)
                .map_err(SandboxError::io("cannot write to the temporary folder"))?;
        }
        let no_python = |reason: String| SandboxError::NoPython { python: python.to_path_buf(), reason };
        let mut command = Command::new(python);
        command.args(["-I", "-S", "-B", "-W", "ignore", "-c", PROBE]);
        command.args(sources.map(|(name, _)| scripts.path().join(name)));
        let report = output(command).map_err(no_python)?;
        let values = |key: &str| -> Vec<String> {
            report.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).map(str::to_string).collect()
        };
        let [version, executable] = ["version", "executable"].map(|key| values(key).pop());
        let (Some(version), Some(executable)) = (version, executable) else {
            return Err(no_python("it does not report its version".to_string()));
        };
        let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
        let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if number < OLDEST {
            return Err(no_python(format!("version {version} is older than {}.{}", OLDEST.0, OLDEST.1)));
        }
        // Not `-I`, which would ignore the one fixed variable PYTHONHASHSEED; what else it does is
        // here.
        let mut flags = vec!["-s", "-S", "-B", "-X", "utf8"];
        if number >= SAFE_PATH {
            flags.push("-P");
        }
        let paths = |key| values(key).into_iter().map(PathBuf::from).collect();
        Ok(Self {
            executable: executable.into(),
            version,
            folders: paths("folder"),
            files: paths("file"),
            scripts,
            flags,
        })
    }

    /// Returns the compiled program of one of the two processes.
    pub(crate) fn script(&self, role: Role) -> PathBuf {
        self.scripts.path().join(match role {
            Role::Judge => "judge.pyc",
            Role::Program => "candidate.pyc",
        })
    }

    /// Returns the arguments of a start, the name of the program included.
    pub(crate) fn arguments(&self, role: Role) -> Vec<PathBuf> {
        let flags = self.flags.iter().map(PathBuf::from);
        [self.executable.clone()].into_iter().chain(flags).chain([self.script(role)]).collect()
    }
}

/// Which of the two processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Evaluates the tests.
    Judge,
    /// Runs the model's code.
    Program,
}

/// Runs a command to its end and returns what it printed.
fn output(mut command: Command) -> Result<String, String> {
    let said = |error: io::Error| error.to_string();
    let [mut stdout, mut stderr] = [tempfile::tempfile().map_err(said)?, tempfile::tempfile().map_err(said)?];
    command.stdin(Stdio::null()).stdout(stdout.try_clone().map_err(said)?).stderr(stderr.try_clone().map_err(said)?);
    let mut child = command.spawn().map_err(said)?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(said)? {
            break status;
        }
        if started.elapsed() > PATIENCE {
            drop((child.kill(), child.wait()));
            return Err(format!("it did not answer within {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut text = String::new();
    let source = if status.success() { &mut stdout } else { &mut stderr };
    source.rewind().and_then(|()| source.take(1 << 20).read_to_string(&mut text)).map_err(said)?;
    if status.success() { Ok(text) } else { Err(text.lines().last().unwrap_or("it failed").to_string()) }
}
