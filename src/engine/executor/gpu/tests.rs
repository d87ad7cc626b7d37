//! The whole model on the emulated device: against the CPU, whatever the company of a row, and what it asks of a device.

use super::emulated::{Asked, Kind, OPTIONS, executor, load};
#[cfg(metal)]
use super::metal::MetalGpu;
use super::{GpuExecutor, GpuOptions};
use crate::engine::blocks::Blocks;
use crate::engine::executor::{CpuExecutor, Executor};
use crate::engine::kernels::Compute;
use crate::engine::qwen3::testing::{RandomTensors, plain_config};
use crate::engine::qwen3::{Config, Dtype, Model};
use crate::engine::schedule::{Limits, Scheduler};

/// Formats, and the error allowed in their logits: activations are bf16 on the device, bytes on the CPU for quantized weights. (8-bit
/// floats are compared with bf16.)
const ALLOWED: [(Dtype, f32); 3] = [(Dtype::Bf16, 0.03), (Dtype::Q8_0, 0.04), (Dtype::Q4K, 0.06)];

fn config() -> Config {
    Config { max_position_embeddings: 1024, ..plain_config() }
}

fn prompts(count: usize, tokens: usize) -> Vec<Vec<u32>> {
    let token = |i: usize, j: usize| ((i * 31 + j * j * 7 + 5) % 128) as u32;
    (0..count).map(|i| (0..tokens + i).map(|j| token(i, j)).collect()).collect()
}

/// The bits of the logits behind each prompt and behind `more` greedy tokens after it.
fn logits(executor: &mut dyn Executor, prompts: &[Vec<u32>], more: usize, step_tokens: usize) -> Vec<Vec<Vec<f32>>> {
    let limits = Limits { step_tokens, max_running: OPTIONS.max_running };
    let mut scheduler = Scheduler::new(limits, Blocks::new(OPTIONS.blocks, OPTIONS.block_tokens, false));
    let ids: Vec<_> = prompts.iter().map(|prompt| scheduler.submit(prompt.clone(), prompt.len() - 1)).collect();
    let mut rows = vec![Vec::new(); prompts.len()];
    while let Some(plan) = scheduler.plan() {
        executor.run(&plan).unwrap();
        scheduler.complete(&plan);
        for (index, wanted) in plan.logits.iter().enumerate() {
            let of = ids.iter().position(|&id| id == wanted.id).unwrap();
            rows[of].push(executor.logits(index).unwrap().to_vec());
            if rows[of].len() > more {
                scheduler.remove(wanted.id);
            } else {
                scheduler.push(wanted.id, executor.greedy(index));
            }
        }
    }
    rows
}

#[test]
fn logits_of_cuda_are_those_of_the_cpu() {
    let with_f8 = [&ALLOWED[..], &[(Dtype::F8, 0.15)]].concat();
    logits_are_those_of_the_cpu(&with_f8, |config, dtype| Some(executor(Kind::Cuda, config, dtype)?.0));
}

#[test]
fn logits_of_metal_are_those_of_the_cpu() {
    logits_are_those_of_the_cpu(&ALLOWED, |config, dtype| Some(executor(Kind::Metal, config, dtype)?.0));
}

/// With `--fast`: a library multiplies with bf16 weights, where the device has one; what has a bias and what is quantized is left to the
/// kernels, prefill and captured decode steps alike.
#[test]
fn a_library_multiplies_if_bits_may_depend_on_company() {
    let fast = GpuOptions { fast: true, ..OPTIONS };
    let device = |kind, config: &Config, dtype| {
        let (executor, record) = load(kind, config, dtype, fast, usize::MAX)?;
        Some((executor.expect("a model that fits"), record))
    };
    logits_are_those_of_the_cpu(&ALLOWED, |config, dtype| Some(device(Kind::Cuda, config, dtype)?.0));
    for (kind, dtype, attention_bias, launches) in [
        (Kind::Cuda, Dtype::Bf16, false, [4, 0, 1]),
        (Kind::Cuda, Dtype::Bf16, true, [2, 2, 1]),
        (Kind::Cuda, Dtype::Auto, false, [4, 0, 1]),
        (Kind::Cuda, Dtype::Q8_0, false, [0, 4, 0]),
        (Kind::Metal, Dtype::Bf16, false, [0, 4, 0]),
    ] {
        let config = Config { attention_bias, ..config() };
        let Some((mut executor, record)) = device(kind, &config, dtype) else { return };
        logits(&mut executor, &prompts(2, 20), 3, OPTIONS.step_tokens);
        let record = record.lock().unwrap();
        let step = record.iter().find_map(|asked| if let Asked::Launch(names) = asked { Some(names) } else { None });
        let count = |wanted: &str| step.unwrap().iter().filter(|name| **name == wanted).count();
        let head = usize::from(launches[0] > 0);
        let expected = launches.map(|per_layer| per_layer * config.num_hidden_layers);
        assert_eq!(
            ["gemm", "linear", "silu"].map(count),
            [expected[0] + head, expected[1] + 1 - head, expected[2]],
            "{kind:?} {dtype}"
        );
        assert!(record.iter().any(|asked| matches!(asked, Asked::Replay(_))), "decode steps are captured");
    }
}

