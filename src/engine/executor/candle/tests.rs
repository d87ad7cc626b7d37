//! The whole model on candle's CPU, against our own forward pass.

use super::decoder::largest;
use super::{CandleDevice, CandleExecutor, CandleOptions};
use crate::blocks::Blocks;
use crate::executor::{CpuExecutor, Executor};
use crate::kernels::Compute;
use crate::qwen3::testing::{RandomTensors, odd_config, plain_config};
use crate::qwen3::{Config, Dtype, Model};
use crate::schedule::{Limits, Scheduler};
use candle_core::{Device, Tensor};

const OPTIONS: CandleOptions =
    CandleOptions { block_tokens: 16, blocks: 64, fewer_blocks_do: false, step_tokens: 50, max_running: 8 };

/// The error allowed in logits of f32 weights.
const ALLOWED: f32 = 1e-4;

/// How much further from the logits of f32 weights candle may be than our own kernels are. Both
/// make bytes of the activations for quantized weights, each in its own way.
const FURTHER: f32 = 1.5;

fn on_candle(config: &Config, dtype: Dtype) -> CandleExecutor {
    CandleExecutor::load(&CandleDevice::cpu(), config, &mut RandomTensors::new(), dtype, OPTIONS).unwrap()
}

fn on_our_own(config: &Config, dtype: Dtype) -> CpuExecutor {
    let compute = Compute::cpu(Some(1)).unwrap();
    let model = Model::load(config, &mut RandomTensors::new(), dtype, &compute).unwrap();
    CpuExecutor::new(model, OPTIONS.block_tokens, OPTIONS.blocks)
}

/// Returns the logits behind each prompt, and behind each of the tokens `then` after it, with the
/// greedy choices.
fn logits(executor: &mut dyn Executor, prompts: &[Vec<u32>], then: &[u32], step_tokens: usize) -> Vec<(Vec<f32>, u32)> {
    let limits = Limits { step_tokens, max_running: OPTIONS.max_running };
    let mut scheduler = Scheduler::new(limits, Blocks::new(OPTIONS.blocks, OPTIONS.block_tokens, false));
    let ids: Vec<_> = prompts.iter().map(|prompt| scheduler.submit(prompt.clone(), prompt.len() - 1)).collect();
    let mut rows = vec![Vec::new(); prompts.len()];
    while let Some(plan) = scheduler.plan() {
        executor.run(&plan).unwrap();
        scheduler.complete(&plan);
        for (index, wanted) in plan.logits.iter().enumerate() {
            let of = ids.iter().position(|&id| id == wanted.id).unwrap();
            rows[of].push((executor.logits(index).unwrap().to_vec(), executor.greedy(index)));
            match then.get(rows[of].len() - 1) {
                Some(&token) => scheduler.push(wanted.id, token),
                None => scheduler.remove(wanted.id),
            }
        }
    }
    rows.concat()
}

fn prompts(lengths: &[usize]) -> Vec<Vec<u32>> {
    let token = |i: usize, j: usize| ((i * 31 + j * j * 7 + 5) % 97) as u32;
    lengths.iter().enumerate().map(|(i, length)| (0..*length).map(|j| token(i, j)).collect()).collect()
}

/// Returns the largest difference of a logit, as a share of the largest logit of its row.
fn distance(found: &[(Vec<f32>, u32)], expected: &[(Vec<f32>, u32)]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let of_row = |found: &[f32], expected: &[f32]| {
        let size = expected.iter().fold(0f32, |size, x| size.max(x.abs()));
        found.iter().zip(expected).fold(0f32, |error, (a, b)| error.max((a - b).abs())) / size
    };
    let rows = found.iter().zip(expected);
    rows.map(|((found, _), (expected, _))| of_row(found, expected)).fold(0f32, f32::max)
}

fn assert_near(found: &[(Vec<f32>, u32)], expected: &[(Vec<f32>, u32)], allowed: f32, what: &str) {
    let distance = distance(found, expected);
    assert!(distance <= allowed, "{what}: {distance} of {allowed}");
    for (found, greedy) in found {
        let largest = found.iter().fold(f32::NEG_INFINITY, |most, x| most.max(*x));
        assert_eq!(found.iter().position(|x| *x == largest), Some(*greedy as usize), "{what}");
    }
}

#[test]
fn logits_are_those_of_our_own_kernels_in_every_format() {
    let prompts = prompts(&[1, 20, 70, 33]);
    for config in [odd_config(), plain_config()] {
        let exact = logits(&mut on_our_own(&config, Dtype::F32), &prompts, &[5, 6, 7], 50);
        assert_eq!(exact.len(), 16);
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Q8_0, Dtype::Q4K] {
            let found = logits(&mut on_candle(&config, dtype), &prompts, &[5, 6, 7], 50);
            let ours = logits(&mut on_our_own(&config, dtype), &prompts, &[5, 6, 7], 50);
            let allowed = f32::max(ALLOWED, FURTHER * distance(&ours, &exact));
            assert_near(&found, &exact, allowed, dtype.name());
        }
    }
}

#[test]
fn attention_in_pieces_is_attention_at_once() {
    let (config, prompts) = (odd_config(), prompts(&[60, 9, 40, 41, 42]));
    let at_once = logits(&mut on_candle(&config, Dtype::F32), &prompts, &[1, 2], 200);
    for most_numbers in [1, 700, 20_000] {
        let mut executor = on_candle(&config, Dtype::F32);
        executor.attend_at_once(most_numbers);
        assert_near(&logits(&mut executor, &prompts, &[1, 2], 200), &at_once, 1e-5, "in pieces");
    }
}

#[test]
fn the_lowest_of_equal_logits_wins_and_what_is_no_number_never() {
    let of =
        |rows: &[[f32; 4]]| largest(&Tensor::from_vec(rows.concat(), (rows.len(), 4), &Device::Cpu).unwrap()).unwrap();
    assert_eq!(of(&[[1.0, 3.0, 3.0, 2.0], [4.0, 4.0, 4.0, 4.0]]), [1, 0]);
    assert_eq!(of(&[[f32::NAN, -1.0, f32::NAN, -2.0], [0.0, f32::NEG_INFINITY, f32::INFINITY, f32::NAN]]), [1, 2]);
    assert_eq!(of(&[[f32::NAN; 4]]), [0]);
}
