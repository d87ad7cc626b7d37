//! Optimizes the prompts of two agents on the model inside the library, and prints them before and
//! after: `cargo run --release --example optimize`.

use maspo::{Agent, Dtype, EngineOptions, LocalModel, ModelSource, Optimizer, Options, SearchResult, chain};

/// Twelve unlabelled queries, one round: some seconds.
pub(crate) fn optimize() -> Result<SearchResult, Box<dyn std::error::Error>> {
    let embedded = ModelSource::parse("embedded:triage")?;
    let model = LocalModel::open(&embedded, &EngineOptions::default(), Dtype::Auto, false)?;
    let graph = chain(vec![
        Agent::new("extract", "Reads the session and reports its facts.", "Report the facts.\nSession:\n{question}"),
        Agent::new(
            "verdict",
            "Names what the session is.",
            "Give the verdict in <answer></answer>.\nReport:\n{context}",
        ),
    ])?;
    let pool = include_str!("../models/triage/pool.jsonl").lines().take(12);
    let queries = pool.map(serde_json::from_str::<serde_json::Value>).collect::<Result<Vec<_>, _>>()?;
    let mut options = Options::default();
    (options.search.rounds, options.search.steps, options.search.batch) = (1, 2, 6);
    let questions = queries.iter().filter_map(|query| query["question"].as_str());
    Ok(Optimizer::new(graph, model).queries(questions).options(options).seed(1).run()?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let result = optimize()?;
    for ((name, (_, before)), (_, after)) in
        result.agents.iter().zip(result.seed_prompts.iter()).zip(result.prompts.iter())
    {
        println!("{name}\n- {}\n+ {}\n", before.text(), after.text());
    }
    Ok(())
}
