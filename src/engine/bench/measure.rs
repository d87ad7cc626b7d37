//! Parts of the engine, ready to be timed by `benches/`. They are no public interface. Weights and
//! inputs are random, never zeros.

use crate::base::{Seed, Stage};
use crate::blocks::{BlockId, Blocks};
use crate::kernels::{
    Attend, Compute, Format, Heads, KvFormat, KvLayer, KvShape, Linear, Matrix, Norms, Output, Rotary, Rows, attention,
    linear, rotate_and_store,
};
use crate::kv::KvPool;
use crate::qwen3::{Logits, Model, Workspace};
use crate::schedule::{Limits, Scheduler, StepPlan};
use rand::RngExt;

fn numbers(count: usize) -> Vec<f32> {
    let mut rng = Seed(1).derive(Stage::Weights, &[count as u64]).rng();
    (0..count).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

fn matrix(rows: usize, cols: usize) -> Matrix {
    let mut matrix = Matrix::new();
    matrix.resize(rows, cols);
    matrix.as_mut_slice().copy_from_slice(&numbers(rows * cols));
    matrix
}

/// A product of `[m, k]` with packed weights `[n, k]`.
pub struct Product {
    compute: Compute,
    x: Matrix,
    decode_rows: usize,
    weights: Linear,
    y: Matrix,
}

impl Product {
    /// Creates random operands `[m, k]` and `[n, k]`. The rows are prefill rows or decode rows.
    pub fn new(compute: &Compute, format: Format, prefill: bool, (m, n, k): (usize, usize, usize)) -> Self {
        let weights = Linear::new(compute, &[&Rows::from_floats(format, k, &numbers(n * k))], None);
        let decode_rows = if prefill { 0 } else { m };
        Self { compute: compute.clone(), x: matrix(m, k), decode_rows, weights, y: Matrix::new() }
    }

    /// Computes the product.
    pub fn run(&mut self) {
        let Self { compute, x, decode_rows, weights, y } = self;
        linear(compute, (&*x, *decode_rows), weights, y, Output::Store);
    }
}

/// Attention of `batch` sequences, each for its last `tokens` of `context` tokens.
pub struct Attention {
    compute: Compute,
    q: Matrix,
    shape: KvShape,
    layer: KvLayer,
    tables: Vec<Vec<BlockId>>,
    tokens: usize,
    context: usize,
    out: Matrix,
}

impl Attention {
    /// Creates random queries, keys and values for `(n_q, n_kv, d)` heads.
    pub fn new(
        compute: &Compute,
        (n_q, n_kv, d): (usize, usize, usize),
        batch: usize,
        tokens: usize,
        context: usize,
    ) -> Self {
        let shape = KvShape { heads: Heads { n_q, n_kv, d }, block_tokens: 16, format: KvFormat::F32 };
        let each = context.div_ceil(16);
        let mut layer = shape.layer(batch * each);
        let slots: Vec<u32> = (0..(batch * each * 16) as u32).collect();
        let (mut qkv, ones) = (matrix(slots.len(), (n_q + 2 * n_kv) * d), vec![1.0; d]);
        let mut rotary = Rotary::new(d, 1e4);
        rotary.reach(slots.len() as u32);
        let norms = Norms { query: &ones, key: &ones, eps: 1e-6 };
        rotate_and_store(compute, &mut qkv, Some(norms), &rotary, (&slots, &slots), shape, &mut layer);
        let table =
            |sequence: usize| (sequence * each..(sequence + 1) * each).map(|block| BlockId(block as u32)).collect();
        let tables = (0..batch).map(table).collect();
        let q = matrix(batch * tokens, n_q * d);
        Self { compute: compute.clone(), q, shape, layer, tables, tokens, context, out: Matrix::new() }
    }

    /// Computes the product.
    pub fn run(&mut self) {
        let Self { compute, q, shape, layer, tables, tokens, context, out } = self;
        let position = *context - *tokens;
        let attend = tables.iter().enumerate();
        let attend: Vec<_> =
            attend.map(|(i, table)| Attend { first_row: i * *tokens, rows: *tokens, position, table }).collect();
        attention(compute, q, &attend, *shape, layer, out);
    }
}

/// A forward pass of `batch` sequences, each for `tokens` tokens after `before` others.
pub struct Forward {
    model: Model,
    kv: KvPool,
    plan: StepPlan,
    work: Workspace,
    logits: Logits,
}

impl Forward {
    /// Computes the `before` tokens, and plans the step.
    pub fn new(mut model: Model, batch: usize, tokens: usize, before: usize) -> Self {
        let blocks = batch * (before + tokens).div_ceil(16);
        let limits = Limits { step_tokens: batch * before.max(tokens), max_running: batch };
        let mut scheduler = Scheduler::new(limits, Blocks::new(blocks + batch, 16, false));
        let mut kv = model.kv_pool(16, blocks + batch);
        let (mut work, mut logits) = (Workspace::new(), Logits::new());
        let vocab = model.config().vocab_size;
        for sequence in 0..batch {
            let prompt = (0..before.max(1)).map(|i| ((sequence * 7 + i * i) % vocab) as u32).collect::<Vec<_>>();
            let first = if before == 0 { prompt.iter().cycle().take(tokens).copied().collect() } else { prompt };
            let last = first.len() - 1;
            scheduler.submit(first, last);
        }
        let mut plan = scheduler.plan().expect("there is work");
        if before > 0 {
            model.forward(&plan, &mut kv, &mut work, &mut logits);
            scheduler.complete(&plan);
            for row in &plan.logits {
                (0..tokens).for_each(|token| scheduler.push(row.id, token as u32));
            }
            plan = scheduler.plan().expect("tokens were added");
        }
        Self { model, kv, plan, work, logits }
    }

    /// Returns the number of tokens per pass.
    pub fn tokens(&self) -> usize {
        self.plan.tokens.len()
    }

    /// Computes the same pass once more.
    pub fn run(&mut self) {
        self.model.forward(&self.plan, &mut self.kv, &mut self.work, &mut self.logits);
    }
}

/// Schedules `requests` requests of mixed length to their end, as if every forward pass took no
/// time. Returns the number of steps.
pub fn schedule(requests: usize) -> usize {
    let limits = Limits { step_tokens: 512, max_running: 64 };
    let mut scheduler = Scheduler::new(limits, Blocks::new(1024, 16, true));
    for i in 0..requests {
        let prompt: Vec<u32> = (0..100 + i % 100).map(|j| if j < 60 { j as u32 } else { (i * j) as u32 }).collect();
        let last = prompt.len() - 1;
        scheduler.submit(prompt, last);
    }
    let (mut steps, mut decode_rows) = (0, std::collections::HashMap::new());
    while let Some(plan) = scheduler.plan() {
        scheduler.complete(&plan);
        steps += 1;
        for row in &plan.logits {
            let count = decode_rows.entry(row.id).or_insert(0);
            *count += 1;
            if *count == 30 { scheduler.remove(row.id) } else { scheduler.push(row.id, *count) }
        }
    }
    steps
}
