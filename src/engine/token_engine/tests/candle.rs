//! The engine on candle's CPU: with prefix reuse, preemption, drafts and scores in ragged batches,
//! answers are those of our own kernels for each request alone, but for rounding.

use super::*;
use crate::executor::candle::{CandleDevice, CandleExecutor, CandleOptions};

/// The error allowed in a token's log-probability.
const TOLERANCE: f64 = 1e-4;

/// Starts an engine on candle's CPU with the weights of [`random_model`].
fn candle_engine(config: &Config, options: &EngineOptions) -> TokenEngine {
    let device = CandleDevice::cpu();
    let blocks = options.pool(config, CandleExecutor::kv_bytes_per_token(&device, config), None).total;
    let EngineOptions { block_tokens, step_tokens, max_running, .. } = *options;
    let wanted = CandleOptions { block_tokens, blocks, fewer_blocks_do: true, step_tokens, max_running };
    let executor = CandleExecutor::load(&device, config, &mut RandomTensors::new(), Dtype::F32, wanted).unwrap();
    let blocks = executor.blocks();
    TokenEngine::start_on(Box::new(executor), config, vec![3], options, blocks).unwrap()
}

/// Compares greedy answers and scores. Where a token differs, the two must be as likely as each
/// other.
fn assert_near(native: &TokenEngine, asked: &Ask, found: &Outcome, expected: &Outcome) {
    match (asked, found, expected) {
        (Ask::Score(..), Outcome::Scores(found), Outcome::Scores(expected)) => {
            for (found, expected) in found.iter().zip(expected) {
                let (found, expected) = (f64::from_bits(*found), f64::from_bits(*expected));
                // An answer has at most 5 tokens.
                assert!((found - expected).abs() <= 5.0 * TOLERANCE, "{found} for {expected}: {asked:?}");
            }
        }
        (Ask::Generate(request), Outcome::Tokens(found, ended), Outcome::Tokens(expected, end)) => {
            let same = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
            if found == expected {
                assert_eq!(ended, end, "{asked:?}");
            } else if let (Some(&one), Some(&other)) = (found.get(same), expected.get(same)) {
                let before = [&request.prompt[..], &found[..same]].concat();
                let scores = block_on(native.score(before, vec![vec![one], vec![other]])).unwrap().logprobs;
                assert!((scores[0] - scores[1]).abs() <= 2.0 * TOLERANCE, "{found:?} for {expected:?}: {asked:?}");
            } else {
                panic!("{found:?} ends where {expected:?} does not: {asked:?}");
            }
        }
        other => panic!("an outcome of another kind: {other:?}"),
    }
}

fn check_on_candle(config: &Config, asks: &[Ask], options: EngineOptions) {
    let greedy = asks.iter().cloned().map(|one| match one {
        Ask::Generate(request) => Ask::Generate(TokenRequest { sampling: Sampling::GREEDY, ..request }),
        score => score,
    });
    let asks: Vec<Ask> = greedy.collect();
    let (single, together) = (engine(config, alone()), candle_engine(config, &options));
    let expected: Vec<Outcome> = asks.iter().map(|one| block_on(ask(&single, one.clone()))).collect();
    // In the second round, the prefixes are cached.
    for _ in 0..2 {
        let found = block_on(join_all(asks.iter().map(|one| ask(&together, one.clone()))));
        for ((found, expected), asked) in found.iter().zip(&expected).zip(&asks) {
            assert_near(&single, asked, found, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn results_are_those_of_our_own_kernels(asks in asks(97, 16), options in options()) {
        check_on_candle(&odd_config(), &asks, options);
    }
}

#[test]
fn preemption_drafts_and_shared_prefixes_happen_on_candle() {
    let config = plain_config();
    let options = EngineOptions { kv_tokens: Some(16 * 14), step_tokens: 40, ..EngineOptions::default() };
    let (single, together) = (engine(&config, alone()), candle_engine(&config, &options));
    let shared: Vec<u32> = (0..48).map(|i| i * 5 % 128).collect();
    let asks: Vec<Ask> = (0..6u32).map(|i| Ask::Generate(request([&shared[..], &[i, i, i]].concat(), 40))).collect();
    let found = block_on(join_all(asks.iter().map(|one| ask(&together, one.clone()))));
    for (found, asked) in found.iter().zip(&asks) {
        assert_near(&single, asked, found, &block_on(ask(&single, asked.clone())));
    }
    let counters = together.counters();
    // Six sequences of 91 tokens share 48; the rest of them takes 18 blocks, and 11 are left.
    assert!(counters.peak_blocks <= 14 && counters.reused_tokens > 0, "{counters:?}");
    assert!(counters.accepted_tokens > 0, "{counters:?}");
    assert!(counters.prefilled_tokens > 48 + 6 * 3, "someone was preempted, and computed again: {counters:?}");
}
