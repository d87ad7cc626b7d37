//! What chat templates have and minijinja lacks: line ends of other systems, and the tag
//! `{% generation %}`, in which transformers wraps what the assistant said.

/// The tag and what does the same here: a block with a scope of its own.
const TAGS: &[(&str, &str)] = &[("generation", "with"), ("endgeneration", "endwith")];

/// Rewrites a template for minijinja. Line ends become `\n`, as Jinja reads them.
pub(super) fn for_minijinja(source: &str) -> String {
    let source = source.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut rewritten = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(at) = rest.find('{') {
        let (text, from) = rest.split_at(at);
        rewritten.push_str(text);
        let end = match from.as_bytes().get(1) {
            Some(b'#') => from.find("#}").map_or(from.len(), |end| end + 2),
            Some(b'{') => code_end(from, "}}"),
            Some(b'%') => {
                let end = code_end(from, "%}");
                if let Some((start, name_end, name)) = known_tag(&from[..end]) {
                    rewritten.push_str(&from[..start]);
                    rewritten.push_str(name);
                    rewritten.push_str(&from[name_end..end]);
                    rest = &from[end..];
                    continue;
                }
                if tag_words(&from[..end]) == Some("raw") { raw_end(from, end) } else { end }
            }
            _ => 1,
        };
        rewritten.push_str(&from[..end]);
        rest = &from[end..];
    }
    rewritten + rest
}

/// Returns the end of an expression or a tag, past `close`; what stands in quotes does not close
/// it.
fn code_end(code: &str, close: &str) -> usize {
    let mut quote = None;
    let mut chars = code.char_indices().skip(2);
    while let Some((at, c)) = chars.next() {
        match quote {
            Some(_) if c == '\\' => _ = chars.next(),
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if code[at..].starts_with(close) => return at + close.len(),
            None => {}
        }
    }
    code.len()
}

/// Returns the words of a tag, without the marks of whitespace control.
fn tag_words(tag: &str) -> Option<&str> {
    let words = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let words = words.strip_prefix(['-', '+']).unwrap_or(words);
    Some(words.strip_suffix(['-', '+']).unwrap_or(words).trim())
}

/// Returns where the name stands in one of [`TAGS`], and the name that takes its place.
fn known_tag(tag: &str) -> Option<(usize, usize, &'static str)> {
    let words = tag_words(tag)?;
    let (_, name) = TAGS.iter().find(|(known, _)| *known == words)?;
    let start = tag.find(words)?;
    Some((start, start + words.len(), name))
}

/// Returns the end of a raw block whose tag ends at `from`.
fn raw_end(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(next) = text[at..].find("{%") {
        let start = at + next;
        let end = text[start..].find("%}").map_or(text.len(), |end| start + end + 2);
        if tag_words(&text[start..end]) == Some("endraw") {
            return end;
        }
        at = start + 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::for_minijinja;

    #[test]
    fn generation_blocks_become_scopes_and_nothing_else_changes() {
        for (source, expected) in [
            ("{% generation %}a{% endgeneration %}", "{% with %}a{% endwith %}"),
            ("{%- generation -%}a{%-endgeneration-%}", "{%- with -%}a{%-endwith-%}"),
            ("{% if generation %}{{ generation }}", "{% if generation %}{{ generation }}"),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}"),
            (r#"{{ "\"}} {% generation %}" }}"#, r#"{{ "\"}} {% generation %}" }}"#),
            ("{# {% generation %} #}", "{# {% generation %} #}"),
            (
                "{% raw %}{% generation %}{% endraw %}{% generation %}",
                "{% raw %}{% generation %}{% endraw %}{% with %}",
            ),
            ("{ {% generation", "{ {% generation"),
            ("a\r\nb\rc\n", "a\nb\nc\n"),
            ("\u{feff}a", "a"),
        ] {
            assert_eq!(for_minijinja(source), expected);
        }
    }
}
