//! The packed weights are the only copy that stays in memory: what the program holds of a model
//! after loading, and its peak until then, compared with the size of the packed weights. Without
//! `/proc` nothing is known, and nothing is checked.

mod support;

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use support::TinyModel;

/// The most resident memory, as a multiple of the packed weights.
const MOST: f64 = 1.25;

/// Returns what `bench` reports of the model in `folder`, kept in `dtype`. Keys and values take no
/// memory before they are written.
fn bench(folder: &Path, dtype: &str) -> Value {
    let args = "bench --model model --batch 1 --prompt-tokens 4 --new-tokens 2 --threads 2 --json --dtype";
    let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
    // glibc keeps freed memory for later, up to 64 MB over time and some per thread. The variables
    // turn that off, so that only memory in use is measured.
    command.env("MALLOC_MMAP_THRESHOLD_", "131072").env("MALLOC_ARENA_MAX", "1");
    let ran = command.current_dir(folder).args(args.split(' ')).arg(dtype).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn written(config: Value, storage: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("model")).unwrap();
    TinyModel { config, storage: storage.to_string(), ..TinyModel::default() }.write(&folder.path().join("model"));
    folder
}

#[test]
fn nothing_but_the_packed_weights_stays_in_memory() {
    // 80 million weights. The largest temporary copy is a table of 2 million weights, besides some
    // megabytes per converting thread, which would not be noticeable for an 8B model either.
    let config = json!({
        "vocab_size": 4096, "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 24,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64, "tie_word_embeddings": false,
    });
    let (small, large) = (written(json!({}), "bf16"), written(config, "bf16"));
    for dtype in ["auto", "q8_0", "q4_k"] {
        let number = |object: &Value, key: &str| object[key].as_f64();
        let (without, with) = (bench(small.path(), dtype), bench(large.path(), dtype));
        let packed = number(&with, "packed_bytes").unwrap();
        let file = std::fs::metadata(large.path().join("model/model.safetensors")).unwrap().len() as f64;
        assert!(packed <= 1.05 * file && (dtype == "auto" || packed < 0.6 * file), "{dtype}: {packed} of {file} bytes");
        for key in ["resident_bytes", "peak_resident_bytes"] {
            let (Some(without), Some(with)) = (number(&without, key), number(&with, key)) else {
                eprintln!("skipped: this system does not say what a process holds");
                return;
            };
            let growth = with - without;
            println!("{dtype}, {key}: {growth} bytes for {packed}");
            assert!(growth > 0.9 * packed, "{dtype}, {key}: {growth} bytes for {packed}: the weights are not there");
            assert!(growth <= MOST * packed, "{dtype}, {key}: {growth} bytes for {packed}");
        }
    }
}
