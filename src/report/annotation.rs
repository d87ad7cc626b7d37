//! Annotations: lines by which a step of GitHub Actions shows a message at the run. A message can
//! hold anything; it never becomes a command of its own.

/// How an annotation is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Blue, for what is good to know.
    Notice,
    /// Yellow.
    Warning,
    /// Red.
    Error,
}

impl Level {
    fn command(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The most characters of a message; GitHub cuts longer ones.
const MESSAGE_CHARS: usize = 2000;

/// Returns the annotation as a workflow command, without a line end.
pub fn annotation(level: Level, title: &str, message: &str) -> String {
    let message: String = message.chars().take(MESSAGE_CHARS).collect();
    format!("::{} title={}::{}", level.command(), property(title), data(&message))
}

/// Escapes what would end a command, or look like an escape.
fn data(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => out.push_str("%25"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            c => out.push(c),
        }
    }
    out
}

/// Escapes what would end a property, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_become_a_command() {
        assert_eq!(annotation(Level::Notice, "maspo eval", "50 % right"), "::notice title=maspo eval::50 %25 right");
        assert_eq!(
            annotation(Level::Error, "a,b: c\n::stop::", "x\r\n::add-mask::y"),
            "::error title=a%2Cb%3A c%0A%3A%3Astop%3A%3A::x%0D%0A::add-mask::y"
        );
        let long = annotation(Level::Warning, "t", &"ä".repeat(9000));
        assert_eq!(long.chars().count(), "::warning title=t::".len() + MESSAGE_CHARS);
        // An escape in the text is shown as it is, and is not undone.
        assert_eq!(annotation(Level::Notice, "t", "%0A::error::"), "::notice title=t::%250A::error::");
    }
}
