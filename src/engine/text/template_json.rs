//! `tojson` of chat templates: JSON as Python's `json.dumps` writes it, with the arguments that
//! transformers gives the filter.

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::fmt::Write;

/// Values in values, at most.
const MAX_DEPTH: usize = 100;
/// Private-use characters, which stand for hidden text while a template is rendered: they are never
/// escaped.
const MARKS: std::ops::RangeInclusive<char> = '\u{F0000}'..='\u{FFFFD}';

/// How the JSON is laid out.
struct Layout {
    ensure_ascii: bool,
    /// The text by which each level is indented; without one, all is one line.
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

/// The filter `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn tojson(value: &Value, positional: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let layout = Layout::read(&positional, &named)?;
    let mut json = String::new();
    layout.write(&mut json, value, 0)?;
    Ok(json)
}

impl Layout {
    fn read(positional: &[Value], named: &Kwargs) -> Result<Self, Error> {
        let argument = |at: usize, name: &str| -> Result<Option<Value>, Error> {
            let value = match positional.get(at) {
                Some(value) => Some(value.clone()),
                None => named.get::<Option<Value>>(name)?,
            };
            Ok(value.filter(|value| !value.is_none() && !value.is_undefined()))
        };
        let is_set = |value: Option<Value>| value.is_some_and(|value| value.is_true());
        let ensure_ascii = is_set(argument(0, "ensure_ascii")?);
        let indent = argument(1, "indent")?.map(|indent| indent_text(&indent)).transpose()?;
        let separators = argument(2, "separators")?.map(|pair| separator_texts(&pair)).transpose()?;
        let sort_keys = is_set(argument(3, "sort_keys")?);
        named.assert_all_used()?;
        if positional.len() > 4 {
            return Err(wrong("tojson takes at most four arguments"));
        }
        let between = if indent.is_some() { "," } else { ", " };
        let (item_separator, key_separator) = separators.unwrap_or((between.to_string(), ": ".to_string()));
        Ok(Self { ensure_ascii, indent, item_separator, key_separator, sort_keys })
    }

    fn write(&self, json: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(wrong("tojson: values in values, more than 100 deep"));
        }
        match value.kind() {
            ValueKind::None => json.push_str("null"),
            ValueKind::Bool => json.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => json.push_str(&number(value)?),
            ValueKind::String => self.write_text(json, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.write_items(json, ('[', ']'), &items, depth, |json, item| self.write(json, item, depth + 1))?;
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for key in value.try_iter()? {
                    entries.push((key_text(&key)?, value.get_item(&key)?));
                }
                if self.sort_keys {
                    entries.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.write_items(json, ('{', '}'), &entries, depth, |json, (key, value)| {
                    self.write_text(json, key);
                    json.push_str(&self.key_separator);
                    self.write(json, value, depth + 1)
                })?;
            }
            other => return Err(wrong(&format!("tojson: a value of the kind `{other}` has no JSON"))),
        }
        Ok(())
    }

    fn write_items<T>(
        &self,
        json: &mut String,
        (open, close): (char, char),
        items: &[T],
        depth: usize,
        mut write: impl FnMut(&mut String, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        json.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                json.push_str(&self.item_separator);
            }
            self.write_line_start(json, depth + 1);
            write(json, item)?;
        }
        if !items.is_empty() {
            self.write_line_start(json, depth);
        }
        json.push(close);
        Ok(())
    }

    fn write_line_start(&self, json: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            json.push('\n');
            json.push_str(&indent.repeat(depth));
        }
    }

    fn write_text(&self, json: &mut String, text: &str) {
        json.push('"');
        for c in text.chars() {
            match c {
                '"' => json.push_str("\\\""),
                '\\' => json.push_str("\\\\"),
                '\n' => json.push_str("\\n"),
                '\r' => json.push_str("\\r"),
                '\t' => json.push_str("\\t"),
                '\u{8}' => json.push_str("\\b"),
                '\u{c}' => json.push_str("\\f"),
                ' '..='~' => json.push(c),
                _ if c >= ' ' && (!self.ensure_ascii || MARKS.contains(&c)) => json.push(c),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a text cannot fail.
                        let _ = write!(json, "\\u{unit:04x}");
                    }
                }
            }
        }
        json.push('"');
    }
}

