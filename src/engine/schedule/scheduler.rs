//! The policy. Sequences run in the order of arrival; the oldest one running is never preempted,
//! and a sequence that fits the empty pool fits beside nobody at the latest, so every sequence
//! ends.

use super::sequence::Sequence;
use super::{Carried, LogitRow, SequenceId, Span, StepPlan};
use crate::blocks::{BlockId, Blocks, Table};
use std::collections::{BTreeMap, HashMap};

/// The bounds of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Tokens per step; at least 1.
    pub(crate) step_tokens: usize,
    /// Sequences at once; at least 1.
    pub(crate) max_running: usize,
}

/// What the scheduler has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) prefilled: u64,
    pub(crate) reused: u64,
    pub(crate) preemptions: u64,
    pub(crate) peak_running: u64,
    pub(crate) peak_blocks: u64,
    pub(crate) drafted: u64,
    pub(crate) accepted: u64,
}

/// Rows in a step up to which drafts are added to what sequences decode. A draft that comes true
/// takes the row that its token would have taken in a later step, so it saves what a step costs
/// beside its rows: reading the weights; one that does not costs a row. The embedded model lies in
/// the cache, and its rows cost nearly all of a step: copying text with two thirds of the drafts
/// coming true, drafts gain nothing to 6 % alone on a quiet machine, and with 32 rows cost 14 %
/// where ten sequences decode (docs/benchmarks.md, "Drafting on and off"). A 0.6B model in 8 bits,
/// whose ten rows take 1.5 times as long as one and forty 4 times, breaks even at about ten.
pub(crate) const DRAFTING_ROWS: usize = 8;

/// Queue, running sequences and their blocks.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: Limits,
    draft_rows: usize,
    blocks: Blocks,
    waiting: BTreeMap<SequenceId, Sequence>,
    running: BTreeMap<SequenceId, Sequence>,
    /// How many running sequences are about to compute the prefix with this hash.
    underway: HashMap<u64, usize>,
    arrivals: u64,
    tally: Tally,
}

impl Scheduler {
    /// A scheduler over an empty pool.
    pub(crate) fn new(limits: Limits, blocks: Blocks) -> Self {
        assert!(limits.step_tokens > 0 && limits.max_running > 0, "a step has room for one token");
        Self {
            limits,
            draft_rows: DRAFTING_ROWS,
            blocks,
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            underway: HashMap::new(),
            arrivals: 0,
            tally: Tally::default(),
        }
    }

    /// The same with drafts in steps of up to so many rows.
    pub(crate) fn with_draft_rows(self, draft_rows: usize) -> Self {
        Self { draft_rows, ..self }
    }

    /// Queues a sequence; logits are wanted from position `logits_from` on. It must fit the empty
    /// pool with all that will be pushed to it.
    pub(crate) fn submit(&mut self, tokens: Vec<u32>, logits_from: usize) -> SequenceId {
        let id = SequenceId(self.arrivals);
        self.arrivals += 1;
        let shared = self.blocks.shares().then(|| self.blocks.block_tokens());
        self.waiting.insert(id, Sequence::new(tokens, logits_from, shared));
        id
    }

    /// The next step without drafts; `None` when there is nothing to do.
    pub(crate) fn plan(&mut self) -> Option<StepPlan> {
        self.plan_drafting(|_, _, _| Vec::new())
    }

    /// The next step. `guess` is asked about sequences that decode, while there is room that nobody
    /// else needs: given all tokens of a sequence, it returns at most so many that may come next.
    /// They are computed along, with their logits.
    pub(crate) fn plan_drafting(
        &mut self,
        guess: impl FnMut(SequenceId, &[u32], usize) -> Vec<u32>,
    ) -> Option<StepPlan> {
        let mut plan = StepPlan::default();
        let (mut reserved, mut budget) = self.reserve_running();
        self.reserve_drafts(&mut reserved, &mut budget, guess);
        let (prompts, generated): (Vec<_>, Vec<_>) =
            reserved.into_iter().partition(|(id, _)| self.running[id].in_prompt());
        for (id, rows) in generated {
            self.add_span(&mut plan, id, rows);
        }
        plan.generated = plan.tokens.len();
        for (id, rows) in prompts {
            self.add_span(&mut plan, id, rows);
        }
        self.admit(&mut plan, &mut budget);
        assert!(plan.spans.is_empty() == self.running.is_empty(), "whoever runs makes progress");
        let used = self.blocks.capacity() - self.blocks.available();
        self.tally.peak_blocks = self.tally.peak_blocks.max(used as u64);
        self.tally.peak_running = self.tally.peak_running.max(plan.spans.len() as u64);
        (!plan.spans.is_empty()).then_some(plan)
    }

