//! Reads `[data]` and `[eval]`: the pool, the labelled sets and how answers are scored. Checks that
//! no set leaks into another.

use super::conditions;
use super::error::ConfigError;
use super::scorer::Scoring;
use super::section::Section;
use super::settings::Excluded;
use super::tree::Value;
use crate::base::Rule;
use crate::eval::{SampleOptions, VerdictOptions};
use crate::task::{Case, Dataset, LoadError, Query, RowFields, Scorer, Source, load_cases, load_queries, shared_rows};
use std::collections::HashSet;

/// The values that a set's `limit` may have.
pub(super) const LIMIT: Rule = Rule::at_least(1);
/// The most shared rows or bad rows that a message lists.
const LISTED: usize = 3;

/// The data of an experiment.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Data {
    pub(super) pool: Vec<Query>,
    /// The fields of the pool's rows.
    pub(super) rows: RowFields,
    pub(super) train: Option<Vec<Case>>,
    pub(super) test: Option<Vec<Case>>,
    pub(super) scorer: Option<Scorer>,
    pub(super) samples: Option<SampleOptions>,
    pub(super) verdicts: Option<VerdictOptions>,
    pub(super) private: bool,
    pub(super) excluded: Excluded,
    pub(super) warnings: Vec<String>,
}

/// How a set was declared.
#[derive(Clone, PartialEq, Debug)]
struct Declared {
    source: Source,
    /// Where the file comes from, in the user's words.
    origin: Option<String>,
}

/// How the files of the data are treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DataUse {
    /// They are loaded; whether bad rows are left out and counted.
    Load { skip_bad_rows: bool },
    /// They are not opened: the command has rows of its own.
    Fields,
}

/// Reads the sections and loads the files; `None` if there are faults, which are reported.
pub(super) fn read(root: &Section<'_>, usage: DataUse) -> Option<Data> {
    let before = root.faults.count();
    let skip_bad_rows = usage == DataUse::Load { skip_bad_rows: true };
    let Some(section) = root.section("data") else {
        if root.entry("data").is_none() {
            root.missing("data", "[data] pool = { file = \"…\" } names the queries to optimize on");
        }
        root.entry("eval");
        return None;
    };
    let labelled =
        ["train", "test"].iter().any(|name| section.entry(if *name == "train" { "train" } else { "test" }).is_some());
    let Scoring { scorer, samples, verdicts } = super::scorer::read(root, labelled);
    let private = section.get("private").unwrap_or(false);
    let mut loading = Loading { private, warnings: Vec::new() };
    let pool_section = section.section("pool");
    if section.entry("pool").is_none() {
        section.missing("pool", "pool = { file = \"…\" } names the queries to optimize on");
    }
    let pool_declared = pool_section.as_ref().and_then(|section| {
        let before = section.faults.count();
        let declared = declared(section, None, skip_bad_rows);
        if section.has("answer") {
            section.entry("answer");
            section.fault("answer", "does not belong here: the pool is unlabelled, the search never sees an answer");
        }
        section.finish();
        declared.filter(|_| section.faults.count() == before)
    });
    if usage == DataUse::Fields {
        for section in ["train", "test"].iter().filter_map(|name| section.section(name)) {
            section.entry("answer");
            section.entry("exclude_pool");
            declared(&section, pool_declared.as_ref(), skip_bad_rows);
            section.finish();
        }
        section.finish();
        let rows = pool_declared.map(|declared| fields(&declared.source)).unwrap_or_default();
        return (root.faults.count() == before).then(|| Data {
            pool: Vec::new(),
            rows,
            train: None,
            test: None,
            scorer,
            samples,
            verdicts,
            private,
            excluded: Excluded::default(),
            warnings: Vec::new(),
        });
    }
    let pool = pool_section.as_ref().zip(pool_declared.as_ref());
    let pool = pool.and_then(|(section, declared)| loading.take(section, declared, load_queries(&declared.source)));
    // Where the scorer is at fault, the files are still checked.
    let stand_in = scorer.clone().unwrap_or(Scorer::Text);
    let mut excluded = Excluded::default();
    let mut labelled = |name: &'static str, excluded: &mut usize| {
        let section = section.section(name)?;
        let before = section.faults.count();
        let default = if matches!(stand_in, Scorer::Code { .. }) { "tests" } else { "answer" };
        let answer = section.get("answer").unwrap_or_else(|| default.to_string());
        let exclude_pool = section.get("exclude_pool").unwrap_or(false);
        let declared = declared(&section, pool_declared.as_ref(), skip_bad_rows);
        section.finish();
        if pool.is_none() && section.entry("file").is_none() {
            // The set is in the pool's file, whose faults are reported already.
            return None;
        }
        // If what to read is at fault, reading would only add faults that are not there.
        let declared = declared.filter(|_| section.faults.count() == before)?;
        let mut cases = loading.take(&section, &declared, load_cases(&declared.source, &answer, &stand_in))?;
        if let (true, Some(pool), Some(of_pool)) = (exclude_pool, &pool, &pool_declared) {
            let all = cases.len();
            cases = without(pool, cases, same_ids(&of_pool.source, &declared.source));
            *excluded = all - cases.len();
            if cases.is_empty() {
                section.fault("exclude_pool", &format!("leaves nothing: all {all} rows are in the pool"));
                return None;
            }
        }
        Some((cases, declared.source))
    };
    let (train, test) = (labelled("train", &mut excluded.train), labelled("test", &mut excluded.test));
    section.finish();
    if let (Some(pool), Some(of_pool), Some((test, test_source))) = (&pool, &pool_declared, &test) {
        let test = test.iter().map(|case| &case.query);
        refuse_overlap(root, ("pool", pool.iter(), &of_pool.source), ("test", test, test_source));
    }
    if let (Some((train, train_source)), Some((test, test_source))) = (&train, &test) {
        let queries = |cases: &'_ [Case]| cases.iter().map(|case| case.query.clone()).collect::<Vec<_>>();
        let (train, test) = (queries(train), queries(test));
        refuse_overlap(root, ("train", train.iter(), train_source), ("test", test.iter(), test_source));
    }
    if verdicts.as_ref().is_some_and(|verdicts| verdicts.max_fpr.is_some()) && section.entry("train").is_none() {
        section.missing("train", "`eval.max_fpr` chooses its threshold on the labelled cases of `data.train`");
    }
    if root.faults.count() > before {
        return None;
    }
    let cases = |set: Option<(Vec<Case>, Source)>| set.map(|(cases, _)| cases);
    let warnings = loading.warnings;
    let rows = pool_declared.map(|declared| fields(&declared.source)).unwrap_or_default();
    Some(Data {
        pool: pool?,
        rows,
        train: cases(train),
        test: cases(test),
        scorer,
        samples,
        verdicts,
        private,
        excluded,
        warnings,
    })
}

