//! GGUF files as a user meets them on the command line.

use crate::support::TinyModel;
use crate::writer::Writer;
use candle_core::quantized::GgmlDType;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_maspo")).args(args).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn every_command_that_takes_a_model_takes_a_gguf_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("hf")).unwrap();
    std::fs::create_dir(path("alone")).unwrap();
    TinyModel::default().write(&path("hf"));
    let bytes = Writer::model(&TinyModel::default(), |_| GgmlDType::F32).with_text(416).bytes();
    std::fs::write(path("alone/m.gguf"), &bytes).unwrap();
    std::fs::write(path("in.jsonl"), "{\"id\": 1, \"prompt\": \"The capital\"}\n").unwrap();
    let generate =
        |model: &str| run(folder.path(), &["generate", "--model", model, "--input", "in.jsonl", "--max-tokens", "4"]);
    let (code, expected, _) = generate("hf");
    assert_eq!(code, 0);
    for model in ["alone/m.gguf", "alone"] {
        let (code, answer, complaint) = generate(model);
        let note = "note: dtype auto: the weights are kept as in the file, 0.2 MB\n";
        assert_eq!((code, &answer, complaint.as_str()), (0, &expected, note), "{model}");
    }
    let bench = ["--batch", "1", "--prompt-tokens", "4", "--new-tokens", "2", "--threads", "1"];
    for weights in [&[][..], &["--random-weights"]] {
        let (code, _, complaint) =
            run(folder.path(), &[&["bench", "--model", "alone/m.gguf"][..], weights, &bench].concat());
        assert_eq!(code, 0, "{complaint}");
    }
    std::fs::write(path("alone/n.gguf"), &bytes).unwrap();
    assert_eq!(
        generate("alone"),
        (2, String::new(), "error: alone holds several GGUF files (m.gguf, n.gguf): name one of them\n".to_string())
    );
    let (code, _, complaint) = generate("nowhere.gguf");
    assert_eq!(
        (code, complaint.lines().next()),
        (2, Some("error: nowhere.gguf cannot be read: No such file or directory (os error 2)"))
    );
}

#[test]
fn two_bytes_of_a_file_are_two_bytes_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    // Rows are whole vectors and blocks, so that nothing is padded.
    let config = serde_json::json!({"hidden_size": 256, "intermediate_size": 512, "head_dim": 64});
    let model = TinyModel { config, ..TinyModel::default() };
    let bench = |kind: GgmlDType| -> serde_json::Value {
        let bytes = Writer::model(&model, |_| kind).bytes();
        std::fs::write(folder.path().join("m.gguf"), &bytes).unwrap();
        let args = "bench --model m.gguf --batch 1 --prompt-tokens 4 --new-tokens 2 --threads 1 --json";
        let (code, figures, complaint) = run(folder.path(), &args.split(' ').collect::<Vec<_>>());
        assert_eq!(code, 0, "{complaint}");
        let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
        serde_json::json!([bytes.len(), figures["packed_bytes"]])
    };
    for kind in [GgmlDType::F16, GgmlDType::BF16, GgmlDType::Q8_0, GgmlDType::Q4K] {
        let found = bench(kind);
        let [file, packed] = [0, 1].map(|at| found[at].as_f64().unwrap());
        assert!(packed <= 1.03 * file && packed >= 0.9 * file, "{kind:?}: {packed} of {file} bytes");
    }
    // The exception that docs/config.md names: 6.5625 bits become 8.5.
    let found = bench(GgmlDType::Q6K);
    let [file, packed] = [0, 1].map(|at| found[at].as_f64().unwrap());
    assert!(packed <= 1.296 * file, "{packed} of {file} bytes");
}
