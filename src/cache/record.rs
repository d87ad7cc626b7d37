//! Cache keys, and the stored form of requests and answers.

use crate::base::{Digest, Hasher};
use crate::chat::{Completion, FinishReason, Origin, Request, Sampling, Scores, Usage};
use serde::{Deserialize, Serialize};

/// One call of [`ChatModel`](crate::chat::ChatModel).
pub(super) enum Call {
    Complete(Request),
    Score(Request, Vec<String>),
}

/// One answer of a [`ChatModel`](crate::chat::ChatModel), with the model as its [`Origin`].
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Answer {
    Completion(Completion),
    Scores(Scores),
}

#[derive(Serialize)]
struct StoredScoreRequest<'a> {
    #[serde(flatten)]
    request: &'a Request,
    answers: &'a [String],
}

#[derive(Serialize, Deserialize)]
struct StoredUsage {
    prompt_tokens: usize,
    reused_tokens: usize,
    new_tokens: usize,
}

#[derive(Serialize, Deserialize)]
struct StoredCompletion {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cut_in_reasoning: bool,
    finish_reason: FinishReason,
    usage: StoredUsage,
}

/// Log-probabilities are stored as decimal texts that parse to the same bits, including minus
/// infinity; JSON numbers guarantee neither.
#[derive(Serialize, Deserialize)]
struct StoredScores {
    logprobs: Vec<String>,
    usage: StoredUsage,
}

impl Call {
    /// A score call. It ignores `max_new_tokens`, `max_thinking_tokens` and `sampling`, which are
    /// normalized so that calls that differ only there have the same key.
    pub(super) fn score(request: Request, answers: Vec<String>) -> Self {
        let request = Request { max_new_tokens: 0, max_thinking_tokens: None, sampling: Sampling::GREEDY, ..request };
        Self::Score(request, answers)
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Complete(_) => "complete",
            Self::Score(..) => "score",
        }
    }

    /// The request as JSON text; it holds everything that the call depends on but the model.
    pub(super) fn json(&self) -> String {
        match self {
            Self::Complete(request) => serde_json::to_string(request),
            Self::Score(request, answers) => serde_json::to_string(&StoredScoreRequest { request, answers }),
        }
        .expect("a request is plain data")
    }

    /// The cache key: a digest of the model, the kind of call and the request.
    pub(super) fn key(&self, model: &Digest, json: &str) -> Digest {
        Hasher::new("maspo call").field(&model.0).field(self.kind().as_bytes()).field(json.as_bytes()).finish()
    }

    /// Parses the stored answer to this call; `None` if the text is no such answer.
    pub(super) fn parse(&self, json: &str) -> Option<Answer> {
        match self {
            Self::Complete(_) => {
                let stored: StoredCompletion = serde_json::from_str(json).ok()?;
                let StoredCompletion { text, reasoning, cut_in_reasoning, finish_reason, usage } = stored;
                let usage = usage.load();
                Some(Answer::Completion(Completion { text, reasoning, cut_in_reasoning, finish_reason, usage }))
            }
            Self::Score(_, answers) => {
                let stored: StoredScores = serde_json::from_str(json).ok()?;
                let logprobs = stored.logprobs.iter().map(|text| text.parse().ok()).collect::<Option<Vec<f64>>>()?;
                let scores = Scores { logprobs, usage: stored.usage.load() };
                (scores.logprobs.len() == answers.len()).then_some(Answer::Scores(scores))
            }
        }
    }
}

impl Answer {
    pub(super) fn json(&self) -> String {
        match self {
            Self::Completion(completion) => serde_json::to_string(&StoredCompletion {
                text: completion.text.clone(),
                reasoning: completion.reasoning.clone(),
                cut_in_reasoning: completion.cut_in_reasoning,
                finish_reason: completion.finish_reason,
                usage: StoredUsage::of(&completion.usage),
            }),
            Self::Scores(Scores { logprobs, usage }) => serde_json::to_string(&StoredScores {
                logprobs: logprobs.iter().map(|value| format!("{value:?}")).collect(),
                usage: StoredUsage::of(usage),
            }),
        }
        .expect("an answer is plain data")
    }

    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::Completion(completion) => completion.usage.origin,
            Self::Scores(scores) => scores.usage.origin,
        }
    }

    pub(super) fn set_origin(&mut self, origin: Origin) {
        match self {
            Self::Completion(completion) => completion.usage.origin = origin,
            Self::Scores(scores) => scores.usage.origin = origin,
        }
    }
}

impl StoredUsage {
    fn of(usage: &Usage) -> Self {
        let Usage { prompt_tokens, reused_tokens, new_tokens, origin: _ } = *usage;
        Self { prompt_tokens, reused_tokens, new_tokens }
    }

    fn load(self) -> Usage {
        let Self { prompt_tokens, reused_tokens, new_tokens } = self;
        Usage { prompt_tokens, reused_tokens, new_tokens, origin: Origin::Model }
    }
}