/// Returns the fields that make a query of a row.
fn fields(source: &Source) -> RowFields {
    RowFields { id: source.id.clone(), question: source.question.clone(), name_hint: source.name_hint.clone() }
}

/// Returns whether equal ids of two sets mean the same row: they number one file, or are in a field
/// of the same name.
fn same_ids(first: &Source, second: &Source) -> bool {
    first.id == second.id && (first.id.is_some() || first.file == second.file)
}

/// Returns the cases whose text is not in the pool, and if ids mean the same, whose id is not.
fn without(pool: &[Query], cases: Vec<Case>, ids: bool) -> Vec<Case> {
    let queries: Vec<Query> = cases.iter().map(|case| case.query.clone()).collect();
    let shared: HashSet<usize> = shared_rows(pool, &queries, ids).iter().map(|row| row.second.line).collect();
    cases.into_iter().filter(|case| !shared.contains(&case.query.line)).collect()
}

/// Reads the table of one set. What it does not say is as in the pool (`inherited`), or the
/// default.
fn declared(section: &Section<'_>, pool: Option<&Declared>, skip_bad_rows: bool) -> Option<Declared> {
    let inherited = pool.map(|pool| &pool.source);
    let file = match inherited {
        None => section.require_text("file", "the JSONL file, relative to the experiment file"),
        Some(_) => section.get::<String>("file"),
    };
    let file = file.map(|file| section.resolve("file", &file));
    let wrong_file = file.is_none() && section.entry("file").is_some();
    let id = section.get("id").or_else(|| inherited.and_then(|pool| pool.id.clone()));
    let question = question(section).or_else(|| inherited.map(|pool| pool.question.clone()));
    let name_hint = section.get("name_hint").or_else(|| inherited.and_then(|pool| pool.name_hint.clone()));
    let conditions = conditions::read(section).or_else(|| inherited.map(|pool| pool.conditions.clone()));
    let skip = section.get("skip").unwrap_or(0);
    let origin: Option<String> = section.get("origin");
    let limit = section.number("limit", LIMIT);
    if wrong_file {
        return None;
    }
    // The origin of another file is another one.
    let of_pool = || pool.filter(|_| file.is_none()).and_then(|pool| pool.origin.clone());
    let origin = origin.or_else(of_pool);
    let source = Source {
        file: file.or_else(|| inherited.map(|pool| pool.file.clone()))?,
        id,
        question: question.unwrap_or_else(|| vec!["question".to_string()]),
        name_hint,
        conditions: conditions.unwrap_or_default(),
        skip,
        limit,
        skip_bad_rows,
    };
    Some(Declared { source, origin })
}

