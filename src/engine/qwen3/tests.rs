//! The forward pass against candle-transformers' Qwen3, which is written independently.

use super::Dtype;
use super::testing::{RandomTensors, odd_config, plain_config};
use super::{Config, Logits, Model, Workspace};
use crate::blocks::Blocks;
use crate::kernels::{Compute, KernelSet};
use crate::schedule::{Limits, Scheduler};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::qwen3;

/// Logits after every prefix that candle is asked for: the last of each prompt.
fn candle_logits(config: &Config, tensors: &RandomTensors, prompts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let theirs = qwen3::Config {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        intermediate_size: config.intermediate_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        head_dim: config.head_dim,
        attention_bias: config.attention_bias,
        num_key_value_heads: config.num_key_value_heads,
        max_position_embeddings: config.max_position_embeddings,
        sliding_window: None,
        max_window_layers: 0,
        tie_word_embeddings: config.tie_word_embeddings,
        rope_theta: config.rope_theta,
        rms_norm_eps: config.rms_norm_eps,
        use_sliding_window: false,
        hidden_act: candle_nn::Activation::Silu,
    };
    let weights = VarBuilder::from_tensors(tensors.made.clone(), DType::F32, &Device::Cpu);
    let mut model = qwen3::ModelForCausalLM::new(&theirs, weights).unwrap();
    let batch = Tensor::new(prompts.to_vec(), &Device::Cpu).unwrap();
    let logits = model.forward(&batch, 0).unwrap();
    logits.squeeze(1).unwrap().to_vec2().unwrap()
}

/// Our logits after the last token of each prompt, computed `step_tokens` at a time.
fn our_logits(model: &mut Model, prompts: &[Vec<u32>], step_tokens: usize) -> Vec<Vec<f32>> {
    let mut scheduler = Scheduler::new(Limits { step_tokens, max_running: 64 }, Blocks::new(256, 16, true));
    let mut kv = model.kv_pool(16, 256);
    let (mut work, mut logits) = (Workspace::new(), Logits::new());
    let ids: Vec<_> = prompts.iter().map(|prompt| scheduler.submit(prompt.clone(), prompt.len() - 1)).collect();
    let mut results = vec![Vec::new(); prompts.len()];
    while let Some(plan) = scheduler.plan() {
        model.forward(&plan, &mut kv, &mut work, &mut logits);
        scheduler.complete(&plan);
        for (row, wanted) in plan.logits.iter().enumerate() {
            let index = ids.iter().position(|&id| id == wanted.id).unwrap();
            results[index] = logits.row(row).to_vec();
            scheduler.remove(wanted.id);
        }
    }
    results
}

fn prompts(count: usize, tokens: usize, vocab: u32) -> Vec<Vec<u32>> {
    let token = |i: usize, j: usize| (i as u32 * 31 + j as u32 * j as u32 * 7 + 5) % vocab;
    (0..count).map(|i| (0..tokens).map(|j| token(i, j)).collect()).collect()
}

fn check(config: &Config, tokens: usize) {
    let prompts = prompts(3, tokens, config.vocab_size as u32);
    for kernels in KernelSet::available() {
        let compute = Compute::with_kernels(Some(2), kernels).unwrap();
        let mut tensors = RandomTensors::new();
        let mut model = Model::load(config, &mut tensors, Dtype::Auto, &compute).unwrap();
        let theirs = candle_logits(config, &tensors, &prompts);
        let ours = our_logits(&mut model, &prompts, 100);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let size = theirs.iter().fold(0f32, |size, x| size.max(x.abs()));
            let error = ours.iter().zip(theirs).fold(0f32, |error, (a, b)| error.max((a - b).abs()));
            assert!(error <= 1e-4 * size, "{kernels}: {error} of {size} after {tokens} tokens");
        }
    }
}

#[test]
fn logits_are_candles() {
    for tokens in [1, 2, 17, 130] {
        check(&odd_config(), tokens);
        check(&plain_config(), tokens);
    }
}

#[test]
fn logits_are_candles_after_a_long_prompt() {
    check(&Config { num_hidden_layers: 1, ..plain_config() }, 1000);
}

#[test]
fn a_missing_tensor_is_named() {
    struct Nothing;
    impl crate::weights::TensorSource for Nothing {
        fn tensor(&mut self, name: &str, _: &[usize]) -> Result<Tensor, crate::weights::WeightsError> {
            Err(crate::weights::WeightsError::Missing(name.to_string()))
        }
        fn contains(&self, _: &str) -> bool {
            false
        }
    }
    let compute = Compute::cpu(Some(1)).unwrap();
    let error = Model::load(&plain_config(), &mut Nothing, Dtype::Auto, &compute).err().unwrap();
    assert_eq!(error.to_string(), "the weights lack the tensor `model.embed_tokens.weight`");
}
