//! Shows a fault of an experiment file together with its line, and a caret below what is wrong.

use crate::config::{ConfigError, Excerpt};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Returns the fault in one line, and below it the excerpt of the file. It is coloured as for a
/// terminal; writing it elsewhere drops the colours.
pub(super) fn with_excerpt(fault: &ConfigError) -> String {
    match fault.excerpt() {
        Some((line, excerpt)) => format!("{fault}\n{}", render(line, excerpt)),
        None => fault.to_string(),
    }
}

fn render(number: usize, Excerpt { line, marked }: &Excerpt) -> String {
    let snippet =
        Snippet::source(line.as_str()).line_start(number).annotation(AnnotationKind::Primary.span(marked.clone()));
    Renderer::styled().render(&[Group::with_level(Level::ERROR).element(snippet)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(line: &str, marked: &str, expected: Expect) {
        let start = line.find(marked).expect("what is marked stands in the line");
        let excerpt = Excerpt { line: line.to_string(), marked: start..start + marked.len() };
        let text = anstream::adapter::strip_str(&render(7, &excerpt)).to_string();
        expected.assert_eq(&format!("{text}\n"));
    }

    #[test]
    fn the_caret_is_below_what_is_wrong() {
        check(
            "batch = 0",
            "0",
            expect![[r#"
              |
            7 | batch = 0
              |         ^
        "#]],
        );
        check(
            "\tname = \"größe\" # text",
            "\"größe\"",
            expect![[r#"
              |
            7 |     name = "größe" # text
              |            ^^^^^^^
        "#]],
        );
        let long = format!("prompt = \"{}\" # {}", "word ".repeat(60), "more ".repeat(60));
        check(
            &long,
            "prompt",
            expect![[r#"
              |
            7 | prompt = "word word word word word word word word word word word word word word word word word word word word word word word word wor...
              | ^^^^^^
        "#]],
        );
        check(
            "name = \"\u{1b}[31mred\"",
            "name",
            expect![[r#"
              |
            7 | name = "␛[31mred"
              | ^^^^
        "#]],
        );
    }
}
