//! A GGUF file, which has everything in it. Text files of Hugging Face's kind that stand beside it
//! take precedence: they are what a user puts there to mend the file. Only the ids that end a turn
//! are the union of all.

use super::source::ModelSource;
use super::{Ends, FilesError, ModelFiles, named_end, special_tokens};
use crate::base::Hasher;
use crate::qwen3::Config;
use crate::text::{GgmlVocabulary, SpecialTokens, Tokenizer, eos_ids, template_source};
use crate::weights::{GgufFile, WeightFiles, WeightsError, digest_bytes};

/// Keys of ids that end a turn.
const ENDS: &[&str] = &["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"];
/// Names of special tokens in chat templates, and the keys of their ids. The format's own spelling
/// of "separator" is the first of the two.
const SPECIAL: &[(&str, &str)] = &[
    ("bos_token", "tokenizer.ggml.bos_token_id"),
    ("eos_token", "tokenizer.ggml.eos_token_id"),
    ("unk_token", "tokenizer.ggml.unknown_token_id"),
    ("sep_token", "tokenizer.ggml.seperator_token_id"),
    ("sep_token", "tokenizer.ggml.separator_token_id"),
    ("pad_token", "tokenizer.ggml.padding_token_id"),
    ("cls_token", "tokenizer.ggml.cls_token_id"),
    ("mask_token", "tokenizer.ggml.mask_token_id"),
];

/// The file, and its folder for what stands beside it.
pub(super) struct Gguf {
    beside: ModelSource,
    file: GgufFile,
}

impl Gguf {
    pub(super) fn new(beside: ModelSource, file: GgufFile) -> Self {
        Self { beside, file }
    }

    /// Reads the vocabulary in the metadata, where there is one.
    fn vocabulary(&self) -> Result<Option<GgmlVocabulary<'_>>, WeightsError> {
        let metadata = self.file.metadata();
        let Some(tokens) = metadata.texts("tokenizer.ggml.tokens")? else { return Ok(None) };
        let text = |key: &str| metadata.required(key, metadata.text(key)?);
        let (types, merges) = ("tokenizer.ggml.token_type", "tokenizer.ggml.merges");
        Ok(Some(GgmlVocabulary {
            model: text("tokenizer.ggml.model")?,
            pre: text("tokenizer.ggml.pre")?,
            tokens,
            types: metadata.required(types, metadata.wholes(types)?)?,
            merges: metadata.required(merges, metadata.texts(merges)?)?,
        }))
    }

    /// Reads the ids that the metadata name, and those of the tokens that end a turn by their
    /// texts.
    fn own_ends(&self) -> Result<Vec<u32>, FilesError> {
        let metadata = self.file.metadata();
        let mut ids = Vec::new();
        for key in ENDS {
            if let Some(id) = metadata.whole(key)? {
                ids.push(u32::try_from(id).map_err(|_| metadata.wrong(key, &format!("{id} is not a token id")))?);
            }
        }
        ids.extend(self.vocabulary()?.map(|vocabulary| vocabulary.ends()).unwrap_or_default());
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

impl ModelFiles for Gguf {
    fn config(&self) -> Result<Config, FilesError> {
        Ok(Config::from_gguf(&self.file)?)
    }

    fn ends(&self, tokenizer: Option<&Tokenizer>) -> Result<Ends, FilesError> {
        let generation = match self.beside.file("generation_config.json")? {
            Some(bytes) => eos_ids("generation_config.json", &bytes)?,
            None => Vec::new(),
        };
        let named = named_end(&special_tokens(&self.beside)?, tokenizer);
        Ok(Ends::union(&[generation, self.own_ends()?, named]))
    }

    fn tokenizer(&self) -> Result<Option<Tokenizer>, FilesError> {
        match self.beside.file("tokenizer.json")? {
            Some(json) => Ok(Some(Tokenizer::from_json(&json)?)),
            None => Ok(self.vocabulary()?.map(|vocabulary| vocabulary.tokenizer()).transpose()?),
        }
    }

    fn special_tokens(&self) -> Result<SpecialTokens, FilesError> {
        let mut tokens = special_tokens(&self.beside)?;
        let metadata = self.file.metadata();
        let Some(vocabulary) = self.vocabulary()? else { return Ok(tokens) };
        for (name, key) in SPECIAL {
            let id = metadata.whole(key)?.and_then(|id| usize::try_from(id).ok());
            if let Some(text) = id.and_then(|id| vocabulary.tokens.get(id)) {
                tokens.or_named(name, text);
            }
        }
        Ok(tokens)
    }

    fn no_tokenizer(&self) -> FilesError {
        let sought = "tokenizer: no `tokenizer.ggml.tokens` in its metadata, and no tokenizer.json beside it";
        FilesError::NoTokenizer { model: self.beside.to_string(), sought }
    }

    fn template(&self) -> Result<Option<String>, FilesError> {
        let jinja = self.beside.file("chat_template.jinja")?;
        let tokenizer_config = self.beside.file("tokenizer_config.json")?;
        match template_source(jinja.as_deref(), tokenizer_config.as_deref())? {
            Some(source) => Ok(Some(source)),
            None => Ok(self.file.metadata().text("tokenizer.chat_template")?.map(str::to_string)),
        }
    }

    fn adapter(&self) -> Option<&'static str> {
        self.beside.adapter()
    }

    /// The metadata are among the weights' bytes.
    fn digest(&self, hasher: &mut Hasher) -> Result<(), FilesError> {
        hasher.field(b"gguf");
        hasher.field(self.beside.file("generation_config.json")?.as_deref().unwrap_or_default());
        hasher.field(&digest_bytes(self.beside.file("tokenizer.json")?.as_deref().unwrap_or_default()).0);
        Ok(())
    }

    fn weights(&mut self) -> Result<&mut dyn WeightFiles, FilesError> {
        Ok(&mut self.file)
    }
}
