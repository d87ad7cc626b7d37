//! The tokenizer and template in the metadata against transformers' (`tests/golden/chat.json`).

use crate::support::TinyModel;
use crate::writer::{Put, Writer};
use candle_core::quantized::GgmlDType;
use maspo::chat::Message;
use maspo::engine::qwen3::Dtype;
use maspo::engine::{EngineOptions, ModelSource};
use maspo::local::LocalModel;
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Golden {
    chat: Vec<ChatCase>,
    raw: Vec<RawCase>,
}

#[derive(Deserialize)]
struct ChatCase {
    messages: Vec<Message>,
    thinking: bool,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct RawCase {
    prompt: String,
    ids: Vec<u32>,
    decoded: String,
}

fn writer() -> Writer {
    Writer::model(&TinyModel::default(), |_| GgmlDType::F32).with_text(416)
}

fn open(folder: &Path, thinking: bool) -> Result<LocalModel, String> {
    let source = ModelSource::Gguf(folder.join("m.gguf"));
    LocalModel::open(&source, &EngineOptions::default(), Dtype::F32, thinking).map_err(|error| error.to_string())
}

#[test]
fn texts_give_the_ids_of_transformers() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.gguf"), writer().bytes()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chat.json");
    let golden: Golden = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (calm, thinking) = (open(folder.path(), false).unwrap(), open(folder.path(), true).unwrap());
    for case in &golden.chat {
        let model = if case.thinking { &thinking } else { &calm };
        assert_eq!(
            model.engine().encode_chat(&case.messages, model.thinking()).unwrap(),
            case.ids,
            "{:?}",
            case.messages
        );
    }
    for case in &golden.raw {
        assert_eq!(calm.engine().encode_raw(&case.prompt).unwrap(), case.ids, "{:?}", case.prompt);
        assert_eq!(calm.engine().decode(&case.ids), case.decoded, "{:?}", case.prompt);
    }
}

#[test]
fn files_beside_the_gguf_win() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer();
    writer.put("tokenizer.ggml.pre", Put::text("tekken"));
    std::fs::write(folder.path().join("m.gguf"), writer.bytes()).unwrap();
    assert_eq!(
        open(folder.path(), false).err().unwrap(),
        "tokenizer.ggml.pre: `tekken` is not supported; `qwen2`, `deepseek-r1-qwen`, `llama-bpe` and `smollm` are \
        (a tokenizer.json beside the file would be used instead)"
    );
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizer/tokenizer.json");
    std::fs::copy(golden, folder.path().join("tokenizer.json")).unwrap();
    let model = open(folder.path(), false).unwrap();
    let from_metadata = model.engine().encode_chat(&[Message::user("1")], false).unwrap();
    assert!(from_metadata.len() > 1);
    std::fs::write(folder.path().join("chat_template.jinja"), "{{ messages[0].content }}").unwrap();
    assert_eq!(
        open(folder.path(), false).unwrap().engine().encode_chat(&[Message::user("1")], false).unwrap().len(),
        1
    );
}

#[test]
fn a_file_without_a_tokenizer_takes_token_ids_only() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Writer::model(&TinyModel::default(), |_| GgmlDType::F32).bytes();
    std::fs::write(folder.path().join("m.gguf"), bytes).unwrap();
    let name = folder.path().join("m.gguf");
    assert_eq!(
        open(folder.path(), false).err().unwrap(),
        format!(
            "{} has no tokenizer: no `tokenizer.ggml.tokens` in its metadata, and no tokenizer.json beside it",
            name.display()
        )
    );
    let options = EngineOptions::default();
    assert!(
        !LocalModel::open_for_tokens(&ModelSource::Gguf(name), &options, Dtype::F32, false)
            .unwrap()
            .engine()
            .has_text()
    );
}
