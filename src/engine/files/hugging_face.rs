//! A Hugging Face folder: `config.json`, `tokenizer.json`, safetensors and what may stand beside
//! them.

use super::source::ModelSource;
use super::{Ends, FilesError, ModelFiles, named_end, special_tokens, utf8};
use crate::base::Hasher;
use crate::qwen3::Config;
use crate::text::{SpecialTokens, Tokenizer, eos_ids, template_source};
use crate::weights::{Checkpoint, WeightFiles, digest_bytes};

/// The folder, or what stands for it in the program.
pub(super) struct HuggingFace {
    source: ModelSource,
    checkpoint: Option<Checkpoint>,
}

impl HuggingFace {
    pub(super) fn new(source: ModelSource) -> Self {
        Self { source, checkpoint: None }
    }
}

impl ModelFiles for HuggingFace {
    fn config(&self) -> Result<Config, FilesError> {
        Ok(Config::from_json(utf8("config.json", &self.source.required("config.json")?)?)?)
    }

    fn ends(&self, tokenizer: Option<&Tokenizer>) -> Result<Ends, FilesError> {
        let generation = match self.source.file("generation_config.json")? {
            Some(bytes) => eos_ids("generation_config.json", &bytes)?,
            None => Vec::new(),
        };
        let config = eos_ids("config.json", &self.source.required("config.json")?)?;
        Ok(Ends::union(&[generation, config, named_end(&self.special_tokens()?, tokenizer)]))
    }

    fn tokenizer(&self) -> Result<Option<Tokenizer>, FilesError> {
        let json = self.source.file("tokenizer.json")?;
        Ok(json.map(|json| Tokenizer::from_json(&json)).transpose()?)
    }

    fn special_tokens(&self) -> Result<SpecialTokens, FilesError> {
        special_tokens(&self.source)
    }

    fn no_tokenizer(&self) -> FilesError {
        FilesError::NoTokenizer { model: self.source.to_string(), sought: "tokenizer.json" }
    }

    fn template(&self) -> Result<Option<String>, FilesError> {
        let jinja = self.source.file("chat_template.jinja")?;
        let tokenizer_config = self.source.file("tokenizer_config.json")?;
        Ok(template_source(jinja.as_deref(), tokenizer_config.as_deref())?)
    }

    fn adapter(&self) -> Option<&'static str> {
        self.source.adapter()
    }

    fn digest(&self, hasher: &mut Hasher) -> Result<(), FilesError> {
        hasher.field(&self.source.required("config.json")?);
        hasher.field(self.source.file("generation_config.json")?.as_deref().unwrap_or_default());
        hasher.field(&digest_bytes(self.source.file("tokenizer.json")?.as_deref().unwrap_or_default()).0);
        Ok(())
    }

    fn weights(&mut self) -> Result<&mut dyn WeightFiles, FilesError> {
        match &mut self.checkpoint {
            Some(checkpoint) => Ok(checkpoint),
            closed => Ok(closed.insert(self.source.checkpoint()?)),
        }
    }
}