/// On a Mac: its own GPU, the one check here that is not emulated.
#[cfg(metal)]
#[test]
fn logits_of_this_machine_are_those_of_the_cpu() {
    match MetalGpu::open() {
        Ok(_) => logits_are_those_of_the_cpu(&ALLOWED, |config, dtype| Some(on_this_machine(config, dtype))),
        Err(error) => eprintln!("SKIPPED: {error}"),
    }
}

/// The same, whatever the company.
#[cfg(metal)]
#[test]
fn a_sequence_has_the_same_bits_in_any_company_on_this_machine() {
    match MetalGpu::open() {
        Ok(_) => a_sequence_has_the_same_bits_in_any_company(&mut on_this_machine(&config(), Dtype::Q8_0)),
        Err(error) => eprintln!("SKIPPED: {error}"),
    }
}

#[cfg(metal)]
fn on_this_machine(config: &Config, dtype: Dtype) -> GpuExecutor {
    let gpu = Box::new(MetalGpu::open().expect("it was opened before"));
    GpuExecutor::load(gpu, config, &mut RandomTensors::new(), dtype, OPTIONS).expect("a model that fits")
}

fn logits_are_those_of_the_cpu(allowed: &[(Dtype, f32)], device: impl Fn(&Config, Dtype) -> Option<GpuExecutor>) {
    for config in [config(), Config { attention_bias: true, tie_word_embeddings: false, ..config() }] {
        for &(dtype, allowed) in allowed {
            let Some(mut device) = device(&config, dtype) else { return };
            let model =
                Model::load(&config, &mut RandomTensors::new(), dtype, &Compute::cpu(Some(2)).unwrap()).unwrap();
            let mut cpu = CpuExecutor::new(model, OPTIONS.block_tokens, OPTIONS.blocks);
            let prompts = prompts(2, 70);
            let found = logits(&mut device, &prompts, 0, OPTIONS.step_tokens);
            let expected = logits(&mut cpu, &prompts, 0, OPTIONS.step_tokens);
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                let size = expected.iter().fold(0f32, |size, x| size.max(x.abs()));
                let error = found.iter().zip(expected).fold(0f32, |error, (a, b)| error.max((a - b).abs()));
                assert!(error <= allowed * size, "{dtype}: {error} of {size}");
            }
        }
    }
}

#[test]
fn a_sequence_has_the_same_bits_in_any_company_on_cuda() {
    let Some((mut device, _)) = executor(Kind::Cuda, &config(), Dtype::Q8_0) else { return };
    a_sequence_has_the_same_bits_in_any_company(&mut device);
}

#[test]
fn a_sequence_has_the_same_bits_in_any_company_on_metal() {
    let Some((mut device, _)) = executor(Kind::Metal, &config(), Dtype::Q8_0) else { return };
    a_sequence_has_the_same_bits_in_any_company(&mut device);
}

fn a_sequence_has_the_same_bits_in_any_company(device: &mut GpuExecutor) {
    let prompts = prompts(3, 20);
    let together = logits(device, &prompts, 4, OPTIONS.step_tokens);
    for (prompt, together) in prompts.iter().zip(&together) {
        // Prefilled in other pieces, decoded in other buckets.
        let alone = logits(device, std::slice::from_ref(prompt), 4, 7);
        assert_eq!(alone[0], *together);
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let said = |free| {
        load(Kind::Cuda, &config(), Dtype::Bf16, OPTIONS, free).map(|(executor, _)| executor.err().unwrap().to_string())
    };
    let Some(weights) = said(400 << 10) else { return };
    assert!(weights.starts_with("out of memory: "), "{weights}");
    assert!(weights.contains(" MiB are wanted for weights (choose a smaller `model.dtype`), 0."), "{weights}");
    let keys = said(1200 << 10).unwrap();
    assert!(keys.contains("0.2 MiB are wanted for keys and values (lower `engine.kv_tokens`)"), "{keys}");
    let odd = Config { head_dim: 10, ..config() };
    let (executor, _) = load(Kind::Cuda, &odd, Dtype::Bf16, OPTIONS, usize::MAX).unwrap();
    let said = executor.err().unwrap().to_string();
    assert_eq!(said, "config.json: `head_dim` is 10: the GPU kernels are made for 64 and 128");
}
