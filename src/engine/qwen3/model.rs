//! The model: weights packed for the device, and the forward pass over one step's packed tokens.

use super::decoder::{Decoder, logit_spans};
use super::size::StoragePolicy;
use super::tensors::{NormWeight, Projection};
use super::{Config, Dtype, KvDtype};
use crate::kernels::{
    Compute, Format, Heads, KvFormat, KvShape, Linear, Matrix, Rotary, Rows, embed, linear_argmax, rms_norm,
};
use crate::kv::KvPool;
use crate::schedule::StepPlan;
use crate::weights::{TensorSource, WeightsError};
use std::sync::Arc;

/// A Qwen3 model ready to run. A clone shares the weights.
#[derive(Clone)]
pub struct Model {
    config: Config,
    compute: Compute,
    /// Only when it is not the LM head.
    embed_tokens: Option<Arc<Linear>>,
    layers: Arc<[Decoder]>,
    norm: Vec<f32>,
    lm_head: Arc<Linear>,
    rotary: Rotary,
    kv_format: KvFormat,
}

/// Intermediate results, kept from step to step so that a step allocates little.
pub(crate) struct Workspace {
    /// The residual stream.
    pub(super) x: Matrix,
    pub(super) normed: Matrix,
    pub(super) qkv: Matrix,
    pub(super) attended: Matrix,
    pub(super) gated: Matrix,
    pub(super) spare: Matrix,
}

impl Workspace {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let [x, normed, qkv, attended, gated, spare] = std::array::from_fn(|_| Matrix::new());
        Self { x, normed, qkv, attended, gated, spare }
    }
}

/// What a step gives for the rows whose logits are wanted.
pub(crate) struct Logits {
    rows: Matrix,
    greedy: Vec<u32>,
}

impl Logits {
    /// None.
    pub(crate) fn new() -> Self {
        Self { rows: Matrix::new(), greedy: Vec::new() }
    }

    /// One row, `[v]`.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        self.rows.row(row)
    }

    /// The token with the row's largest logit, of equals the lowest; what is not a number never
    /// wins.
    pub(crate) fn greedy(&self, row: usize) -> u32 {
        self.greedy[row]
    }
}

/// Takes tensors out of a source, under Hugging Face's names.
pub(crate) struct Tensors<'a> {
    source: &'a mut dyn TensorSource,
    keeping: StoragePolicy,
}

impl<'a> Tensors<'a> {
    /// With the matrices in `dtype`, but in nothing wider than `widest`.
    pub(crate) fn new(source: &'a mut dyn TensorSource, dtype: Dtype, widest: Format) -> Self {
        Self { source, keeping: StoragePolicy { dtype, widest } }
    }

    /// A vector, as plain floats.
    pub(crate) fn vector(&mut self, name: &str, size: usize) -> Result<Vec<f32>, WeightsError> {
        Ok(self.source.tensor(name, &[size])?.to_vec1()?)
    }

    /// The matrices of a projection, and its bias where it has one.
    pub(crate) fn projection(
        &mut self,
        config: &Config,
        layer: usize,
        projection: &Projection,
    ) -> Result<(Vec<Rows>, Option<Vec<f32>>), WeightsError> {
        let bias = self.bias(config, layer, projection)?;
        let weights = projection.weights(config, layer);
        let parts: Vec<(&str, usize)> = weights.iter().map(|(name, outputs)| (name.as_str(), *outputs)).collect();
        Ok((self.matrices(&parts, projection.inputs.of(config))?, bias))
    }

    /// Returns the bias of a projection, where it has one.
    pub(crate) fn bias(
        &mut self,
        config: &Config,
        layer: usize,
        projection: &Projection,
    ) -> Result<Option<Vec<f32>>, WeightsError> {
        let biases = projection.biases(config, layer);
        let biases: Result<Vec<_>, _> = biases.iter().map(|(name, size)| self.vector(name, *size)).collect();
        Ok(Some(biases?.concat()).filter(|bias| !bias.is_empty()))
    }

    /// The weight of a layer's norm.
    pub(crate) fn norm(
        &mut self,
        config: &Config,
        layer: usize,
        weight: &NormWeight,
    ) -> Result<Vec<f32>, WeightsError> {
        let (name, size) = weight.weight(config, layer);
        self.vector(&name, size)
    }

    /// Matrices of one width, all in the same format: the finest that any of them needs.
    pub(crate) fn matrices(&mut self, parts: &[(&str, usize)], inputs: usize) -> Result<Vec<Rows>, WeightsError> {
        let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        let format = self.format(&names);
        parts.iter().map(|(name, outputs)| self.source.matrix(name, (*outputs, inputs), format)).collect()
    }

