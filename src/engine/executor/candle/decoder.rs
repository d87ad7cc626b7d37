//! The forward pass over a step's rows.

use super::attention::Attention;
use super::cache::Cache;
use super::weights::{Layer, Weights};
use crate::kernels::Heads;
use crate::qwen3::{logit_spans, spans};
use crate::schedule::StepPlan;
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::ops::{rms_norm, silu};
use candle_nn::rotary_emb::rope_thd;

/// A model's weights and what they say of its shape.
pub(super) struct Decoder {
    pub(super) device: Device,
    pub(super) weights: Weights,
    pub(super) heads: Heads,
    pub(super) eps: f32,
    pub(super) block_tokens: usize,
    /// The most numbers that attention gathers and computes at once.
    pub(super) most_numbers: usize,
}

/// What all layers need of a step.
struct Step {
    /// The cosines and sines of every row's position, `[t, d / 2]` each.
    cos: Tensor,
    sin: Tensor,
    /// Where the keys and values of every row go.
    places: Tensor,
    attention: Attention,
    wanted: Option<Wanted>,
}

/// The rows whose logits are wanted.
struct Wanted {
    rows: Tensor,
    attention: Attention,
}

impl Decoder {
    /// Computes a step: the keys and values of all rows go to `cache`. Returns the logits that the
    /// plan wants, `[wanted, v]` in f32, or `None` if it wants none.
    pub(super) fn forward(&self, plan: &StepPlan, cache: &Cache) -> Result<Option<Tensor>> {
        let step = self.step(plan, cache)?;
        let mut x = self.weights.embed_tokens.embed(&Tensor::new(plan.tokens.as_slice(), &self.device)?)?;
        let (last, others) = self.weights.layers.split_last().expect("a model has layers");
        for (index, layer) in others.iter().enumerate() {
            let queries = self.attend_and_store(layer, index, &x, &step, cache)?;
            let attended = step.attention.forward(&queries, cache, index)?;
            x = self.finish(layer, &x, &attended)?;
        }
        // In the last layer, rows whose logits nobody wants end with their keys and values.
        let queries = self.attend_and_store(last, others.len(), &x, &step, cache)?;
        let Some(wanted) = &step.wanted else { return Ok(None) };
        let attended = wanted.attention.forward(&queries.index_select(&wanted.rows, 0)?, cache, others.len())?;
        let x = self.finish(last, &x.index_select(&wanted.rows, 0)?, &attended)?;
        let normed = rms_norm(&x, &self.weights.norm, self.eps)?;
        self.weights.lm_head.forward(&normed).map(Some)
    }

    fn step(&self, plan: &StepPlan, cache: &Cache) -> Result<Step> {
        let Self { device, weights, heads, .. } = self;
        let sizes = (self.block_tokens, self.most_numbers);
        let positions = Tensor::new(plan.positions.as_slice(), device)?;
        let wanted = if plan.logits.is_empty() {
            None
        } else {
            let rows: Vec<u32> = plan.logits.iter().map(|wanted| wanted.row as u32).collect();
            let attention = Attention::new(&logit_spans(plan), *heads, sizes, device)?;
            Some(Wanted { rows: Tensor::new(rows, device)?, attention })
        };
        Ok(Step {
            cos: weights.cos.index_select(&positions, 0)?,
            sin: weights.sin.index_select(&positions, 0)?,
            places: cache.places(&plan.slots, device)?,
            attention: Attention::new(&spans(plan), *heads, sizes, device)?,
            wanted,
        })
    }

    /// Stores the keys and values of the residual stream `x [t, hidden]`, and returns the queries,
    /// `[t, n_q, d]`.
    fn attend_and_store(&self, layer: &Layer, index: usize, x: &Tensor, step: &Step, cache: &Cache) -> Result<Tensor> {
        let Heads { n_q, n_kv, d } = self.heads;
        let t = x.dim(0)?;
        let qkv = layer.qkv_proj.forward(&rms_norm(x, &layer.input_layernorm, self.eps)?)?;
        let heads =
            |first: usize, count: usize| qkv.narrow(1, first * d, count * d)?.contiguous()?.reshape((1, t, count, d));
        let rotated = |heads: Tensor, norm: Option<&Tensor>| {
            let heads = norm.map_or(Ok(heads.clone()), |norm| rms_norm(&heads, norm, self.eps))?;
            rope_thd(&heads, &step.cos, &step.sin)?.squeeze(0)
        };
        let keys = rotated(heads(n_q, n_kv)?, layer.k_norm.as_ref())?;
        let values = heads(n_q + n_kv, n_kv)?.squeeze(0)?;
        cache.store(index, &step.places, [&keys, &values])?;
        rotated(heads(0, n_q)?, layer.q_norm.as_ref())
    }

    /// Returns the residual stream after a layer, whose attention gave `attended`.
    fn finish(&self, layer: &Layer, x: &Tensor, attended: &Tensor) -> Result<Tensor> {
        let x = (x + layer.o_proj.forward(attended)?)?;
        let gate_up = layer.gate_up_proj.forward(&rms_norm(&x, &layer.post_attention_layernorm, self.eps)?)?;
        let mlp = gate_up.dim(1)? / 2;
        let gate = silu(&gate_up.narrow(1, 0, mlp)?.contiguous()?)?;
        let gated = (gate * gate_up.narrow(1, mlp, mlp)?.contiguous()?)?;
        x + layer.down_proj.forward(&gated)?
    }
}

/// Returns the output with the largest logit of every row of `logits [rows, v]`. Of equal logits
/// the lowest output wins, and NaN never does. (Which of equals candle's own argmax takes is up to
/// each device.)
pub(super) fn largest(logits: &Tensor) -> Result<Vec<u32>> {
    let (shape, v, device) = (logits.dims(), logits.dim(1)?, logits.device());
    let nothing = Tensor::full(f32::NEG_INFINITY, (1, 1), device)?.broadcast_as(shape)?.contiguous()?;
    let numbers = logits.eq(logits)?.where_cond(logits, &nothing)?;
    let best = numbers.broadcast_eq(&numbers.max_keepdim(D::Minus1)?)?;
    let outputs = Tensor::arange(0, v as u32, device)?.broadcast_as(shape)?.contiguous()?;
    let none = Tensor::full(v as u32, (1, 1), device)?.broadcast_as(shape)?.contiguous()?;
    best.where_cond(&outputs, &none)?.min(D::Minus1)?.to_dtype(DType::U32)?.to_vec1()
}
