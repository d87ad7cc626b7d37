//! The whole model on the emulated device: against the CPU, whatever the company of a row, and what
//! it asks of a device.

mod steps;

use super::Gpu;
use super::emulated::{
    Asked, EmulatedGpu, Kind, MULTIPROCESSORS, OPTIONS, Record, executor, gpu, load, roomy, without_graphs,
};
use super::{GpuExecutor, GpuOptions};
use crate::base::Seed;
use crate::blocks::Blocks;
use crate::executor::{CpuExecutor, DeviceError, Executor};
use crate::kernels::gpu::Weights;
use crate::kernels::gpu::cuda::device;
use crate::kernels::{Compute, KernelSet};
use crate::qwen3::testing::{RandomTensors, plain_config};
use crate::qwen3::{Config, Dtype, Family, Model};
use crate::schedule::{Limits, Scheduler};
use crate::weights::RandomWeights;

/// Formats, and the error allowed in their logits: activations are bf16 on the device, bytes on the
/// CPU for quantized weights. (8-bit floats are compared with bf16.)
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
    let limits = Limits { step_tokens, max_running: prompts.len().max(OPTIONS.max_running) };
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

/// With `--fast`: a library multiplies with bf16 weights, where the device has one; what has a bias
/// and what is quantized is left to the kernels, prefill and captured decode steps alike.
#[test]
fn a_library_multiplies_if_bits_may_depend_on_company() {
    let fast = GpuOptions { fast: true, ..OPTIONS };
    let device = |kind, config: &Config, dtype| roomy(kind, config, dtype, fast);
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

/// On the GPU of this machine, in a build that has kernels for one.
#[test]
fn logits_of_this_machine_are_those_of_the_cpu() {
    let with_f8 = [&ALLOWED[..], if cfg!(metal) { &[] } else { &[(Dtype::F8, 0.15)] }].concat();
    if this_machine().is_some() {
        logits_are_those_of_the_cpu(&with_f8, |config, dtype| Some(on_this_machine(config, dtype)));
    }
}

/// The same, whatever the company.
#[test]
fn a_sequence_has_the_same_bits_in_any_company_on_this_machine() {
    if this_machine().is_some() {
        for config in [config(), wide()] {
            a_sequence_has_the_same_bits_in_any_company(&mut on_this_machine(&config, Dtype::Q8_0));
        }
    }
}

/// Returns the machine's GPU; `None`, visibly, where there is none. Where the suite wants the
/// device (`MASPO_KERNELS=device`), that is a failure.
pub(super) fn this_machine() -> Option<Box<dyn Gpu>> {
    match open_this_machine() {
        Ok(gpu) => Some(gpu),
        Err(error) if device::wanted() => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

/// The device that the kernel suite runs on.
fn open_this_machine() -> Result<Box<dyn Gpu>, DeviceError> {
    if device::emulated() {
        return gpu(usize::MAX).ok_or_else(|| DeviceError("the kernels cannot be compiled".to_string()));
    }
    #[cfg(feature = "cuda")]
    return super::cuda::CudaGpu::open(0).map(|gpu| Box::new(gpu) as _);
    #[cfg(all(metal, not(feature = "cuda")))]
    return super::metal::MetalGpu::open().map(|gpu| Box::new(gpu) as _);
    #[cfg(not(gpu))]
    return Err(DeviceError("this build has no kernels of a GPU".to_string()));
}

fn on_this_machine(config: &Config, dtype: Dtype) -> GpuExecutor {
    let gpu = this_machine().expect("it was opened before");
    GpuExecutor::load(gpu, config, &mut RandomTensors::new(), dtype, OPTIONS).expect("a model that fits")
}

fn logits_are_those_of_the_cpu(allowed: &[(Dtype, f32)], device: impl Fn(&Config, Dtype) -> Option<GpuExecutor>) {
    // Qwen2's heads have no norms, and its attention has three biases.
    let qwen2 = Config { family: Family::Qwen2, attention_bias: true, ..config() };
    for config in [config(), Config { attention_bias: true, tie_word_embeddings: false, ..config() }, qwen2] {
        for &(dtype, allowed) in allowed {
            let Some(mut device) = device(&config, dtype) else { return };
            let prompts = prompts(2, 70);
            let found = logits(&mut device, &prompts, 0, OPTIONS.step_tokens);
            let expected = logits(&mut on_the_cpu(&config, dtype), &prompts, 0, OPTIONS.step_tokens);
            assert_near(&found, &expected, dtype, allowed);
        }
    }
}

/// The CPU beside which a device is looked at. `MASPO_KERNELS=device` speaks of the device alone,
/// and names no set of the CPU's.
fn cpu() -> Compute {
    match std::env::var("MASPO_KERNELS").as_deref() {
        Ok("device") => Compute::with_kernels(Some(2), KernelSet::available()[0]).unwrap(),
        _ => Compute::cpu(Some(2)).unwrap(),
    }
}

fn on_the_cpu(config: &Config, dtype: Dtype) -> CpuExecutor {
    let model = Model::load(config, &mut RandomTensors::new(), dtype, &cpu()).unwrap();
    CpuExecutor::new(model, OPTIONS.block_tokens, OPTIONS.blocks)
}

fn assert_near(found: &[Vec<Vec<f32>>], expected: &[Vec<Vec<f32>>], dtype: Dtype, allowed: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        let size = expected.iter().fold(0f32, |size, x| size.max(x.abs()));
        let error = found.iter().zip(expected).fold(0f32, |error, (a, b)| error.max((a - b).abs()));
        assert!(error <= allowed * size, "{dtype}: {error} of {size}");
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

/// So wide that products are divided among multiprocessors, which in a deterministic run no batch
/// may change.
fn wide() -> Config {
    Config { hidden_size: 512, intermediate_size: 512, num_hidden_layers: 1, ..config() }
}

#[test]
fn products_in_parts_have_the_same_bits_in_any_company() {
    let Some((mut device, _)) = executor(Kind::Cuda, &wide(), Dtype::Q8_0) else { return };
    let rules = Kind::Cuda.kernels().expect("they were loaded").rules();
    let qkv = rules.linear_splits(Weights::Q8_0, 512, (4 + 2 + 2) * 64, MULTIPROCESSORS);
    assert!(qkv > 1, "the matrix is divided");
    a_sequence_has_the_same_bits_in_any_company(&mut device);
}

/// With `--fast` a step of more than 80 rows has its products divided less, or not at all
/// (`program::parts`): no other numbers.
#[test]
fn products_in_fewer_parts_are_those_of_the_cpu() {
    let fast = GpuOptions { fast: true, step_tokens: 128, ..OPTIONS };
    let (config, prompts) = (wide(), prompts(1, 100));
    let Some((mut device, _)) = roomy(Kind::Cuda, &config, Dtype::Q8_0, fast) else { return };
    let found = logits(&mut device, &prompts, 0, fast.step_tokens);
    let mut cpu = on_the_cpu(&config, Dtype::Q8_0);
    assert_near(&found, &logits(&mut cpu, &prompts, 0, fast.step_tokens), Dtype::Q8_0, 0.04);
}

/// A sequence grows into the next bucket of keys, for which a graph of its own is captured; another
/// one is there before.
#[test]
fn a_sequence_grows_out_of_its_bucket() {
    let options = GpuOptions { step_tokens: 512, ..OPTIONS };
    let Some((mut device, record)) = roomy(Kind::Cuda, &config(), Dtype::Bf16, options) else { return };
    let prompts = prompts(2, 250);
    record.lock().unwrap().clear();
    let together = logits(&mut device, &prompts, 10, options.step_tokens);
    assert_eq!(captured(&record), [2, 2], "256 keys, and 512");
    assert_eq!(logits(&mut device, &prompts[..1], 10, OPTIONS.step_tokens)[0], together[0]);
    // As if the text had been there from the beginning.
    let text = prompts[0].iter().copied().chain(together[0][..10].iter().map(|row| largest(row))).collect();
    assert_eq!(logits(&mut device, &[text], 0, OPTIONS.step_tokens)[0][0], together[0][10]);
    assert_no_memory_is_asked_for(&record);
}

/// From 17 rows on a bucket has rows that only fill it up.
#[test]
fn nineteen_sequences_decode_in_a_bucket_of_twenty_four() {
    let options = GpuOptions { max_running: 24, step_tokens: 300, ..OPTIONS };
    let Some((mut device, record)) = roomy(Kind::Cuda, &config(), Dtype::Q8_0, options) else { return };
    let prompts = prompts(19, 3);
    record.lock().unwrap().clear();
    let together = logits(&mut device, &prompts, 3, options.step_tokens);
    assert_eq!(captured(&record), [24]);
    assert_no_memory_is_asked_for(&record);
    for of in [0, 9, 18] {
        assert_eq!(logits(&mut device, &prompts[of..=of], 3, 7)[0], together[of], "sequence {of}");
    }
}

/// Where a graph cannot be had, its launches are: the same answers, and it is not asked for again
/// and again.
#[test]
fn steps_that_cannot_be_captured_are_launched() {
    let Some((mut device, record)) = without_graphs(Kind::Cuda, &config(), Dtype::Q8_0) else { return };
    let prompts = prompts(2, 20);
    record.lock().unwrap().clear();
    let found = logits(&mut device, &prompts, 5, OPTIONS.step_tokens);
    assert_eq!(captured(&record), [2], "asked for once");
    assert!(!record.lock().unwrap().iter().any(|asked| matches!(asked, Asked::Replay(_))));
    assert_eq!(device.refused_captures(), 1, "and it is counted");
    let (mut with_graphs, _) = executor(Kind::Cuda, &config(), Dtype::Q8_0).expect("it was loaded before");
    assert_eq!(found, logits(&mut with_graphs, &prompts, 5, OPTIONS.step_tokens));
}

fn largest(row: &[f32]) -> u32 {
    let better = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
    (0..row.len()).fold(0, better) as u32
}

/// The rows of every step that a graph was asked for.
fn captured(record: &Record) -> Vec<u32> {
    let rows = |asked: &Asked| if let Asked::Capture(_, rows) = asked { Some(*rows) } else { None };
    record.lock().unwrap().iter().filter_map(rows).collect()
}

/// Since the record was cleared, which is after loading.
fn assert_no_memory_is_asked_for(record: &Record) {
    assert!(!record.lock().unwrap().iter().any(|asked| matches!(asked, Asked::Allocate(_))), "memory for a step");
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

/// With `MASPO_GPU_DEBUG=sync` every launch is waited for, and an error names the kernel and its
/// place in the step.
#[test]
fn a_synchronous_step_waits_for_every_launch_and_captures_nothing() {
    let Some((device, record)) = executor(Kind::Cuda, &config(), Dtype::Q8_0) else { return };
    let mut device = device.debugging("sync");
    let prompts = prompts(2, 20);
    record.lock().unwrap().clear();
    let found = logits(&mut device, &prompts, 3, OPTIONS.step_tokens);
    let asked = record.lock().unwrap().clone();
    let launches: Vec<usize> = (0..asked.len()).filter(|at| matches!(asked[*at], Asked::Launch(_))).collect();
    assert!(launches.len() > 50, "a step has many launches");
    for at in launches {
        assert!(matches!(&asked[at], Asked::Launch(names) if names.len() == 1) && asked[at + 1] == Asked::Wait);
    }
    assert!(captured(&record).is_empty());
    let (mut usual, _) = executor(Kind::Cuda, &config(), Dtype::Q8_0).expect("it was loaded before");
    assert_eq!(found, logits(&mut usual, &prompts, 3, OPTIONS.step_tokens), "no result changes");
}

#[test]
fn without_graphs_decode_steps_are_launched() {
    let Some((device, record)) = executor(Kind::Cuda, &config(), Dtype::Q8_0) else { return };
    let mut device = device.debugging("no-graphs");
    record.lock().unwrap().clear();
    logits(&mut device, &prompts(2, 20), 5, OPTIONS.step_tokens);
    assert_eq!((captured(&record).len(), device.refused_captures()), (0, 0));
}

/// Random weights are a few rows that copies within the device repeat; a step with them gives
/// numbers, in every format.
#[test]
fn random_weights_are_made_on_the_device() {
    let config = Config { vocab_size: 600, intermediate_size: 256, hidden_size: 256, ..config() };
    for (dtype, fast) in
        [(Dtype::Bf16, false), (Dtype::Bf16, true), (Dtype::Q8_0, false), (Dtype::Q4K, false), (Dtype::F8, false)]
    {
        let Some((gpu, record)) = EmulatedGpu::new(Kind::Cuda, usize::MAX) else { return };
        let options = GpuOptions { fast, ..OPTIONS };
        let mut source = RandomWeights::new(Seed(1));
        let mut device = GpuExecutor::load(Box::new(gpu), &config, &mut source, dtype, options).unwrap();
        let (mut written, mut copied) = (0, 0);
        for asked in record.lock().unwrap().iter() {
            match asked {
                Asked::Write(bytes) => written += bytes,
                Asked::Copy(bytes) => copied += bytes,
                _ => {}
            }
        }
        assert!(copied >= device.weight_bytes_per_step(), "{dtype}: every matrix is made of copies");
        // Blocks, norms, cosines and sines.
        assert!(written < 2 << 20, "{dtype}: {written} bytes come from the host");
        let rows = logits(&mut device, &prompts(2, 20), 3, OPTIONS.step_tokens);
        for row in rows.iter().flatten() {
            let size = row.iter().fold(0f32, |size, x| size.max(x.abs()));
            assert!(row.iter().all(|x| x.is_finite()) && size > 0.1, "{dtype}");
            // The head's rows come again after a block.
            assert_eq!(row[..72], row[128..200], "{dtype}");
        }
    }
}

/// Two models of one run divide the device: the first leaves as much as it takes, the second takes
/// of what is left.
#[test]
fn models_of_one_run_share_the_memory_of_a_device() {
    let config = Config { max_position_embeddings: 40_960, ..config() };
    // Returns the blocks and the bytes that are left.
    let open = |models_to_open, free| {
        let options = GpuOptions { blocks: 1 << 20, fewer_blocks_do: true, models_to_open, ..OPTIONS };
        let (executor, record) = load(Kind::Cuda, &config, Dtype::Q8_0, options, free)?;
        let allocated = |asked: &Asked| if let Asked::Allocate(bytes) = asked { *bytes } else { 0 };
        let taken: usize = record.lock().unwrap().iter().map(allocated).sum();
        Some((executor.unwrap().blocks(), free - taken))
    };
    let free = 1 << 30;
    let Some((alone, _)) = open(1, free) else { return };
    let (first, left) = open(2, free).unwrap();
    let (second, _) = open(1, left).unwrap();
    assert!((0.4..0.5).contains(&(first as f64 / alone as f64)), "{first} of {alone}");
    assert!((0.4..0.6).contains(&(second as f64 / alone as f64)), "{second} of {alone}");
}
