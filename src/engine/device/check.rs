//! The device check: two random layers on every backend and device, against the plain reference
//! kernels of the CPU. It finds kernels that compute something else than they should, whatever the
//! reason. It knows no files: its models are random.

use super::OpenError;
use super::memory;
use super::placement::{Placement, open};
use crate::base::Seed;
use crate::blocks::{Blocks, PoolSize};
use crate::executor::{Backend, CpuExecutor, DeviceChoice, DeviceError, Executor};
use crate::kernels::{Compute, KernelSet};
use crate::qwen3::{Config, Dtype, Family, Model};
use crate::schedule::{Limits, Scheduler};
use crate::token_engine::EngineOptions;
use crate::weights::{RandomWeights, TensorSource};
use serde::Serialize;

/// The check of one backend on one device.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeviceCheck {
    /// What computed.
    pub backend: Backend,
    /// The device's name, such as `cpu` or `cuda:0`.
    pub device: String,
    /// The model whose widths the layers have.
    pub widths: &'static str,
    /// The number format of the weight matrices.
    pub dtype: Dtype,
    /// The largest difference of a logit from the reference, as a share of the largest logit of its
    /// row. `None` if there are no numbers to compare.
    pub largest_error: Option<f64>,
    /// The largest difference that is put down to rounding.
    pub allowed_error: f64,
    /// Whether the device computes what it should.
    pub ok: bool,
    /// Why there are no numbers, or what is wrong with them.
    pub problem: Option<String>,
}

/// The error allowed in logits of f32 weights, relative to the largest logit.
const ALLOWED_F32: f64 = 1e-4;

/// The error allowed in logits of bf16 weights and activations, relative to the largest logit, as
/// the tests allow it on emulated devices.
const ALLOWED_BF16: f64 = 0.03;

/// The tokens of the prompts of the check: one that is prefilled in three steps, short ones beside
/// it, and one of a single token.
const PROMPTS: [usize; 4] = [100, 33, 7, 1];

/// The tokens that every sequence decodes, whatever the device would choose.
const THEN: [u32; 3] = [5, 900, 17];

/// The options of the check. Its sequences take 12 blocks.
fn options() -> EngineOptions {
    EngineOptions { kv_tokens: Some(1024), step_tokens: 48, max_running: 8, ..EngineOptions::default() }
}

/// Layers of the widths of a real model.
struct Widths {
    name: &'static str,
    config: Config,
    /// What its weights take in f32.
    bytes: u64,
}

/// The widths of Qwen3-0.6B, for CPUs and for the short form of the check.
fn small() -> Widths {
    widths("Qwen3-0.6B", (1024, 3072, 16))
}

/// The widths of Qwen3-8B, for GPUs.
#[cfg(gpu)]
fn large() -> Widths {
    widths("Qwen3-8B", (4096, 12288, 32))
}

fn widths(name: &'static str, (hidden_size, intermediate_size, num_attention_heads): (usize, usize, usize)) -> Widths {
    let config = Config {
        vocab_size: 1024,
        hidden_size,
        intermediate_size,
        num_hidden_layers: 2,
        num_attention_heads,
        num_key_value_heads: 8,
        head_dim: 128,
        attention_bias: false,
        max_position_embeddings: 1024,
        tie_word_embeddings: false,
        rope_theta: 1e6,
        rope_scaling: None,
        family: Family::Qwen3,
        rms_norm_eps: 1e-6,
    };
    let bytes = 4 * config.parameters() as u64;
    Widths { name, config, bytes }
}

/// Checks every backend on every device of this machine, and tells `watch` of each check before it
/// begins. `threads` is the number of compute threads.
///
/// # Errors
/// The threads of the reference cannot be started, or the weights do not fit into memory.
pub fn check_devices(
    threads: Option<usize>,
    watch: &mut dyn FnMut(Backend, DeviceChoice),
) -> Result<Vec<DeviceCheck>, OpenError> {
    let mut checks = Vec::new();
    let mut check = |widths: &Widths, devices: &[DeviceChoice], plain: bool| -> Result<(), OpenError> {
        let expected = Expected::of(widths, threads, plain)?;
        for &device in devices {
            for backend in backends(device) {
                watch(backend, device);
                let options = EngineOptions { device, backend, threads, ..options() };
                checks.push(match open(&options, None) {
                    Ok(placement) => expected.check(placement, &mut random()),
                    Err(error) => expected.failed(backend, device.to_string(), error.to_string()),
                });
            }
        }
        Ok(())
    };
    check(&small(), &[DeviceChoice::Cpu], true)?;
    #[cfg(gpu)]
    if !gpus().is_empty() {
        check(&large(), &gpus(), false)?;
    }
    Ok(checks)
}

