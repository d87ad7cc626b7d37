//! Results as a JUnit file, which every build server reads. Texts of models and data are hostile:
//! they are cut, markup in them is escaped, and what XML cannot hold is replaced.

use std::fmt::Write;

/// The most characters of a name.
const NAME_CHARS: usize = 300;
/// The most characters of a message.
const MESSAGE_CHARS: usize = 1000;

/// A list of results under one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suite {
    /// The name of the list.
    pub name: String,
    /// Facts about all of the results.
    pub properties: Vec<(&'static str, String)>,
    /// The results.
    pub cases: Vec<TestCase>,
}

/// One result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestCase {
    /// The name, which is unique in its suite.
    pub name: String,
    /// The type and the message of its failure; `None` if it passed.
    pub failure: Option<(&'static str, String)>,
}

/// Returns the text of the file. It holds no time, so that equal results are equal files.
pub fn junit(name: &str, suites: &[Suite]) -> String {
    let failed = |suite: &Suite| suite.cases.iter().filter(|case| case.failure.is_some()).count();
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failures: usize = suites.iter().map(failed).sum();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_string();
    let name = quoted(name, NAME_CHARS);
    line(&mut text, 0, &format!("<testsuites name={name} tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">"));
    for suite in suites {
        let (name, tests) = (quoted(&suite.name, NAME_CHARS), suite.cases.len());
        let counts = format!("tests=\"{tests}\" failures=\"{}\" errors=\"0\" skipped=\"0\"", failed(suite));
        line(&mut text, 1, &format!("<testsuite name={name} {counts}>"));
        if !suite.properties.is_empty() {
            line(&mut text, 2, "<properties>");
            for (name, value) in &suite.properties {
                let (name, value) = (quoted(name, NAME_CHARS), quoted(value, MESSAGE_CHARS));
                line(&mut text, 3, &format!("<property name={name} value={value}/>"));
            }
            line(&mut text, 2, "</properties>");
        }
        for case in &suite.cases {
            let head = format!("<testcase classname={name} name={}", quoted(&case.name, NAME_CHARS));
            match &case.failure {
                None => line(&mut text, 2, &format!("{head}/>")),
                Some((kind, message)) => {
                    line(&mut text, 2, &format!("{head}>"));
                    let (kind, message) = (quoted(kind, NAME_CHARS), quoted(message, MESSAGE_CHARS));
                    line(&mut text, 3, &format!("<failure type={kind} message={message}/>"));
                    line(&mut text, 2, "</testcase>");
                }
            }
        }
        line(&mut text, 1, "</testsuite>");
    }
    line(&mut text, 0, "</testsuites>");
    text
}

fn line(text: &mut String, depth: usize, markup: &str) {
    // Writing to a string cannot fail.
    let _infallible = writeln!(text, "{:depth$}{markup}", "", depth = 2 * depth);
}

/// Returns `text` as the quoted value of an attribute, cut to `most` characters.
fn quoted(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut chars = text.chars();
    for c in chars.by_ref().take(most) {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // A reader would turn them into spaces.
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            c if is_unshown(c) => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out.push('"');
    out
}

/// Whether XML cannot hold the character, or whether it changes how text around it is displayed.
fn is_unshown(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{fffe}' | '\u{ffff}')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        // The last two of every plane are no characters.
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    fn case(name: &str, failure: Option<(&'static str, &str)>) -> TestCase {
        TestCase { name: name.into(), failure: failure.map(|(kind, message)| (kind, message.into())) }
    }

    #[test]
    fn hostile_text_stays_text() {
        let cases = vec![
            case("a", None),
            case(
                "b\"/><x y='",
                Some(("wrong", "answered \"]]></failure><script>&amp;\u{0}\u{1b}[31m\r\n\u{202e}tab\t")),
            ),
        ];
        let properties = vec![("model", "m & n".to_string())];
        let suites = [
            Suite { name: "small.test".into(), properties, cases },
            Suite { name: "gates".into(), properties: vec![], cases: vec![] },
        ];
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="maspo eval" tests="2" failures="1" errors="0">
              <testsuite name="small.test" tests="2" failures="1" errors="0" skipped="0">
                <properties>
                  <property name="model" value="m &amp; n"/>
                </properties>
                <testcase classname="small.test" name="a"/>
                <testcase classname="small.test" name="b&quot;/&gt;&lt;x y=&apos;">
                  <failure type="wrong" message="answered &quot;]]&gt;&lt;/failure&gt;&lt;script&gt;&amp;amp;��[31m&#13;&#10;�tab&#9;"/>
                </testcase>
              </testsuite>
              <testsuite name="gates" tests="0" failures="0" errors="0" skipped="0">
              </testsuite>
            </testsuites>
        "#]]
        .assert_eq(&junit("maspo eval", &suites));
    }

    #[test]
    fn long_texts_are_cut() {
        let text = quoted(&"ß".repeat(2000), MESSAGE_CHARS);
        assert_eq!(text, format!("\"{}…\"", "ß".repeat(1000)));
        assert_eq!(quoted("ab", 2), "\"ab\"");
    }

    proptest! {
        #[test]
        fn every_value_is_one_that_xml_can_hold(text in any::<String>()) {
            let value = quoted(&text, MESSAGE_CHARS);
            let inner = &value[1..value.len() - 1];
            prop_assert!(!inner.contains(['<', '>', '"', '\'']));
            let legal = |c: char| matches!(c, '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
            prop_assert!(inner.chars().all(legal));
            let entity = |rest: &str| ["lt;", "gt;", "amp;", "quot;", "apos;", "#9;", "#10;", "#13;"]
                .iter().any(|known| rest.starts_with(known));
            prop_assert!(inner.split('&').skip(1).all(entity));
        }
    }
}
