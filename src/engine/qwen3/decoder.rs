//! One decoder layer: weights under Hugging Face's names, and the forward pass over a step's rows.

use super::Config;
use super::model::{Tensors, Workspace};
use super::tensors::{NormWeight, Projection};
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
    /// The weights of the norms of query heads and of key heads, in families that have them.
    head_norms: Option<(Vec<f32>, Vec<f32>)>,
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
        let linear = |tensors: &mut Tensors<'_>, projection: &Projection| -> Result<Linear, WeightsError> {
            let (rows, bias) = tensors.projection(config, layer, projection)?;
            Ok(Linear::new(compute, &rows.iter().collect::<Vec<_>>(), bias))
        };
        let table = config.layer();
        let qkv_proj = linear(tensors, &table.qkv_proj)?;
        let o_proj = linear(tensors, &table.o_proj)?;
        let (gate_up, _) = tensors.projection(config, layer, &table.gate_up_proj)?;
        let gate_up_proj = Linear::gated(compute, &gate_up[0], &gate_up[1]);
        drop(gate_up);
        let down_proj = linear(tensors, &table.down_proj)?;
        let mut norm = |weight: &NormWeight| tensors.norm(config, layer, weight);
        let head_norms = match (&table.q_norm, &table.k_norm) {
            (Some(query), Some(key)) => Some((norm(query)?, norm(key)?)),
            _ => None,
        };
        Ok(Self {
            input_layernorm: norm(&table.input_layernorm)?,
            qkv_proj,
            head_norms,
            o_proj,
            post_attention_layernorm: norm(&table.post_attention_layernorm)?,
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
        let norms = self.head_norms.as_ref().map(|(query, key)| Norms { query, key, eps: self.eps });
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
pub(crate) fn spans(plan: &StepPlan) -> Vec<Attend<'_>> {
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
pub(crate) fn logit_spans(plan: &StepPlan) -> Vec<Attend<'_>> {
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
