//! Measures how many programs are judged a second, beside the bare start of the interpreter:
//! `throughput [PROGRAMS]`. They are measured in turns in one run, because other work on the
//! machine slows all alike; CPU time is what the machine's other work changes least.

use maspo_sandbox::{Limits, Outcome, Program, Sandbox, SandboxOptions};
use std::error::Error;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Programs and bare starts take turns in groups of this many.
const GROUP: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(200), |argument| argument.parse())?;
    let sandbox = Sandbox::probe(&SandboxOptions::default())?;
    println!("{}", sandbox.parts().join(", "));
    let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output()?;
    let python = String::from_utf8(python.stdout)?.trim().to_string();
    let tests = ["assert double(2) == 4".to_string(), "assert double('a') == 'aa'".to_string()];
    let output = "```python\ndef double(x):\n    return x + x\n```";
    let program = Program { output, tests: &tests, imports: &[], entry_point: None };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let commands: [&[&str]; 2] = [&["-c", "pass"], &["-I", "-S", "-B", "-c", "pass"]];
    let (mut judged, mut bare, mut groups) = (Used::default(), [Used::default(); 2], 0);
    while groups * GROUP < count {
        judged.add(|| {
            let verdicts = sandbox.judge_all(&[program; GROUP], &Limits::default())?;
            assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::Correct));
            Ok(())
        })?;
        for (used, arguments) in bare.iter_mut().zip(commands) {
            used.add(|| starts(&python, arguments, cores))?;
        }
        groups += 1;
    }
    let programs = (groups * GROUP) as f64;
    let print = |what: &str, used: &Used| {
        let cpu_ms = used.cpu.as_secs_f64() * 1e3 / programs;
        let rate = programs / used.wall.as_secs_f64();
        let ceiling = cores as f64 * 1e3 / cpu_ms;
        println!("{what}: {rate:.0}/s; {cpu_ms:.1} ms of CPU time each, so {ceiling:.0}/s on {cores} idle cores");
    };
    print("programs judged", &judged);
    for (used, arguments) in bare.iter().zip(commands) {
        print(&format!("starts of python3 {}", arguments.join(" ")), used);
        let [wall, cpu] = [used.wall, used.cpu].map(|time| time.as_secs_f64());
        let (wall, cpu) = (judged.wall.as_secs_f64() / wall, judged.cpu.as_secs_f64() / cpu);
        println!("  a program costs {wall:.2} of these by the clock, {cpu:.2} in CPU time");
    }
    Ok(())
}

/// The time that groups took.
#[derive(Clone, Copy, Default)]
struct Used {
    wall: Duration,
    cpu: Duration,
}

impl Used {
    fn add(&mut self, group: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
        let (started, cpu) = (Instant::now(), cpu_time());
        group()?;
        self.wall += started.elapsed();
        self.cpu += cpu_time() - cpu;
        Ok(())
    }
}

/// Returns the CPU time of this process and of the children that it has waited for.
fn cpu_time() -> Duration {
    let used = |who| {
        // SAFETY: the call fills the plain structure that it is given.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            usage
        };
        let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        time(usage.ru_utime) + time(usage.ru_stime)
    };
    used(libc::RUSAGE_SELF) + used(libc::RUSAGE_CHILDREN)
}

/// Starts the bare interpreter as often as a group has programs, on all cores.
fn starts(python: &str, arguments: &[&str], cores: usize) -> Result<(), Box<dyn Error>> {
    let next = AtomicUsize::new(0);
    let start = || Command::new(python).args(arguments).stdin(Stdio::null()).status().is_ok_and(|s| s.success());
    let worker = || {
        while next.fetch_add(1, Ordering::Relaxed) < GROUP {
            assert!(start(), "{python} does not start");
        }
    };
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(worker))));
    Ok(())
}
