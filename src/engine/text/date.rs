//! The date that a chat template sees. The only place of the engine that reads the clock: once in a
//! process, so that every prompt of a process has the same date.

use jiff::civil;
use jiff::fmt::strtime;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// A day, as `strftime_now` of a chat template gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(civil::Date);

impl Date {
    /// Returns the local date at the first call in this process.
    pub fn today() -> Self {
        static TODAY: OnceLock<Date> = OnceLock::new();
        *TODAY.get_or_init(|| Self(jiff::Zoned::now().date()))
    }

    /// Formats midnight of this day as Python's `strftime` does. A prompt must not change within a
    /// run, so the time of day is not given.
    pub(super) fn format(self, format: &str) -> Result<String, jiff::Error> {
        strtime::format(format, self.0.to_datetime(civil::Time::midnight()))
    }
}

impl FromStr for Date {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, NotADate> {
        strtime::parse("%Y-%m-%d", text)
            .and_then(|parsed| parsed.to_date())
            .map(Self)
            .map_err(|_| NotADate(text.to_string()))
    }
}

impl TryFrom<String> for Date {
    type Error = NotADate;

    fn try_from(text: String) -> Result<Self, NotADate> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a date.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is not a date: write YYYY-MM-DD")]
pub struct NotADate(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_written_and_formatted_as_python_formats_them() {
        let date: Date = "2024-07-05".parse().unwrap();
        assert_eq!(date.to_string(), "2024-07-05");
        for (format, expected) in [
            ("%Y-%m-%d", "2024-07-05"),
            ("%d %B %Y", "05 July 2024"),
            ("%d %b %y", "05 Jul 24"),
            ("%-d/%-m", "5/7"),
            ("%A, %a", "Friday, Fri"),
            ("%j %w %H:%M:%S", "187 5 00:00:00"),
            ("100 %%", "100 %"),
        ] {
            assert_eq!(date.format(format).unwrap(), expected);
        }
        assert!(date.format("%!").is_err());
        let json = serde_json::to_string(&date).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str::<Date>(&json).unwrap()), ("\"2024-07-05\"", date));
        let error = "5 July".parse::<Date>().unwrap_err();
        assert_eq!(error.to_string(), "`5 July` is not a date: write YYYY-MM-DD");
        assert_eq!(Date::today(), Date::today());
    }
}
