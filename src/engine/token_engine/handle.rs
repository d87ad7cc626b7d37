//! The handle that callers hold: it checks a request, queues it and waits for the answer.

use super::FinishReason;
use super::jobs::Job;
use super::worker::Worker;
use super::{Counters, EngineError, EngineOptions, Extras, ScoreOutput, TokenOutput, TokenRequest};
use crate::blocks::PoolSize;
#[cfg(test)]
use crate::executor::CpuExecutor;
use crate::executor::{DeviceError, Executor};
use crate::qwen3::Config;
#[cfg(test)]
use crate::qwen3::Model;
use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::lock::Mutex;
use futures::{FutureExt, SinkExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::thread::JoinHandle;

/// State that the engine's thread and its handle share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) counters: StdMutex<Counters>,
    pub(super) stop: AtomicBool,
    failure: StdMutex<Option<DeviceError>>,
}

impl Shared {
    /// Records why there are no more answers, for every request that waits or comes later.
    pub(super) fn fail(&self, error: DeviceError) {
        *self.failure.lock().expect("no thread panics while it holds the failure") = Some(error);
    }

    fn stopped(&self) -> EngineError {
        let failure = self.failure.lock().expect("no thread panics while it holds the failure").clone();
        failure.map_or(EngineError::Stopped, EngineError::Device)
    }
}

/// A running engine. Dropping it stops its thread.
pub struct TokenEngine {
    /// The only sender, behind a lock: a bounded channel grows by one place for every sender.
    jobs: Mutex<mpsc::Sender<Job>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Box<dyn Executor>>>,
    eos: Vec<u32>,
    blocks: PoolSize,
    limit: usize,
    vocab_size: usize,
    block_tokens: usize,
}

impl TokenEngine {
    /// Does what [`start_on`](Self::start_on) does, on the CPU. (`options.threads` is not read
    /// here, because the model has its [`Compute`](crate::kernels::Compute) already.)
    ///
    /// # Errors
    /// An option is out of its range.
    #[cfg(test)]
    pub(crate) fn start(model: Model, eos: Vec<u32>, options: &EngineOptions) -> Result<Self, EngineError> {
        options.check()?;
        let blocks = options.pool(model.config(), model.kv_bytes_per_token(), None);
        let config = model.config().clone();
        let executor = Box::new(CpuExecutor::new(model, options.block_tokens, blocks.total));
        Self::start_on(executor, &config, eos, options, blocks)
    }

    /// Starts the thread that owns `executor`, which has room for that many blocks of keys and
    /// values; `eos` are the tokens that end a turn.
    ///
    /// # Errors
    /// An option is out of its range.
    pub(crate) fn start_on(
        executor: Box<dyn Executor>,
        config: &Config,
        eos: Vec<u32>,
        options: &EngineOptions,
        blocks: impl Into<PoolSize>,
    ) -> Result<Self, EngineError> {
        options.check()?;
        let blocks = blocks.into();
        let limit = config.max_position_embeddings.min(blocks.total * options.block_tokens);
        Self::spawn(executor, eos, options, blocks, (limit, config.vocab_size))
    }

    /// Stops the thread and starts another one on the same executor, with other scheduling options.
    /// Cached prefixes are lost.
    pub(crate) fn restart(&mut self, options: &EngineOptions) -> Result<(), EngineError> {
        options.check()?;
        let executor = self.stop().ok_or(EngineError::Stopped)?;
        let (eos, bounds) = (std::mem::take(&mut self.eos), (self.limit, self.vocab_size));
        *self = Self::spawn(executor, eos, options, self.blocks, bounds)?;
        Ok(())
    }

    fn spawn(
        executor: Box<dyn Executor>,
        eos: Vec<u32>,
        options: &EngineOptions,
        blocks: PoolSize,
        (limit, vocab_size): (usize, usize),
    ) -> Result<Self, EngineError> {
        let shared = Arc::new(Shared::default());
        let (jobs, arrivals) = mpsc::channel(0);
        let worker = Worker::new(executor, eos.clone(), options, blocks, shared.clone());
        let thread = std::thread::Builder::new().name("maspo-engine".into()).spawn(move || worker.run(arrivals));
        let thread = thread.map_err(|error| EngineError::Thread(error.to_string()))?;
        let block_tokens = options.block_tokens;
        Ok(Self { jobs: Mutex::new(jobs), shared, thread: Some(thread), eos, blocks, limit, vocab_size, block_tokens })
    }

