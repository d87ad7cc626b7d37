//! Prompts that this process rendered itself, for the servers that take token ids: the bodies of
//! requests on their own routes, and the answers. vLLM's are those of its completions API, SGLang's
//! those of `/generate`, llama-server's those of `/completion`.

use super::body::Dialect;
use super::failure::Failure;
use super::{Api, reply};
use crate::chat::{Completion, FinishReason, Origin, Sampling, Usage};
use crate::engine::text::PromptThought;
use serde_json::{Value, json};

/// Log-probabilities below this stand for a token that cannot come: SGLang writes the smallest f32.
const LEAST: f64 = -1e30;

/// Returns the route for prompts of token ids; `None` for servers that take texts only.
pub(super) fn route(api: Api) -> Option<&'static str> {
    match api {
        Api::Maspo | Api::Vllm => Some("/v1/completions"),
        Api::Sglang => Some("/generate"),
        Api::LlamaServer => Some("/completion"),
        Api::Ollama | Api::Openai | Api::Auto => None,
    }
}

impl Dialect<'_> {
    /// Returns the body of a request that continues a prompt.
    pub(super) fn continuation(&self, prompt: &[u32], max_tokens: usize, sampling: &Sampling) -> Value {
        self.finish(self.of_ids(prompt, max_tokens, sampling))
    }

    /// Returns the body of a request for the log-probabilities of `wanted` as the next token.
    pub(super) fn next_token(&self, prompt: &[u32], wanted: &[u32]) -> Value {
        let mut body = self.of_ids(prompt, 1, &Sampling::GREEDY);
        match self.api {
            Api::Sglang => {
                body["return_logprob"] = json!(true);
                body["token_ids_logprob"] = json!(wanted);
            }
            Api::LlamaServer => {
                body["n_probs"] = json!(self.most_logprobs());
                body["post_sampling_probs"] = json!(false);
            }
            _ => {
                body["logprobs"] = json!(self.most_logprobs());
                body["logprob_token_ids"] = json!(wanted);
                body["return_tokens_as_token_ids"] = json!(true);
            }
        }
        self.finish(body)
    }

    /// Returns the body of a request to vLLM for the log-probabilities of the prompt's own tokens.
    pub(super) fn tokens_of_prompt(&self, prompt: &[u32]) -> Value {
        let mut body = self.of_ids(prompt, 1, &Sampling::GREEDY);
        // The likeliest token and the prompt's own.
        body["prompt_logprobs"] = json!(1);
        self.finish(body)
    }

    fn of_ids(&self, prompt: &[u32], max_tokens: usize, sampling: &Sampling) -> Value {
        let max_tokens = max_tokens.max(1);
        match self.api {
            Api::Sglang => {
                let mut choice = json!({ "max_new_tokens": max_tokens });
                self.sample(&mut choice, sampling);
                // Only some of its backends know a seed, under another name.
                choice.as_object_mut().expect("an object").remove("seed");
                json!({ "input_ids": prompt, "sampling_params": choice, "stream": false })
            }
            Api::LlamaServer => {
                let mut body = json!({ "prompt": prompt, "n_predict": max_tokens, "stream": false });
                self.sample(&mut body, sampling);
                body
            }
            _ => {
                let mut body =
                    json!({ "model": self.model, "prompt": prompt, "max_tokens": max_tokens, "stream": false });
                self.sample(&mut body, sampling);
                body
            }
        }
    }
}

/// Reads the continuation of a prompt that leaves the model where `thought` says.
pub(super) fn completion(api: Api, answer: &Value, thought: PromptThought) -> Result<Completion, Failure> {
    let (text, is_cut) = match api {
        Api::Sglang => (&answer["text"], answer["meta_info"]["finish_reason"]["type"] == "length"),
        Api::LlamaServer => (&answer["content"], answer["stop_type"] == "limit"),
        _ => (&answer["choices"][0]["text"], answer["choices"][0]["finish_reason"] == "length"),
    };
    let text = text.as_str().ok_or_else(|| Failure::passing("its answer has no text"))?;
    let (reasoning, text, is_open) = match reply::split(text) {
        (None, text, _) if thought == PromptThought::Open => (Some(text.trim().to_string()), String::new(), true),
        parts => parts,
    };
    let finish_reason = if is_cut { FinishReason::Length } else { FinishReason::Stop };
    Ok(Completion { text, reasoning, cut_in_reasoning: is_open && is_cut, finish_reason, usage: usage(api, answer) })
}

/// Reads the tokens of an answer.
pub(super) fn usage(api: Api, answer: &Value) -> Usage {
    let (prompt, reused, new) = match api {
        Api::Sglang => {
            let about = &answer["meta_info"];
            (&about["prompt_tokens"], &about["cached_tokens"], &about["completion_tokens"])
        }
        Api::LlamaServer => (&answer["tokens_evaluated"], &answer["timings"]["cache_n"], &answer["tokens_predicted"]),
        _ => return reply::usage(answer),
    };
    let count = |value: &Value| value.as_u64().unwrap_or(0) as usize;
    let prompt_tokens = count(prompt);
    let reused_tokens = count(reused).min(prompt_tokens);
    Usage { prompt_tokens, reused_tokens, new_tokens: count(new), origin: Origin::Model }
}

/// Reads the log-probabilities of the next token, by id; `None` if the server gives none.
pub(super) fn next_logprobs(api: Api, answer: &Value) -> Option<Vec<(u32, f64)>> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let found: Vec<(u32, f64)> = match api {
        Api::Sglang => {
            let listed = answer["meta_info"]["output_token_ids_logprobs"][0].as_array()?;
            listed.iter().filter_map(|entry| Some((id(&entry[1])?, entry[0].as_f64()?))).collect()
        }
        Api::LlamaServer => {
            let first = &answer["completion_probabilities"][0];
            let listed = first["top_logprobs"].as_array()?;
            let entry = |entry: &Value| Some((id(&entry["id"])?, entry["logprob"].as_f64()?));
            listed.iter().chain([first]).filter_map(entry).collect()
        }
        _ => {
            let listed = answer["choices"][0]["logprobs"]["top_logprobs"][0].as_object()?;
            let entry = |(name, logprob): (&String, &Value)| {
                Some((name.strip_prefix("token_id:")?.parse().ok()?, logprob.as_f64()?))
            };
            listed.iter().filter_map(entry).collect()
        }
    };
    Some(found.into_iter().filter(|(_, logprob)| *logprob > LEAST).collect())
}

/// Reads the sum of the log-probabilities of `ids`, with which the prompt ends, at `from`.
pub(super) fn end_of_prompt(answer: &Value, from: usize, ids: &[u32]) -> Option<f64> {
    let listed = answer["choices"][0]["prompt_logprobs"].as_array()?;
    let logprob = |(at, id): (usize, &u32)| listed.get(from + at)?[id.to_string()]["logprob"].as_f64();
    ids.iter().enumerate().map(logprob).sum()
}
