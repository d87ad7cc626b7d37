//! Benchmarks of the engine's parts: packed matrix products (and candle's for comparison),
//! attention, the forward pass at the embedded model's shape, the scheduler. Weights are random.
//!
//! Run them with `cargo bench --bench engine`; `-- product` selects a group.

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Tensor};
use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use maspo::engine::base::{Seed, Stage};
use maspo::engine::bench::measure::{Attention, Forward, Product, schedule};
use maspo::engine::kernels::{Compute, Format};
use maspo::engine::qwen3::{Config, Dtype, Model};
use maspo::engine::weights::{TensorSource, WeightsError};
use rand::RngExt;
use std::time::{Duration, Instant};

/// A source of small random numbers for every tensor.
struct RandomTensors;

impl TensorSource for RandomTensors {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let mut rng = Seed(1).derive(Stage::Weights, &[name.len() as u64]).rng();
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| 0.1 * (rng.random::<f32>() - 0.5)).collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    fn contains(&self, _: &str) -> bool {
        true
    }
}

fn embedded_model(compute: &Compute) -> Model {
    let config = r#"{"model_type": "qwen3", "vocab_size": 768, "hidden_size": 256, "intermediate_size": 512,
        "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
        "max_position_embeddings": 4096, "rope_theta": 1000000, "tie_word_embeddings": true}"#;
    Model::load(&Config::from_json(config).unwrap(), &mut RandomTensors, Dtype::Auto, compute).unwrap()
}

/// Reports the best run of each sample, which shows what the code can do and not what else the
/// machine was doing.
fn best(bencher: &mut Bencher<'_>, mut run: impl FnMut()) {
    bencher.iter_custom(|runs| {
        let time = |()| {
            let start = Instant::now();
            run();
            start.elapsed()
        };
        let runs = u32::try_from(runs).expect("few runs");
        (0..runs).map(|_| ()).map(time).min().expect("one run at least") * runs
    });
}

/// Measures products in floating-point operations: "elem/s" is FLOP/s.
fn products(c: &mut Criterion) {
    let compute = Compute::cpu(None).unwrap();
    let mut group = c.benchmark_group("product");
    for (n, k) in [(512, 256), (1024, 256), (256, 512), (2048, 2048)] {
        for format in [Format::F32, Format::Bf16, Format::Q8_0, Format::Q4K] {
            for (m, prefill) in [(1, false), (10, false), (40, false), (16, true), (40, true), (512, true)] {
                let mut product = Product::new(&compute, format, prefill, (m, n, k));
                let rows = if prefill { "of a prompt" } else { "generated" };
                group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
                group.bench_function(format!("{format} {m}x{n}x{k}, rows {rows}"), |b| best(b, || product.run()));
            }
        }
    }
}

/// Measures these products with candle's quantized kernels (which repack the weights too). They
/// should be used where they are faster. The shapes are two of Qwen3-0.6B and its LM head, the
/// largest of which does not fit in a cache.
fn beside_candle(c: &mut Criterion) {
    let compute = Compute::cpu(None).unwrap();
    let mut group = c.benchmark_group("beside candle");
    for (n, k) in [(4096, 1024), (1024, 3072), (65_536, 1024)] {
        for (format, dtype) in [(Format::Q8_0, GgmlDType::Q8_0), (Format::Q4K, GgmlDType::Q4K)] {
            let random = |shape: (usize, usize)| Tensor::rand(-1f32, 1.0, shape, &Device::Cpu).unwrap();
            let weights = QMatMul::from_qtensor(QTensor::quantize(&random((n, k)), dtype).unwrap()).unwrap();
            for (m, prefill) in [(1, false), (10, false), (40, false), (512, true)] {
                group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
                let mut product = Product::new(&compute, format, prefill, (m, n, k));
                group.bench_function(format!("{format} {m}x{n}x{k}, ours"), |b| best(b, || product.run()));
                let x = random((m, k));
                group.bench_function(format!("{format} {m}x{n}x{k}, candle"), |b| {
                    best(b, || drop(weights.forward(&x).unwrap()));
                });
            }
        }
    }
}

fn attentions(c: &mut Criterion) {
    let compute = Compute::cpu(None).unwrap();
    let mut group = c.benchmark_group("attention");
    for (name, heads, batch, tokens, context) in [
        ("prefill 2x256, 4/2 heads of 64", (4, 2, 64), 2, 256, 256),
        ("decode 40 at 300, 4/2 heads of 64", (4, 2, 64), 40, 1, 300),
        ("decode 10 at 192, 16/8 heads of 128", (16, 8, 128), 10, 1, 192),
    ] {
        let mut attention = Attention::new(&compute, heads, batch, tokens, context);
        group.throughput(Throughput::Elements((batch * tokens) as u64));
        group.bench_function(name, |b| best(b, || attention.run()));
    }
}

/// Measures the forward pass in tokens.
fn forward(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward");
    for threads in [1, 2] {
        let compute = Compute::cpu(Some(threads)).unwrap();
        for (name, batch, tokens, before) in [
            ("prefill 2x256", 2, 256, 0),
            ("decode 1", 1, 1, 256),
            ("decode 10", 10, 1, 256),
            ("decode 40", 40, 1, 256),
        ] {
            let mut forward = Forward::new(embedded_model(&compute), batch, tokens, before);
            group.throughput(Throughput::Elements(forward.tokens() as u64));
            group.bench_function(format!("{name}, {threads} threads"), |b| best(b, || forward.run()));
        }
    }
}

fn scheduler(c: &mut Criterion) {
    c.bench_function("schedule 200 requests", |b| b.iter(|| schedule(200)));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2));
    targets = products, beside_candle, attentions, forward, scheduler
}
criterion_main!(benches);
