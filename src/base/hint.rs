//! What a misspelt name was meant to be.

/// Suggests the nearest of the known names, or lists all of them.
pub fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    // A third of the letters may differ, two at least.
    let allowed = (name.chars().count() / 3).max(2);
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    match near.min().filter(|(distance, _)| *distance <= allowed) {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is none".to_string(),
        None => format!("known are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}
