//! Hugging Face's tensor names of dense decoders to those of GGUF.

/// Modules of a layer.
const MODULES: &[(&str, &str)] = &[
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
];

/// The GGUF name of a tensor; a name that is none of a decoder stays as it is, so that messages
/// show what was asked for.
pub(super) fn gguf_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".to_string(),
        "model.norm.weight" => return "output_norm.weight".to_string(),
        "lm_head.weight" => return "output.weight".to_string(),
        _ => {}
    }
    let in_layer = || {
        let (layer, path) = name.strip_prefix("model.layers.")?.split_once('.')?;
        let (module, part) = path.rsplit_once('.')?;
        let (_, module) = MODULES.iter().find(|known| known.0 == module)?;
        Some(format!("blk.{layer}.{module}.{part}"))
    };
    in_layer().unwrap_or_else(|| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::gguf_name;

    #[test]
    fn names_are_translated() {
        for (name, expected) in [
            ("model.embed_tokens.weight", "token_embd.weight"),
            ("lm_head.weight", "output.weight"),
            ("model.layers.27.self_attn.o_proj.weight", "blk.27.attn_output.weight"),
            ("model.layers.0.self_attn.q_proj.bias", "blk.0.attn_q.bias"),
            ("model.layers.3.post_attention_layernorm.weight", "blk.3.ffn_norm.weight"),
            ("model.layers.3.unheard_of.weight", "model.layers.3.unheard_of.weight"),
        ] {
            assert_eq!(gguf_name(name), expected);
        }
    }
}
