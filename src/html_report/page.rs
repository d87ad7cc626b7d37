//! The page itself: its templates, its style and its script, and the policy that lets a browser run
//! nothing else.

use super::input::{Run, RunInput};
use super::traces::{self, TracePage};
use super::{compare, view};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value, context};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

/// What a page says it was made by, by which one can be told from other files.
pub const GENERATOR: &str = "maspo report";

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The templates. Their names end with `.html`, so everything in them is escaped.
const TEMPLATES: [(&str, &str); 10] = [
    ("page.html", include_str!("page/page.html")),
    ("traces.html", include_str!("page/traces.html")),
    ("head.html", include_str!("page/head.html")),
    ("macros.html", include_str!("page/macros.html")),
    ("run.html", include_str!("page/run.html")),
    ("search.html", include_str!("page/search.html")),
    ("evidence.html", include_str!("page/evidence.html")),
    ("gate.html", include_str!("page/gate.html")),
    ("verdicts.html", include_str!("page/verdicts.html")),
    ("compare.html", include_str!("page/compare.html")),
];

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A run holds what this version cannot read.
    #[error("{} cannot be shown: {reason}", .dir.display())]
    Unreadable {
        /// The run's folder.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A template failed, which is a fault of the program.
    #[error("the page cannot be made: {0}")]
    Template(#[from] minijinja::Error),
}

/// Where pages of traces are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Links {
    pages: Vec<(String, TracePage)>,
}

impl Links {
    /// Links to these pages in a folder whose address relative to the report is `folder`, already
    /// encoded for a link and without a slash at its end.
    pub fn to(folder: &str, pages: &[TracePage]) -> Self {
        let link = |page: &TracePage| (format!("{folder}/{}", page.name), page.clone());
        Self { pages: pages.iter().map(link).collect() }
    }

    /// The links of a run, by its number on the page.
    pub(super) fn trace_pages(&self, number: usize) -> Vec<Value> {
        let own = self.pages.iter().filter(|(_, page)| page.run + 1 == number);
        own.map(|(href, page)| context! { href => href, from => page.cases.start + 1, to => page.cases.end }).collect()
    }
}

/// Runs that are read and can be shown.
pub struct Pages<'a> {
    runs: Vec<Run<'a>>,
    environment: Environment<'static>,
}

impl<'a> Pages<'a> {
    /// Reads the runs.
    ///
    /// # Errors
    /// A run holds what this version cannot read.
    pub fn new(inputs: &'a [RunInput]) -> Result<Self, PageError> {
        let run = |(at, input): (usize, &'a RunInput)| {
            Run::new((at + 1, inputs.len()), input)
                .map_err(|reason| PageError::Unreadable { dir: input.record.dir.clone(), reason })
        };
        let runs = inputs.iter().enumerate().map(run).collect::<Result<_, _>>()?;
        Ok(Self { runs, environment: environment()? })
    }

    /// Returns the report as HTML.
    ///
    /// # Errors
    /// A template failed.
    pub fn report(&self, links: &Links) -> Result<String, PageError> {
        let runs: Vec<Value> = self.runs.iter().map(|run| view::view(run, links)).collect();
        let compared = (self.runs.len() > 1).then(|| compare::view(&self.runs));
        self.render("page.html", context! { title => view::title(&self.runs), runs => runs, compared => compared })
    }

    /// The pages of all held-out cases, which [`Self::traces`] renders one by one.
    pub fn trace_pages(&self) -> Vec<TracePage> {
        self.runs.iter().flat_map(traces::pages).collect()
    }

    /// Returns a page of held-out cases as HTML.
    ///
    /// # Errors
    /// A template failed.
    pub fn traces(&self, page: &TracePage) -> Result<String, PageError> {
        self.render("traces.html", traces::view(&self.runs[page.run], page))
    }

    fn render(&self, name: &str, view: Value) -> Result<String, PageError> {
        let page = context! {
            generator => GENERATOR,
            version => env!("CARGO_PKG_VERSION"),
            policy => policy(),
            style => Value::from_safe_string(STYLE.to_string()),
            script => Value::from_safe_string(SCRIPT.to_string()),
            ..view
        };
        Ok(self.environment.get_template(name)?.render(page)?)
    }
}

fn environment() -> Result<Environment<'static>, PageError> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// The content security policy: nothing but this page's own script and style.
fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_compile_and_switch_no_escaping_off() {
        environment().unwrap();
        for (name, source) in TEMPLATES {
            assert!(name.ends_with(".html"));
            assert!(!source.contains("safe") && !source.contains("autoescape"), "{name}");
            let forbidden = |word: &str| word.starts_with("style=") || word.starts_with("on") && word.contains("=");
            assert!(!source.split_whitespace().any(forbidden), "{name}: the policy forbids it");
        }
    }

    #[test]
    fn style_and_script_cannot_end_their_elements_and_name_no_address() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("<!--"));
            assert!(!text.contains("://") && !text.contains("url(") && !text.contains("@import"));
            assert!(!text.contains('\r'), "a browser would hash another text");
        }
        assert!(policy().starts_with("default-src 'none'; script-src 'sha256-"));
    }
}
