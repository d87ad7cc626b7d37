//! Finds the answer in a model's output.

/// The longest output, in bytes, that is an answer as a whole.
const MAX_WHOLE: usize = 80;

/// What may precede an answer in a sentence.
const INTRODUCTIONS: &[&str] = &["answer is", "answer:", "answer =", "answer was", "answer equals"];

/// Returns the answer that a model's output gives, without what stands around it.
///
/// It is the content of the last `\boxed{…}` or `\fbox{…}` whose braces are balanced (`\boxed 5` is
/// one too, and so is `\\boxed{5}`, which was escaped twice); else of the last complete
/// `<answer>…</answer>`, in any case of letters. A box that never closes is no answer, and an
/// output with only such a box was cut off: it has none. Without any box, it is what follows the
/// last "answer is" or "answer:" up to the end of the sentence, or the mathematics in it ("Answer:
/// The largest n is 34" ends with it); else the last `$…$`, `\(…\)` or `\[…\]`; else the whole
/// output if that is a single line of at most 80 bytes.
pub fn answer(output: &str) -> Option<&str> {
    let boxes = boxes(output);
    if boxes.last.is_some() {
        return boxes.last;
    }
    if let Some(tagged) = tagged(output) {
        return Some(tagged);
    }
    if boxes.is_cut {
        return None;
    }
    introduced(output).or_else(|| last_formula(output)).or_else(|| whole(output))
}

struct Boxes<'a> {
    /// The content of the last complete box with something in it.
    last: Option<&'a str>,
    /// Whether a box was left open.
    is_cut: bool,
}

