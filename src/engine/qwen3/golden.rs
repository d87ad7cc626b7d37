//! The forward pass of every family against Hugging Face transformers in f32, without the engine
//! around it: logits and greedy tokens of `tests/golden/families.json`.

use super::{Config, Dtype, Logits, Model, Workspace};
use crate::base::Seed;
use crate::blocks::Blocks;
use crate::kernels::Compute;
use crate::schedule::{Limits, Scheduler};
use crate::weights::RandomWeights;
use serde_json::Value;

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    seed: u64,
    config: Value,
    prompts: Vec<Prompt>,
}

#[derive(serde::Deserialize)]
struct Prompt {
    prompt: Vec<u32>,
    logits: Vec<f32>,
    greedy: Vec<u32>,
}

/// Returns the logits after the last token of a text.
fn logits_after(model: &mut Model, text: &[u32]) -> Vec<f32> {
    let mut scheduler = Scheduler::new(Limits { step_tokens: 256, max_running: 1 }, Blocks::new(64, 16, true));
    let mut kv = model.kv_pool(16, 64);
    let (mut work, mut logits) = (Workspace::new(), Logits::new());
    scheduler.submit(text.to_vec(), text.len() - 1);
    loop {
        let plan = scheduler.plan().expect("the text is not at its end");
        model.forward(&plan, &mut kv, &mut work, &mut logits);
        scheduler.complete(&plan);
        if !plan.logits.is_empty() {
            return logits.row(0).to_vec();
        }
    }
}

#[test]
fn every_family_gives_the_logits_and_tokens_of_transformers() {
    let golden = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/families.json"));
    let cases: Vec<Case> = serde_json::from_str(golden).unwrap();
    let compute = Compute::cpu(Some(2)).unwrap();
    for case in cases {
        let config = Config::from_json(&case.config.to_string()).unwrap();
        let mut model = Model::load(&config, &mut RandomWeights::new(Seed(case.seed)), Dtype::F32, &compute).unwrap();
        for Prompt { prompt, logits, greedy } in case.prompts {
            let found = logits_after(&mut model, &prompt);
            let largest = logits.iter().fold(0f32, |largest, logit| largest.max(logit.abs()));
            let error = found.iter().zip(&logits).fold(0f32, |error, (a, b)| error.max((a - b).abs()));
            assert!(error <= 1e-4 * largest, "{}, {} tokens: {error} of {largest}", case.name, prompt.len());
            let mut text = prompt;
            // All tokens of a long text would take long.
            for expected in &greedy[..4] {
                let found = logits_after(&mut model, &text);
                let best = (0..found.len()).max_by(|&a, &b| found[a].total_cmp(&found[b])).unwrap();
                assert_eq!(best as u32, *expected, "{}, {} tokens", case.name, text.len());
                text.push(*expected);
            }
        }
    }
}
