//! `quantization_config` in `config.json`: which quantized weights can be read.

use super::ConfigError;
use super::config::refuse;
use serde_json::{Value, json};

/// Refuses weights that are quantized otherwise than as 8-bit floats in blocks of 128 by 128.
pub(super) fn refuse_quantization(config: &Value) -> Result<(), ConfigError> {
    if config.is_null() {
        return Ok(());
    }
    let instead = "give the model's own weights in bf16, or a GGUF file of it";
    let of = |key: &str, value: &Value, rule: &str| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        refuse(&format!("quantization_config.{key}"), value, format!("{rule}: {instead}"))
    };
    if config["quant_method"] != "fp8" {
        return of("quant_method", &config["quant_method"], "of quantized weights only `fp8` is read");
    }
    if config["weight_block_size"] != json!([128, 128]) {
        return of("weight_block_size", &config["weight_block_size"], "of `fp8` only blocks of [128,128] are read");
    }
    match &config["fmt"] {
        Value::Null => Ok(()),
        fmt if fmt == "e4m3" => Ok(()),
        fmt => of("fmt", fmt, "of `fp8` only `e4m3` is read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantized_weights_are_eight_bit_floats_in_blocks_or_refused() {
        let read =
            |text: &str| refuse_quantization(&serde_json::from_str(text).unwrap()).map_err(|error| error.to_string());
        read("null").unwrap();
        read(
            r#"{"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128],
            "activation_scheme": "dynamic"}"#,
        )
        .unwrap();
        let instead = "give the model's own weights in bf16, or a GGUF file of it";
        for (text, expected) in [
            (r#"{"quant_method": "awq", "bits": 4}"#, "quant_method` is awq; of quantized weights only `fp8` is read"),
            (r#"{"quant_method": "gptq"}"#, "quant_method` is gptq; of quantized weights only `fp8` is read"),
            (r#"{"bits": 4}"#, "quant_method` is null; of quantized weights only `fp8` is read"),
            (r#"{"quant_method": "fp8"}"#, "weight_block_size` is null; of `fp8` only blocks of [128,128] are read"),
            (
                r#"{"quant_method": "fp8", "fmt": "e5m2", "weight_block_size": [128, 128]}"#,
                "fmt` is e5m2; of `fp8` only `e4m3` is read",
            ),
        ] {
            let expected = format!("config.json: `quantization_config.{expected}: {instead}");
            assert_eq!(read(text).unwrap_err(), expected);
        }
    }
}
