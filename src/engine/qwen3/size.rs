//! What a model's matrices are kept in, and what they come to when they are packed, before any of
//! them is read.

use super::{Config, Dtype};
use crate::kernels::Format;
use crate::weights::TensorSource;

/// How matrices are kept.
#[derive(Clone, Copy)]
pub(crate) struct StoragePolicy {
    pub(crate) dtype: Dtype,
    /// What matrices are kept in that would be kept in f32; where that is another format, in f16 as
    /// well.
    pub(crate) widest: Format,
}

impl StoragePolicy {
    /// Of matrices that become one: the finest that any of them needs.
    pub(super) fn format(self, source: &dyn TensorSource, names: &[&str]) -> Format {
        let formats = names.iter().map(|name| self.dtype.format(source.stored_format(name)));
        self.bounded(formats.reduce(Format::finer).unwrap_or(Format::F32))
    }

    /// Of a table of token embeddings.
    pub(super) fn table_format(self, source: &dyn TensorSource, name: &str) -> Format {
        self.bounded(self.dtype.table_format(source.stored_format(name)))
    }

    fn bounded(self, format: Format) -> Format {
        match format {
            Format::F32 => self.widest,
            Format::F16 if self.widest != Format::F32 => self.widest,
            other => other,
        }
    }

    /// Bytes of all matrices of a model.
    pub(crate) fn packed_bytes(self, config: &Config, source: &dyn TensorSource) -> u64 {
        let (v, hidden) = (config.vocab_size, config.hidden_size);
        let bytes = |format: Format, outputs: usize, inputs: usize| outputs as u64 * format.row_bytes(inputs) as u64;
        let mut tables = bytes(self.table_format(source, "model.embed_tokens.weight"), v, hidden);
        if !config.tie_word_embeddings {
            tables += bytes(self.table_format(source, "lm_head.weight"), v, hidden);
        }
        let of_layer = |layer: usize| {
            let sizes = config.layer().projections().map(|projection| {
                let weights = projection.weights(config, layer);
                let names: Vec<&str> = weights.iter().map(|(name, _)| name.as_str()).collect();
                bytes(self.format(source, &names), projection.outputs(config), projection.inputs.of(config))
            });
            sizes.iter().sum::<u64>()
        };
        let layers: u64 = (0..config.num_hidden_layers).map(of_layer).sum();
        // They are read as bf16, and become single bytes when they are packed.
        tables + if self.dtype == Dtype::F8 { layers / 2 } else { layers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Seed;
    use crate::kernels::Compute;
    use crate::qwen3::Model;
    use crate::qwen3::testing::plain_config;
    use crate::weights::RandomWeights;

    #[test]
    fn the_size_is_that_of_the_loaded_model_but_for_padding() {
        let compute = Compute::cpu(Some(1)).unwrap();
        for tie_word_embeddings in [true, false] {
            // Whole blocks of 256 inputs and whole panels of outputs.
            let (hidden_size, intermediate_size, vocab_size) = (256, 512, 512);
            let config = Config {
                hidden_size,
                intermediate_size,
                vocab_size,
                tie_word_embeddings,
                head_dim: 64,
                ..plain_config()
            };
            for dtype in [Dtype::Auto, Dtype::Bf16, Dtype::Q8_0, Dtype::Q4K] {
                let mut source = RandomWeights::new(Seed(1));
                let found = StoragePolicy { dtype, widest: Format::F32 }.packed_bytes(&config, &source) as f64;
                let model = Model::load(&config, &mut source, dtype, &compute).unwrap();
                let packed = model.packed_bytes() as f64;
                // Packed, a block of Q4_K has whole bytes for its scales and minima: 148 in place
                // of 144.
                assert!(found <= packed && packed <= 1.03 * found, "{dtype}: {found} bytes for {packed}");
            }
        }
    }
}
