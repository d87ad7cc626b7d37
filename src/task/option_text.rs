//! Takes the text of an option for its letter.

use super::answer::tagged;
use super::compare::normalised;

/// The most options that have a letter.
const MOST: usize = 10;

/// Returns the letter of the one option whose text is the answer in `output`. Options may begin
/// with their letter (`A) 150 m`). If several have that text, none is meant.
pub fn letter_of_option(output: &str, options: &[String]) -> Option<char> {
    let answer = plain(tagged(output)?);
    let mut letters =
        ('A'..='J').zip(options.iter().take(MOST)).filter(|(letter, option)| plain(text(option, *letter)) == answer);
    match (letters.next(), letters.next()) {
        (Some((letter, _)), None) if !answer.is_empty() => Some(letter),
        _ => None,
    }
}

/// Returns the option without its letter.
fn text(option: &str, letter: char) -> &str {
    let trimmed = option.trim_start().trim_start_matches('(');
    let rest = trimmed.strip_prefix(letter);
    // One mark only: the text may be a number that begins with a point.
    match rest.and_then(|rest| rest.strip_prefix(".)").or_else(|| rest.strip_prefix([')', '.', ':']))) {
        Some(rest) => rest.trim(),
        None => option.trim(),
    }
}

fn plain(text: &str) -> String {
    normalised(text.trim_end_matches(['.', '!'])).trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_one_option_is_its_letter() {
        let options = ["A) 150 m", "(B) 200 m", "C: Blue whale", "Dog", "E) 200 m"].map(String::from);
        let of = |answer: &str| letter_of_option(&format!("<answer>{answer}</answer>"), &options);
        assert_eq!(of("150  M."), Some('A'));
        assert_eq!(of("blue whale"), Some('C'));
        assert_eq!(of("dog"), Some('D'));
        assert_eq!(
            [of("200 m"), of("whale"), of("")],
            [None; 3],
            "two options have one of these texts, none the others"
        );
        assert_eq!(letter_of_option("150 m", &options), None);
        let binary = ["A).1010", "B).1011", "C.) 1011"].map(String::from);
        assert_eq!(letter_of_option("<answer>.1011</answer>", &binary), Some('B'));
        assert_eq!(letter_of_option("<answer>1011</answer>", &binary), Some('C'));
        assert_eq!(letter_of_option("<answer>150 m</answer>", &[]), None);
    }
}
