//! The name of the function that tests call, found without running anything. The prompt names it to
//! the model, and the judge looks for it in the program: one rule for both.

use std::collections::BTreeSet;

/// Words that look like a function before a parenthesis.
const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "await", "async", "case", "class", "def", "del", "elif", "else", "except", "exec", "for",
    "from", "global", "if", "import", "in", "is", "lambda", "match", "nonlocal", "not", "or", "raise", "return",
    "while", "with", "yield",
];

const BUILTINS: &[&str] = &[
    "abs",
    "aiter",
    "all",
    "anext",
    "any",
    "ascii",
    "bin",
    "bool",
    "breakpoint",
    "bytearray",
    "bytes",
    "callable",
    "chr",
    "classmethod",
    "compile",
    "complex",
    "delattr",
    "dict",
    "dir",
    "divmod",
    "enumerate",
    "eval",
    "exec",
    "filter",
    "float",
    "format",
    "frozenset",
    "getattr",
    "globals",
    "hasattr",
    "hash",
    "help",
    "hex",
    "id",
    "input",
    "int",
    "isinstance",
    "issubclass",
    "iter",
    "len",
    "list",
    "locals",
    "map",
    "max",
    "memoryview",
    "min",
    "next",
    "object",
    "oct",
    "open",
    "ord",
    "pow",
    "print",
    "property",
    "range",
    "repr",
    "reversed",
    "round",
    "set",
    "setattr",
    "slice",
    "sorted",
    "staticmethod",
    "str",
    "sum",
    "super",
    "tuple",
    "type",
    "vars",
    "zip",
    "__import__",
    "AssertionError",
    "Exception",
    "KeyError",
    "IndexError",
    "TypeError",
    "ValueError",
    "ZeroDivisionError",
];

/// Returns the name of the function under test: the first name that the tests call and that neither
/// Python, the imports nor the tests themselves define, one that every test calls before others. If
/// all names are Python's own (a task may ask for a function `sum`), it is the innermost call's.
pub fn name_hint(tests: &[String], imports: &[String]) -> Option<String> {
    let scanned: Vec<Scan<'_>> = tests.iter().map(|test| scan(test)).collect();
    let imported: Vec<Scan<'_>> = imports.iter().map(|source| scan(source)).collect();
    let defined: BTreeSet<&str> = scanned.iter().chain(&imported).flat_map(|scan| &scan.defined).copied().collect();
    let is_own = |name: &str| !BUILTINS.contains(&name) && !defined.contains(name) && name != "candidate";
    let called: Vec<Vec<&str>> = scanned.iter().map(|scan| scan.calls.iter().map(|call| call.name).collect()).collect();
    let everywhere = |name: &&str| called.iter().all(|names| names.contains(name));

    let own = || called.iter().flatten().copied().filter(|name| is_own(name));
    if let Some(name) = own().find(everywhere).or_else(|| own().next()) {
        return Some(name.to_string());
    }
    let distinct: BTreeSet<&str> = called.iter().flatten().copied().filter(|name| BUILTINS.contains(name)).collect();
    if let [only] = Vec::from_iter(&distinct)[..] {
        return Some(only.to_string());
    }
    let innermost = scanned.first()?.calls.iter().filter(|call| !call.holds_calls && BUILTINS.contains(&call.name));
    innermost.map(|call| call.name).find(everywhere).map(str::to_string)
}

/// A call of a plain name.
struct Call<'a> {
    name: &'a str,
    /// Whether an argument calls a plain name too.
    holds_calls: bool,
}

/// What a piece of Python calls and defines, as far as its words tell.
#[derive(Default)]
struct Scan<'a> {
    calls: Vec<Call<'a>>,
    defined: Vec<&'a str>,
}

fn scan(source: &str) -> Scan<'_> {
    let mut found = Scan::default();
    // The open brackets; those of a call hold its position in `calls`.
    let mut open: Vec<Option<usize>> = Vec::new();
    let (mut previous, mut importing) = ("", false);
    for token in Tokens(source) {
        let is_name = token.starts_with(|c: char| c.is_alphabetic() || c == '_');
        match token {
            "import" => importing = true,
            "\n" | ";" => importing = false,
            "(" | "[" | "{" => {
                let is_call =
                    token == "(" && found.calls.last().is_some_and(|call| call.name.as_ptr() == previous.as_ptr());
                open.push(is_call.then(|| found.calls.len() - 1));
            }
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
        if is_name && importing || matches!(previous, "def" | "class") {
            found.defined.push(token);
        } else if is_name && previous != "." && !KEYWORDS.contains(&token) && follows_with_call(source, token) {
            open.iter().flatten().for_each(|at| found.calls[*at].holds_calls = true);
            found.calls.push(Call { name: token, holds_calls: false });
        }
        previous = token;
    }
    found
}

/// Says whether a parenthesis follows a token of the source.
fn follows_with_call(source: &str, token: &str) -> bool {
    let end = token.as_ptr() as usize - source.as_ptr() as usize + token.len();
    source[end..].trim_start_matches([' ', '\t']).starts_with('(')
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
    }

    #[test]
    fn what_tests_define_is_not_the_name() {
        check(&["def check(candidate):\n    assert candidate(1) == 2\n"], &[], None);
        check(&["def near(a, b):\n    return abs(a - b) < 1\nassert near(root(4), 2)"], &[], Some("root"));
        check(&[], &[], None);
        check(&["", "'unclosed", "))((", "é(1)"], &[], Some("é"));
    }
}
