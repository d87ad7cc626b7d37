//! Times every kernel by itself: on a GPU with the matrices, heads and vocabulary of Qwen3-8B, on
//! the emulated device with a tiny shape, where the figures say nothing and only the way to them is
//! tested.
//!
//! A kernel is launched so often that what it reads is larger than the device's L2, each launch
//! with another copy of the weights or of the keys and values; the launches are captured in one
//! graph, whose replay the device times by its own clock. Activations stay where they are, since in
//! a step they come from the L2, too. `TIMING` and a JSON object are printed per figure, at once.

use super::device::{Address, Gpu, allocate};
use super::emulated::gpu;
use super::repeated::fill;
use super::tests::this_machine;
use super::weights::{PackedRows, WEIGHTS, bytes, pack, scaled};
use crate::base::Seed;
use crate::kernels::gpu::cuda::device;
use crate::kernels::gpu::{
    AddNorm, Argmax, DecodeAttention, Embed, Epilogue, Gemm, Launch, Linear, PrefillAttention, Rotate, Scores, Tile,
    Type, Weights as Packing,
};
use crate::kernels::{Format, Rows};
use crate::weights::RandomWeights;
use serde_json::json;
use std::ptr;

/// What is timed.
struct Shape {
    hidden: usize,
    mlp: usize,
    n_q: usize,
    n_kv: usize,
    d: usize,
    v: usize,
    /// Rows of products, norms and choices of tokens.
    rows: &'static [usize],
    /// Tokens that a decoded row attends to.
    context: usize,
    /// Tokens of a prompt that is attended to at once.
    prompt: usize,
    /// Bytes that launches read in turn; more than any device's L2 has.
    turn_bytes: usize,
    /// Launches in a graph, at least.
    launches: usize,
    /// Replays that are timed; the median counts.
    replays: usize,
    /// How many of the largest logits of a row are asked for.
    top: usize,
    /// Rows and columns of the square matrices that show the peak.
    peak: usize,
}

const QWEN3_8B: Shape = Shape {
    hidden: 4096,
    mlp: 12288,
    n_q: 32,
    n_kv: 8,
    d: 128,
    v: 151_936,
    rows: &[1, 10, 40, 512],
    context: 320,
    prompt: 512,
    turn_bytes: 512 << 20,
    launches: 4,
    replays: 5,
    top: 20,
    peak: 8192,
};

const TINY: Shape = Shape {
    hidden: 256,
    mlp: 512,
    n_q: 4,
    n_kv: 2,
    d: 64,
    v: 512,
    rows: &[1, 10],
    context: 40,
    prompt: 24,
    turn_bytes: 256 << 10,
    launches: 2,
    replays: 1,
    top: 3,
    peak: 64,
};

/// What a kernel may ask for besides its operands.
const WORKSPACE_BYTES: usize = 256 << 20;
const COUNTERS: usize = 4 << 20;

/// Copies that launches take in turn, at most.
const MOST_COPIES: usize = 64;
const BLOCK_TOKENS: usize = 16;

#[test]
fn every_kernel_is_timed() {
    let opened = if device::wanted() { this_machine() } else { gpu(usize::MAX) };
    let Some(mut gpu) = opened else { return };
    let shape = if device::wanted() && !device::emulated() { QWEN3_8B } else { TINY };
    let bench = Bench::new(&mut *gpu, &shape);
    let figures = bench.run();
    let rows = shape.rows.len();
    let count = |kernel: &str| figures.iter().filter(|figure| figure.0 == kernel).count();
    // Five matrices in each format; attention of no more rows than a decode step has.
    let formats = if cfg!(metal) && !device::emulated() && device::wanted() { 3 } else { 4 };
    assert_eq!(count("linear"), formats * 5 * rows);
    for kernel in ["embed", "add_norm", "rotate", "argmax", "scores"] {
        assert_eq!(count(kernel), rows, "{kernel}");
    }
    assert_eq!(count("decode_attention"), shape.rows.iter().filter(|rows| **rows <= 128).count());
    assert_eq!(count("prefill_attention"), 1);
    assert!(figures.iter().all(|(_, seconds)| seconds.is_finite() && *seconds > 0.0));
}

