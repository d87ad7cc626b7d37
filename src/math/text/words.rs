//! Words of ordinary language: which runs of letters are words, units and what they are short for,
//! and words that change a number's size.

/// The functions, constants and connectives that are written in plain letters, with the command for
/// each.
const PLAIN_NAMES: &[(&str, &str)] = &[
    ("sin", "sin"),
    ("cos", "cos"),
    ("tan", "tan"),
    ("cot", "cot"),
    ("sec", "sec"),
    ("csc", "csc"),
    ("arcsin", "arcsin"),
    ("arccos", "arccos"),
    ("arctan", "arctan"),
    ("asin", "arcsin"),
    ("acos", "arccos"),
    ("atan", "arctan"),
    ("sinh", "sinh"),
    ("cosh", "cosh"),
    ("tanh", "tanh"),
    ("ln", "ln"),
    ("log", "log"),
    ("lg", "lg"),
    ("exp", "exp"),
    ("sqrt", "sqrt"),
    ("cbrt", "cbrt"),
    ("abs", "abs"),
    ("floor", "floor"),
    ("ceil", "ceil"),
    ("cis", "cis"),
    ("pi", "pi"),
    ("Pi", "pi"),
    ("infinity", "infty"),
    ("Infinity", "infty"),
    ("infty", "infty"),
    ("inf", "infty"),
    ("alpha", "alpha"),
    ("beta", "beta"),
    ("gamma", "gamma"),
    ("theta", "theta"),
    ("lambda", "lambda"),
    ("phi", "phi"),
    ("omega", "omega"),
    ("or", "or"),
    ("and", "and"),
    ("union", "cup"),
];

/// Units in the singular, each with its other names.
const UNITS: &[(&str, &[&str])] = &[
    ("meter", &["m", "metre"]),
    ("centimeter", &["cm", "centimetre"]),
    ("millimeter", &["mm", "millimetre"]),
    ("kilometer", &["km", "kilometre"]),
    ("inch", &["in", "inche"]),
    ("foot", &["ft", "feet"]),
    ("yard", &["yd"]),
    ("mile", &["mi"]),
    ("second", &["s", "sec"]),
    ("minute", &["min"]),
    ("hour", &["h", "hr"]),
    ("gram", &["g"]),
    ("kilogram", &["kg"]),
    ("milligram", &["mg"]),
    ("pound", &["lb"]),
    ("ounce", &["oz"]),
    ("liter", &["l", "litre"]),
    ("milliliter", &["ml", "millilitre"]),
    ("mileperhour", &["mph", "mile/hour", "mi/h"]),
    ("kilometer/hour", &["kph", "kmh"]),
    ("degree", &["deg"]),
    ("radian", &["rad"]),
    ("hertz", &["hz"]),
    ("newton", &[]),
    ("joule", &[]),
    ("watt", &[]),
    ("volt", &[]),
    ("dollar", &["usd"]),
    ("cent", &[]),
    ("day", &[]),
    ("week", &["wk"]),
    ("month", &[]),
    ("year", &["yr"]),
    ("am", &[]),
    ("pm", &[]),
    ("percent", &["pct", "percentage"]),
    ("unit", &[]),
];

/// Runs of two letters that are words when nothing else is there.
const SHORT_WORDS: &[&str] = &["no", "on", "up", "is", "it", "we", "he", "my", "if", "so"];

/// Words after or before which a number does not mean itself.
const NEGATING: &[&str] = &[
    "not", "no", "never", "less", "more", "least", "most", "than", "except", "over", "under", "above", "below",
    "between", "if", "unless", "when", "where", "base", "mod", "modulo",
];

/// What a run of ASCII letters stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// A function, constant or connective.
    Name(&'static str),
    /// A function's name and a single letter, its argument.
    NameAndLetter(&'static str, char),
    /// Ordinary language.
    Word,
    /// Variables side by side.
    Letters,
}

/// What stands before a run of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing, and nothing comes after it: the run is the whole answer.
    Alone,
    Number,
    Word,
    Other,
}

/// Returns what a run of letters stands for.
pub(super) fn run(letters: &str, before: Before) -> Run {
    let plain = |text: &str| PLAIN_NAMES.iter().find(|(name, _)| *name == text).map(|(_, command)| *command);
    if let Some(command) = plain(letters) {
        return Run::Name(command);
    }
    if letters.len() == 1 {
        return Run::Letters;
    }
    if before == Before::Word {
        return Run::Word;
    }
    if before == Before::Number && is_unit(letters) && letters != "mi" && letters != "in" {
        return Run::Word;
    }
    if letters.len() == 2 {
        let is_word = before == Before::Alone && SHORT_WORDS.contains(&letters.to_ascii_lowercase().as_str());
        return if is_word { Run::Word } else { Run::Letters };
    }
    let (head, last) = letters.split_at(letters.len() - 1);
    if let Some(command) = plain(head).filter(|_| matches!(head, "sin" | "cos" | "tan" | "cot" | "ln" | "log")) {
        return Run::NameAndLetter(command, last.chars().next().unwrap_or('x'));
    }
    let is_sorted = letters.as_bytes().windows(2).all(|pair| pair[0] < pair[1]);
    let of = |set: &str| letters.chars().all(|c| set.contains(c.to_ascii_lowercase()));
    let has_vowel = letters.chars().any(|c| "aeiouAEIOU".contains(c));
    let is_upper = letters.chars().all(|c| c.is_ascii_uppercase());
    if !has_vowel || of("abcxyz") || of("abcdef") && is_sorted || is_upper && letters.len() <= 4 {
        Run::Letters
    } else {
        Run::Word
    }
}

