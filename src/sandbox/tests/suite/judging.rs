//! Verdicts on programs that mean no harm: what counts as code, what passes between a test and a
//! program, and what bad input leads to.

use crate::support::{self, check, judged, texts};
use maspo_sandbox::{Limits, Outcome, Program, Sandbox, SandboxOptions, Verdict, name_hint};
use std::sync::OnceLock;

/// Returns the sandbox that all tests of this file share.
fn sandbox() -> Option<&'static Sandbox> {
    static SANDBOX: OnceLock<Option<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| support::sandbox(&SandboxOptions::default())).as_ref()
}

#[test]
fn values_pass_between_tests_and_programs() {
    let Some(sandbox) = sandbox() else { return };
    let echo = "def f(x):\n    return x\n";
    let same = [
        "None",
        "True",
        "False",
        "...",
        "0",
        "-1",
        "2**70",
        "-2**2000",
        "0.1",
        "-0.0",
        "float('inf')",
        "1e-300",
        "1+2j",
        "''",
        "'é\\0\\ud800'",
        "b'\\xff\\n'",
        "bytearray(b'x')",
        "[]",
        "[1, [2, (3, {4})]]",
        "(1,)",
        "set()",
        "frozenset({1, 2})",
        "{'a': [1], 2: None, (3, 4): {}}",
        "range(1, 10, 3)",
        "__import__('decimal').Decimal('1.10')",
        "__import__('fractions').Fraction(1, 3)",
        "__import__('datetime').date(2024, 2, 29)",
        "__import__('datetime').datetime(2024, 2, 29, 1, 2, 3, 4)",
        "__import__('datetime').timedelta(days=1)",
        "__import__('collections').deque([1, 2], 3)",
        "__import__('collections').Counter('aab')",
        "__import__('collections').OrderedDict([(2, 1), (1, 2)])",
    ];
    let one_test: String = same.iter().map(|value| format!("    {value},\n")).collect();
    let test = format!(
        "for x in [\n{one_test}]:\n    y = f(x)\n    assert y == x and type(y) is type(x) and repr(y) == repr(x), x"
    );
    check(sandbox, echo, &[&test], Outcome::Correct);
    check(sandbox, echo, &["assert f(float('nan')) != f(float('nan'))"], Outcome::Correct);
    check(sandbox, echo, &["assert f(1) == 1 and f(1) is not True", "assert f(1) is True"], Outcome::Wrong);
}

#[test]
fn arguments_change_as_they_would_in_one_process() {
    let Some(sandbox) = sandbox() else { return };
    let check = |output, tests: &[&str]| check(sandbox, output, tests, Outcome::Correct);
    check("def f(x):\n    x.sort()\n    return None", &["a = [3, 1]\nassert f(a) is None\nassert a == [1, 3]"]);
    check("def f(x):\n    x.append(1)\n    return x", &["a = []\nassert f(a) is a\nassert f(a) == [1, 1]"]);
    check(
        "def f(d, s, b):\n    d[1] = s\n    s.add(2)\n    b += b'x'",
        &["d, s, b = {}, set(), bytearray()\nf(d, s, b)\nassert d == {1: {2}} and d[1] is s and b == b'x'"],
    );
    check("def f(x):\n    x[0].append(5)", &["a = []\nb = [a, a]\nf(b)\nassert b == [[5], [5]] and a == [5]"]);
    check(
        "def f(x, *, key=0):\n    x[:] = [x]\n    return key",
        &["a = [1]\nassert f(a, key=3) == 3\nassert a[0] is a"],
    );
    check(
        "def f(x):\n    del x['a']",
        &["d = __import__('collections').OrderedDict(a=1, b=2)\nf(d)\nassert list(d) == ['b']"],
    );
}

