//! The server's figures in Prometheus' text format. They hold numbers only.

use crate::engine::TextEngine;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

/// Counts of answered requests.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// The number of answered requests, by route and HTTP status.
    answered: Mutex<BTreeMap<(&'static str, u16), u64>>,
}

/// What the server knows at the moment.
pub(super) struct Gauges {
    pub(super) open: usize,
    pub(super) connections: usize,
}

impl Metrics {
    pub(super) fn count(&self, route: &'static str, status: u16) {
        *self.answered.lock().expect("no thread panics while it counts").entry((route, status)).or_default() += 1;
    }

    pub(super) fn text(&self, engine: &TextEngine, gauges: &Gauges) -> String {
        let counters = engine.counters();
        let mut text = String::new();
        let mut figure = |name: &str, kind: &str, help: &str, value: f64| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        let share = engine.used_tokens() as f64 / engine.pool_tokens().max(1) as f64;
        for (name, help, value) in [
            ("maspo_connections", "Open connections.", gauges.connections as f64),
            ("maspo_completions_open", "Completions under way or waiting.", gauges.open as f64),
            ("maspo_requests_running", "Sequences in the running batch.", counters.running as f64),
            ("maspo_requests_waiting", "Sequences that wait for room.", counters.waiting as f64),
            ("maspo_kv_used_ratio", "Share of the K/V pool that running sequences hold.", share),
        ] {
            figure(name, "gauge", help, value);
        }
        for (name, help, value) in [
            ("maspo_engine_steps_total", "Forward passes.", counters.steps),
            ("maspo_engine_requests_total", "Requests that the engine accepted.", counters.requests),
            ("maspo_prompt_tokens_computed_total", "Prompt tokens computed.", counters.prefilled_tokens),
            ("maspo_prompt_tokens_cached_total", "Prompt tokens found in the prefix cache.", counters.reused_tokens),
            ("maspo_generated_tokens_total", "Tokens decoded; its rate is tokens per second.", counters.decoded_tokens),
            ("maspo_preemptions_total", "Sequences put back because blocks ran out.", counters.preemptions),
        ] {
            figure(name, "counter", help, value as f64);
        }
        text += "# HELP maspo_http_requests_total Answered requests by route and status.\n\
            # TYPE maspo_http_requests_total counter\n";
        for ((route, status), count) in self.answered.lock().expect("no thread panics while it counts").iter() {
            let _ = writeln!(text, "maspo_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        text
    }
}
