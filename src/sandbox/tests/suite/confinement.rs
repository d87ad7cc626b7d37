//! The sandbox in the surroundings that it has to work in: below a lock that is already applied,
//! for another user, without an interpreter, and when its own process is killed.
//!
//! Locks are permanent, so the tests with one run in child processes of this test program.

use crate::support::{self, check, texts};
use landlock::{ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr};
use maspo_sandbox::{Limits, Outcome, Program, Sandbox, SandboxError, SandboxOptions};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

const ROLE: &str = "MASPO_TEST_SANDBOX_ROLE";
const SCRATCH: &str = "MASPO_TEST_SANDBOX_SCRATCH";
/// The number of the system call `landlock_create_ruleset`, the same on every architecture.
const LANDLOCK_CREATE_RULESET: libc::c_long = 444;
/// Another user, who owns nothing.
const NOBODY: u32 = 65534;

/// The child: does what its role says, and fails if the sandbox does not work there.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let scratch = std::env::var_os(SCRATCH).map(PathBuf::from);
    match role.as_str() {
        "locked" => lock(),
        "locked twice" => {
            lock();
            confine_paths();
            confine_paths();
        }
        "without Landlock" => return lacks(LANDLOCK_CREATE_RULESET, "no Landlock"),
        "without seccomp" => return lacks(libc::SYS_seccomp, "no seccomp"),
        "killed" | "nobody" => {}
        other => panic!("no role {other}"),
    }
    let Some(sandbox) = support::sandbox(&SandboxOptions { scratch, ..Default::default() }) else {
        println!("\nskipped");
        return;
    };
    println!("\nparts: {}", sandbox.parts().join(", "));
    check(&sandbox, "def f(x):\n    return x", &["assert f(1) == 1"], Outcome::Correct);
    check(&sandbox, "def f(x):\n    return x", &["assert f(1) == 2"], Outcome::Wrong);
    if role == "killed" {
        check(&sandbox, "import time\ndef f(x):\n    time.sleep(60)", &["assert f(1) == 1"], Outcome::Correct);
    }
    println!("\nworked");
}

/// Locks this process as the program does at its start: no sockets but AF_UNIX, no connections.
fn lock() {
    let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, libc::AF_UNIX as u64).unwrap();
    let other = || vec![SeccompRule::new(vec![other.clone()]).unwrap()];
    let denied = [libc::SYS_connect, libc::SYS_io_uring_setup, libc::SYS_ptrace, libc::SYS_process_vm_writev];
    let rules = denied.map(|call| (call, Vec::new())).into_iter();
    let rules = rules.chain([(libc::SYS_socket, other()), (libc::SYS_socketpair, other())]).collect();
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, denied, arch).unwrap().try_into().unwrap();
    seccompiler::apply_filter_all_threads(&filter).unwrap();
    assert!(std::net::TcpListener::bind("127.0.0.1:0").is_err(), "the lock is applied");
}