#[test]
fn functions_iterators_and_objects_pass_too() {
    let Some(sandbox) = sandbox() else { return };
    let check = |output, tests: &[&str]| check(sandbox, output, tests, Outcome::Correct);
    check("def f(g, x):\n    return [g(i) for i in x]", &["assert f(lambda i: i * 2, iter([1, 2])) == [2, 4]"]);
    check(
        "def f(g):\n    try:\n        return g()\n    except KeyError as e:\n        return e.args",
        &["def g():\n    raise KeyError('k', 1)\nassert f(g) == ('k', 1)"],
    );
    check(
        "def f(n):\n    for i in range(n):\n        yield i",
        &[
            "assert list(f(3)) == [0, 1, 2] and sum(f(4)) == 6",
            r#"
g = f(2)
assert next(g) == 0 and next(g) == 1
try:
    next(g)
    assert False
except StopIteration:
    pass
"#,
        ],
    );
    check(
        r#"
class Stack:
    size = 0
    def __init__(self):
        self.items = []
    def push(self, x):
        self.items.append(x)
        self.size += 1
    def __len__(self):
        return len(self.items)
    def __iter__(self):
        return iter(self.items)
    def __str__(self):
        return "stack"
"#,
        &[
            "s = Stack()\ns.push(1)\nassert len(s) == 1 and list(s) == [1] and s.size == 1 and str(s) == 'stack'",
            "s = Stack()\ns.push(2)\ns.push([3])\nassert list(s) == [2, [3]] and 2 in s and s.items == [2, [3]]",
        ],
    );
    check(
        r#"
class Pair:
    def __init__(self, a, b):
        self.a = a
        self.b = b
def f(pairs):
    return max(p.b - p.a for p in pairs)
"#,
        &["p = Pair(1, 3)\np.b = 9\nassert f([p, Pair(5, 24)]) == 19"],
    );
    check("root = {'left': None}\ndef f(tree):\n    return len(tree)", &["assert f(root) == 1"]);
    check("def f(x):\n    return x + 1", &["assert list(map(f, [1, 2])) == [2, 3] and max([1, 2], key=f) == 2"]);
}

#[test]
fn exceptions_arrive_as_tests_expect_them() {
    let Some(sandbox) = sandbox() else { return };
    let raises = |kind: &str| {
        format!("try:\n    f(0)\n    assert False\nexcept {kind} as error:\n    assert error.args == ('x',)")
    };
    check(sandbox, "def f(x):\n    raise ValueError('x')", &[&raises("ValueError")], Outcome::Correct);
    check(
        sandbox,
        "class Mine(LookupError):\n    pass\ndef f(x):\n    raise Mine('x')",
        &[&raises("LookupError")],
        Outcome::Correct,
    );
    check(sandbox, "def f(x):\n    raise TypeError('x')", &[&raises("ValueError")], Outcome::Wrong);
    check(sandbox, "def f(x):\n    1 / 0", &["assert f(1) is None"], Outcome::Wrong);
}

#[test]
fn names_are_those_of_the_tests() {
    let Some(sandbox) = sandbox() else { return };
    check(sandbox, "def sum(a, b):\n    return a * b", &["assert sum(2, 3) == 6"], Outcome::Correct);
    check(sandbox, "def other(a, b):\n    return a * b", &["assert sum([2], 3) == 5"], Outcome::Wrong);
    check(
        sandbox,
        "import math\ndef f(x):\n    return math.pi",
        &["assert math.isclose(f(1), math.pi)"],
        Outcome::Correct,
    );
    check(
        sandbox,
        "def max(x):\n    return 9\ndef f(x):\n    return x",
        &["assert max([f(1)]) == 1"],
        Outcome::Correct,
    );
    check(sandbox, "x = 1\ndef g():\n    return x", &["assert f() == 1"], Outcome::Wrong);

    let tests = texts(&["def check(candidate):\n    assert candidate(2) == 4\n    assert near(candidate(1), 1)\n"]);
    let imports = texts(&["import math", "def near(a, b):\n    return abs(a - b) < 1"]);
    let judge = |output: &str, entry_point| {
        let program = Program { output, tests: &tests, imports: &imports, entry_point };
        sandbox.judge(&program, &Limits::default()).unwrap().outcome
    };
    assert_eq!(judge("def square(x):\n    return int(math.pow(x, 2))", Some("square")), Outcome::Correct);
    assert_eq!(
        judge("def square(x):\n    return x + 1\ndef near(a, b):\n    return True", Some("square")),
        Outcome::Wrong
    );
    assert_eq!(judge("def cube(x):\n    return 4", Some("square")), Outcome::Wrong);
    assert_eq!(judge("def square(x):\n    return x * x", None), Outcome::Refused, "nothing calls the check");
}

