//! A strict reader of the JUnit files that `maspo eval --junit` writes, and the rules that such a
//! file keeps: the elements and attributes that build servers document. The reader knows no more of
//! XML than such a file may use, and fails on anything else.

/// An element with its attributes and children.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
}

/// An element with its required and its further attributes, and the elements that it may hold.
type Rule = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

const RULES: [Rule; 6] = [
    ("testsuites", &["name", "tests", "failures", "errors"], &[], &["testsuite"]),
    ("testsuite", &["name", "tests", "failures", "errors"], &["skipped"], &["properties", "testcase"]),
    ("properties", &[], &[], &["property"]),
    ("property", &["name", "value"], &[], &[]),
    ("testcase", &["name", "classname"], &[], &["failure"]),
    ("failure", &["type", "message"], &[], &[]),
];

impl Element {
    /// Reads a file, which must keep the rules.
    pub(super) fn read(text: &str) -> Self {
        let text = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").expect("a declaration");
        let legal = |c: char| matches!(c, '\n' | '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
        assert!(text.chars().all(legal), "a character that XML does not allow");
        let (root, rest) = element(text);
        assert!(rest.trim().is_empty() && root.name == "testsuites", "one element `testsuites`: {rest}");
        root.check();
        root
    }

    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("{} has no {name}", self.name)).1
    }

    fn number(&self, name: &str) -> usize {
        self.get(name).parse().expect("a number")
    }

    fn check(&self) {
        let rule = RULES.iter().find(|rule| rule.0 == self.name);
        let (name, required, further, children) = rule.unwrap_or_else(|| panic!("the element {}", self.name));
        required.iter().for_each(|key| assert!(self.attributes.iter().any(|(known, _)| known == key), "{name} {key}"));
        for (at, (key, _)) in self.attributes.iter().enumerate() {
            assert!(required.contains(&key.as_str()) || further.contains(&key.as_str()), "{name} {key}");
            assert!(self.attributes[..at].iter().all(|(other, _)| other != key), "{name} has {key} twice");
        }
        for child in &self.children {
            assert!(children.contains(&child.name.as_str()), "{} in {name}", child.name);
            child.check();
        }
        let sum = |key: &str| self.children.iter().map(|suite| suite.number(key)).sum::<usize>();
        match self.name.as_str() {
            "testsuites" => {
                for key in ["tests", "failures", "errors"] {
                    assert_eq!(self.number(key), sum(key), "{key}");
                }
            }
            "testsuite" => {
                let cases: Vec<_> = self.children.iter().filter(|child| child.name == "testcase").collect();
                let failures = cases.iter().filter(|case| !case.children.is_empty()).count();
                assert_eq!((self.number("tests"), self.number("failures")), (cases.len(), failures));
            }
            "testcase" => assert!(self.children.len() <= 1),
            _ => {}
        }
    }
}

/// Reads one element, and returns the text behind it.
fn element(text: &str) -> (Element, &str) {
    let text = text.trim_start();
    let inner = text.strip_prefix('<').unwrap_or_else(|| panic!("an element begins: {text}"));
    let end = inner.find(|c: char| !c.is_ascii_lowercase()).expect("a name ends");
    let (name, mut rest) = inner.split_at(end);
    let mut attributes = Vec::new();
    while let Some(more) = rest.strip_prefix(' ') {
        let (key, value) = more.split_once("=\"").expect("an attribute");
        let (value, behind) = value.split_once('"').expect("a closing quotation mark");
        assert!(!value.contains(['<', '\n']), "{value}");
        attributes.push((key.to_string(), unescaped(value)));
        rest = behind;
    }
    let mut element = Element { name: name.to_string(), attributes, children: Vec::new() };
    if let Some(rest) = rest.strip_prefix("/>") {
        return (element, rest);
    }
    rest = rest.strip_prefix('>').unwrap_or_else(|| panic!("the tag ends: {rest}"));
    loop {
        rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix("</") {
            let behind = behind.strip_prefix(name).and_then(|behind| behind.strip_prefix('>'));
            return (element, behind.unwrap_or_else(|| panic!("{name} is closed: {rest}")));
        }
        let (child, behind) = self::element(rest);
        element.children.push(child);
        rest = behind;
    }
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (entity, rest) = part.split_once(';').expect("an entity ends");
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#').expect("a character reference").parse().expect("a number");
                char::from_u32(number).expect("a character")
            }
        });
        out.push_str(rest);
    }
    out
}
