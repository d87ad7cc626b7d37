//! Carries out steps on a GPU.

use super::buckets::Bucket;
use super::buffers::Buffers;
use super::debug::Debug;
use super::device::{Fetch, Gpu, Graph, MOST_FETCH_BYTES, MOST_FETCHES};
use super::inputs::{Asked, Inputs, StepShape};
use super::options::GpuOptions;
use super::program::{Answers, Program};
use super::weights::{LoadError, Weights};
use crate::executor::{DeviceError, Executor, LogitAnswer};
use crate::kernels::gpu::{self, Launch, NO_COLUMN};
use crate::qwen3::{Config, Dtype};
use crate::schedule::{LogitQuestion, MOST_TOP, StepPlan};
use crate::weights::TensorSource;
use std::collections::{HashMap, VecDeque};

/// What is known of a size of decode steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Known {
    /// It was launched once, and is captured when it comes again.
    Launched,
    /// It is replayed.
    Captured(Graph),
    /// It could not be captured, and is launched.
    Refused,
}

/// A step that was started and not finished.
struct Started {
    /// How many logits its plan wants.
    wanted: usize,
    /// For each question, the number of its tokens and the number of largest logits that it wants.
    questions: Vec<(usize, usize)>,
    asked: Asked,
    /// The copy of its tokens and answers, if there are any.
    fetch: Option<Fetch>,
}

const _: () =
    assert!(MOST_TOP <= gpu::MOST_TOP, "the kernels give as many of the largest logits as a plan may ask for");

/// A model on a GPU.
pub(crate) struct GpuExecutor {
    gpu: Box<dyn Gpu>,
    config: Config,
    options: GpuOptions,
    debug: Debug,
    weights: Weights,
    buffers: Buffers,
    workspace_bytes: usize,
    tile_tokens: usize,
    inputs: Inputs,
    /// What is known of decode steps of a size.
    graphs: HashMap<Bucket, Known>,
    /// Steps that were started and not finished, the oldest first.
    started: VecDeque<Started>,
    /// The tokens that greedy rows chose in the step that was finished last.
    greedy: Vec<u32>,
    /// The answers to the questions of that step.
    answers: Vec<LogitAnswer>,
    /// The logits that were asked for last.
    logits: Vec<f32>,
}

impl GpuExecutor {
    /// Takes the tensors of `source` to the device, matrices in `dtype` (what would be f32 is
    /// bf16), and allocates all that steps need.
    ///
    /// # Errors
    /// Tensors that are missing or misshapen, a shape that the kernels are not made for, too little
    /// memory.
    pub(crate) fn load(
        mut gpu: Box<dyn Gpu>,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        options: GpuOptions,
    ) -> Result<Self, LoadError> {
        let debug = Debug::from_env()?;
        let mut weights = Weights::load(&mut *gpu, config, source, dtype, options.fast)?;
        let options = options.fitted(&*gpu, config, &weights)?;
        weights.add_rotary(&mut *gpu, config, options.positions(config))?;
        let buffers = Buffers::new(&mut *gpu, config, &weights, &options)?;
        let workspace_bytes = options.shared(gpu.rules(), config, &weights).workspace_bytes;
        let tile_tokens = gpu.rules().tile_tokens(config.num_attention_heads, config.num_key_value_heads);
        Ok(Self {
            gpu,
            config: config.clone(),
            options,
            debug,
            weights,
            buffers,
            workspace_bytes,
            tile_tokens,
            inputs: Inputs::default(),
            graphs: HashMap::new(),
            started: VecDeque::new(),
            greedy: Vec::new(),
            answers: Vec::new(),
            logits: Vec::new(),
        })
    }

    /// Blocks of keys and values.
    pub(crate) fn blocks(&self) -> usize {
        self.options.blocks
    }

    /// Bytes of the matrices that a decode step reads.
    pub(crate) fn weight_bytes_per_step(&self) -> usize {
        self.weights.matrices().map(|matrix| matrix.bytes).sum()
    }

    fn upload(&mut self, plan: &StepPlan, shape: StepShape) -> Result<(), DeviceError> {
        let stride = self.options.rows();
        assert!(plan.tokens.len() <= stride, "a step fits its buffers");
        assert!(plan.tables.len() <= self.options.table_entries(&self.config), "block tables fit theirs");
        self.inputs.fill(plan, shape, stride, self.tile_tokens);
        let Self { gpu, inputs, buffers, .. } = self;
        gpu.write(buffers.inputs.tokens, &bytes(&inputs.rows))?;
        gpu.write(buffers.tables, &bytes(&inputs.tables))?;
        if !inputs.tiles.is_empty() {
            gpu.write(buffers.tiles, &bytes(&inputs.tiles))?;
        }
        if !inputs.questions.is_empty() {
            gpu.write(buffers.questions, &bytes(&inputs.questions))?;
        }
        // The step before has chosen these tokens, and nobody but the device knows them yet.
        for run in plan.feedback.chunk_by(|one, next| (one.row + 1, one.choice + 1) == (next.row, next.choice)) {
            let (from, to) = (buffers.greedy.plus(4 * run[0].choice), buffers.inputs.tokens.plus(4 * run[0].row));
            gpu.copy(from, to, 4 * run.len())?;
        }
        Ok(())
    }

