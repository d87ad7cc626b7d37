//! One decoder layer: weights under Hugging Face's names, and the forward pass over a step's rows.

use super::Config;
use super::model::{Tensors, Workspace};
use crate::kernels::{
    Attend, Compute, KvLayer, KvShape, Linear, Norms, Output, Rotary, attention, linear, rms_norm, rotate_and_store,
    select_rows,
};
use crate::schedule::StepPlan;
use crate::weights::WeightsError;

/// The weights of one layer.
pub(super) struct Decoder {
    input_layernorm: Vec<f32>,
    /// q_proj, k_proj and v_proj as one product.
    qkv_proj: Linear,
    q_norm: Vec<f32>,
    k_norm: Vec<f32>,
    o_proj: Linear,
    post_attention_layernorm: Vec<f32>,
    /// gate_proj and up_proj as one product.
    gate_up_proj: Linear,
    down_proj: Linear,
    eps: f32,
}

impl Decoder {
    pub(super) fn load(
        config: &Config,
        tensors: &mut Tensors<'_>,
        compute: &Compute,
        layer: usize,
    ) -> Result<Self, WeightsError> {
        let (hidden, d, mlp) = (config.hidden_size, config.head_dim, config.intermediate_size);
        let (q, kv) = (config.num_attention_heads * d, config.num_key_value_heads * d);
        let name = |name: &str| format!("model.layers.{layer}.{name}");
        let mut bias = |names: &[(&str, usize)]| -> Result<Option<Vec<f32>>, WeightsError> {
            if !config.attention_bias {
                return Ok(None);
            }
            let parts: Result<Vec<_>, _> = names
                .iter()
                .map(|(part, size)| tensors.vector(&name(&format!("self_attn.{part}.bias")), *size))
                .collect();
            Ok(Some(parts?.concat()))
        };
        let qkv_bias = bias(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)])?;
        let o_bias = bias(&[("o_proj", hidden)])?;
        let [q_proj, k_proj, v_proj] =
            ["q_proj", "k_proj", "v_proj"].map(|part| name(&format!("self_attn.{part}.weight")));
        let qkv = tensors.matrices(&[(&q_proj, q), (&k_proj, kv), (&v_proj, kv)], hidden)?;
        let qkv_proj = Linear::new(compute, &[&qkv[0], &qkv[1], &qkv[2]], qkv_bias);
        drop(qkv);
        let o_proj = &tensors.matrices(&[(&name("self_attn.o_proj.weight"), hidden)], q)?[0];
        let o_proj = Linear::new(compute, &[o_proj], o_bias);
        let [gate, up] = ["gate_proj", "up_proj"].map(|part| name(&format!("mlp.{part}.weight")));
        let gate_up = tensors.matrices(&[(&gate, mlp), (&up, mlp)], hidden)?;
        let gate_up_proj = Linear::gated(compute, &gate_up[0], &gate_up[1]);
        drop(gate_up);
        let down_proj = &tensors.matrices(&[(&name("mlp.down_proj.weight"), hidden)], mlp)?[0];
        let down_proj = Linear::new(compute, &[down_proj], None);
        let mut take = |part: &str, size: usize| tensors.vector(&name(part), size);
        Ok(Self {
            input_layernorm: take("input_layernorm.weight", hidden)?,
            qkv_proj,
            q_norm: take("self_attn.q_norm.weight", d)?,
            k_norm: take("self_attn.k_norm.weight", d)?,
            o_proj,
            post_attention_layernorm: take("post_attention_layernorm.weight", hidden)?,
            gate_up_proj,
            down_proj,
            eps: config.rms_norm_eps as f32,
        })
    }

    /// Bytes of the packed matrices.
    pub(super) fn weight_bytes(&self) -> usize {
        [&self.qkv_proj, &self.o_proj, &self.gate_up_proj, &self.down_proj].map(Linear::bytes).iter().sum()
    }

    /// Takes the residual stream in `work.x` through the layer. With `only`, the rows that are not
    /// listed end here: their keys and values are stored, and nothing else of them is needed (the
    /// last layer); `work.x` then holds the listed rows.
    pub(super) fn forward(
        &self,
        compute: &Compute,
        plan: &StepPlan,
        only: Option<&[Attend<'_>]>,
        (rotary, shape, kv): (&Rotary, KvShape, &mut KvLayer),
        work: &mut Workspace,
    ) {
        let Workspace { x, normed, qkv, attended, gated, spare } = work;
        rms_norm(compute, x, &self.input_layernorm, self.eps, normed);
        linear(compute, (&*normed, plan.decode_rows), &self.qkv_proj, qkv, Output::Store);
        let norms = Norms { query: &self.q_norm, key: &self.k_norm, eps: self.eps };
        rotate_and_store(compute, qkv, norms, rotary, (&plan.positions, &plan.slots), shape, kv);
        let generated = match only {
            // The rows whose logits are wanted are few: they are computed as if they were
            // generated.
            Some(rows) => {
                let wanted: Vec<usize> = plan.logits.iter().map(|row| row.row).collect();
                select_rows(x, &wanted, spare);
                std::mem::swap(x, spare);
                select_rows(qkv, &wanted, spare);
                attention(compute, spare, rows, shape, kv, attended);
                rows.len()
            }
            None => {
                attention(compute, qkv, &spans(plan), shape, kv, attended);
                plan.decode_rows
            }
        };
        linear(compute, (&*attended, generated), &self.o_proj, x, Output::Add);
        rms_norm(compute, x, &self.post_attention_layernorm, self.eps, normed);
        linear(compute, (&*normed, generated), &self.gate_up_proj, gated, Output::Store);
        linear(compute, (&*gated, generated), &self.down_proj, x, Output::Add);
    }
}

/// Every row of the plan.
fn spans(plan: &StepPlan) -> Vec<Attend<'_>> {
    let spans = plan.spans.iter();
    spans
        .map(|span| Attend {
            first_row: span.rows.start,
            rows: span.rows.len(),
            position: span.position,
            table: &plan.tables[span.table.clone()],
        })
        .collect()
}

/// The rows of the plan whose logits are wanted, numbered in their own order.
pub(super) fn logit_spans(plan: &StepPlan) -> Vec<Attend<'_>> {
    let mut spans = plan.spans.iter();
    let mut span = spans.next();
    let rows = plan.logits.iter().enumerate();
    rows.map(|(first_row, wanted)| {
        while span.is_some_and(|span| span.rows.end <= wanted.row) {
            span = spans.next();
        }
        let table = span.expect("a wanted row is in a span").table.clone();
        Attend { first_row, rows: 1, position: wanted.position, table: &plan.tables[table] }
    })
    .collect()
}