    /// Returns the number of tokens whose keys and values there is room for, over all sequences.
    pub fn pool_tokens(&self) -> usize {
        self.blocks.total * self.block_tokens
    }

    /// Returns the number of tokens whose keys and values running sequences hold now, counted in
    /// whole blocks.
    pub fn used_tokens(&self) -> usize {
        self.counters().used_blocks as usize * self.block_tokens
    }

    /// Stops the thread and returns its executor. Returns `None` if that was done before, or if the
    /// thread panicked: the panic was printed on stderr, and callers got [`EngineError::Stopped`].
    fn stop(&mut self) -> Option<Box<dyn Executor>> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.jobs.get_mut().close_channel();
        self.thread.take().and_then(|thread| thread.join().ok())
    }

    /// Generates the continuation of a prompt. The result depends on the request alone. Dropping
    /// the future cancels the request.
    pub fn generate(&self, request: TokenRequest) -> BoxFuture<'_, Result<TokenOutput, EngineError>> {
        self.generate_with(request, Extras::default())
    }

    /// Does what [`generate`](Self::generate) does, with further options.
    pub fn generate_with(
        &self,
        request: TokenRequest,
        extras: Extras,
    ) -> BoxFuture<'_, Result<TokenOutput, EngineError>> {
        async move {
            if let Some(limit) = &extras.limit {
                self.check_tokens(&limit.closing)?;
            }
            self.check(&request.prompt, request.max_new_tokens)?;
            if request.max_new_tokens == 0 {
                let prompt_tokens = request.prompt.len();
                let finish_reason = FinishReason::Length;
                return Ok(TokenOutput { token_ids: Vec::new(), finish_reason, prompt_tokens, reused_tokens: 0 });
            }
            let (reply, answer) = oneshot::channel();
            self.queue(Job::Generate(request, extras, reply)).await?;
            answer.await.map_err(|_| self.shared.stopped())
        }
        .boxed()
    }

    /// Returns the log-probabilities of `answers` as the next tokens after `prompt`, by prefill
    /// only. The prompt is computed once for all of them. Dropping the future cancels the request.
    pub fn score(&self, prompt: Vec<u32>, answers: Vec<Vec<u32>>) -> BoxFuture<'_, Result<ScoreOutput, EngineError>> {
        async move {
            self.check(&prompt, answers.iter().map(Vec::len).max().unwrap_or(0))?;
            for (index, answer) in answers.iter().enumerate() {
                if answer.is_empty() {
                    return Err(EngineError::EmptyAnswer(index));
                }
                self.check_tokens(answer)?;
            }
            let (reply, answer) = oneshot::channel();
            self.queue(Job::Score { prompt, answers, reply }).await?;
            answer.await.map_err(|_| self.shared.stopped())
        }
        .boxed()
    }

    /// Returns counts of what the engine has done so far.
    pub fn counters(&self) -> Counters {
        *self.shared.counters.lock().expect("no thread panics while it holds the counters")
    }

    /// Returns the most tokens that a request may have, prompt and new ones together.
    pub fn limit(&self) -> usize {
        self.limit
    }

    fn check(&self, prompt: &[u32], new_tokens: usize) -> Result<(), EngineError> {
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        let prompt_tokens = prompt.len();
        if prompt_tokens.saturating_add(new_tokens) > self.limit {
            return Err(EngineError::Overflow { prompt_tokens, new_tokens, limit: self.limit });
        }
        self.check_tokens(prompt)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), EngineError> {
        let vocab_size = self.vocab_size;
        match tokens.iter().find(|&&id| id as usize >= vocab_size) {
            Some(&id) => Err(EngineError::Token { id, vocab_size }),
            None => Ok(()),
        }
    }

    /// Hands a job to the thread; waits while its queue is full.
    async fn queue(&self, job: Job) -> Result<(), EngineError> {
        self.jobs.lock().await.send(job).await.map_err(|_| self.shared.stopped())
    }
}

impl Drop for TokenEngine {
    fn drop(&mut self) {
        self.stop();
    }
}
