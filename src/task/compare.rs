//! The forms in which texts are compared: as a reader sees them, whatever code points they are
//! written with.

use crate::prompt::canonical;

/// Returns the [`canonical`] `text` with every run of white space as one blank.
pub(super) fn spaced(text: &str) -> String {
    canonical(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns `text` in canonical form and lower case, with every run of white space as one blank. Two
/// data sets share a text, and two labels are the same, if the results are equal.
pub fn normalised(text: &str) -> String {
    spaced(text).chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    #[test]
    fn texts_are_equal_in_spite_of_case_and_white_space() {
        assert_eq!(normalised("  How\tMANY \n Äpfel? "), "how many äpfel?");
        assert_eq!(normalised(" \n"), "");
    }

    #[test]
    fn normal_forms_and_characters_without_width_make_no_difference() {
        for (one, other) in [
            ("re\u{301}sume\u{301}", "r\u{e9}sum\u{e9}"),
            ("\u{feff}42\u{200b}", "42"),
            ("e\u{200d}\u{301}", "\u{e9}"),
            ("co\u{ad}operate", "cooperate"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("\u{200f}\u{5d0}", "\u{5d0}"),
            ("\u{2764}\u{fe0f}", "\u{2764}"),
        ] {
            assert_eq!(canonical(one), canonical(other));
        }
        // What a reader tells apart stays apart.
        for (one, other) in [("42", "43"), ("e", "\u{e9}"), ("x2", "x\u{b2}"), ("\u{ff21}", "A")] {
            assert_ne!(canonical(one), canonical(other));
        }
    }

    proptest! {
        #[test]
        fn the_form_is_settled_at_once(text in "\\PC{0,24}") {
            let once = normalised(&text);
            prop_assert_eq!(&spaced(&canonical(&text)), &spaced(&text));
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(normalised(&decomposed), once);
        }
    }
}