/// Does the short form of the check on an open device.
#[cfg(gpu)]
pub(super) fn check_one(placement: Box<dyn Placement>) -> Result<DeviceCheck, OpenError> {
    Ok(Expected::of(&small(), None, false)?.check(placement, &mut random()))
}

/// Returns the backends of this build that can use the device.
fn backends(device: DeviceChoice) -> Vec<Backend> {
    let candle = !matches!(device, DeviceChoice::Cuda(_)) || cfg!(feature = "candle-cuda");
    if candle { vec![Backend::Native, Backend::Candle] } else { vec![Backend::Native] }
}

/// Returns the GPUs that this build can use and the machine has.
#[cfg(gpu)]
fn gpus() -> Vec<DeviceChoice> {
    #[cfg(feature = "cuda")]
    let cuda = crate::executor::gpu::cuda::count().unwrap_or(0);
    #[cfg(not(feature = "cuda"))]
    let cuda = 0;
    (0..cuda).map(DeviceChoice::Cuda).chain(cfg!(metal).then_some(DeviceChoice::Metal)).collect()
}

/// The weights of every model that is checked, all on the same seed.
fn random() -> RandomWeights {
    RandomWeights::new(Seed(1))
}

/// What a device should compute.
struct Expected<'a> {
    widths: &'a Widths,
    /// The logits after every prompt, and after every token behind it.
    rows: Vec<Vec<f32>>,
}

impl<'a> Expected<'a> {
    /// Computes the reference: `plain` with the kernels in plain Rust, and otherwise with the best
    /// that this CPU has.
    fn of(widths: &'a Widths, threads: Option<usize>, plain: bool) -> Result<Self, OpenError> {
        if let Some(free) = memory::free().filter(|free| *free < 2 * widths.bytes) {
            let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
            let (wanted, free) = (gib(2 * widths.bytes), gib(free));
            let text = format!("the device check takes {wanted:.1} GiB of memory, and {free:.1} GiB are free");
            return Err(DeviceError(text).into());
        }
        let available = KernelSet::available();
        let kernels = if plain { KernelSet::Portable } else { available[0] };
        let compute = Compute::with_kernels(threads, kernels)?;
        let model = Model::load(&widths.config, &mut random(), Dtype::F32, &compute)?;
        let EngineOptions { block_tokens, .. } = options();
        let blocks = options().pool(&widths.config, model.kv_bytes_per_token(), None);
        let rows = logits(&mut CpuExecutor::new(model, block_tokens, blocks.total), blocks)?;
        Ok(Self { widths, rows })
    }

    /// Runs the layers with the weights of `source` on an open device.
    fn check(&self, placement: Box<dyn Placement>, source: &mut dyn TensorSource) -> DeviceCheck {
        let (backend, device) = (placement.backend(), placement.name());
        let (dtype, allowed) = precision(&device);
        let rows = placement
            .load(&self.widths.config, source, dtype, &options())
            .and_then(|mut loaded| Ok(logits(&mut *loaded.executor, loaded.blocks)?));
        match rows {
            Err(error) => self.failed(backend, device, error.to_string()),
            Ok(rows) => {
                let error = largest_error(&rows, &self.rows);
                let ok = error <= allowed;
                let problem = (!ok).then(|| "its logits are not those of the CPU's reference".to_string());
                let largest_error = Some(error).filter(|error| error.is_finite());
                DeviceCheck { largest_error, ok, problem, ..self.failed(backend, device, String::new()) }
            }
        }
    }

    /// Returns the check of a device that gave no numbers.
    fn failed(&self, backend: Backend, device: String, problem: String) -> DeviceCheck {
        let (dtype, allowed_error) = precision(&device);
        let (widths, problem) = (self.widths.name, Some(problem));
        DeviceCheck { backend, device, widths, dtype, largest_error: None, allowed_error, ok: false, problem }
    }
}

/// Returns the number format that a device is checked in, and the error that is allowed there.
fn precision(device: &str) -> (Dtype, f64) {
    if device == "cpu" { (Dtype::F32, ALLOWED_F32) } else { (Dtype::Bf16, ALLOWED_BF16) }
}

