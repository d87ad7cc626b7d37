//! What is said between the supervisor and the judge: one request as a value of the pipe's format
//! (`python/values.py`), and short reports, each an outcome's name, a line break and a detail.

use crate::program::{Outcome, Program, Verdict};

/// The longest report that is read, in bytes. Extracted code comes as one.
pub(crate) const MAX_REPORT: usize = 1 << 20;

/// Returns the request to judge a program. `subject` is the name of the function under test.
pub(crate) fn judge(program: &Program<'_>, subject: Option<&str>) -> Vec<u8> {
    let mut out = b"t5:".to_vec();
    text(&mut out, program.output);
    texts(&mut out, program.tests);
    texts(&mut out, program.imports);
    for name in [program.entry_point, subject] {
        match name {
            Some(name) => text(&mut out, name),
            None => out.push(b'N'),
        }
    }
    framed(out)
}

/// Returns the request to find the code in an output.
pub(crate) fn extract(output: &str) -> Vec<u8> {
    let mut out = b"t1:".to_vec();
    text(&mut out, output);
    framed(out)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(format!("s{}:", text.len()).into_bytes());
    out.extend(text.as_bytes());
}

fn texts(out: &mut Vec<u8>, texts: &[String]) {
    out.extend(format!("t{}:", texts.len()).into_bytes());
    texts.iter().for_each(|one| text(out, one));
}

fn framed(message: Vec<u8>) -> Vec<u8> {
    [format!("{:08x}", message.len()).into_bytes(), message].concat()
}

/// A report of the judge's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Report {
    /// The output holds code; what follows depends on the tests.
    Parsed,
    /// The code in an output, if there is any.
    Code(Option<String>),
    /// The verdict.
    Verdict(Verdict),
    /// Bytes that are no report.
    Unreadable,
}

/// Takes the first report from what was received; `None` if it is not complete.
pub(crate) fn take(received: &mut Vec<u8>) -> Option<Report> {
    let header = received.get(..8)?;
    let size = std::str::from_utf8(header).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let Some(size) = size.filter(|size| *size <= MAX_REPORT) else { return Some(Report::Unreadable) };
    let message = received.get(8..8 + size)?.to_vec();
    received.drain(..8 + size);
    let message = String::from_utf8_lossy(&message);
    let (kind, detail) = message.split_once('\n').unwrap_or((&message, ""));
    let verdict = |outcome| Report::Verdict(Verdict::new(outcome, printable(detail)));
    Some(match kind {
        "parsed" => Report::Parsed,
        "code" => Report::Code(Some(detail.to_string())),
        "none" => Report::Code(None),
        "correct" => verdict(Outcome::Correct),
        "wrong" => verdict(Outcome::Wrong),
        "unparsable" => verdict(Outcome::Unparsable),
        "refused" => verdict(Outcome::Refused),
        _ => Report::Unreadable,
    })
}

/// Returns a detail on one line, without control characters: a program may have chosen it.
fn printable(detail: &str) -> String {
    detail.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_value_of_the_pipe() {
        let (tests, imports) = (["a".to_string(), "é".to_string()], []);
        let program = Program { output: "x", tests: &tests, imports: &imports, entry_point: Some("f") };
        let bytes = judge(&program, None);
        assert_eq!(String::from_utf8(bytes).unwrap(), "0000001bt5:s1:xt2:s1:as2:ét0:s1:fN");
    }

    #[test]
    fn reports_are_taken_one_at_a_time() {
        let mut received = b"00000007parsed\n0000000awrong\na\x1bb".to_vec();
        assert_eq!(take(&mut received), Some(Report::Parsed));
        assert_eq!(take(&mut received), None, "one byte is missing");
        received.push(b'c');
        assert_eq!(take(&mut received), Some(Report::Verdict(Verdict::new(Outcome::Wrong, "a bc"))));
        assert_eq!(take(&mut b"zzzzzzzz".to_vec()), Some(Report::Unreadable));
        assert_eq!(take(&mut b"ffffffff".to_vec()), Some(Report::Unreadable), "more than is read");
        assert_eq!(take(&mut b"00000004okay".to_vec()), Some(Report::Unreadable));
    }
}
