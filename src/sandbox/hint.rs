//! The name of the function that tests call, found without running anything. The prompt names it to
//! the model, and the judge looks for it in the program: one rule for both.

use std::collections::BTreeSet;

/// Words that are no names.
const KEYWORDS: &str = "False None True and as assert async await break case class continue def del elif else except \
    finally for from global if import in is lambda match nonlocal not or pass raise return try while with yield";

/// The names that Python defines.
const BUILTINS: &str = "\
    ArithmeticError AssertionError AttributeError BaseException BaseExceptionGroup BlockingIOError \
    BrokenPipeError BufferError BytesWarning ChildProcessError ConnectionAbortedError \
    ConnectionError ConnectionRefusedError ConnectionResetError DeprecationWarning EOFError Ellipsis \
    EncodingWarning EnvironmentError Exception ExceptionGroup FileExistsError FileNotFoundError \
    FloatingPointError FutureWarning GeneratorExit IOError ImportError ImportWarning \
    IndentationError IndexError InterruptedError IsADirectoryError KeyError KeyboardInterrupt \
    LookupError MemoryError ModuleNotFoundError NameError NotADirectoryError NotImplemented \
    NotImplementedError OSError OverflowError PendingDeprecationWarning PermissionError \
    ProcessLookupError PythonFinalizationError RecursionError ReferenceError ResourceWarning \
    RuntimeError RuntimeWarning StopAsyncIteration StopIteration SyntaxError SyntaxWarning \
    SystemError SystemExit TabError TimeoutError TypeError UnboundLocalError UnicodeDecodeError \
    UnicodeEncodeError UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError \
    Warning ZeroDivisionError __import__ abs aiter all anext any ascii bin bool breakpoint bytearray \
    bytes callable chr classmethod compile complex delattr dict dir divmod enumerate eval exec \
    filter float format frozenset getattr globals hasattr hash help hex id input int isinstance \
    issubclass iter len list locals map max memoryview min next object oct open ord pow print \
    property range repr reversed round set setattr slice sorted staticmethod str sum super tuple \
    type vars zip";

/// Returns the name of the function under test: the first name that the tests call and that neither
/// Python, the imports nor the tests themselves define, one that every test calls before others. If
/// they call none, it is the first such name that they use (`map(double, numbers)`); if there is
/// none either (a task may ask for a function `sum`), the innermost call's.
pub fn name_hint(tests: &[String], imports: &[String]) -> Option<String> {
    let scanned: Vec<Scan<'_>> = tests.iter().map(|test| scan(test)).collect();
    let imported: Vec<Scan<'_>> = imports.iter().map(|source| scan(source)).collect();
    let defined: BTreeSet<&str> = scanned.iter().chain(&imported).flat_map(|scan| &scan.defined).copied().collect();
    let is_own = |name: &str| !is_one_of(BUILTINS, name) && !defined.contains(name) && name != "candidate";
    let called: Vec<Vec<&str>> = scanned.iter().map(|scan| scan.calls.iter().map(|call| call.name).collect()).collect();
    let used: Vec<Vec<&str>> = scanned.into_iter().map(|scan| scan.used).collect();
    for names in [&called, &used] {
        let own = || names.iter().flatten().copied().filter(|name| is_own(name));
        if let Some(name) = own().find(|name| everywhere(names, name)).or_else(|| own().next()) {
            return Some(name.to_string());
        }
    }
    let calls = tests.first().map(|test| scan(test).calls)?;
    if called.iter().flatten().any(|name| *name == "candidate") {
        return None;
    }
    let builtins: BTreeSet<&str> = called.iter().flatten().copied().filter(|name| is_one_of(BUILTINS, name)).collect();
    let innermost = calls.iter().filter(|call| !call.holds_calls).map(|call| call.name);
    innermost.filter(|name| builtins.contains(name)).find(|name| everywhere(&called, name)).map(str::to_string)
}

fn is_one_of(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|one| one == word)
}

/// Says whether every test has a name.
fn everywhere(names: &[Vec<&str>], name: &str) -> bool {
    names.iter().all(|names| names.contains(&name))
}

/// A call of a plain name.
struct Call<'a> {
    name: &'a str,
    /// Whether an argument calls a plain name too.
    holds_calls: bool,
}

/// What a piece of Python calls, uses and defines, as far as its words tell.
#[derive(Default)]
struct Scan<'a> {
    calls: Vec<Call<'a>>,
    used: Vec<&'a str>,
    defined: Vec<&'a str>,
}