/// Takes a system call away, as a kernel that never had it, and checks that the sandbox names what
/// is lacking, and that unsafe execution goes on without it.
fn lacks(call: libc::c_long, part: &str) {
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let rules = [(call, Vec::new())].into_iter().collect();
    let filter: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, absent, arch).unwrap().try_into().unwrap();
    seccompiler::apply_filter_all_threads(&filter).unwrap();
    match Sandbox::probe(&SandboxOptions::default()) {
        Err(SandboxError::Unsupported { missing }) => {
            assert!(missing.iter().any(|missing| missing.starts_with(part)), "{missing:?}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("nothing is lacking"),
    }
    let sandbox = Sandbox::probe(&SandboxOptions { unsafe_exec: true, ..Default::default() }).unwrap();
    assert!(sandbox.missing().iter().any(|missing| missing.starts_with(part)), "{:?}", sandbox.missing());
    check(&sandbox, "def f(x):\n    return x", &["assert f(1) == 1"], Outcome::Correct);
    check(&sandbox, "def f(x):\n    return x", &["assert f(1) == 2"], Outcome::Wrong);
    println!("\nworked");
}

/// Adds a layer of Landlock rules, by which everything can be read and temporary files written.
fn confine_paths() {
    let all = AccessFs::from_all(ABI::V6);
    let beneath = |path: &Path, access| PathBeneath::new(PathFd::new(path).unwrap(), access);
    let rules = Ruleset::default().handle_access(all).unwrap().create().unwrap();
    let rules = rules.add_rule(beneath(Path::new("/"), AccessFs::from_read(ABI::V6))).unwrap();
    let rules = rules.add_rule(beneath(Path::new("/dev/null"), AccessFs::WriteFile.into())).unwrap();
    rules.add_rule(beneath(&std::env::temp_dir(), all)).unwrap().restrict_self().unwrap();
}

/// Returns this test program as a command that plays a role.
fn played_by(program: &Path, role: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", "confinement::child", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

fn play(role: &str) -> Output {
    played_by(&std::env::current_exe().unwrap(), role).output().unwrap()
}

#[track_caller]
fn assert_worked(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().any(|line| line == "worked" || line == "skipped");
    assert!(output.status.success() && said, "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn it_works_below_the_programs_own_lock() {
    assert_worked(&play("locked"));
    assert_worked(&play("locked twice"));
}

/// As root, plays the role as a user without rights; as another user, as that.
#[test]
fn it_works_for_a_user_without_rights() {
    // SAFETY: the call only returns a number.
    if unsafe { libc::geteuid() } != 0 {
        return assert_worked(&play("nobody"));
    }
    // The test program may lie where others cannot reach it.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let scratch = folder.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    for path in [folder.path(), &scratch] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let mut command = played_by(&program, "nobody");
    command.uid(NOBODY).gid(NOBODY).env(SCRATCH, &scratch).env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let output = command.current_dir("/").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("no usable Python interpreter") {
        eprintln!("SKIPPED for another user: no interpreter outside root's own folders");
        return;
    }
    assert_worked(&output);
}

#[test]
fn nothing_outlives_its_supervisor() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = played_by(&std::env::current_exe().unwrap(), "killed");
    command.env(SCRATCH, scratch.path()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let running =
        || processes_of(scratch.path(), "candidate.pyc") == 1 && processes_of(scratch.path(), "judge.pyc") == 1;
    // The program that sleeps is the only one that is seen twice.
    let slept = wait_for(
        || {
            running() && {
                std::thread::sleep(Duration::from_millis(500));
                running()
            }
        },
        &mut child,
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(slept || support::sandbox(&SandboxOptions::default()).is_none(), "the program never ran");
    let ended = || processes_of(scratch.path(), ".pyc") == 0;
    let started = Instant::now();
    while !ended() && started.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ended(), "processes outlive the one that started them");
}

/// Waits until something holds, or the child has ended.
fn wait_for(holds: impl Fn() -> bool, child: &mut Child) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none() {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Counts the processes whose command names a folder and a script.
fn processes_of(folder: &Path, script: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(folder.to_str().unwrap()) && line.contains(script)).count()
}

#[test]
fn the_judges_memory_is_its_own() {
    let Some(sandbox) = support::sandbox(&SandboxOptions::default()) else { return };
    let (get_dumpable, dumpable) = (3, "import ctypes\ndef f():\n    return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)");
    let test = format!("import ctypes\nassert f() == 1 and ctypes.CDLL(None).prctl({get_dumpable}, 0, 0, 0, 0) == 0");
    check(&sandbox, dumpable, &[&test], Outcome::Correct);
}

#[test]
fn a_program_sees_no_environment_and_an_empty_folder() {
    let Some(sandbox) = support::sandbox(&SandboxOptions::default()) else { return };
    let output = r#"
import os, sys
def seen():
    return [dict(os.environ), os.listdir('.'), sys.argv[1:], sys.path[:1] == ['']]
"#;
    check(&sandbox, output, &["assert seen() == [{}, [], [], False]"], Outcome::Correct);
    let output = r#"
import os
def open_ones():
    return [fd for fd in range(64) if is_open(fd)]
def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False
"#;
    check(&sandbox, output, &["assert open_ones() == [0, 1, 2, 3]"], Outcome::Correct);
}

#[test]
fn a_missing_interpreter_is_named() {
    let probe = |python: &str| {
        let options = SandboxOptions { python: Some(python.into()), ..Default::default() };
        Sandbox::probe(&options).err().expect("there is no such interpreter")
    };
    for python in ["/nowhere/python3", "false", "true", "cat"] {
        let error = probe(python);
        assert!(matches!(error, SandboxError::NoPython { .. }), "{python}: {error:?}");
        assert!(error.to_string().contains(python) && error.to_string().contains("hint:"), "{error}");
    }
}

#[test]
fn an_old_kernel_is_told_what_it_lacks() {
    assert_worked(&play("without Landlock"));
    assert_worked(&play("without seccomp"));
}

#[test]
fn what_a_system_lacks_is_named() {
    let error = SandboxError::Unsupported { missing: texts(&["no Landlock", "no seccomp"]) };
    let text = error.to_string();
    assert!(text.contains("no Landlock; no seccomp") && text.contains("hint:"), "{text}");
}

#[test]
fn unsafe_execution_judges_the_same_where_nothing_is_missing() {
    let options = SandboxOptions { unsafe_exec: true, ..Default::default() };
    let sandbox = Sandbox::probe(&options).expect("goes on whatever is missing");
    let tests = texts(&["assert f(1) == 1"]);
    let program = Program { output: "def f(x):\n    return x", tests: &tests, imports: &[], entry_point: None };
    assert_eq!(sandbox.judge(&program, &Limits::default()).unwrap().outcome, Outcome::Correct);
}