/// Finds all boxes in one pass.
fn boxes(output: &str) -> Boxes<'_> {
    let bytes = output.as_bytes();
    // The open braces: where each stands, and whether it opens a box.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let (mut last, mut at): (Option<(usize, &str)>, usize) = (None, 0);
    let is_better = |last: Option<(usize, &str)>, start: usize, content: &str| {
        last.is_none_or(|(known, _)| start >= known) && !content.trim().is_empty()
    };
    while at < bytes.len() {
        match bytes[at] {
            // A line break before `boxed{` is a box that was escaped twice.
            b'\\' if output[at..].starts_with("\\\\boxed") => at += 1,
            b'\\' => {
                let name = ["\\boxed", "\\fbox"].into_iter().find(|name| output[at..].starts_with(name));
                let Some(name) = name.filter(|name| !next_is_letter(bytes, at + name.len())) else {
                    // A command, or a brace that is meant literally.
                    at += 2;
                    continue;
                };
                let blanks = bytes[at + name.len()..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                let start = at + name.len() + blanks;
                if bytes.get(start) == Some(&b'{') {
                    open.push((start + 1, true));
                    at = start + 1;
                    continue;
                }
                let length =
                    bytes[start..].iter().take_while(|byte| !byte.is_ascii_whitespace() && **byte != b'$').count();
                let content = output.get(start..start + length).unwrap_or("");
                if is_better(last, start, content) {
                    last = Some((start, content));
                }
                at = start + length;
            }
            b'{' => {
                open.push((at + 1, false));
                at += 1;
            }
            b'}' => {
                if let Some((start, true)) = open.pop() {
                    let content = &output[start..at];
                    if is_better(last, start, content) {
                        last = Some((start, content));
                    }
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    Boxes { last: last.map(|(_, content)| content.trim()), is_cut: open.iter().any(|(_, is_box)| *is_box) }
}

fn next_is_letter(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_alphabetic)
}

/// Returns the content of the last complete answer tag with something in it.
fn tagged(output: &str) -> Option<&str> {
    let lower = output.to_ascii_lowercase();
    let mut end = lower.len();
    while let Some(close) = lower[..end].rfind("</answer>") {
        let open = lower[..close].rfind("<answer>")?;
        let start = open + "<answer>".len();
        // Closing tags that stand side by side close one answer.
        let length = lower[start..].find("</answer>").unwrap_or(close - start);
        let content = output[start..start + length].trim();
        if !content.is_empty() {
            return Some(content);
        }
        end = open;
    }
    None
}

/// Returns what follows the last introduction of an answer, up to the end of its sentence.
fn introduced(output: &str) -> Option<&str> {
    let lower = output.to_ascii_lowercase();
    let (at, words) =
        INTRODUCTIONS.iter().filter_map(|words| Some((lower.rfind(words)?, words))).max_by_key(|(at, _)| *at)?;
    let rest = output[at + words.len()..].trim_start_matches([':', '*', ' ', '\n', '\t', '\r']);
    let line = stated(rest.lines().next()?.trim());
    let formulas = formulas(line);
    if let Some(formula) = formulas.first() {
        return Some(formula);
    }
    let end = line.find(". ").unwrap_or(line.len());
    let sentence = line[..end].trim().trim_end_matches(['.', '*']).trim();
    (!sentence.is_empty()).then_some(sentence)
}

/// Returns what a sentence states of its subject ("The largest n is 34."), if it has one; else the
/// whole line.
fn stated(line: &str) -> &str {
    let starts = ["The ", "There "].iter().any(|word| line.starts_with(word));
    let end = line.find(". ").unwrap_or(line.len());
    let verb =
        [" is ", " are ", " equals "].iter().filter_map(|verb| Some(line[..end].rfind(verb)? + verb.len())).max();
    verb.filter(|_| starts).map_or(line, |at| &line[at..])
}

/// Returns the last formula of an output.
fn last_formula(output: &str) -> Option<&str> {
    formulas(output).pop()
}

/// Returns all formulas between delimiters, in order.
fn formulas(text: &str) -> Vec<&str> {
    const DELIMITERS: [(&str, &str); 4] = [("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")];
    let (mut found, mut at) = (Vec::new(), 0);
    // The delimiters whose closing partner is known not to come any more.
    let mut gone = [false; DELIMITERS.len()];
    while let Some(start) = text[at..].find(['$', '\\']).map(|offset| at + offset) {
        let rest = &text[start..];
        let delimiter = DELIMITERS.iter().position(|(open, _)| rest.starts_with(open));
        let Some(kind) = delimiter.filter(|kind| !gone[*kind]) else {
            // An escaped dollar opens nothing.
            at = start + 1 + usize::from(rest.starts_with("\\$") || rest.starts_with("\\\\"));
            continue;
        };
        let (open, close) = DELIMITERS[kind];
        match rest[open.len()..].find(close) {
            Some(length) => {
                let content = rest[open.len()..open.len() + length].trim();
                if !content.is_empty() {
                    found.push(content);
                }
                at = start + open.len() + length + close.len();
            }
            None => {
                gone[kind] = true;
                at = start + open.len();
            }
        }
    }
    found
}

/// Returns the output itself if it is one short line with balanced braces.
fn whole(output: &str) -> Option<&str> {
    let text = output.trim();
    let is_balanced = text.matches('{').count() == text.matches('}').count();
    (!text.is_empty() && text.len() <= MAX_WHOLE && !text.contains('\n') && is_balanced).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, expected: Option<&str>) {
        assert_eq!(answer(output), expected, "{output}");
    }

    #[test]
    fn the_last_balanced_box_wins() {
        check("so \\boxed{4}, no: \\boxed{\\frac{1}{2}}.", Some("\\frac{1}{2}"));
        check("\\boxed{x = \\boxed{5}}", Some("5"));
        check("$\\boxed 5$ done", Some("5"));
        check("\\fbox{ 7 } and \\boxed{}", Some("7"));
        check("\\boxed{\\{1, 2\\}}", Some("\\{1, 2\\}"));
        check("{ stray \\boxed{3}", Some("3"));
        check("so \\\\boxed{\\\\frac{1}{2}}.", Some("\\\\frac{1}{2}"));
        check("x = 1 \\\\ \\boxed{3}", Some("3"));
        check("\\boxed{3} <answer>4</answer>", Some("3"));
    }

    #[test]
    fn an_open_box_is_no_answer() {
        check("the answer is $3$ so \\boxed{3", None);
        check("\\boxed{3} then \\boxed{4", Some("3"));
        check("\\boxed{4 <answer>5</answer>", Some("5"));
    }

    #[test]
    fn tags_and_sentences_come_after_boxes() {
        check("<ANSWER> B </Answer>", Some("B"));
        check("<answer>1</answer><answer></answer>", Some("1"));
        check("The answer is $\\frac12$ of it.", Some("\\frac12"));
        check("**Final answer:** 42.", Some("42"));
        check("The answer is 3. I am sure", Some("3"));
        check("Final Answer: The largest $n$ is 34.", Some("34"));
        check("Final Answer: The roots of $x^2 = 4$ are $\\pm 2$. It is right.", Some("\\pm 2"));
        check("Answer: 3, since 4 is even", Some("3, since 4 is even"));
        check("Answer: $3$, which is odd", Some("3"));
        check("We get $x = 1$, then \\(y = 2\\).", Some("y = 2"));
        check("It costs \\$5 and $x$ more", Some("x"));
        check("$$5$$", Some("5"));
        check("42", Some("42"));
        check("\\frac{1}{2}", Some("\\frac{1}{2}"));
        check("One line.\nAnother.", None);
        check("", None);
    }

    #[test]
    fn long_outputs_take_linear_time() {
        for piece in ["\\boxed{", "{", "}", "$", "\\(", "<answer>", "</answer>", "answer is ", "\\boxed{1}", "é\\"] {
            let output = piece.repeat((1 << 20) / piece.len());
            answer(&output);
        }
    }
}