    /// The plan was carried out: its keys and values are there, for others as well.
    pub(crate) fn complete(&mut self, plan: &StepPlan) {
        let block_tokens = self.blocks.block_tokens();
        for span in &plan.spans {
            // Whoever is gone was removed while the step was under way.
            let Some(sequence) = self.running.get_mut(&span.id) else { continue };
            let before = sequence.computed;
            if !sequence.decodes() {
                self.tally.prefilled += span.rows.len() as u64;
            }
            // What was guessed counts when it comes true.
            sequence.computed = (before + span.rows.len()).min(sequence.tokens.len());
            let shareable = sequence.shareable();
            self.blocks.publish(&mut sequence.table, &sequence.tokens, shareable);
            let end = (sequence.computed / block_tokens).min(sequence.chain.len());
            let start = (before / block_tokens).min(end);
            forget(&mut self.underway, &sequence.chain[start..end]);
        }
    }

    /// Appends a generated token to a running sequence, whose logits are then wanted. Where it is
    /// the one that was guessed, its key, its value and its logits are there already.
    pub(crate) fn push(&mut self, id: SequenceId, token: u32) {
        let sequence = self.running.get_mut(&id).expect("tokens come from a sequence that runs");
        let guessed = sequence.draft.pop_front() == Some(token);
        sequence.logits_from = sequence.tokens.len();
        sequence.tokens.push(token);
        if guessed {
            sequence.computed += 1;
            self.tally.accepted += 1;
            let shareable = sequence.shareable();
            self.blocks.publish(&mut sequence.table, &sequence.tokens, shareable);
        } else {
            sequence.draft.clear();
        }
    }

    /// Appends a token that the step which was planned last will choose as number `choice`: the
    /// next plan carries it over, and [`settle`](Self::settle) says what it is before that plan is
    /// complete. Guesses are forgotten.
    pub(crate) fn push_open(&mut self, id: SequenceId, choice: usize) {
        let sequence = self.running.get_mut(&id).expect("tokens come from a sequence that runs");
        assert!(sequence.open.is_none(), "one token at a time is open");
        sequence.draft.clear();
        sequence.logits_from = sequence.tokens.len();
        sequence.tokens.push(0);
        sequence.open = Some(choice);
    }

    /// Whether the last token of the sequence is open.
    pub(crate) fn is_open(&self, id: SequenceId) -> bool {
        self.sequence(id).is_some_and(|sequence| sequence.open.is_some())
    }

    /// The open token is this one.
    pub(crate) fn settle(&mut self, id: SequenceId, token: u32) {
        let sequence =
            self.running.get_mut(&id).or_else(|| self.waiting.get_mut(&id)).expect("a sequence with an open token");
        assert!(sequence.open.take().is_some(), "the token was open");
        *sequence.tokens.last_mut().expect("the open token") = token;
    }

    /// Forgets a sequence, running or waiting, and gives its blocks back. Unknown ids are ignored.
    pub(crate) fn remove(&mut self, id: SequenceId) {
        self.waiting.remove(&id);
        if let Some(mut sequence) = self.running.remove(&id) {
            self.give_back(&mut sequence);
        }
    }

    /// Prompt tokens that the sequence found in the tree when it first ran.
    pub(crate) fn reused(&self, id: SequenceId) -> usize {
        self.sequence(id).and_then(|sequence| sequence.reused).unwrap_or(0)
    }

    fn sequence(&self, id: SequenceId) -> Option<&Sequence> {
        self.running.get(&id).or_else(|| self.waiting.get(&id))
    }

