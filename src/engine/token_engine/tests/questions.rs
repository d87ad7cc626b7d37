//! Tests of devices that answer questions about logits: scores and sampling need no whole row then,
//! and scores do not keep the next step from being started early.

use super::*;

fn prompts(count: u32, tokens: u32) -> Vec<Vec<u32>> {
    (0..count).map(|i| (0..tokens + i).map(|j| (i * 31 + j * j * 7 + 5) % 128).collect()).collect()
}

fn scores(engine: &TokenEngine, prompts: &[Vec<u32>]) -> Vec<Vec<f64>> {
    let answers = || vec![vec![5], vec![6, 7, 8], vec![9]];
    let all = prompts.iter().map(|prompt| engine.score(prompt.clone(), answers()));
    block_on(join_all(all)).into_iter().map(|scores| scores.unwrap().logprobs).collect()
}

#[test]
fn steps_of_scores_are_started_before_the_last_scores_are_read() {
    let config = plain_config();
    let options = EngineOptions { max_running: 2, step_tokens: 32, draft_tokens: 0, ..EngineOptions::default() };
    let prompts = prompts(6, 40);
    let expected = scores(&engine(&config, alone()), &prompts);
    for answers in [true, false] {
        let (device, seen) = async_engine(&config, &options, answers);
        assert_eq!(scores(&device, &prompts), expected);
        // Each prompt has three: about its last row, and about two rows of its longest answer.
        let questions = if answers { 3 * prompts.len() } else { 0 };
        assert_eq!(seen.questions.load(Ordering::SeqCst), questions);
        if answers {
            // All but the first ones, which may come before all prompts are there.
            let (ahead, steps) = (seen.ahead.load(Ordering::SeqCst), device.counters().steps);
            assert!(2 * ahead as u64 > steps, "{ahead} of {steps} steps");
        }
    }
}

/// Scores beside generations, greedy ones and sampled ones, with drafts and without.
#[test]
fn answers_are_those_of_whole_rows() {
    let config = plain_config();
    let sampling = [Sampling::GREEDY, Sampling { top_k: 5, ..Sampling::at(1.2, 3) }, Sampling::at(1.0, 4)];
    for draft_tokens in [0, 4] {
        let options = EngineOptions { draft_tokens, draft_rows: 32, ..EngineOptions::default() };
        let run = |engine: &TokenEngine| {
            let prompts = prompts(6, 20);
            let generate = |(i, prompt): (usize, &Vec<u32>)| {
                engine.generate(TokenRequest { sampling: sampling[i % 3], ..request(prompt.clone(), 30) })
            };
            let generations = join_all(prompts.iter().enumerate().map(generate));
            let scores = join_all(prompts.iter().map(|prompt| engine.score(prompt.clone(), vec![vec![1, 2], vec![3]])));
            let (generated, scored) = block_on(future::join(generations, scores));
            let tokens = generated.into_iter().map(|output| output.unwrap().token_ids).collect::<Vec<_>>();
            let logprobs = scored.into_iter().map(|output| output.unwrap().logprobs).collect::<Vec<_>>();
            (tokens, logprobs)
        };
        let (device, seen) = async_engine(&config, &options, true);
        assert_eq!(run(&device), run(&engine(&config, alone())));
        // Each score has two rows, and every token of two generations is sampled from few logits.
        assert!(seen.questions.load(Ordering::SeqCst) >= 6 * 2 + 2 * 30);
    }
}

/// On the emulated GPU no row of logits goes to the host, unless the whole vocabulary is sampled
/// from.
#[cfg(unix)]
#[test]
fn a_gpu_reads_no_row_for_scores_and_few_candidates() {
    use crate::executor::gpu::emulated::{Asked, Kind, OPTIONS, executor};
    let config = Config { max_position_embeddings: 1024, ..plain_config() };
    let options = EngineOptions { draft_tokens: 0, step_tokens: OPTIONS.step_tokens, ..EngineOptions::default() };
    for kind in [Kind::Cuda, Kind::Metal] {
        let start = || {
            let (device, record) = executor(kind, &config, Dtype::Q8_0)?;
            record.lock().unwrap().clear();
            let engine = TokenEngine::start_on(Box::new(device), &config, vec![], &options, OPTIONS.blocks).unwrap();
            Some((engine, record))
        };
        let Some((engine, record)) = start() else { return };
        let prompts = prompts(3, 18);
        let together = scores(&engine, &prompts);
        for scores in &together {
            assert!(scores.iter().all(|logprob| logprob.is_finite() && *logprob < 0.0), "{scores:?}");
        }
        let sampled = |engine: &TokenEngine, top_k| {
            let sampling = Sampling { top_k, ..Sampling::at(1.0, 7) };
            let one = TokenRequest { sampling, ..request(prompts[0].clone(), 6) };
            block_on(engine.generate(one)).unwrap().token_ids
        };
        let few = sampled(&engine, 8);
        let read = || record.lock().unwrap().iter().filter(|asked| matches!(asked, Asked::Read(_))).count();
        assert_eq!(read(), 0, "{kind:?}");
        assert_eq!(sampled(&engine, 0).len(), 6);
        assert_eq!(read(), 6, "{kind:?}: the whole vocabulary");
        // The same bits in other company.
        let (alone, _) = start().unwrap();
        for (prompt, together) in prompts.iter().zip(&together) {
            assert_eq!(scores(&alone, std::slice::from_ref(prompt))[0], *together);
        }
        assert_eq!(sampled(&alone, 8), few);
    }
}
