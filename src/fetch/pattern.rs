//! Patterns of file names: `*` stands for any characters, `/` included, and `?` for one.

/// Returns whether a name fits a pattern. It takes at most as many steps as the product of both
/// lengths.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut read) = (0, 0);
    // Where the last `*` is, and how much of the name it stands for.
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&c) if c == '?' || c == name[read] => (at, read) = (at + 1, read + 1),
            _ => match &mut star {
                Some((place, end)) => {
                    *end += 1;
                    (at, read) = (*place + 1, *end);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        for (pattern, name) in [
            ("*", ""),
            ("*.gguf", "a/b.gguf"),
            ("*Q4_K_M*.gguf", "Qwen3-8B-Q4_K_M-00001-of-00002.gguf"),
            ("config.json", "config.json"),
            ("model-?.bin", "model-1.bin"),
            ("a*b*c", "aXbXbc"),
            ("***", "x"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "a"), ("*.gguf", "a.gguf2"), ("a", "ab"), ("?", ""), ("a*b", "ac"), ("A", "a")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(500), &"a".repeat(400)), "and it ends soon");
    }
}