    /// Whether `position` is that of the last token of a running sequence, and that token is
    /// computed. (A wrong guess may have been computed at that place instead.)
    pub(crate) fn is_last(&self, id: SequenceId, position: usize) -> bool {
        self.running
            .get(&id)
            .is_some_and(|sequence| position + 1 == sequence.tokens.len() && sequence.computed == sequence.tokens.len())
    }

    /// Sequences that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// What was done so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Gives the running sequences their rows, the oldest first; returns those and what is left of
    /// the budget. A sequence that decodes takes one row and is never kept waiting by somebody's
    /// prefill.
    fn reserve_running(&mut self) -> (Vec<(SequenceId, usize)>, usize) {
        let decoding = self.running.values().filter(|sequence| sequence.decodes()).count();
        let mut rows_for_decode = decoding.min(self.limits.step_tokens);
        let mut rows_for_prefill = self.limits.step_tokens - rows_for_decode;
        let ids: Vec<SequenceId> = self.running.keys().copied().collect();
        let mut reserved = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(sequence) = self.running.get_mut(&id) else { continue };
            sequence.draft.clear();
            let budget = if sequence.decodes() { &mut rows_for_decode } else { &mut rows_for_prefill };
            let rows = sequence.pending_of_a_kind().min(*budget);
            *budget -= rows;
            if rows > 0 && self.make_room(id, rows) {
                reserved.push((id, rows));
            }
        }
        (reserved, rows_for_prefill)
    }

    /// Adds the rows of drafts to those of the sequences that decode, the oldest first. One block
    /// per running sequence stays spare, so that nobody is preempted for the sake of a guess.
    fn reserve_drafts(
        &mut self,
        reserved: &mut [(SequenceId, usize)],
        budget: &mut usize,
        mut guess: impl FnMut(SequenceId, &[u32], usize) -> Vec<u32>,
    ) {
        let decoding = self.running.values().filter(|sequence| sequence.decodes()).count();
        let mut room = self.draft_rows.saturating_sub(decoding).min(*budget);
        let block_tokens = self.blocks.block_tokens();
        for (id, rows) in reserved {
            let spare = self.blocks.available().saturating_sub(self.running.len());
            let sequence = self.running.get_mut(id).expect("whoever has rows runs");
            if !sequence.decodes() {
                continue;
            }
            let reach = (sequence.table.blocks().len() + spare) * block_tokens;
            let most = room.min(reach - sequence.tokens.len());
            if most == 0 {
                continue;
            }
            let draft = guess(*id, &sequence.tokens, most);
            assert!(draft.len() <= most, "a draft keeps to its room");
            let blocks = (sequence.tokens.len() + draft.len()).div_ceil(block_tokens);
            assert!(self.blocks.extend(&mut sequence.table, blocks), "the room was counted");
            *rows += draft.len();
            *budget -= draft.len();
            room -= draft.len();
            self.tally.drafted += draft.len() as u64;
            sequence.draft = draft.into();
        }
    }

    /// Gets the blocks for `rows` more tokens, from the youngest sequences if need be; false when
    /// the sequence itself is the youngest and had to go.
    fn make_room(&mut self, id: SequenceId, rows: usize) -> bool {
        loop {
            let sequence = self.running.get_mut(&id).expect("room is made for a running sequence");
            let blocks = (sequence.computed + rows).div_ceil(self.blocks.block_tokens());
            if self.blocks.extend(&mut sequence.table, blocks) {
                return true;
            }
            let (&youngest, _) = self.running.last_key_value().expect("the sequence itself runs");
            assert!(self.running.len() > 1, "a sequence that fits the pool has room when it is alone");
            self.preempt(youngest);
            if youngest == id {
                return false;
            }
        }
    }

    fn preempt(&mut self, id: SequenceId) {
        let mut sequence = self.running.remove(&id).expect("only a running sequence is preempted");
        self.give_back(&mut sequence);
        self.waiting.insert(id, sequence);
        self.tally.preemptions += 1;
    }

    /// Lets waiting sequences run while there is room, the oldest first. One whose next block is
    /// being computed by another right now waits for that block, and others may overtake it; one
    /// that lacks room may not be overtaken.
    fn admit(&mut self, plan: &mut StepPlan, budget: &mut usize) {
        // The bound keeps a step cheap when a long queue waits for one prefix.
        let ids: Vec<SequenceId> = self.waiting.keys().copied().take(2 * self.limits.max_running).collect();
        for id in ids {
            if *budget == 0 || self.running.len() >= self.limits.max_running {
                return;
            }
            let sequence = &self.waiting[&id];
            let matched = self.blocks.matched(sequence.reusable());
            if sequence.chain.get(matched).is_some_and(|next| self.underway.contains_key(next)) {
                continue;
            }
            if !self.start(id) {
                return;
            }
            let rows = self.running[&id].pending_of_a_kind().min(*budget);
            *budget -= rows;
            self.add_span(plan, id, rows);
        }
    }

    /// Moves a waiting sequence to the running ones with blocks for all its tokens; false without
    /// room for it.
    fn start(&mut self, id: SequenceId) -> bool {
        let sequence = self.waiting.get_mut(&id).expect("only a waiting sequence starts");
        let mut table = self.blocks.acquire(sequence.reusable());
        let matched = table.blocks().len();
        let wanted = sequence.tokens.len().div_ceil(self.blocks.block_tokens());
        // One spare block for everyone who runs, so that a newcomer is not preempted at once.
        let spare = self.running.len();
        if wanted - matched + spare > self.blocks.available() || !self.blocks.extend(&mut table, wanted) {
            self.blocks.release(table);
            assert!(spare > 0, "a sequence that fits the pool has room when it is alone");
            return false;
        }
        sequence.table = table;
        sequence.computed = matched * self.blocks.block_tokens();
        if sequence.reused.is_none() {
            sequence.reused = Some(sequence.computed);
            self.tally.reused += sequence.computed as u64;
        }
        for &hash in sequence.chain.iter().skip(matched) {
            *self.underway.entry(hash).or_insert(0) += 1;
        }
        let sequence = self.waiting.remove(&id).expect("it was there above");
        self.running.insert(id, sequence);
        true
    }

    fn give_back(&mut self, sequence: &mut Sequence) {
        let done = (sequence.computed / self.blocks.block_tokens()).min(sequence.chain.len());
        forget(&mut self.underway, &sequence.chain[done..]);
        self.blocks.release(std::mem::take::<Table>(&mut sequence.table));
        sequence.computed = 0;
        sequence.draft.clear();
    }

    fn add_span(&mut self, plan: &mut StepPlan, id: SequenceId, rows: usize) {
        let sequence = &self.running[&id];
        let (first_row, position) = (plan.tokens.len(), sequence.computed);
        let first_block = plan.tables.len();
        let blocks = sequence.table.blocks();
        let block_tokens = self.blocks.block_tokens();
        for at in position..position + rows {
            let BlockId(block) = blocks[at / block_tokens];
            if at >= sequence.logits_from {
                plan.logits.push(LogitRow { row: plan.tokens.len(), id, position: at });
            }
            if let Some(choice) = sequence.open.filter(|_| at + 1 == sequence.tokens.len()) {
                plan.carried.push(Carried { row: plan.tokens.len(), choice });
            }
            let guessed = || sequence.draft[at - sequence.tokens.len()];
            plan.tokens.push(sequence.tokens.get(at).copied().unwrap_or_else(guessed));
            plan.positions.push(at as u32);
            plan.slots.push(block * block_tokens as u32 + (at % block_tokens) as u32);
        }
        plan.tables.extend_from_slice(&blocks[..(position + rows).div_ceil(block_tokens)]);
        plan.spans.push(Span {
            id,
            rows: first_row..first_row + rows,
            position,
            table: first_block..plan.tables.len(),
        });
    }
}

fn forget(underway: &mut HashMap<u64, usize>, hashes: &[u64]) {
    for hash in hashes {
        if let Some(count) = underway.get_mut(hash) {
            *count -= 1;
            if *count == 0 {
                underway.remove(hash);
            }
        }
    }
}