#[test]
fn code_is_found_in_an_output() {
    let Some(sandbox) = sandbox() else { return };
    let found = |output: &str| sandbox.code_in(output, &Limits::default()).unwrap();
    let check = |output: &str, expected: Option<&str>| assert_eq!(found(output).as_deref(), expected, "{output}");
    let f = "def f(x):\n    return x\n";
    check(&format!("Sure!\n```python\n{f}```\nDone."), Some(f));
    check(&format!("```\n{f}```"), Some(f));
    check(&format!("~~~py\n{f}~~~~\n"), Some(f));
    check(&format!("```python\ndef g(): pass\n```\nBetter:\n```python\n{f}```"), Some(f));
    check(&format!("```python\n{f}```\nFor example:\n```python\nprint(f(1))\n```\ngives\n```\n1\n```"), Some(f));
    check(&format!("```python\n{f}```\n```json\n{{\"def f\": 1}}\n```"), Some(f));
    check("1. Do it:\n   ```python\n   def f(x):\n       return x\n   ```\n", Some(f));
    check(&format!("```python\n{f}"), Some(f));
    check(&format!("```python\n{f}\ndef g(x):\n    return (x +"), Some(f));
    check(&format!("Here it is:\n\n{f}\nI hope that this helps you!"), Some(f));
    check(f, Some(f));
    check(&f.replace('\n', "\r\n"), Some(f));
    check("f = lambda x: x", Some("f = lambda x: x\n"));
    check("```python\nprint(1)\n```", Some("print(1)\n"));
    for nothing in
        ["", "Yes", "I do not know.", "```\n42\n```", "```json\n{}\n```", "def f(x)", "```python\ndef f(:\n```"]
    {
        check(nothing, None);
    }
}

#[test]
fn bad_input_is_a_counted_outcome() {
    let Some(sandbox) = sandbox() else { return };
    let f = "def f(x):\n    return x\n";
    check(sandbox, "no code", &["assert f(1) == 1"], Outcome::Unparsable);
    check(sandbox, "", &["assert f(1) == 1"], Outcome::Unparsable);
    check(sandbox, f, &[], Outcome::Refused);
    check(sandbox, f, &["", "  \n"], Outcome::Refused);
    check(sandbox, f, &["assert f(1) =="], Outcome::Refused);
    check(sandbox, f, &["assert True"], Outcome::Refused);
    check(sandbox, f, &["class A:\n    pass\nassert f(A()) == 1"], Outcome::Refused);
    check(sandbox, &"x = 1\n".repeat(4 << 18), &["assert f(1) == 1"], Outcome::Refused);
    check(sandbox, "def f(x):\n    return '\0'", &["assert f(1) == 1"], Outcome::Unparsable);
    check(sandbox, &format!("```python\ny = {}1\n```", "(".repeat(50_000)), &["assert f(1) == 1"], Outcome::Unparsable);
    check(sandbox, &format!("```python\ny = {}1\n{f}```", "-".repeat(100_000)), &["assert f(1) == 2"], Outcome::Wrong);
    check(sandbox, &"def f(:\n".repeat(20_000), &["assert f(1) == 1"], Outcome::Unparsable);
    check(sandbox, &format!("{f}raise SystemExit"), &["assert f(1) == 1"], Outcome::Wrong);
}

