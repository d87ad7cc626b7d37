//! The weights of a model on a device of candle, loaded under Hugging Face's names.

use super::matrix::Matrix;
use crate::executor::DeviceError;
use crate::kernels::Format;
use crate::qwen3::{Config, Dtype, NormWeight, Projection, Tensors};
use crate::weights::{TensorSource, WeightsError};
use candle_core::{Device, Tensor};

/// The reason why a model is not on the device.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CandleError {
    /// A tensor is missing or misshapen.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The device failed, or it has too little memory.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl From<candle_core::Error> for CandleError {
    fn from(error: candle_core::Error) -> Self {
        Self::Device(error.into())
    }
}

impl From<candle_core::Error> for DeviceError {
    fn from(error: candle_core::Error) -> Self {
        Self(format!("candle: {error}"))
    }
}

/// A decoder layer.
pub(super) struct Layer {
    pub(super) input_layernorm: Tensor,
    /// q_proj, k_proj and v_proj as one product.
    pub(super) qkv_proj: Matrix,
    /// `None` in families without norms of heads, like `k_norm`.
    pub(super) q_norm: Option<Tensor>,
    pub(super) k_norm: Option<Tensor>,
    pub(super) o_proj: Matrix,
    pub(super) post_attention_layernorm: Tensor,
    /// gate_proj and up_proj as one product.
    pub(super) gate_up_proj: Matrix,
    pub(super) down_proj: Matrix,
}

/// All weights, and the cosines and sines of positions.
pub(super) struct Weights {
    /// Where tokens are looked up; the LM head where the two are one.
    pub(super) embed_tokens: Matrix,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Tensor,
    pub(super) lm_head: Matrix,
    /// `[positions, d / 2]`, like the sines.
    pub(super) cos: Tensor,
    pub(super) sin: Tensor,
}

impl Weights {
    /// Takes every tensor out of `source`, the matrices in `dtype`, and computes the rotation of
    /// `positions` positions.
    pub(super) fn load(
        device: &Device,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        positions: usize,
    ) -> Result<Self, CandleError> {
        let hidden = config.hidden_size;
        let mut loader = Loader { device, config, tensors: Tensors::new(source, dtype, Format::F32) };
        let embed_tokens = loader.table("model.embed_tokens.weight")?;
        let layers = (0..config.num_hidden_layers).map(|layer| loader.layer(layer)).collect::<Result<_, _>>()?;
        let norm = Tensor::from_vec(loader.tensors.vector("model.norm.weight", hidden)?, hidden, device)?;
        let lm_head = if config.tie_word_embeddings { embed_tokens.clone() } else { loader.table("lm_head.weight")? };
        let mut rotary = config.rotary();
        let last = u32::try_from(positions - 1).map_err(|_| DeviceError("there are too many positions".to_string()))?;
        rotary.reach(last);
        let (cos, sin): (Vec<_>, Vec<_>) = (0..=last).map(|position| rotary.at(position)).unzip();
        let table = |rows: Vec<&[f32]>| Tensor::from_vec(rows.concat(), (positions, config.head_dim / 2), device);
        Ok(Self { embed_tokens, layers, norm, lm_head, cos: table(cos)?, sin: table(sin)? })
    }

    /// Returns the size of the matrices that a decode step reads.
    pub(super) fn bytes_per_step(&self) -> usize {
        let of_layer = |layer: &Layer| {
            [&layer.qkv_proj, &layer.o_proj, &layer.gate_up_proj, &layer.down_proj]
                .map(Matrix::bytes)
                .iter()
                .sum::<usize>()
        };
        self.lm_head.bytes() + self.layers.iter().map(of_layer).sum::<usize>()
    }
}

struct Loader<'a> {
    device: &'a Device,
    config: &'a Config,
    tensors: Tensors<'a>,
}

impl Loader<'_> {
    fn table(&mut self, name: &str) -> Result<Matrix, CandleError> {
        let rows = self.tensors.table(name, self.config.vocab_size, self.config.hidden_size)?;
        Ok(Matrix::new(self.device, &[rows], None)?)
    }

    fn matrix(&mut self, layer: usize, projection: &Projection) -> Result<Matrix, CandleError> {
        let (rows, bias) = self.tensors.projection(self.config, layer, projection)?;
        Ok(Matrix::new(self.device, &rows, bias)?)
    }

    fn norm(&mut self, layer: usize, weight: &NormWeight) -> Result<Tensor, CandleError> {
        Ok(Tensor::new(self.tensors.norm(self.config, layer, weight)?, self.device)?)
    }

    fn layer(&mut self, layer: usize) -> Result<Layer, CandleError> {
        let table = self.config.layer();
        Ok(Layer {
            input_layernorm: self.norm(layer, &table.input_layernorm)?,
            qkv_proj: self.matrix(layer, &table.qkv_proj)?,
            q_norm: table.q_norm.as_ref().map(|weight| self.norm(layer, weight)).transpose()?,
            k_norm: table.k_norm.as_ref().map(|weight| self.norm(layer, weight)).transpose()?,
            o_proj: self.matrix(layer, &table.o_proj)?,
            post_attention_layernorm: self.norm(layer, &table.post_attention_layernorm)?,
            gate_up_proj: self.matrix(layer, &table.gate_up_proj)?,
            down_proj: self.matrix(layer, &table.down_proj)?,
        })
    }
}
