//! The bodies of requests in the dialects of servers. What a server would take from its own
//! defaults (vLLM's from the model's `generation_config.json`, llama-server's `min_p`) is always
//! said.

use super::Api;
use crate::chat::{Message, Request, Sampling};
use serde_json::{Map, Value, json};

/// What all requests to a server share.
pub(super) struct Dialect<'a> {
    pub(super) api: Api,
    pub(super) model: &'a str,
    pub(super) thinking: bool,
    pub(super) extra: &'a Map<String, Value>,
}

impl Dialect<'_> {
    /// Returns the body of a completion.
    pub(super) fn completion(&self, request: &Request) -> Value {
        let mut body = self.chat(&request.messages, request.max_new_tokens, request.max_thinking_tokens);
        self.sample(&mut body, &request.sampling);
        self.finish(body)
    }

    /// Returns the body of a request for the log-probabilities of the first token: of the tokens
    /// `ids` where the server can be asked for them, and of the likeliest ones. Nothing constrains
    /// what it writes, because that would change them.
    pub(super) fn first_token(&self, messages: &[Message], ids: Option<&[u32]>) -> Value {
        let mut body = self.chat(messages, 1, Some(0));
        self.sample(&mut body, &Sampling::GREEDY);
        body["logprobs"] = json!(true);
        body["top_logprobs"] = json!(self.most_logprobs());
        if let Some(ids) = ids {
            body["logprob_token_ids"] = json!(ids);
            body["return_tokens_as_token_ids"] = json!(true);
        }
        self.finish(body)
    }

    /// Returns the number of likeliest tokens that the server can be asked for.
    pub(super) fn most_logprobs(&self) -> usize {
        match self.api {
            // It calls them `n_probs` and has no bound.
            Api::LlamaServer => 200,
            _ => 20,
        }
    }

    fn chat(&self, messages: &[Message], max_tokens: usize, max_thinking_tokens: Option<usize>) -> Value {
        let mut body = json!({
            "model": self.model, "messages": messages, "max_tokens": max_tokens.max(1), "stream": false,
        });
        let thinks = self.thinking && max_thinking_tokens != Some(0);
        match self.api {
            // It closes a thought as our own engine does, so it is told the same.
            Api::Maspo => {
                body["chat_template_kwargs"] = json!({ "enable_thinking": self.thinking });
                body["max_thinking_tokens"] = json!(max_thinking_tokens);
            }
            Api::Vllm | Api::Sglang | Api::LlamaServer => {
                body["chat_template_kwargs"] = json!({ "enable_thinking": thinks });
            }
            Api::Ollama if !thinks => body["reasoning_effort"] = json!("none"),
            Api::Ollama | Api::Openai | Api::Auto => {}
        }
        body
    }

    pub(super) fn sample(&self, body: &mut Value, sampling: &Sampling) {
        body["temperature"] = json!(sampling.temperature);
        body["top_p"] = json!(sampling.top_p);
        if sampling.temperature > 0.0 {
            // Servers hold seeds in 64 bits with a sign; Ollama and OpenAI document fewer.
            body["seed"] = match self.api {
                Api::Ollama | Api::Openai | Api::Auto => json!(sampling.seed & 0x7fff_ffff),
                _ => json!(sampling.seed.cast_signed()),
            };
        }
        match self.api {
            Api::Maspo | Api::Vllm | Api::Sglang => {
                body["top_k"] = json!(if sampling.top_k == 0 { -1 } else { i64::from(sampling.top_k) });
                body["min_p"] = json!(0.0);
                body["repetition_penalty"] = json!(1.0);
            }
            Api::LlamaServer => {
                body["top_k"] = json!(sampling.top_k);
                body["min_p"] = json!(0.0);
                body["repeat_penalty"] = json!(1.0);
                body["cache_prompt"] = json!(true);
            }
            Api::Ollama | Api::Openai | Api::Auto => {}
        }
    }

    pub(super) fn finish(&self, mut body: Value) -> Value {
        for (key, value) in self.extra {
            body[key.as_str()] = value.clone();
        }
        body
    }
}
