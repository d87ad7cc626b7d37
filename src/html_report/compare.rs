//! Several runs side by side: one row each, and means over runs that differ in their seeds alone.

use super::input::Run;
use super::numbers::{duration, interval, p_value, share, signed, signed_interval, thousands};
use super::svg::Svg;
use super::verdict::Verdict;
use super::visible::name;
use crate::base::digest_json;
use crate::stats::mean_ci;
use minijinja::{Value, context};

/// The rows of all runs, and those of groups.
pub(super) fn view(runs: &[Run<'_>]) -> Value {
    context! { rows => runs.iter().map(|run| row(run, reach(runs))).collect::<Vec<_>>(), groups => groups(runs) }
}

/// The largest distance from zero that an interval reaches, for one scale in all rows.
fn reach(runs: &[Run<'_>]) -> f64 {
    let ends = runs.iter().filter_map(|run| run.report.as_ref()?.difference).flat_map(|d| [d.ci95.0, d.ci95.1]);
    ends.filter(|end| end.is_finite()).fold(0.05, |most: f64, end| most.max(end.abs()))
}

fn row(run: &Run<'_>, reach: f64) -> Value {
    let verdict = Verdict::of(run);
    let report = run.report.as_ref();
    let accuracy = |accuracy: Option<crate::report::Accuracy>| {
        accuracy.map(|accuracy| {
            let detail = format!("{}, n = {}", interval(accuracy.ci95), accuracy.n);
            context! { value => share(accuracy.accuracy), detail => detail }
        })
    };
    let difference = report.and_then(|report| report.difference);
    let spent = run.record.spent.values().next_back();
    context! {
        number => run.number,
        anchor => run.anchor("top"),
        name => name(&run.record.name),
        method => method(run),
        model => model(run),
        seed => run.result.as_ref().map(|result| result.seed.0.to_string()),
        before => accuracy(report.and_then(|report| report.seed_accuracy)),
        after => accuracy(report.and_then(|report| report.optimized_accuracy)),
        difference => difference.map(|difference| signed(difference.value)),
        interval => difference.map(|d| format!("{}, {}", signed_interval(d.ci95), p_value(d.mcnemar_p))),
        picture => picture(run, reach),
        words => verdict.words(),
        shape => verdict.shape(),
        class => verdict.class(),
        tokens => spent.map(|spent| thousands(spent.tokens.iter().sum())),
        seconds => report.map(|report| duration(report.seconds)),
        changed => run.changed().count(),
    }
}

fn method(run: &Run<'_>) -> String {
    run.result.as_ref().and_then(|result| result.method.as_deref()).map_or("maspo".into(), name)
}

fn model(run: &Run<'_>) -> String {
    run.result.as_ref().map_or(String::new(), |result| {
        let worker = &result.models.worker;
        format!("{} ({})", name(&worker.name), worker.digest.short())
    })
}

/// What runs have in common that differ in their seeds alone, as far as journals tell: the seed
/// prompts, the sizes of the data and the plan.
fn size(run: &Run<'_>) -> String {
    let cases = run.seed.as_ref().map(|seed| seed.items.len());
    let result = run.result.as_ref();
    let search =
        result.map(|result| digest_json("group", &(&result.seed_prompts, result.pool, result.batch, &result.plan)));
    format!("{cases:?} {search:?}")
}

/// The difference and its interval on a line with zero in the middle.
fn picture(run: &Run<'_>, reach: f64) -> Value {
    let Some(difference) = run.report.as_ref().and_then(|report| report.difference) else { return Value::from(()) };
    let x = |value: f64| 70.0 + 64.0 * (value / reach).clamp(-1.0, 1.0);
    let label = format!("Difference {}, 95 % interval {}", signed(difference.value), signed_interval(difference.ci95));
    let mut svg = Svg::new((140.0, 20.0), "forest", &label);
    svg.line("grid", (6.0, 10.0), (134.0, 10.0));
    svg.line("zero", (70.0, 2.0), (70.0, 18.0));
    svg.line("range s0", (x(difference.ci95.0), 10.0), (x(difference.ci95.1), 10.0));
    svg.mark(0, (x(difference.value), 10.0));
    svg.end()
}

/// Means over runs of one experiment, method, model and size, with Student's interval over their
/// seeds.
fn groups(runs: &[Run<'_>]) -> Vec<Value> {
    let key = |run: &Run<'_>| (run.record.name.clone(), method(run), model(run), size(run));
    let mut keys: Vec<_> = runs.iter().map(key).collect();
    keys.sort();
    keys.dedup();
    let group = |wanted: &(String, String, String, String)| {
        let of: Vec<&Run<'_>> = runs.iter().filter(|run| key(run) == *wanted).collect();
        let mut seeds: Vec<u64> = of.iter().filter_map(|run| Some(run.result.as_ref()?.seed.0)).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let differences: Vec<f64> = of.iter().filter_map(|run| Some(run.report.as_ref()?.difference?.value)).collect();
        if differences.len() < 2 || seeds.len() != of.len() {
            return None;
        }
        let mean = mean_ci(&differences)?;
        Some(context! {
            name => name(&wanted.0),
            method => &wanted.1,
            model => &wanted.2,
            runs => differences.len(),
            mean => signed(mean.mean),
            interval => signed_interval(mean.ci95),
        })
    };
    keys.iter().filter_map(group).collect()
}