struct Bench<'a> {
    gpu: &'a mut dyn Gpu,
    shape: &'a Shape,
    /// What launches read in turn: weights, keys and values, logits.
    pool: Address,
    /// What they read besides, and where they write.
    x: Address,
    y: Address,
    workspace: Address,
    counters: Address,
    /// Kernel and seconds of a launch.
    figures: Vec<(&'static str, f64)>,
}

impl<'a> Bench<'a> {
    fn new(gpu: &'a mut dyn Gpu, shape: &'a Shape) -> Self {
        let rows = shape.rows.iter().copied().max().unwrap().max(shape.prompt);
        // The widest row: logits in f32, or what a product reads and writes.
        let row = 4 * shape.v.max(2 * shape.mlp).max((shape.n_q + 2 * shape.n_kv) * shape.d);
        // What is read in turn ends within the copy that passes `turn_bytes`: of the head or of
        // logits at most.
        let pool = shape.turn_bytes + (3 * shape.v * shape.hidden).max(4 * shape.v * rows) + (1 << 20);
        let mut memory = |bytes: usize| allocate(gpu, WEIGHTS, bytes).expect("memory for what is timed");
        let (pool, x, y) = (memory(pool), memory(rows * row), memory(rows * row));
        let (workspace, counters) = (memory(WORKSPACE_BYTES), memory(4 * COUNTERS));
        let mut bench = Self { gpu, shape, pool, x, y, workspace, counters, figures: Vec::new() };
        let noise = bench.numbers("x", 1 << 16);
        bench.fill(bench.x, &noise, rows * row);
        bench
    }

    fn run(mut self) -> Vec<(&'static str, f64)> {
        let formats = [Packing::Bf16, Packing::Q8_0, Packing::Q4K, Packing::F8];
        let kept = formats.into_iter().filter(|format| *format != Packing::F8 || !cfg!(metal) || device::emulated());
        for format in kept {
            self.products(format);
        }
        self.rows();
        self.attention();
        // Last: what goes wrong in it hides nothing of ours.
        if self.gpu.open_library().expect("a library that starts") {
            self.library();
        }
        self.figures
    }

    /// Random bf16 numbers around 0, as bytes.
    fn numbers(&self, name: &str, count: usize) -> Vec<u8> {
        let numbers = RandomWeights::new(Seed(1)).numbers(name, &[count / 64, 64]);
        numbers.iter().flat_map(|number| half::bf16::from_f32(*number).to_le_bytes()).collect()
    }

    fn fill(&mut self, to: Address, with: &[u8], bytes: usize) {
        let block = allocate(self.gpu, WEIGHTS, with.len()).expect("memory for a block");
        self.gpu.write(block, with).expect("a copy to the device");
        fill(self.gpu, (block, with.len()), to, bytes).expect("copies within the device");
    }