    /// A table of token embeddings.
    pub(crate) fn table(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Rows, WeightsError> {
        let format = self.table_format(name);
        self.source.matrix(name, (outputs, inputs), format)
    }

    /// The format that [`matrices`](Self::matrices) of these names come in.
    pub(crate) fn format(&self, names: &[&str]) -> Format {
        self.keeping.format(self.source, names)
    }

    /// The format that a [`table`](Self::table) comes in.
    pub(crate) fn table_format(&self, name: &str) -> Format {
        self.keeping.table_format(self.source, name)
    }
}

impl Model {
    /// Takes every tensor out of `source` under Hugging Face's names and packs it for the device of
    /// `compute`, with the matrices in `dtype`. Keys and values are kept in f32 if the projections
    /// that make them are, else in f16.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape than `config` says.
    pub fn load(
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        compute: &Compute,
    ) -> Result<Self, WeightsError> {
        let (v, hidden) = (config.vocab_size, config.hidden_size);
        let kv_format = KvDtype::floats(source, dtype);
        let mut tensors = Tensors::new(source, dtype, Format::F32);
        let table = tensors.table("model.embed_tokens.weight", v, hidden)?;
        let embedding = Arc::new(Linear::new(compute, &[&table], None));
        drop(table);
        let layers: Result<Arc<[_]>, _> =
            (0..config.num_hidden_layers).map(|layer| Decoder::load(config, &mut tensors, compute, layer)).collect();
        let layers = layers?;
        let norm = tensors.vector("model.norm.weight", hidden)?;
        let (embed_tokens, lm_head) = if config.tie_word_embeddings {
            (None, embedding)
        } else {
            let head = tensors.table("lm_head.weight", v, hidden)?;
            (Some(embedding), Arc::new(Linear::new(compute, &[&head], None)))
        };
        let rotary = config.rotary();
        Ok(Self {
            config: config.clone(),
            compute: compute.clone(),
            embed_tokens,
            layers,
            norm,
            lm_head,
            rotary,
            kv_format,
        })
    }

    /// With keys and values kept as `dtype` says.
    #[must_use]
    pub fn with_kv(self, dtype: KvDtype) -> Self {
        Self { kv_format: dtype.format(self.kv_format), ..self }
    }

    /// Bytes of all packed matrices.
    pub fn packed_bytes(&self) -> usize {
        self.weight_bytes_per_step() + self.embed_tokens.as_ref().map_or(0, |table| table.bytes())
    }

    /// Bytes of the packed matrices that a decode step has to read: all but the table where tokens
    /// are looked up.
    pub fn weight_bytes_per_step(&self) -> usize {
        self.lm_head.bytes() + self.layers.iter().map(Decoder::weight_bytes).sum::<usize>()
    }

    /// Bytes of the keys and values of one token, over all layers.
    pub fn kv_bytes_per_token(&self) -> usize {
        self.layers.len() * self.kv_format.token_bytes(self.heads())
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where and how it computes.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// An empty K/V pool of `blocks` blocks.
    pub(crate) fn kv_pool(&self, block_tokens: usize, blocks: usize) -> KvPool {
        let shape = KvShape { heads: self.heads(), block_tokens, format: self.kv_format };
        KvPool::new(shape, self.layers.len(), blocks)
    }

    fn heads(&self) -> Heads {
        let Config { num_attention_heads: n_q, num_key_value_heads: n_kv, head_dim: d, .. } = self.config;
        Heads { n_q, n_kv, d }
    }

    /// Computes the step: keys and values of all rows go to their slots, `logits` gets those that
    /// `plan.logits` wants.
    pub(crate) fn forward(&mut self, plan: &StepPlan, kv: &mut KvPool, work: &mut Workspace, logits: &mut Logits) {
        self.rotary.reach(plan.positions.iter().copied().max().unwrap_or(0));
        let compute = &self.compute;
        let shape = kv.shape();
        let wanted = logit_spans(plan);
        embed(compute, self.embed_tokens.as_ref().unwrap_or(&self.lm_head), &plan.tokens, &mut work.x);
        for (index, layer) in self.layers.iter().enumerate() {
            let only = (index + 1 == self.layers.len()).then_some(wanted.as_slice());
            layer.forward(compute, plan, only, (&self.rotary, shape, kv.layer(index)), work);
        }
        rms_norm(compute, &work.x, &self.norm, self.config.rms_norm_eps as f32, &mut work.normed);
        logits.greedy = linear_argmax(compute, &work.normed, &self.lm_head, &mut logits.rows);
    }
}