fn scan(source: &str) -> Scan<'_> {
    let mut found = Scan::default();
    // The open brackets; those of a call hold its position in `calls`.
    let mut open: Vec<Option<usize>> = Vec::new();
    // What ends the names that are being defined: those of an import, a loop or a lambda.
    let mut defining: Option<&str> = None;
    let mut previous = "";
    for token in Tokens(source) {
        let is_word = token.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if defining == Some(token) || token == "\n" || token == ";" {
            defining = None;
        }
        match token {
            "import" => defining = Some("\n"),
            "for" => defining = Some("in"),
            "lambda" => defining = Some(":"),
            "(" | "[" | "{" => {
                let last = found.calls.last().filter(|call| token == "(" && call.name.as_ptr() == previous.as_ptr());
                open.push(last.is_some().then(|| found.calls.len() - 1));
            }
            ")" | "]" | "}" => drop(open.pop()),
            name if !is_word || is_one_of(KEYWORDS, name) || previous == "." && defining.is_none() => {}
            name => {
                let rest = after(source, name);
                let assigned = open.is_empty() && rest.starts_with('=') && !rest.starts_with("==");
                if defining.is_some() || assigned || matches!(previous, "def" | "class" | "as") {
                    found.defined.push(name);
                } else if rest.starts_with('(') {
                    open.iter().flatten().for_each(|at| found.calls[*at].holds_calls = true);
                    found.calls.push(Call { name, holds_calls: false });
                } else if !rest.starts_with('=') || rest.starts_with("==") {
                    found.used.push(name);
                }
            }
        }
        previous = token;
    }
    found
}

/// Returns what follows a token of the source, without spaces.
fn after<'a>(source: &'a str, token: &str) -> &'a str {
    let end = token.as_ptr() as usize - source.as_ptr() as usize + token.len();
    source[end..].trim_start_matches([' ', '\t'])
}

/// The words, signs and line ends of Python source, without strings and comments.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.0 = self.0.trim_start_matches([' ', '\t', '\r', '\\']);
            let first = self.0.chars().next()?;
            if first == '#' {
                self.0 = &self.0[self.0.find('\n').unwrap_or(self.0.len())..];
            } else if first == '"' || first == '\'' {
                self.0 = after_string(self.0, first);
            } else {
                let is_word = |c: char| c.is_alphanumeric() || c == '_';
                let size = if is_word(first) {
                    self.0.find(|c: char| !is_word(c)).unwrap_or(self.0.len())
                } else {
                    first.len_utf8()
                };
                let (token, rest) = self.0.split_at(size);
                self.0 = rest;
                // The letters right before a quote belong to the string.
                if !(is_word(first) && size <= 2 && rest.starts_with(['"', '\''])) {
                    return Some(token);
                }
            }
        }
    }
}

/// Returns what follows the string that `text` starts with.
fn after_string(text: &str, quote: char) -> &str {
    let triple: String = [quote; 3].iter().collect();
    let end = if text.starts_with(&triple) { triple } else { quote.to_string() };
    let mut rest = &text[end.len()..];
    loop {
        if let Some(after) = rest.strip_prefix(&end) {
            return after;
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => return "",
            Some('\\') => drop(chars.next()),
            Some(_) => {}
        }
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tests: &[&str], imports: &[&str], expected: Option<&str>) {
        let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        assert_eq!(name_hint(&owned(tests), &owned(imports)).as_deref(), expected, "{tests:?}");
    }

    #[test]
    fn the_function_under_test_is_named() {
        check(&["assert add(1, 2) == 3"], &[], Some("add"));
        check(&["assert set(similar((1, 2), (2, 3))) == set((2,))"], &[], Some("similar"));
        check(&["assert math.isclose(volume(10), 4.18, rel_tol=0.001)"], &["import math"], Some("volume"));
        check(&["assert isclose(volume(10), 4.18)"], &["from math import isclose"], Some("volume"));
        check(&["assert not is_prime (4)", "assert is_prime(5)"], &[], Some("is_prime"));
        check(&["assert chain([Pair(5, 24)], 1) == 3", "assert chain([], 0) == 0"], &[], Some("chain"));
        check(&["assert total(parse('f(x)')) == 1", "assert parse(\"g(1)\") == 2 # h(2)"], &[], Some("parse"));
    }

    #[test]
    fn a_builtin_is_the_name_only_if_nothing_else_is_called() {
        check(&["assert sum(10, 15) == 6", "assert sum(4, 6) == 3"], &[], Some("sum"));
        check(&["assert len(sorted([1])) == 1"], &[], Some("sorted"));
        check(&["assert sum(f(1)) == 6"], &[], Some("f"));
        check(&["assert list(map(f, [1])) == [2]", "assert max(1, 2, key=f) == 2"], &[], Some("f"));
        check(&["assert sum([x for x in range(3)], 1) == 6"], &[], Some("range"));
    }

    #[test]
    fn what_tests_define_is_not_the_name() {
        check(&["def check(candidate):\n    assert candidate(1) == 2\n"], &[], None);
        check(&["def near(a, b):\n    return abs(a - b) < 1\nassert near(root(4), 2)"], &[], Some("root"));
        check(&[], &[], None);
        check(&["items = [2, 1]\norder(items)\nassert items == [1, 2]"], &[], Some("order"));
        check(&["def check(candidate):\n    for n in range(3):\n        assert candidate(n) == n"], &[], None);
        check(&["", "'unclosed", "))((", "é(1)"], &[], Some("é"));
    }
}
