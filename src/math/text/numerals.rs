//! Numerals: decimals with thousands separators, repeating decimals, scientific notation, and
//! numerals with a base as a subscript.

use super::Token;
use super::lexer::Commas;
use num_bigint::BigInt;
use num_rational::BigRational;

/// What separates groups of three digits.
const SEPARATORS: &[&str] = &["{,}\\!", ",\\! ", ",\\!", "{,}", "\\,", "\\;", "\\:", "\\ ", "\\!", "~", ",", " "];

/// The largest exponent of a number in scientific notation.
const MAX_EXPONENT: i32 = 4000;

/// A numeral: its token, how many characters it takes, and whether its commas can separate a list
/// as well.
pub(super) struct Numeral {
    pub(super) token: Token,
    pub(super) length: usize,
    pub(super) is_ambiguous: bool,
}

/// Returns the numeral at the start of the characters, if there is one.
pub(super) fn numeral(chars: &[char], commas: Commas) -> Option<Numeral> {
    based(chars).or_else(|| decimal(chars, commas))
}

fn digits(chars: &[char]) -> usize {
    chars.iter().take_while(|c| c.is_ascii_digit()).count()
}

fn text(chars: &[char]) -> String {
    chars.iter().collect()
}

fn starts_with(chars: &[char], text: &str) -> bool {
    let mut chars = chars.iter();
    text.chars().all(|c| chars.next() == Some(&c))
}

/// Reads a numeral such as `42_7`, `2516_{8}`, `1A_{16}`, `0.0011_{2}` or `11_{\text{two}}`.
fn based(chars: &[char]) -> Option<Numeral> {
    let digits_of = |chars: &[char]| chars.iter().take_while(|c| c.is_ascii_alphanumeric()).count();
    let whole = digits_of(chars);
    let places = match chars.get(whole) {
        Some('.') if whole > 0 => digits_of(&chars[whole + 1..]),
        _ => 0,
    };
    let length = if places > 0 { whole + 1 + places } else { whole };
    let own: Vec<char> = chars[..length].iter().copied().filter(|c| *c != '.').collect();
    if !own.iter().any(char::is_ascii_digit) && own.len() < 2 || length > 200 || chars.get(length) != Some(&'_') {
        return None;
    }
    let rest = &chars[length + 1..];
    let (base, taken) = match rest.first()? {
        '{' => {
            let close = rest.iter().take(40).position(|c| *c == '}')?;
            let inner = text(&rest[1..close]);
            let opened = inner.matches('{').count();
            let word = inner.rsplit('{').next()?.trim();
            let word = word.strip_prefix("base").unwrap_or(word).trim().to_string();
            (base_named(&word)?, close + 1 + opened)
        }
        _ => {
            let length = digits(rest);
            (base_named(&text(&rest[..length]))?, length)
        }
    };
    // In `x_{10}` or `AB_2` nothing says that the letters are digits.
    let values: Option<Vec<u32>> = own.iter().map(|c| c.to_digit(36).filter(|value| *value < base)).collect();
    let values = values?;
    if own.iter().any(char::is_ascii_lowercase) || own.iter().all(|c| !c.is_ascii_digit()) && base < 11 {
        return None;
    }
    let value = values.iter().fold(BigInt::from(0), |value, digit| value * base + digit);
    let value = BigRational::new(value, BigInt::from(base).pow(places as u32));
    Some(Numeral { token: Token::Numeral(value, base), length: length + 1 + taken, is_ambiguous: false })
}

fn base_named(name: &str) -> Option<u32> {
    const NAMES: [&str; 11] =
        ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let base = match NAMES.iter().position(|known| *known == name) {
        Some(at) => at as u32 + 2,
        None => name.parse().ok()?,
    };
    (2..=36).contains(&base).then_some(base)
}

fn decimal(chars: &[char], commas: Commas) -> Option<Numeral> {
    let (mut whole, mut at, mut is_ambiguous) = (String::new(), digits(chars), false);
    if at == 0 && !(chars.first() == Some(&'.') && digits(chars.get(1..)?) > 0) {
        return None;
    }
    whole.push_str(&text(&chars[..at]));
    if (1..=3).contains(&at) && chars[0] != '0' {
        let grouped = groups(&chars[at..]);
        let is_comma = grouped.as_ref().is_some_and(|groups| groups.separator == ",");
        if let Some(groups) = grouped.filter(|_| !is_comma || commas == Commas::Thousands) {
            is_ambiguous = is_comma && groups.can_be_items;
            whole.push_str(&groups.digits);
            at += groups.length;
        } else if is_comma {
            is_ambiguous = true;
        }
    }
    // `0{,}5` is a decimal in much of Europe.
    let point = match chars.get(at) {
        Some('.') if digits(&chars[at + 1..]) > 0 || repeating(&chars[at + 1..]).is_some() => 1,
        Some('.') if chars.get(at + 1) != Some(&'.') && !whole.is_empty() => {
            // A point without digits after it, as in `5.`, adds nothing.
            return Some(Numeral { token: Token::Number(whole), length: at + 1, is_ambiguous });
        }
        Some('{') if starts_with(&chars[at..], "{,}") && digits(&chars[at + 3..]) > 0 => 3,
        _ => 0,
    };
    if point == 0 {
        let (token, length) = scientific(whole, &chars[at..]);
        return Some(Numeral { token, length: at + length, is_ambiguous });
    }
    at += point;
    let mut part = text(&chars[at..at + digits(&chars[at..])]);
    at += part.len();
    if let Some((period, length)) = repeating(&chars[at..]) {
        let whole = if whole.is_empty() { "0".to_string() } else { whole };
        return Some(Numeral { token: Token::Repeating(whole, part, period), length: at + length, is_ambiguous });
    }
    // `3.141\,592` groups the digits after the point.
    while let Some(separator) = ["\\,", "\\ "].iter().find(|separator| starts_with(&chars[at..], separator)) {
        let next = at + separator.len();
        if !part.len().is_multiple_of(3) || digits(&chars[next..]) == 0 {
            break;
        }
        let length = digits(&chars[next..]);
        part.push_str(&text(&chars[next..next + length]));
        at = next + length;
    }
    let (token, length) = scientific(format!("{whole}.{part}"), &chars[at..]);
    Some(Numeral { token, length: at + length, is_ambiguous })
}

