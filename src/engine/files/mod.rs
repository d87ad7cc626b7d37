//! What a model is made of, whatever its files are: configuration, end-of-turn ids, tokenizer, chat
//! template, weights. Knows the kinds of model files, and nothing of how a model is run.

mod embedded;
mod error;
mod gguf;
mod hugging_face;
mod manifest;
mod source;

pub use error::FilesError;
pub use manifest::{Manifest, ManifestError, ManifestFile};
pub use source::{ModelSource, SourceError};

use crate::base::Hasher;
use crate::qwen3::Config;
use crate::text::{SpecialTokens, TextError, TokenFiles, Tokenizer};
use crate::weights::{GgufFile, WeightFiles};

/// The files of one model. Each part is read and checked when it is used.
pub(crate) trait ModelFiles {
    /// Reads the model's shape, as the files declare it.
    fn config(&self) -> Result<Config, FilesError>;

    /// Reads the ids that end the model's turn: the union of what all files name. `tokenizer` is
    /// the model's, where it has one.
    fn ends(&self, tokenizer: Option<&Tokenizer>) -> Result<Ends, FilesError>;

    /// Reads the tokenizer, where there is one.
    fn tokenizer(&self) -> Result<Option<Tokenizer>, FilesError>;

    /// Reads the special tokens that the files name beside the vocabulary.
    fn special_tokens(&self) -> Result<SpecialTokens, FilesError>;

    /// The error of a model without a tokenizer.
    fn no_tokenizer(&self) -> FilesError;

    /// Reads the source of the chat template, where there is one.
    fn template(&self) -> Result<Option<String>, FilesError>;

    /// Returns the name of a LoRA adapter's file that lies beside the weights. Adapters are not
    /// applied.
    fn adapter(&self) -> Option<&'static str>;

    /// Adds to `hasher` the files that can change an answer, except for the template and the
    /// weights.
    fn digest(&self, hasher: &mut Hasher) -> Result<(), FilesError>;

    /// Returns the weights, which are opened at the first call.
    fn weights(&mut self) -> Result<&mut dyn WeightFiles, FilesError>;
}

/// The ids that end a turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ends {
    /// All of them, each once.
    pub(crate) ids: Vec<u32>,
    /// Those that the first of the files does not name that names any. They are a part of the
    /// model's identity of their own, because that file's bytes do not show them.
    pub(crate) further: Vec<u32>,
}

impl Ends {
    /// Joins the ids of several files; those of the first that names any come first.
    fn union(files: &[Vec<u32>]) -> Self {
        let first = files.iter().position(|ids| !ids.is_empty()).unwrap_or(0);
        let mut ends = Self { ids: Vec::new(), further: Vec::new() };
        for (index, file) in files.iter().enumerate() {
            for &id in file {
                if !ends.ids.contains(&id) {
                    ends.ids.push(id);
                    if index != first {
                        ends.further.push(id);
                    }
                }
            }
        }
        ends
    }
}

/// Reads the shape of a model whose weights are at hand: a head of its own counts although the
/// configuration ties it to the embedding, as in transformers 5. Returns whether that is so.
pub(crate) fn read_config(files: &mut dyn ModelFiles) -> Result<(Config, bool), FilesError> {
    let config = files.config()?;
    let has_own_head = config.tie_word_embeddings && files.weights()?.has_own_head();
    let tie_word_embeddings = config.tie_word_embeddings && !has_own_head;
    Ok((Config { tie_word_embeddings, ..config }, has_own_head))
}

impl ModelSource {
    /// Returns the longest context that the model's files declare, in tokens; `None` if they cannot
    /// be read.
    pub fn context(&self) -> Option<usize> {
        let files = open_files(self).ok()?;
        Some(files.config().ok()?.max_position_embeddings)
    }
}

/// Reads the special tokens that the text files of a model name.
fn special_tokens(source: &ModelSource) -> Result<SpecialTokens, FilesError> {
    let file = |name: &str| source.file(name);
    let tokenizer_config = file("tokenizer_config.json")?;
    let (map, added) = (file("special_tokens_map.json")?, file("added_tokens.json")?);
    let files = TokenFiles {
        tokenizer_config: tokenizer_config.as_deref(),
        special_tokens_map: map.as_deref(),
        added_tokens: added.as_deref(),
    };
    Ok(SpecialTokens::read(files)?)
}

/// Returns the id of the end-of-sequence token that the text files name.
fn named_end(tokens: &SpecialTokens, tokenizer: Option<&Tokenizer>) -> Vec<u32> {
    let id = tokens.get("eos_token").and_then(|token| tokenizer?.token_id(token));
    id.into_iter().collect()
}

/// Reads a text file.
fn utf8<'a>(file: &'static str, bytes: &'a [u8]) -> Result<&'a str, FilesError> {
    std::str::from_utf8(bytes).map_err(|error| TextError::File { file, reason: error.to_string() }.into())
}

/// Opens the files at `source`: of a GGUF file, or of a folder that has one and no safetensors, or
/// else of Hugging Face's kind. Where they have a manifest, their sizes must be those in it.
pub(crate) fn open_files(source: &ModelSource) -> Result<Box<dyn ModelFiles>, FilesError> {
    source.check_sizes()?;
    match source.gguf()? {
        Some(path) => Ok(Box::new(gguf::Gguf::new(source.clone(), GgufFile::open(&path)?))),
        None => Ok(Box::new(hugging_face::HuggingFace::new(source.clone()))),
    }
}