#[test]
fn time_is_cpu_time_first() {
    let Some(sandbox) = sandbox() else { return };
    let judge = |output: &str, limits: &Limits| {
        let tests = texts(&["assert f(1) == 1"]);
        sandbox.judge(&Program { output, tests: &tests, imports: &[], entry_point: None }, limits).unwrap().outcome
    };
    let limits = Limits { cpu_ms: 1_000, wall_ms: 400, ..Limits::default() };
    assert_eq!(judge("def f(x):\n    while True: pass", &limits), Outcome::Timeout);
    assert_eq!(judge("import time\ndef f(x):\n    time.sleep(30)", &limits), Outcome::Timeout);
    // Programs that compete for the cores get their CPU time, although the clock runs out.
    let busy = "import time\ndef f(x):\n    while time.process_time() < 0.3: pass\n    return 1\n";
    let tests = texts(&["assert f(1) == 1"]);
    let program = Program { output: busy, tests: &tests, imports: &[], entry_point: None };
    let started = std::time::Instant::now();
    let verdicts: Vec<Verdict> = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let one = || sandbox.judge(&program, &limits).unwrap();
        let threads: Vec<_> = (0..cores * 3).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(started.elapsed().as_millis() as u64 > limits.wall_ms, "the machine was not loaded");
    assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::Correct), "{verdicts:?}");
}

#[test]
fn a_test_that_never_ends_is_a_timeout() {
    let Some(sandbox) = sandbox() else { return };
    let tests = texts(&["while f(1) == 1: pass"]);
    let program = Program { output: "def f(x):\n    return x", tests: &tests, imports: &[], entry_point: None };
    let limits = Limits { cpu_ms: 500, ..Limits::default() };
    assert_eq!(sandbox.judge(&program, &limits).unwrap().outcome, Outcome::Timeout);
}

#[test]
fn verdicts_are_in_the_order_of_the_programs() {
    let Some(sandbox) = sandbox() else { return };
    let tests = texts(&["assert f(1) == 1"]);
    let outputs: Vec<String> = (0..12).map(|n| format!("def f(x):\n    return {}", n % 3)).collect();
    let programs: Vec<Program<'_>> =
        outputs.iter().map(|output| Program { output, tests: &tests, imports: &[], entry_point: None }).collect();
    let outcomes = sandbox.judge_all(&programs, &Limits::default()).unwrap();
    let correct: Vec<bool> = outcomes.iter().map(|verdict| verdict.outcome == Outcome::Correct).collect();
    assert_eq!(correct, (0..12).map(|n| n % 3 == 1).collect::<Vec<_>>());
    assert!(sandbox.judge_all(&[], &Limits::default()).unwrap().is_empty());
}

#[test]
fn verdicts_are_the_same_every_time() {
    let Some(sandbox) = sandbox() else { return };
    let output = "def f(x):\n    return ' '.join(set(x))";
    let first = judged(sandbox, output, &["raise ValueError(f(['a', 'b', 'c', 'd', 'e']))"]);
    let second = judged(sandbox, output, &["raise ValueError(f(['a', 'b', 'c', 'd', 'e']))"]);
    assert_eq!(first, second, "the order of a set is the same in every process");
}

/// The first rows of MBPP, sanitized (Austin et al. 2021, CC-BY-4.0).
#[test]
fn reference_solutions_are_correct() {
    #[derive(serde::Deserialize)]
    struct Task {
        task_id: u32,
        code: String,
        test_imports: Vec<String>,
        test_list: Vec<String>,
    }
    let Some(sandbox) = sandbox() else { return };
    for line in include_str!("../data/mbpp-sanitized-40.jsonl").lines().filter(|line| line.starts_with('{')) {
        let task: Task = serde_json::from_str(line).unwrap();
        let program = Program { output: "", tests: &task.test_list, imports: &task.test_imports, entry_point: None };
        let verdict = sandbox.check_reference(&task.code, &program, &Limits::default()).unwrap();
        assert_eq!(verdict.outcome, Outcome::Correct, "{}: {}", task.task_id, verdict.detail);
        let name = name_hint(&task.test_list, &task.test_imports).unwrap();
        assert!(task.code.contains(&format!("def {name}")), "{}: {name}", task.task_id);
    }
    let wrong = texts(&["assert f(1) == 2"]);
    let program = Program { output: "", tests: &wrong, imports: &[], entry_point: None };
    let verdict =
        sandbox.check_reference("def f(x):\n    '''```'''\n    return x", &program, &Limits::default()).unwrap();
    assert_eq!(verdict.outcome, Outcome::Wrong, "a test that fails on its own reference is found");
}