    fn compute(&mut self, shape: StepShape) -> Result<(), DeviceError> {
        let StepShape::Decode(bucket) = shape else {
            let launches = self.program().launches(shape);
            return self.launch(&launches);
        };
        let known = self.graphs.get(&bucket).copied();
        if let Some(Known::Captured(graph)) = known {
            return self.gpu.replay(graph);
        }
        let launches = self.program().launches(shape);
        let known = match known {
            _ if !self.debug.graphs => Known::Launched,
            // The first launch of a kernel loads it, which cannot be captured.
            None => Known::Launched,
            // What cannot be captured (a graph takes memory, too) can still be launched; a lost
            // device says so there as well.
            Some(Known::Launched) => self.gpu.capture(&launches).map_or(Known::Refused, Known::Captured),
            Some(known) => known,
        };
        self.graphs.insert(bucket, known);
        match known {
            Known::Captured(graph) => self.gpu.replay(graph),
            Known::Launched | Known::Refused => self.launch(&launches),
        }
    }

    fn launch(&mut self, launches: &[Launch]) -> Result<(), DeviceError> {
        if !self.debug.sync {
            return self.gpu.launch(launches);
        }
        for (index, launch) in launches.iter().enumerate() {
            let named = |DeviceError(error)| {
                let (number, all) = (index + 1, launches.len());
                DeviceError(format!("launch {number} of {all} in a step, {}: {error}", launch.name()))
            };
            self.gpu.launch(std::slice::from_ref(launch)).map_err(named)?;
            self.gpu.wait().map_err(named)?;
        }
        Ok(())
    }

    /// Sets what `MASPO_GPU_DEBUG` would.
    #[cfg(test)]
    pub(super) fn debugging(mut self, words: &str) -> Self {
        self.debug = Debug::parse(words).expect("words that it knows");
        self
    }

    fn program(&self) -> Program<'_> {
        let Self { gpu, config, options, weights, buffers, .. } = self;
        Program { rules: gpu.rules(), facts: gpu.facts(), config, options: *options, weights, buffers }
    }
}

impl Executor for GpuExecutor {
    fn depth(&self) -> usize {
        MOST_FETCHES
    }

    fn start(&mut self, plan: &StepPlan) -> Result<(), DeviceError> {
        assert!(self.started.len() < MOST_FETCHES, "at most so many steps are under way");
        let shape = StepShape::of(plan, self.tile_tokens, self.options.positions(&self.config));
        self.upload(plan, shape)?;
        self.compute(shape)?;
        let (wanted, asked) = (plan.logits.len(), Asked::of(&plan.questions));
        if asked.rows > 0 {
            // Never captured: who asks what differs from step to step.
            let scores = self.program().scores(asked, wanted);
            self.launch(&[scores])?;
        }
        let bytes = 4 * wanted + asked.answer_bytes();
        let fetch = if bytes > 0 { Some(self.gpu.fetch(self.buffers.greedy, bytes)?) } else { None };
        let questions = plan.questions.iter().map(|question| (question.tokens.len(), question.top)).collect();
        self.started.push_back(Started { wanted, questions, asked, fetch });
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DeviceError> {
        let Started { wanted, questions, asked, fetch } = self.started.pop_front().expect("a step that was started");
        let mut found = vec![0u8; 4 * wanted + asked.answer_bytes()];
        if let Some(fetch) = fetch {
            self.gpu.collect(fetch, &mut found)?;
        }
        let found: Vec<u32> = found.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        self.greedy.clear();
        self.greedy.extend(&found[..wanted]);
        self.answers = answers(&found, &questions, asked, wanted);
        Ok(())
    }

    fn answers(&self, questions: &[LogitQuestion]) -> bool {
        let asked = Asked::of(questions);
        let rows = self.options.rows();
        asked.fits(rows)
            && 4 * rows + asked.answer_bytes() <= MOST_FETCH_BYTES
            && self.gpu.rules().scores_bytes(asked.rows, asked.top) <= self.workspace_bytes
    }

    fn answer(&self, index: usize) -> &LogitAnswer {
        &self.answers[index]
    }

    fn refused_captures(&self) -> u64 {
        self.graphs.values().filter(|known| **known == Known::Refused).count() as u64
    }

    fn greedy(&self, wanted: usize) -> u32 {
        self.greedy[wanted]
    }

    fn logits(&mut self, wanted: usize) -> Result<&[f32], DeviceError> {
        assert!(wanted < self.greedy.len() && self.started.is_empty(), "logits of the last step");
        let mut row = vec![0u8; 4 * self.config.vocab_size];
        self.gpu.read(self.buffers.logits.plus(wanted * row.len()), &mut row)?;
        self.logits.clear();
        self.logits.extend(row.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        Ok(&self.logits)
    }
}

/// Takes the answers about logits apart, which lie behind the `wanted` tokens of the step.
fn answers(found: &[u32], questions: &[(usize, usize)], asked: Asked, wanted: usize) -> Vec<LogitAnswer> {
    let Answers { sums, picked, top_columns, top_logits } = Answers::of(asked, 4 * wanted);
    let float = |bits: &u32| f32::from_bits(*bits);
    let mut picks = found[picked / 4..top_columns / 4].iter().map(float);
    let answer = |(index, &(tokens, top)): (usize, &(usize, usize))| {
        let first = index * asked.top;
        let (columns, logits) = (&found[top_columns / 4 + first..][..top], &found[top_logits / 4 + first..][..top]);
        LogitAnswer {
            largest: float(&found[sums / 4 + 2 * index]),
            sum: f64::from(float(&found[sums / 4 + 2 * index + 1])),
            logits: picks.by_ref().take(tokens).collect(),
            top: columns
                .iter()
                .copied()
                .zip(logits.iter().map(float))
                .take_while(|(column, _)| *column != NO_COLUMN)
                .collect(),
        }
    };
    questions.iter().enumerate().map(answer).collect()
}

fn bytes(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}
