//! The sandbox: set up once, tried on a program that attempts what is forbidden, and then used for
//! any number of programs, several at a time.

use crate::error::SandboxError;
use crate::hint::name_hint;
use crate::interpreter::{Interpreter, Role};
use crate::message::{self, Report};
use crate::options::{Limits, SandboxOptions};
use crate::program::{Outcome, Program, Verdict};
use crate::supervise::{Ending, Watched};
use crate::system::{Confinement, Process, Start};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes of tests and imports together.
const MAX_TESTS_BYTES: usize = 4 << 20;

/// Attempts what no confined program may do; each that succeeds is in the list that it returns.
const ESCAPES: &str = include_str!("python/escapes.py");

/// Judges programs. Made by [`Sandbox::probe`].
pub struct Sandbox {
    interpreter: Interpreter,
    confinement: Confinement,
    scratch: PathBuf,
    workers: usize,
}

impl Sandbox {
    /// Finds the interpreter, prepares the confinement, and tries both: a program has to be judged
    /// correct, and one that attempts forbidden things has to fail at all of them. With
    /// `unsafe_exec`, goes on with what the system has.
    pub fn probe(options: &SandboxOptions) -> Result<Self, SandboxError> {
        let python = options.python.clone().unwrap_or_else(|| PathBuf::from("python3"));
        let scratch = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let interpreter = Interpreter::find(&python, &scratch)?;
        let confinement = Confinement::new(&interpreter).map_err(SandboxError::io("cannot prepare the sandbox"))?;
        if !confinement.missing().is_empty() && !options.unsafe_exec {
            return Err(SandboxError::Unsupported { missing: confinement.missing().to_vec() });
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut sandbox = Self { interpreter, confinement, scratch, workers: options.workers.unwrap_or(cores).max(1) };
        let first = sandbox.try_out();
        if first.is_err() && sandbox.confinement.without_namespaces() { sandbox.try_out() } else { first }?;
        Ok(sandbox)
    }

    /// Judges two programs whose verdicts are known.
    fn try_out(&self) -> Result<(), SandboxError> {
        let confined = self.confinement.missing().is_empty();
        let tests = ["assert escapes() == [] and double([2]) == [4]".to_string()];
        let escapes = if confined { ESCAPES } else { "def escapes():\n    return []\n" };
        let output = format!("{escapes}\ndef double(items):\n    return [2 * item for item in items]\n");
        let program = Program { output: &output, tests: &tests, imports: &[], entry_point: None };
        let verdict = self.judge(&program, &Limits::default())?;
        if verdict.outcome == Outcome::Correct { Ok(()) } else { Err(SandboxError::SelfCheck(verdict.detail)) }
    }

    /// Returns what confines a program here, for reports: the interpreter's version and the parts
    /// of the system that are in force.
    pub fn parts(&self) -> Vec<String> {
        let python = format!("Python {}", self.interpreter.version);
        [python].into_iter().chain(self.confinement.parts()).collect()
    }

    /// Returns what the system lacks; empty unless `unsafe_exec` allowed it.
    pub fn missing(&self) -> &[String] {
        self.confinement.missing()
    }

    /// Judges one program.
    pub fn judge(&self, program: &Program<'_>, limits: &Limits) -> Result<Verdict, SandboxError> {
        if let Some(reason) = refusal(program, limits) {
            return Ok(Verdict::new(Outcome::Refused, reason));
        }
        let hint = if program.entry_point.is_some() { None } else { name_hint(program.tests, program.imports) };
        let request = message::judge(program, hint.as_deref());
        self.run(&request, true, limits)
    }

    /// Judges programs, as many at a time as there are workers; the verdicts are in their order.
    pub fn judge_all(&self, programs: &[Program<'_>], limits: &Limits) -> Result<Vec<Verdict>, SandboxError> {
        let verdicts = Mutex::new(vec![None; programs.len()]);
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..self.workers.min(programs.len()) {
                scope.spawn(|| {
                    while let Some((at, program)) = take(&next, programs) {
                        match self.judge(program, limits) {
                            Ok(verdict) => lock(&verdicts)[at] = Some(verdict),
                            Err(error) => {
                                next.store(programs.len(), Ordering::Relaxed);
                                lock(&failed).get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        match failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(error) => Err(error),
            None => {
                Ok(lock(&verdicts).iter_mut().map(|verdict| verdict.take().expect("every one was judged")).collect())
            }
        }
    }

    /// Returns the code in a model's output, by the same rules by which it is judged.
    pub fn code_in(&self, output: &str, limits: &Limits) -> Result<Option<String>, SandboxError> {
        if output.len() > limits.output_bytes {
            return Ok(None);
        }
        match self.watch(&message::extract(output), false, limits)? {
            Ending::Report(Report::Code(code)) => Ok(code),
            _ => Ok(None),
        }
    }

    /// Judges a task's own solution. Anything but correct is a defect of the task.
    pub fn check_reference(&self, code: &str, task: &Program<'_>, limits: &Limits) -> Result<Verdict, SandboxError> {
        // A fence that is longer than any in the code.
        let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        let output = format!("{fence}python\n{code}\n{fence}\n");
        self.judge(&Program { output: &output, ..*task }, limits)
    }

    /// Runs the judge, with a program or alone, and turns what happened into a verdict.
    fn run(&self, request: &[u8], with_program: bool, limits: &Limits) -> Result<Verdict, SandboxError> {
        Ok(match self.watch(request, with_program, limits)? {
            Ending::Report(Report::Verdict(verdict)) => verdict,
            Ending::Report(_) => Verdict::new(Outcome::Refused, "the judge's verdict cannot be read"),
            Ending::OutOfTime(limit) => Verdict::new(Outcome::Timeout, limit),
            Ending::OverLimit(limit) => Verdict::new(Outcome::Refused, limit),
            Ending::JudgeEnded { parsed: false } => {
                Verdict::new(Outcome::Unparsable, "reading the output ended the parser")
            }
            Ending::JudgeEnded { parsed: true } => Verdict::new(Outcome::Refused, "the judge ended without a verdict"),
        })
    }

    /// Starts the processes, watches them and ends them.
    fn watch(&self, request: &[u8], with_program: bool, limits: &Limits) -> Result<Ending, SandboxError> {
        let scratch = tempfile::Builder::new().prefix("maspo-scratch-").tempdir_in(&self.scratch);
        let scratch = scratch.map_err(SandboxError::io("cannot make a scratch folder"))?;
        let pipes = SandboxError::io("cannot make a pipe to the judge");
        let (own, judges) = UnixStream::pair().map_err(pipes)?;
        let (to_program, to_judge) =
            UnixStream::pair().map_err(SandboxError::io("cannot make a pipe to the program"))?;
        let null = std::fs::File::options().read(true).write(true).open("/dev/null");
        let null = null.map_err(SandboxError::io("cannot open /dev/null"))?;
        let start = |role, folder: &Path, streams: &[&UnixStream]| {
            let streams = streams.iter().map(|stream| stream.as_fd());
            let descriptors: Vec<_> = [null.as_fd(); 3].into_iter().chain(streams).collect();
            self.confinement.start(&Start { role, folder, descriptors: &descriptors, limits })
        };
        let mut judge = start(Role::Judge, Path::new("/"), &[&judges, &to_program])
            .map_err(SandboxError::io("cannot start the judge"))?;
        let mut program = None;
        if with_program {
            let process = start(Role::Program, scratch.path(), &[&to_judge]);
            program = Some(process.map_err(SandboxError::io("cannot start the program's process"))?);
        }
        drop((judges, to_program, to_judge));
        let watched =
            Watched { judge: &judge, program: program.as_ref().map(|program| (program, scratch.path())), limits };
        let ending = watched.until_report(&own, request);
        let used = program.as_mut().map(Process::end);
        judge.end();
        let ending = ending.map_err(SandboxError::io("cannot talk to the judge"))?;
        // A program that the kernel ended at its limit, before the supervisor looked again.
        let out_of_time = used.is_some_and(|used| used.cpu.as_millis() as u64 >= limits.cpu_ms);
        Ok(match ending {
            Ending::Report(Report::Verdict(verdict)) if verdict.outcome == Outcome::Correct => {
                Ending::Report(Report::Verdict(verdict))
            }
            _ if out_of_time => Ending::OutOfTime("it used up its CPU time"),
            Ending::Report(Report::Verdict(mut verdict)) => {
                if let Some(signal) = used.and_then(|used| used.signal).filter(|signal| *signal != libc::SIGKILL) {
                    verdict.detail += &format!(" (its process was ended by signal {signal})");
                }
                Ending::Report(Report::Verdict(verdict))
            }
            other => other,
        })
    }
}

/// Returns why a program is not even started.
fn refusal(program: &Program<'_>, limits: &Limits) -> Option<String> {
    let tests: usize = program.tests.iter().chain(program.imports).map(String::len).sum();
    if program.output.len() > limits.output_bytes {
        Some(format!("the output has {} bytes, more than {}", program.output.len(), limits.output_bytes))
    } else if program.tests.iter().all(|test| test.trim().is_empty()) {
        Some("there are no tests".to_string())
    } else if tests > MAX_TESTS_BYTES {
        Some(format!("the tests have {tests} bytes, more than {MAX_TESTS_BYTES}"))
    } else {
        None
    }
}

fn take<'a, 'b>(next: &AtomicUsize, programs: &'a [Program<'b>]) -> Option<(usize, &'a Program<'b>)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, programs.get(at)?))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
