//! Small random models for tests.

use super::{Config, Dtype, Family, Model};
use crate::base::{Seed, Stage};
use crate::kernels::Compute;
use crate::weights::{TensorSource, WeightsError};
use candle_core::{Device, Tensor};
use rand::RngExt;
use std::collections::HashMap;

/// Tensors that are a function of their names.
pub(crate) struct RandomTensors {
    /// The tensors that were taken so far.
    pub(crate) made: HashMap<String, Tensor>,
}

impl RandomTensors {
    pub(crate) fn new() -> Self {
        Self { made: HashMap::new() }
    }
}

impl TensorSource for RandomTensors {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let path: Vec<u64> = name.bytes().map(u64::from).collect();
        let mut rng = Seed(1).derive(Stage::Weights, &path).rng();
        // Norm weights around 1, everything else of a size that keeps activations in range.
        let (middle, spread) = if shape.len() == 1 && name.contains("norm") {
            (1.0, 0.5)
        } else {
            (0.0, 2.0 / (shape[shape.len() - 1] as f32).sqrt())
        };
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| middle + spread * (2.0 * rng.random::<f32>() - 1.0)).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        self.made.insert(name.to_string(), tensor.clone());
        Ok(tensor)
    }

    fn contains(&self, _: &str) -> bool {
        true
    }
}

/// A shape whose sizes are no multiples of a vector's.
pub(crate) fn odd_config() -> Config {
    Config {
        family: Family::Qwen3,
        vocab_size: 97,
        hidden_size: 40,
        intermediate_size: 52,
        num_hidden_layers: 3,
        num_attention_heads: 6,
        num_key_value_heads: 2,
        head_dim: 10,
        attention_bias: true,
        max_position_embeddings: 512,
        tie_word_embeddings: false,
        rope_theta: 1e4,
        rope_scaling: None,
        rms_norm_eps: 1e-6,
    }
}

/// The shape of the embedded model, with fewer layers.
pub(crate) fn plain_config() -> Config {
    Config {
        family: Family::Qwen3,
        vocab_size: 128,
        hidden_size: 64,
        intermediate_size: 128,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 64,
        attention_bias: false,
        max_position_embeddings: 2048,
        tie_word_embeddings: true,
        rope_theta: 1e6,
        rope_scaling: None,
        rms_norm_eps: 1e-6,
    }
}

/// Makes a random model.
pub(crate) fn random_model(config: &Config, compute: &Compute) -> Model {
    Model::load(config, &mut RandomTensors::new(), Dtype::Auto, compute).unwrap()
}
