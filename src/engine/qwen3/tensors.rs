//! The tensors of a decoder layer, declared once. Loading on the CPU, loading on a GPU and the size
//! of a model all read this table; model families differ in it and nowhere else.

use super::Config;

/// A width of a layer, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Width {
    /// The residual stream.
    Hidden,
    /// All query heads.
    Queries,
    /// All key heads, or all value heads.
    KeysOrValues,
    /// The inner width of the MLP.
    Mlp,
    /// One head.
    Head,
}

impl Width {
    /// The width in a model of this shape.
    pub(crate) fn of(self, config: &Config) -> usize {
        match self {
            Self::Hidden => config.hidden_size,
            Self::Queries => config.num_attention_heads * config.head_dim,
            Self::KeysOrValues => config.num_key_value_heads * config.head_dim,
            Self::Mlp => config.intermediate_size,
            Self::Head => config.head_dim,
        }
    }
}

/// Matrices `[outputs, inputs]` of one layer that are packed together and multiplied as one.
#[derive(Debug)]
pub(crate) struct Projection {
    /// The modules' names below the layer's, with the outputs of each.
    pub(crate) parts: &'static [(&'static str, Width)],
    pub(crate) inputs: Width,
    /// Whether the modules have a bias where the configuration says `attention_bias`.
    pub(crate) may_have_bias: bool,
}

impl Projection {
    /// Outputs of all parts together.
    pub(crate) fn outputs(&self, config: &Config) -> usize {
        self.parts.iter().map(|(_, width)| width.of(config)).sum()
    }

    /// The names of the weights of a layer, with the outputs of each.
    pub(crate) fn weights(&self, config: &Config, layer: usize) -> Vec<(String, usize)> {
        self.named(config, layer, "weight")
    }

    /// The names of the biases of a layer, with the size of each; none where there are none.
    pub(crate) fn biases(&self, config: &Config, layer: usize) -> Vec<(String, usize)> {
        let has_bias = self.may_have_bias && config.attention_bias;
        if has_bias { self.named(config, layer, "bias") } else { Vec::new() }
    }

    fn named(&self, config: &Config, layer: usize, tensor: &str) -> Vec<(String, usize)> {
        let name = |part: &str| format!("{}{part}.{tensor}", prefix(layer));
        self.parts.iter().map(|(part, width)| (name(part), width.of(config))).collect()
    }
}

/// The weight of a norm of one layer.
#[derive(Debug)]
pub(crate) struct NormWeight {
    module: &'static str,
    width: Width,
}

impl NormWeight {
    /// The name of the weight of a layer, and its size.
    pub(crate) fn weight(&self, config: &Config, layer: usize) -> (String, usize) {
        (format!("{}{}.weight", prefix(layer), self.module), self.width.of(config))
    }
}

/// What the names of a layer's tensors start with.
fn prefix(layer: usize) -> String {
    format!("model.layers.{layer}.")
}

/// The tensors of one decoder layer, under Hugging Face's names.
#[derive(Debug)]
pub(crate) struct LayerTensors {
    pub(crate) input_layernorm: NormWeight,
    pub(crate) qkv_proj: Projection,
    /// The norm of every query head, in families that have one; `k_norm` likewise.
    pub(crate) q_norm: Option<NormWeight>,
    pub(crate) k_norm: Option<NormWeight>,
    pub(crate) o_proj: Projection,
    pub(crate) post_attention_layernorm: NormWeight,
    /// The product is `silu(gate) * up`.
    pub(crate) gate_up_proj: Projection,
    pub(crate) down_proj: Projection,
}

impl LayerTensors {
    /// Every matrix of a layer.
    pub(crate) fn projections(&self) -> [&Projection; 4] {
        [&self.qkv_proj, &self.o_proj, &self.gate_up_proj, &self.down_proj]
    }

    /// Every norm of a layer.
    pub(crate) fn norms(&self) -> impl Iterator<Item = &NormWeight> {
        let all = [&self.input_layernorm, &self.post_attention_layernorm].into_iter();
        all.chain(&self.q_norm).chain(&self.k_norm)
    }
}

impl Config {
    /// Returns the tensors of a layer of the model's family.
    pub(crate) fn layer(&self) -> &'static LayerTensors {
        self.family.rules().layer
    }
}

/// The layers of Qwen3.
pub(super) static QWEN3: LayerTensors = LayerTensors {
    q_norm: Some(NormWeight { module: "self_attn.q_norm", width: Width::Head }),
    k_norm: Some(NormWeight { module: "self_attn.k_norm", width: Width::Head }),
    ..layer(true)
};

/// The layers of Qwen2: no bias of `o_proj`.
pub(super) static QWEN2: LayerTensors = layer(false);

/// The layers of Llama.
pub(super) static LLAMA: LayerTensors = layer(true);

/// What the layers of all families have, with or without a bias of `o_proj` where attention has
/// biases.
const fn layer(o_proj_may_have_bias: bool) -> LayerTensors {
    LayerTensors {
        input_layernorm: NormWeight { module: "input_layernorm", width: Width::Hidden },
        qkv_proj: Projection {
            parts: &[
                ("self_attn.q_proj", Width::Queries),
                ("self_attn.k_proj", Width::KeysOrValues),
                ("self_attn.v_proj", Width::KeysOrValues),
            ],
            inputs: Width::Hidden,
            may_have_bias: true,
        },
        q_norm: None,
        k_norm: None,
        o_proj: Projection {
            parts: &[("self_attn.o_proj", Width::Hidden)],
            inputs: Width::Queries,
            may_have_bias: o_proj_may_have_bias,
        },
        post_attention_layernorm: NormWeight { module: "post_attention_layernorm", width: Width::Hidden },
        gate_up_proj: Projection {
            parts: &[("mlp.gate_proj", Width::Mlp), ("mlp.up_proj", Width::Mlp)],
            inputs: Width::Hidden,
            may_have_bias: false,
        },
        down_proj: Projection { parts: &[("mlp.down_proj", Width::Hidden)], inputs: Width::Mlp, may_have_bias: false },
    }
}