/// Returns the logits of all sequences, in the order of sequences. A greedy choice that is not the
/// largest of its logits is an error.
fn logits(executor: &mut dyn Executor, blocks: PoolSize) -> Result<Vec<Vec<f32>>, DeviceError> {
    let EngineOptions { step_tokens, max_running, block_tokens, .. } = options();
    let mut scheduler = Scheduler::new(Limits { step_tokens, max_running }, Blocks::new(blocks, block_tokens, true));
    let token = |sequence: usize, at: usize| ((31 * sequence + 7 * at * at + 5) % 1024) as u32;
    let prompt = |(sequence, tokens): (usize, &usize)| (0..*tokens).map(|at| token(sequence, at)).collect::<Vec<u32>>();
    let prompts = PROMPTS.iter().enumerate().map(prompt);
    let ids: Vec<_> = prompts.map(|prompt| scheduler.submit(prompt.clone(), prompt.len() - 1)).collect();
    let mut rows = vec![Vec::new(); ids.len()];
    while let Some(plan) = scheduler.plan() {
        executor.start(&plan)?;
        executor.finish()?;
        scheduler.complete(&plan);
        for (index, wanted) in plan.logits.iter().enumerate() {
            let of = ids.iter().position(|id| *id == wanted.id).expect("a sequence of the check");
            let (greedy, row) = (executor.greedy(index), executor.logits(index)?.to_vec());
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if row.iter().position(|logit| *logit == largest) != Some(greedy as usize) {
                return Err(DeviceError(format!("token {greedy} was chosen, which has not the largest logit")));
            }
            rows[of].push(row);
            match THEN.get(rows[of].len() - 1) {
                Some(&token) => scheduler.push(wanted.id, token),
                None => scheduler.remove(wanted.id),
            }
        }
    }
    Ok(rows.concat())
}

/// Returns the largest difference of a logit, relative to the largest logit of its row; infinity
/// where something is no number.
fn largest_error(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    let of_row = |(found, expected): (&Vec<f32>, &Vec<f32>)| {
        let size = expected.iter().fold(0f32, |size, logit| size.max(logit.abs()));
        let differences = found.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs() / size));
        differences.fold(0.0, |most, error| if error.is_finite() { f64::max(most, error) } else { f64::INFINITY })
    };
    let rows = found.iter().zip(expected);
    let counted = if found.len() == expected.len() { 0.0 } else { f64::INFINITY };
    rows.map(of_row).fold(counted, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::WeightsError;
    use candle_core::Tensor;

    /// Weights of which one number is wrong.
    struct Faulty(&'static str);

    impl TensorSource for Faulty {
        fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
            let mut numbers = random().numbers(name, shape);
            if name == self.0 {
                numbers[12345] += 1.0;
            }
            Ok(Tensor::from_vec(numbers, shape, &candle_core::Device::Cpu)?)
        }

        fn contains(&self, _: &str) -> bool {
            true
        }
    }

    fn place(backend: Backend) -> Box<dyn Placement> {
        let options = EngineOptions { backend, device: DeviceChoice::Cpu, threads: Some(2), ..options() };
        open(&options, None).unwrap()
    }

    #[test]
    fn a_device_that_computes_what_it_should_passes_and_a_planted_fault_is_found() {
        let widths = small();
        let expected = Expected::of(&widths, Some(2), true).unwrap();
        for backend in [Backend::Native, Backend::Candle] {
            let right = expected.check(place(backend), &mut random());
            assert_eq!((right.backend, right.device.as_str(), right.ok), (backend, "cpu", true), "{right:?}");
            assert!(right.largest_error.is_some_and(|error| error < 2e-5) && right.problem.is_none(), "{right:?}");
            let wrong = expected.check(place(backend), &mut Faulty("model.layers.1.mlp.down_proj.weight"));
            assert!(!wrong.ok && wrong.largest_error.is_some_and(|error| error > ALLOWED_F32), "{wrong:?}");
            assert_eq!(wrong.problem.as_deref(), Some("its logits are not those of the CPU's reference"));
        }
    }

    #[test]
    fn what_is_no_number_is_no_small_error() {
        let of = |found: &[f32]| largest_error(&[found.to_vec()], &[vec![1.0, -4.0]]);
        assert_eq!([of(&[1.0, -4.0]), of(&[2.0, -4.0])], [0.0, 0.25]);
        assert_eq!([of(&[f32::NAN, -4.0]), of(&[1.0, f32::INFINITY])], [f64::INFINITY; 2]);
        assert_eq!(largest_error(&[], &[vec![1.0]]), f64::INFINITY);
    }
}