/// Reads the fields of the question: one, or several whose texts are joined by line breaks.
fn question(section: &Section<'_>) -> Option<Vec<String>> {
    let fields = match &section.entry("question")?.node.value {
        Value::List(_) => section.get::<Vec<String>>("question")?,
        _ => vec![section.get::<String>("question")?],
    };
    if fields.is_empty() || fields.iter().any(|field| field.is_empty()) {
        section.fault("question", "names no field");
        return None;
    }
    Some(fields)
}

/// What is kept while the sets are loaded.
struct Loading {
    /// Whether the words of rows are not to be printed.
    private: bool,
    warnings: Vec<String>,
}

impl Loading {
    /// Returns the rows of a set, or reports its faults. Rows that were left out become a warning.
    fn take<T>(
        &mut self,
        section: &Section<'_>,
        declared: &Declared,
        loaded: Result<Dataset<T>, Vec<LoadError>>,
    ) -> Option<Vec<T>> {
        let shown = |fault: LoadError| if self.private { fault.without_text() } else { fault };
        match loaded {
            Ok(set) => {
                if set.bad_count > 0 {
                    let listed: Vec<_> =
                        set.bad.into_iter().take(LISTED).map(|fault| shown(fault).to_string()).collect();
                    let more = set.bad_count - listed.len();
                    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                    let rows = if set.bad_count == 1 { "row" } else { "rows" };
                    let (key, listed) = (&section.path, listed.join("; "));
                    self.warnings.push(format!("`{key}`: left out {} bad {rows}: {listed}{more}", set.bad_count));
                }
                Some(set.rows)
            }
            Err(faults) => {
                section.faults.extend(faults.into_iter().map(|fault| match shown(fault) {
                    fault @ (LoadError::Row { .. } | LoadError::Line { .. } | LoadError::DuplicateId { .. }) => {
                        ConfigError::Data { key: section.path.clone(), fault: fault.into() }
                    }
                    fault => {
                        let is_absent = matches!(fault, LoadError::Unreadable { .. }) && !declared.source.file.exists();
                        let origin = declared.origin.as_ref().filter(|_| is_absent);
                        ConfigError::DataFile {
                            place: section.place("file"),
                            key: section.full("file"),
                            fault: fault.into(),
                            hint: origin.map_or(String::new(), |origin| format!("; where to get it: {origin}")),
                        }
                    }
                }));
                None
            }
        }
    }
}

/// Reports rows that two sets share: their texts are equal but for case, white space and Unicode
/// normal forms. Rows of train and test are also shared if their ids are equal and both sets have
/// ids of their own. (The pool's ids may well number other things.)
fn refuse_overlap<'a>(
    root: &Section<'_>,
    (first, rows, source): (&'static str, impl Iterator<Item = &'a Query>, &Source),
    (second, other_rows, other_source): (&'static str, impl Iterator<Item = &'a Query>, &Source),
) {
    let ids = first == "train" && source.id.is_some() && other_source.id.is_some();
    let shared = shared_rows(rows, other_rows, ids);
    if shared.is_empty() {
        return;
    }
    let place =
        |source: &Source, query: &Query| format!("{}:{} (id `{}`)", source.file.display(), query.line, query.id);
    let mut listed: Vec<_> = shared
        .iter()
        .take(LISTED)
        .map(|row| format!("{} = {}", place(source, row.first), place(other_source, row.second)))
        .collect();
    if shared.len() > LISTED {
        listed.push(format!("and {} more", shared.len() - LISTED));
    }
    root.faults.push(ConfigError::Overlap { first, second, count: shared.len(), listed: listed.join(", ") });
}