struct Groups {
    digits: String,
    length: usize,
    separator: &'static str,
    /// Whether every group could be a number of its own.
    can_be_items: bool,
}

/// Reads groups of three digits, each after the same separator.
fn groups(chars: &[char]) -> Option<Groups> {
    let separator = SEPARATORS.iter().copied().find(|separator| starts_with(chars, separator))?;
    let (mut found, mut at, mut can_be_items) = (String::new(), 0, true);
    while starts_with(&chars[at..], separator) && digits(&chars[at + separator.len()..]) == 3 {
        let group = &chars[at + separator.len()..at + separator.len() + 3];
        can_be_items &= group[0] != '0';
        found.push_str(&text(group));
        at += separator.len() + 3;
    }
    // `1,000,20` is a list, and `1 000/3` may be anything.
    let goes_on = starts_with(&chars[at..], separator) && digits(&chars[at + separator.len()..]) > 0;
    if at == 0 || goes_on || separator == " " && chars.get(at) == Some(&'/') {
        return None;
    }
    Some(Groups { digits: found, length: at, separator, can_be_items })
}

/// Reads `\overline{3}`, `\bar{3}` or `\dot{3}` after a decimal point.
fn repeating(chars: &[char]) -> Option<(String, usize)> {
    let mark = ["\\overline", "\\bar", "\\dot"].into_iter().find(|mark| starts_with(chars, mark))?;
    let at = mark.len();
    let (open, close) = if chars.get(at) == Some(&'{') { (1, 1) } else { (0, 0) };
    let length = if open == 1 { digits(&chars[at + 1..]) } else { digits(chars.get(at..)?).min(1) };
    if length == 0 || length > 1000 || open == 1 && chars.get(at + 1 + length) != Some(&'}') {
        return None;
    }
    Some((text(&chars[at + open..at + open + length]), at + open + length + close))
}

/// Reads an exponent such as `e-5` after the digits.
fn scientific(number: String, chars: &[char]) -> (Token, usize) {
    let sign = usize::from(matches!(chars.get(1), Some('+' | '-')));
    let length =
        if matches!(chars.first(), Some('e' | 'E')) { digits(&chars[(1 + sign).min(chars.len())..]) } else { 0 };
    let is_cut = chars.get(1 + sign + length).is_none_or(|c| !c.is_alphanumeric() && *c != '^' && *c != '_');
    let exponent = text(chars.get(1..1 + sign + length).unwrap_or(&[])).trim_start_matches('+').parse::<i32>();
    match exponent {
        Ok(exponent) if length > 0 && is_cut && exponent.abs() <= MAX_EXPONENT => {
            (Token::Scientific(number, exponent), 1 + sign + length)
        }
        _ => (Token::Number(number), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, commas: Commas, token: Token, length: usize) {
        let chars: Vec<char> = source.chars().collect();
        let found = numeral(&chars, commas).unwrap();
        assert_eq!((found.token, found.length), (token, length), "{source}");
    }

    #[test]
    fn separators_are_told_from_lists() {
        let number = |digits: &str| Token::Number(digits.to_string());
        for source in ["1,000", "1{,}000", "1\\,000", "1\\ 000", "1 000", "1,\\!000"] {
            check(source, Commas::Thousands, number("1000"), source.len());
        }
        check("1,2,3", Commas::Thousands, number("1"), 1);
        check("1,000,20", Commas::Thousands, number("1"), 1);
        check("1,000", Commas::Lists, number("1"), 1);
        check("12,345.50", Commas::Thousands, number("12345.50"), 9);
        check("0{,}5", Commas::Thousands, number("0.5"), 5);
        check(".5x", Commas::Thousands, number(".5"), 2);
        check("5.", Commas::Thousands, number("5"), 2);
        check("1 4/5", Commas::Thousands, number("1"), 1);
    }

    #[test]
    fn other_numerals_are_read() {
        let whole = |value: i32, base| Token::Numeral(BigRational::from_integer(value.into()), base);
        let repeating = |a: &str, b: &str, c: &str| Token::Repeating(a.into(), b.into(), c.into());
        check("0.1\\overline{27}", Commas::Thousands, repeating("0", "1", "27"), 16);
        check("0.\\overline{3}", Commas::Thousands, repeating("0", "", "3"), 14);
        check("2e-3", Commas::Thousands, Token::Scientific("2".into(), -3), 4);
        check("2e^3", Commas::Thousands, Token::Number("2".into()), 1);
        check("42_{7}+", Commas::Thousands, whole(30, 7), 6);
        check("52_8", Commas::Thousands, whole(42, 8), 4);
        check("1A_{16}", Commas::Thousands, whole(26, 16), 7);
        check("11_{\\text{two}}", Commas::Thousands, whole(3, 2), 15);
        let binary = Token::Numeral(BigRational::new(3.into(), 16.into()), 2);
        check("0.0011_{2}", Commas::Thousands, binary, 10);
    }
}
