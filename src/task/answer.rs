//! Finds the answer in a model's output.

use crate::prompt::last_tagged;

/// Returns the last `<answer>…</answer>`, trimmed; `None` if there is no complete one, or if it is
/// empty.
pub(super) fn tagged(output: &str) -> Option<&str> {
    last_tagged(output, "answer").filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_tag_counts() {
        assert_eq!(tagged("I think <answer> B </answer>."), Some("B"));
        assert_eq!(tagged("I think <ANSWER> B </Answer>."), Some("B"));
        assert_eq!(tagged("<answer></answer>"), None);
        assert_eq!(tagged("<answer>B"), None);
    }
}