    fn matrices(&self) -> [(&'static str, usize, usize, Epilogue); 5] {
        let Shape { hidden, mlp, n_q, n_kv, d, v, .. } = *self.shape;
        [
            ("qkv", hidden, (n_q + 2 * n_kv) * d, Epilogue::StoreF32),
            ("o", n_q * d, hidden, Epilogue::AddF32),
            ("gate_up", hidden, 2 * mlp, Epilogue::Gated),
            ("down", mlp, hidden, Epilogue::AddF32),
            ("head", hidden, v, Epilogue::StoreF32),
        ]
    }

    fn products(&mut self, format: Packing) {
        let name = match format {
            Packing::RowsBf16 | Packing::Bf16 => "bf16",
            Packing::Q8_0 => "q8_0",
            Packing::Q4K => "q4_k",
            Packing::F8 => "f8",
        };
        for (matrix, inputs, outputs, epilogue) in self.matrices() {
            let packed = self.block(format, inputs);
            let bytes = self.gpu.rules().packed_bytes(format, inputs, outputs);
            let stride = bytes.next_multiple_of(256);
            let copies = self.copies(stride);
            self.fill(self.pool, &packed.bytes, copies * stride);
            let scales = self.scales(&packed, scaled(format, outputs));
            let facts = self.gpu.facts();
            let splits = self.gpu.rules().linear_splits(format, inputs, outputs, facts.multiprocessors);
            for &rows in self.shape.rows {
                let needs = self.gpu.rules().linear_needs(rows, outputs, splits);
                assert!(needs.workspace_bytes <= WORKSPACE_BYTES && needs.counters <= COUNTERS, "{needs:?}");
                let launch = |bench: &Self, copy: usize| {
                    Launch::Linear(Linear {
                        x: bench.x.get(),
                        weights: bench.pool.plus(copy * stride).get(),
                        row_scales: scales.get(),
                        bias: ptr::null(),
                        y: bench.y.get_mut(),
                        workspace: bench.workspace.get_mut(),
                        counters: bench.counters.get_mut(),
                        rows: rows as u32,
                        inputs: inputs as u32,
                        outputs: outputs as u32,
                        x_stride: inputs as u32,
                        y_stride: (if epilogue == Epilogue::Gated { outputs / 2 } else { outputs }) as u32,
                        format,
                        epilogue,
                        splits,
                        shared_limit: facts.shared_limit,
                    })
                };
                let moved = bytes + rows * (2 * inputs + 4 * outputs);
                let what = json!({ "format": name, "matrix": matrix, "splits": splits });
                self.time(what, rows, copies, (moved, 2 * rows * inputs * outputs), launch);
            }
        }
    }

    /// The bf16 products by the device's own library.
    fn library(&mut self) {
        let noise = self.numbers("w", 1 << 20);
        for (matrix, inputs, outputs, epilogue) in self.matrices() {
            let bytes = 2 * inputs * outputs;
            let copies = self.copies(bytes);
            self.fill(self.pool, &noise, copies * bytes);
            let epilogue = if epilogue == Epilogue::Gated { Epilogue::StoreBf16 } else { epilogue };
            for &rows in self.shape.rows {
                let launch = |bench: &Self, copy: usize| {
                    Launch::Gemm(Gemm {
                        x: bench.x.get(),
                        weights: bench.pool.plus(copy * bytes).get(),
                        y: bench.y.get_mut(),
                        rows: rows as u32,
                        inputs: inputs as u32,
                        outputs: outputs as u32,
                        epilogue,
                    })
                };
                let moved = bytes + rows * (2 * inputs + 4 * outputs);
                let what = json!({ "format": "bf16", "matrix": matrix });
                self.time(what, rows, copies, (moved, 2 * rows * inputs * outputs), launch);
            }
        }
        self.peak();
    }

    /// A product of square matrices by the device's own library, large enough that nothing but the
    /// arithmetic takes time: what it computes in a second is the peak that prefill is compared
    /// with.
    fn peak(&mut self) {
        let n = self.shape.peak;
        let noise = self.numbers("w", 1 << 20);
        let (x, y) = (self.pool.plus(2 * n * n), self.pool.plus(4 * n * n));
        self.fill(self.pool, &noise, 4 * n * n);
        self.time(json!({ "format": "bf16", "matrix": "peak" }), n, 1, (6 * n * n, 2 * n * n * n), |bench, _| {
            Launch::Gemm(Gemm {
                x: x.get(),
                weights: bench.pool.get(),
                y: y.get_mut(),
                rows: n as u32,
                inputs: n as u32,
                outputs: n as u32,
                epilogue: Epilogue::StoreBf16,
            })
        });
    }

    /// The kernels that work on rows one by one.
    fn rows(&mut self) {
        let Shape { hidden, n_q, n_kv, d, v, .. } = *self.shape;
        let ones = allocate(self.gpu, WEIGHTS, 4 * hidden).unwrap();
        self.gpu.write(ones, &bytes(&vec![1.0; hidden])).unwrap();
        let noise = self.numbers("logits", 1 << 20);
        for &rows in self.shape.rows {
            self.fill(self.pool, &noise, 2 * v * hidden);
            let tokens: Vec<u32> = (0..rows).map(|row| (row * 7919 % v) as u32).collect();
            let (tokens, counting) = (self.upload(&tokens), self.upload(&(0..rows as u32).collect::<Vec<_>>()));
            self.time(json!({}), rows, 1, (rows * hidden * 6, 0), |bench, _| {
                Launch::Embed(Embed {
                    table: bench.pool.get(),
                    row_scales: ptr::null(),
                    tokens: tokens.get(),
                    out: bench.y.get_mut(),
                    rows: rows as u32,
                    hidden: hidden as u32,
                    vocabulary: v as u32,
                    format: Packing::RowsBf16,
                    out_type: Type::F32,
                })
            });
            self.time(json!({}), rows, 1, (rows * hidden * 6, 0), |bench, _| {
                Launch::AddNorm(AddNorm {
                    x: bench.x.get_mut(),
                    addend: ptr::null(),
                    weight: ones.get(),
                    out: bench.y.get_mut(),
                    pick: ptr::null(),
                    rows: rows as u32,
                    n: hidden as u32,
                    addend_type: Type::F32,
                    eps: 1e-6,
                })
            });
            let moved = rows * (n_q + 2 * n_kv) * d * 6;
            let token_bytes = token_bytes(self.shape);
            self.time(json!({}), rows, 1, (moved, 0), |bench, _| {
                Launch::Rotate(Rotate {
                    qkv: bench.x.get(),
                    q_norm: ones.get(),
                    k_norm: ones.get(),
                    cos: bench.x.get(),
                    sin: bench.x.get(),
                    positions: counting.get(),
                    slots: counting.get(),
                    q: bench.y.get_mut(),
                    keys: bench.pool.get_mut(),
                    values: bench.pool.plus(token_bytes * rows.next_multiple_of(BLOCK_TOKENS)).get_mut(),
                    rows: rows as u32,
                    n_q: n_q as u32,
                    n_kv: n_kv as u32,
                    d: d as u32,
                    block_tokens: BLOCK_TOKENS as u32,
                    qkv_type: Type::F32,
                    eps: 1e-6,
                })
            });
            let stride = (4 * v * rows).next_multiple_of(256);
            let copies = self.copies(stride);
            self.fill(self.pool, &noise, copies * stride);
            self.time(json!({}), rows, copies, (4 * v * rows, 0), |bench, copy| {
                Launch::Argmax(Argmax {
                    logits: bench.pool.plus(copy * stride).get(),
                    tokens: bench.y.get_mut(),
                    largest: ptr::null_mut(),
                    workspace: bench.workspace.get_mut(),
                    counters: bench.counters.get_mut(),
                    rows: rows as u32,
                    vocabulary: v as u32,
                })
            });
            self.scores(rows, copies, stride);
        }
    }

    /// Questions about every row: the logits of two tokens, and as many of the largest ones as
    /// models recommend to sample among.
    fn scores(&mut self, rows: usize, copies: usize, stride: usize) {
        let (v, top) = (self.shape.v, self.shape.top);
        let workspace = self.gpu.rules().scores_bytes(rows, top);
        assert!(workspace <= WORKSPACE_BYTES, "{workspace}");
        let asked = self.upload(&(0..rows as u32).collect::<Vec<_>>());
        let ends = self.upload(&(1..=rows as u32).map(|row| 2 * row).collect::<Vec<_>>());
        let picks = self.upload(&(0..2 * rows).map(|pick| (pick * 7919 % v) as u32).collect::<Vec<_>>());
        self.time(json!({ "top": top }), rows, copies, (4 * v * rows, 0), |bench, copy| {
            Launch::Scores(Scores {
                logits: bench.pool.plus(copy * stride).get(),
                rows: asked.get(),
                pick_ends: ends.get(),
                picks: picks.get(),
                sums: bench.y.get_mut(),
                picked: bench.y.plus(8 * rows).get_mut(),
                top_columns: bench.y.plus(16 * rows).get_mut(),
                top_logits: bench.y.plus((16 + 4 * top) * rows).get_mut(),
                workspace: bench.workspace.get_mut(),
                counters: bench.counters.get_mut(),
                asked: rows as u32,
                top: top as u32,
                vocabulary: v as u32,
            })
        });
    }

    fn attention(&mut self) {
        let Shape { n_q, n_kv, d, context, prompt, .. } = *self.shape;
        let noise = self.numbers("kv", 1 << 20);
        let table_entries = context.div_ceil(BLOCK_TOKENS);
        for rows in self.shape.rows.iter().copied().filter(|rows| *rows <= 128) {
            let half = 2 * n_kv * d * rows * table_entries * BLOCK_TOKENS;
            let copies = self.copies(2 * half);
            self.fill(self.pool, &noise, copies * 2 * half);
            let tables = self.upload(&(0..(rows * table_entries) as u32).collect::<Vec<_>>());
            let starts = self.upload(&(0..rows).map(|row| (row * table_entries) as u32).collect::<Vec<_>>());
            let lengths = self.upload(&vec![context as u32; rows]);
            let max_length = context.next_power_of_two().max(256);
            let needs = self.gpu.rules().decode_attention_bytes(rows, n_q, d, max_length);
            assert!(needs <= WORKSPACE_BYTES, "{needs}");
            let processors = self.gpu.facts().multiprocessors;
            let spread = self.gpu.rules().decode_attention_spread(rows, n_kv, max_length, processors);
            let moved = 4 * n_kv * d * rows * context;
            let what = json!({ "context": context, "spread": spread });
            self.time(what, rows, copies, (moved, 4 * n_q * d * rows * context), |bench, copy| {
                Launch::DecodeAttention(DecodeAttention {
                    q: bench.x.get(),
                    keys: bench.pool.plus(2 * copy * half).get(),
                    values: bench.pool.plus((2 * copy + 1) * half).get(),
                    lengths: lengths.get(),
                    table_starts: starts.get(),
                    tables: tables.get(),
                    out: bench.y.get_mut(),
                    workspace: bench.workspace.get_mut(),
                    counters: bench.counters.get_mut(),
                    rows: rows as u32,
                    n_q: n_q as u32,
                    n_kv: n_kv as u32,
                    d: d as u32,
                    block_tokens: BLOCK_TOKENS as u32,
                    max_length: max_length as u32,
                    spread,
                })
            });
        }
        let half = 2 * n_kv * d * prompt.next_multiple_of(BLOCK_TOKENS);
        let copies = self.copies(2 * half);
        self.fill(self.pool, &noise, copies * 2 * half);
        let tile_tokens = self.gpu.rules().tile_tokens(n_q, n_kv);
        let tiles: Vec<u32> = (0..prompt)
            .step_by(tile_tokens)
            .flat_map(|first| [first as u32, tile_tokens.min(prompt - first) as u32, first as u32, 0])
            .collect();
        assert_eq!(size_of::<Tile>(), 16, "four numbers");
        let tile_count = tiles.len() as u32 / 4;
        let (tiles, tables) = (self.upload(&tiles), self.upload(&(0..prompt as u32).collect::<Vec<_>>()));
        let flops = 4 * n_q * d * prompt * prompt / 2;
        self.time(json!({ "context": prompt }), prompt, copies, (2 * half, flops), |bench, copy| {
            Launch::PrefillAttention(PrefillAttention {
                q: bench.x.get(),
                keys: bench.pool.plus(2 * copy * half).get(),
                values: bench.pool.plus((2 * copy + 1) * half).get(),
                tiles: tiles.get(),
                tables: tables.get(),
                out: bench.y.get_mut(),
                tile_count,
                n_q: n_q as u32,
                n_kv: n_kv as u32,
                d: d as u32,
                block_tokens: BLOCK_TOKENS as u32,
            })
        });
    }

    fn upload(&mut self, numbers: &[u32]) -> Address {
        let to = allocate(self.gpu, "numbers", 4 * numbers.len()).expect("memory for a few numbers");
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.gpu.write(to, &numbers).expect("a copy to the device");
        to
    }

    /// A packed block of random rows.
    fn block(&self, format: Packing, inputs: usize) -> PackedRows {
        let from = match format {
            Packing::Q8_0 => Format::Q8_0,
            Packing::Q4K => Format::Q4K,
            _ => Format::Bf16,
        };
        let numbers = RandomWeights::new(Seed(1)).numbers("w", &[super::repeated::BLOCK_ROWS, inputs]);
        let rows = Rows::from_floats(from, inputs, &numbers);
        assert_eq!(rows.format(), from, "widths are whole blocks");
        pack(self.gpu.rules(), format, &rows, None).expect("rows that can be packed")
    }

    fn scales(&mut self, packed: &PackedRows, count: usize) -> Address {
        if count == 0 {
            return Address::NONE;
        }
        let to = allocate(self.gpu, WEIGHTS, 4 * count).expect("memory for scales");
        self.fill(to, &bytes(&packed.scales), 4 * count);
        to
    }

    fn copies(&self, bytes: usize) -> usize {
        self.shape.turn_bytes.div_ceil(bytes).clamp(1, MOST_COPIES)
    }

    /// Times launches that take `copies` copies in turn, and prints what one of them moves and
    /// computes in a second.
    fn time(
        &mut self,
        what: serde_json::Value,
        rows: usize,
        copies: usize,
        (moved, operations): (usize, usize),
        launch: impl Fn(&Self, usize) -> Launch,
    ) {
        let launches: Vec<Launch> = (0..copies.max(self.shape.launches)).map(|at| launch(self, at % copies)).collect();
        let name = launches[0].name();
        // The first launch of a kernel loads it, which cannot be captured.
        self.gpu.launch(&launches[..1]).unwrap_or_else(|error| panic!("{name} of {rows} rows, {what}: {error}"));
        self.gpu.wait().unwrap_or_else(|error| panic!("{name} of {rows} rows, {what}: {error}"));
        let graph = self.gpu.capture(&launches).expect("launches that can be captured");
        let mut replays: Vec<f64> = (0..=self.shape.replays).map(|_| self.gpu.time(graph).expect("a replay")).collect();
        // The first one warms up.
        let timed = &mut replays[1..];
        timed.sort_by(f64::total_cmp);
        let seconds = timed[self.shape.replays / 2] / launches.len() as f64;
        let mut line = json!({
            "kernel": name,
            "rows": rows,
            "us": seconds * 1e6,
            "gb_per_s": moved as f64 / seconds / 1e9,
            "tflop_per_s": operations as f64 / seconds / 1e12,
            "launches": launches.len(),
            "copies": copies,
        });
        if let (Some(line), serde_json::Value::Object(what)) = (line.as_object_mut(), what) {
            line.extend(what);
        }
        println!("TIMING {line}");
        self.figures.push((name, seconds));
    }
}

/// Bytes of a token's keys, or of its values.
fn token_bytes(shape: &Shape) -> usize {
    2 * shape.n_kv * shape.d
}