/// Returns whether a word, in the singular or plural, is a known unit.
fn is_unit(word: &str) -> bool {
    canonical_unit(&word.to_lowercase()).is_some()
}

fn canonical_unit(word: &str) -> Option<&'static str> {
    let find = |word: &str| UNITS.iter().find(|(unit, names)| *unit == word || names.contains(&word));
    let singular = word.strip_suffix('s').filter(|stem| stem.len() > 1);
    find(word).or_else(|| singular.and_then(find)).map(|(unit, _)| *unit)
}

/// Returns the one way to write a phrase: its words in lower case, without punctuation.
pub(crate) fn normal_phrase(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_alphanumeric() || c == '\'' { c } else { ' ' }).collect();
    spaced.to_lowercase().replace('\'', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the one way to write a unit, with `^` and `/` in it; empty for a unit that says nothing
/// ("units", "percent").
pub(crate) fn unit_of(text: &str) -> String {
    let mut parts = Vec::new();
    let lower = text.to_lowercase().replace(" per ", "/");
    for part in lower.split_inclusive(['/', '^', '*']) {
        let (words, joint) = match part.strip_suffix(['/', '^', '*']) {
            Some(words) => (words, &part[words.len()..]),
            None => (part, ""),
        };
        let phrase = normal_phrase(words);
        let (mut power, mut names) = ("", Vec::new());
        for word in phrase.split(' ').filter(|word| !word.is_empty()) {
            match word {
                "square" | "sq" | "squared" => power = "^2",
                "cubic" | "cu" | "cubed" => power = "^3",
                "of" | "the" | "a" => {}
                _ => names.push(canonical_unit(word).unwrap_or(word.strip_suffix('s').unwrap_or(word)).to_string()),
            }
        }
        parts.push(format!("{}{power}{joint}", names.join(" ")));
    }
    let unit: String = parts.concat();
    match unit.trim_end_matches("^2").trim_end_matches("^3") {
        // A percent sign says nothing either.
        "unit" | "percent" | "" => String::new(),
        _ => UNITS.iter().find(|(_, names)| names.contains(&unit.as_str())).map_or(unit, |(name, _)| name.to_string()),
    }
}

/// Returns the factor that a word stands for, as in "5 million".
pub(crate) fn scale_of(phrase: &str) -> Option<(u64, &str)> {
    let (first, rest) = phrase.split_once(' ').unwrap_or((phrase, ""));
    let factor = match first {
        "hundred" => 100,
        "thousand" => 1000,
        "million" => 1_000_000,
        "billion" => 1_000_000_000,
        "trillion" => 1_000_000_000_000,
        "dozen" => 12,
        _ => return None,
    };
    Some((factor, rest))
}

/// Returns whether a phrase beside a number makes it another statement.
pub(crate) fn is_negating(phrase: &str) -> bool {
    phrase.split(' ').any(|word| NEGATING.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_products() {
        for (letters, expected) in [
            ("xy", Run::Letters),
            ("abc", Run::Letters),
            ("pqr", Run::Letters),
            ("ABC", Run::Letters),
            ("Evelyn", Run::Word),
            ("east", Run::Word),
            ("odd", Run::Word),
            ("no", Run::Word),
            ("sin", Run::Name("sin")),
            ("sinx", Run::NameAndLetter("sin", 'x')),
        ] {
            assert_eq!(run(letters, Before::Alone), expected, "{letters}");
        }
        assert_eq!(run("cm", Before::Number), Run::Word);
        assert_eq!(run("xy", Before::Number), Run::Letters);
    }

    #[test]
    fn units_have_one_spelling() {
        for (one, other) in [
            ("cm", "centimeters"),
            ("square feet", "ft^2"),
            ("m/s", "meters per second"),
            ("mph", "miles/hour"),
            ("units", "square units"),
            ("apples", "apple"),
        ] {
            assert_eq!(unit_of(one), unit_of(other));
        }
        assert_ne!(unit_of("cm"), unit_of("m"));
        assert_ne!(unit_of("m"), unit_of("m^2"));
    }
}