fn indent_text(indent: &Value) -> Result<String, Error> {
    match indent.as_str() {
        Some(text) => Ok(text.to_string()),
        None if indent.is_integer() => Ok(" ".repeat(indent.as_usize().unwrap_or(0).min(64))),
        None => Err(wrong("tojson: `indent` is a whole number or a text")),
    }
}

fn separator_texts(pair: &Value) -> Result<(String, String), Error> {
    let parts: Vec<Value> = pair.try_iter()?.collect();
    match parts.iter().map(Value::as_str).collect::<Vec<_>>()[..] {
        [Some(item), Some(key)] => Ok((item.to_string(), key.to_string())),
        _ => Err(wrong("tojson: `separators` are two texts")),
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_string()),
        ValueKind::Number => number(key),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_string()),
        ValueKind::None => Ok("null".to_string()),
        other => Err(wrong(&format!("tojson: a key of the kind `{other}` has no JSON"))),
    }
}

/// Writes a number as Python's `repr` does.
fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    let number = f64::try_from(value.clone())?;
    if number.is_nan() {
        return Ok("NaN".to_string());
    }
    if number.is_infinite() {
        return Ok(if number > 0.0 { "Infinity" } else { "-Infinity" }.to_string());
    }
    // The shortest digits that give the number back, in both notations; Python takes the exponent
    // below 1e-4 and from 1e16 on.
    let short = format!("{number:e}");
    let (digits, exponent) = short.split_once('e').unwrap_or((&short, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..16).contains(&exponent) {
        let plain = number.to_string();
        return Ok(if plain.contains('.') { plain } else { plain + ".0" });
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Ok(format!("{digits}e{sign}{:02}", exponent.abs()))
}

fn wrong(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.to_string())
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    /// Checks `{{ expression }}`; the expected texts are those of Python's `json.dumps`.
    fn check(expression: &str, expected: &str) {
        let mut environment = Environment::new();
        environment.add_filter("tojson", super::tojson);
        let text = "a\"\\/\n\t\u{1}\u{7f}<b>&'é😀";
        let rendered = environment.render_str(&format!("{{{{ {expression} }}}}"), context! { text });
        assert_eq!(rendered.map_err(|error| error.to_string()).unwrap_or_else(|error| error), expected, "{expression}");
    }

    #[test]
    fn json_is_that_of_python() {
        check("text|tojson", "\"a\\\"\\\\/\\n\\t\\u0001\u{7f}<b>&'é😀\"");
        check("text|tojson(ensure_ascii=true)", "\"a\\\"\\\\/\\n\\t\\u0001\\u007f<b>&'\\u00e9\\ud83d\\ude00\"");
        check("{'b': [1, 2.0, true, none], 'a': {}}|tojson", r#"{"b": [1, 2.0, true, null], "a": {}}"#);
        check("{'b': 1, 'a': 2, 3: 4}|tojson(sort_keys=true)", r#"{"3": 4, "a": 2, "b": 1}"#);
        check("{'b': [1, 2], 'a': []}|tojson(indent=2)", "{\n  \"b\": [\n    1,\n    2\n  ],\n  \"a\": []\n}");
        check("[1, {'a': 2}]|tojson(indent='\t')", "[\n\t1,\n\t{\n\t\t\"a\": 2\n\t}\n]");
        check("[1]|tojson(indent=0)", "[\n1\n]");
        check("{'a': 1, 'b': 2}|tojson(separators=(',', ':'))", r#"{"a":1,"b":2}"#);
        check("[1, 2]|tojson(false, none, ['; ', '='])", "[1; 2]");
    }

    #[test]
    fn numbers_are_those_of_python() {
        check(
            "[0.1, 1e16, 123456789012345.0, 0.0001, 0.00001, -0.0, 1.5e300]|tojson",
            "[0.1, 1e+16, 123456789012345.0, 0.0001, 1e-05, -0.0, 1.5e+300]",
        );
    }

    #[test]
    fn what_has_no_json_is_refused() {
        check(
            "nothing|tojson",
            "invalid operation: tojson: a value of the kind `undefined` has no JSON (in <string>:1)",
        );
    }
}
