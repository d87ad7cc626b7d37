//! Flags that stand for an option of the engine: they take what the option takes.

use crate::base::Bounded;
use crate::engine::EngineOptions;
use std::num::ParseIntError;

/// Returns the parser of a flag for the option `key` of the engine.
///
/// # Panics
/// Panics if the engine has no option of that name with bounds.
pub(super) fn engine_option(key: &'static str) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync {
    let rule = EngineOptions::rule(key).expect("an option of the engine that has bounds");
    move |text| {
        let number: usize = text.parse().map_err(|error: ParseIntError| error.to_string())?;
        if rule.allows(number.into()) { Ok(number) } else { Err(format!("it must {rule}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_takes_what_the_option_takes() {
        let draft_tokens = engine_option("draft_tokens");
        assert_eq!(draft_tokens("64"), Ok(64));
        assert_eq!(draft_tokens("65"), Err("it must be between 0 and 64".to_string()));
        assert_eq!(draft_tokens("many"), Err("invalid digit found in string".to_string()));
    }
}
