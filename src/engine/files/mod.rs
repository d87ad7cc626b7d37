//! What a model is made of, whatever its files are: configuration, end-of-turn ids, tokenizer, chat
//! template, weights. Knows the kinds of model files, and nothing of how a model is run.

mod embedded;
mod error;
mod gguf;
mod hugging_face;
mod source;

pub use error::FilesError;
pub use source::{ModelSource, SourceError};

use crate::base::Hasher;
use crate::qwen3::Config;
use crate::text::Tokenizer;
use crate::weights::{GgufFile, WeightFiles};

/// The files of one model. Each part is read and checked when it is asked for.
pub(crate) trait ModelFiles {
    /// The model's shape.
    fn config(&self) -> Result<Config, FilesError>;

    /// The ids that end the model's turn.
    fn eos(&self) -> Result<Vec<u32>, FilesError>;

    /// The tokenizer, where there is one.
    fn tokenizer(&self) -> Result<Option<Tokenizer>, FilesError>;

    /// What a model without a tokenizer lacks.
    fn no_tokenizer(&self) -> FilesError;

    /// The source of the chat template, where there is one.
    fn template(&self) -> Result<Option<String>, FilesError>;

    /// Adds to `hasher` all that can change an answer, except for the template and the weights.
    fn digest(&self, hasher: &mut Hasher) -> Result<(), FilesError>;

    /// The weights, which are opened at the first call.
    fn weights(&mut self) -> Result<&mut dyn WeightFiles, FilesError>;
}

/// The files at `source`: of a GGUF file, or of a folder that has one and no safetensors, or else
/// of Hugging Face's kind.
pub(crate) fn open_files(source: &ModelSource) -> Result<Box<dyn ModelFiles>, FilesError> {
    match source.gguf()? {
        Some(path) => Ok(Box::new(gguf::Gguf::new(source.clone(), GgufFile::open(&path)?))),
        None => Ok(Box::new(hugging_face::HuggingFace::new(source.clone()))),
    }
}
