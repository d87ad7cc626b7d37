//! The scheduling policy. Sequences run in the order of arrival. The oldest running sequence is
//! never preempted, and a sequence that fits the empty pool runs alone at the latest, so every
//! sequence ends.

use super::sequence::Sequence;
use super::{LogitRow, SequenceId, Span, StepPlan, TokenFeedback};
use crate::blocks::{BlockId, Blocks, Table};
use std::collections::{BTreeMap, HashMap};

/// The bounds of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most tokens per step; at least 1.
    pub(crate) step_tokens: usize,
    /// The most sequences that run at once; at least 1.
    pub(crate) max_running: usize,
}

/// Counts of what the scheduler has done.
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

/// The number of rows in a step up to which drafts are added to decoding sequences. An accepted
/// draft token takes the row that its token would have taken in a later step, so it saves what a
/// step costs besides its rows: reading the weights. A rejected one costs a row.
///
/// The embedded model fits into the cache, and its rows are nearly all of a step's cost: copying
/// text with two thirds of the drafts accepted, drafts gain nothing to 6 % for one sequence on a
/// quiet machine, and with 32 rows they cost 14 % where ten sequences decode (docs/benchmarks.md,
/// "Drafting on and off"). A 0.6B model in 8 bits, whose steps take 1.5 times as long with ten rows
/// as with one and 4 times as long with forty, breaks even at about ten.
pub(crate) const DRAFTING_ROWS: usize = 8;

/// The queue, the running sequences and their blocks.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: Limits,
    draft_rows: usize,
    blocks: Blocks,
    waiting: BTreeMap<SequenceId, Sequence>,
    running: BTreeMap<SequenceId, Sequence>,
    /// The number of running sequences that compute a prefix of whole blocks, keyed by the prefix's
    /// hash.
    prefixes_in_progress: HashMap<u64, usize>,
    arrivals: u64,
    tally: Tally,
}

impl Scheduler {
    /// Creates a scheduler over an empty pool.
    pub(crate) fn new(limits: Limits, blocks: Blocks) -> Self {
        assert!(limits.step_tokens > 0 && limits.max_running > 0, "a step has room for one token");
        Self {
            limits,
            draft_rows: DRAFTING_ROWS,
            blocks,
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            prefixes_in_progress: HashMap::new(),
            arrivals: 0,
            tally: Tally::default(),
        }
    }

    /// Returns this scheduler with drafts added in steps of up to `draft_rows` rows.
    pub(crate) fn with_draft_rows(self, draft_rows: usize) -> Self {
        Self { draft_rows, ..self }
    }

    /// Queues a sequence; logits are wanted from position `logits_from` on. The sequence must fit
    /// the empty pool together with all tokens that will be pushed to it.
    pub(crate) fn submit(&mut self, tokens: Vec<u32>, logits_from: usize) -> SequenceId {
        let id = SequenceId(self.arrivals);
        self.arrivals += 1;
        let shared = self.blocks.shares().then(|| self.blocks.block_tokens());
        self.waiting.insert(id, Sequence::new(tokens, logits_from, shared));
        id
    }

    /// Plans the next step, without drafts. Returns `None` when there is nothing to do.
    pub(crate) fn plan(&mut self) -> Option<StepPlan> {
        self.plan_drafting(|_, _, _| Vec::new())
    }

    /// Plans the next step with drafts. While there is room that no sequence needs, `guess` is
    /// called for sequences that decode: it gets all tokens of a sequence and the most tokens that
    /// it may return, and it returns tokens that may come next. They are computed in the same step,
    /// with their logits.
    pub(crate) fn plan_drafting(
        &mut self,
        guess: impl FnMut(SequenceId, &[u32], usize) -> Vec<u32>,
    ) -> Option<StepPlan> {
        let mut plan = StepPlan::default();
        let (mut reserved, mut budget) = self.reserve_running();
        self.reserve_drafts(&mut reserved, &mut budget, guess);
        let (prefills, decodes): (Vec<_>, Vec<_>) =
            reserved.into_iter().partition(|(id, _)| self.running[id].in_prompt());
        for (id, rows) in decodes {
            self.add_span(&mut plan, id, rows);
        }
        plan.decode_rows = plan.tokens.len();
        for (id, rows) in prefills {
            self.add_span(&mut plan, id, rows);
        }
        self.admit(&mut plan, &mut budget);
        assert!(plan.spans.is_empty() == self.running.is_empty(), "whoever runs makes progress");
        let used = self.blocks.capacity() - self.blocks.available();
        self.tally.peak_blocks = self.tally.peak_blocks.max(used as u64);
        self.tally.peak_running = self.tally.peak_running.max(plan.spans.len() as u64);
        (!plan.spans.is_empty()).then_some(plan)
    }

    /// Records that the plan was carried out. From now on other sequences may read its keys and
    /// values.
    pub(crate) fn complete(&mut self, plan: &StepPlan) {
        let block_tokens = self.blocks.block_tokens();
        for span in &plan.spans {
            // A sequence that is missing was removed while the step ran.
            let Some(sequence) = self.running.get_mut(&span.id) else { continue };
            let before = sequence.computed;
            if !sequence.decodes() {
                self.tally.prefilled += span.rows.len() as u64;
            }
            // Draft tokens count as computed only once they are accepted.
            sequence.computed = (before + span.rows.len()).min(sequence.tokens.len());
            let shareable = sequence.shareable();
            self.blocks.publish(&mut sequence.table, &sequence.tokens, shareable);
            let end = (sequence.computed / block_tokens).min(sequence.chain.len());
            let start = (before / block_tokens).min(end);
            drop_prefixes(&mut self.prefixes_in_progress, &sequence.chain[start..end]);
        }
    }

    /// Appends a generated token to a running sequence and asks for the logits after it. If the
    /// token is the one that was drafted, its key, value and logits are there already.
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

    /// Appends a pending token to a running sequence: the step that was planned last chooses it, as
    /// its choice number `choice`. The next plan has the device feed it back
    /// ([`StepPlan::feedback`]), and [`resolve_pending`](Self::resolve_pending) says which token it
    /// is before that plan is complete. The sequence's draft is discarded.
    pub(crate) fn push_pending(&mut self, id: SequenceId, choice: usize) {
        let sequence = self.running.get_mut(&id).expect("tokens come from a sequence that runs");
        assert!(sequence.pending_choice.is_none(), "at most one token of a sequence is pending");
        sequence.draft.clear();
        sequence.logits_from = sequence.tokens.len();
        sequence.tokens.push(0);
        sequence.pending_choice = Some(choice);
    }

    /// Returns whether the sequence's last token is pending.
    pub(crate) fn has_pending_token(&self, id: SequenceId) -> bool {
        self.sequence(id).is_some_and(|sequence| sequence.pending_choice.is_some())
    }

    /// Replaces the sequence's pending token by the token that was chosen.
    pub(crate) fn resolve_pending(&mut self, id: SequenceId, token: u32) {
        let sequence =
            self.running.get_mut(&id).or_else(|| self.waiting.get_mut(&id)).expect("a sequence with a pending token");
        assert!(sequence.pending_choice.take().is_some(), "the token was pending");
        *sequence.tokens.last_mut().expect("the pending token") = token;
    }

    /// Removes a sequence, running or waiting, and releases its blocks. Unknown ids are ignored.
    pub(crate) fn remove(&mut self, id: SequenceId) {
        self.waiting.remove(&id);
        if let Some(mut sequence) = self.running.remove(&id) {
            self.give_back(&mut sequence);
        }
    }

    /// Returns how many prompt tokens the sequence found in the prefix tree when it first ran.
    pub(crate) fn reused(&self, id: SequenceId) -> usize {
        self.sequence(id).and_then(|sequence| sequence.reused).unwrap_or(0)
    }

    fn sequence(&self, id: SequenceId) -> Option<&Sequence> {
        self.running.get(&id).or_else(|| self.waiting.get(&id))
    }

    /// Returns whether `position` is that of the last token of a running sequence and that token is
    /// computed. (A rejected draft token may have been computed at that position instead.)
    pub(crate) fn is_last(&self, id: SequenceId, position: usize) -> bool {
        self.running
            .get(&id)
            .is_some_and(|sequence| position + 1 == sequence.tokens.len() && sequence.computed == sequence.tokens.len())
    }

    /// Returns the number of waiting sequences.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the number of running sequences.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Returns the number of blocks that running sequences hold.
    pub(crate) fn used_blocks(&self) -> usize {
        self.blocks.capacity() - self.blocks.available()
    }

    /// Returns whether there is no sequence, running or waiting.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Returns the counts so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Assigns rows to the running sequences, the oldest first. Returns them and what is left of
    /// the step's budget. A decoding sequence takes one row, and no prefill ever makes it wait.
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
            let rows = sequence.uncomputed_in_step().min(*budget);
            *budget -= rows;
            if rows > 0 && self.make_room(id, rows) {
                reserved.push((id, rows));
            }
        }
        (reserved, rows_for_prefill)
    }

    /// Adds draft rows to those of the decoding sequences, the oldest first. One block per running
    /// sequence stays free, so that no sequence is preempted for a draft.
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
            let capacity = (sequence.table.blocks().len() + spare) * block_tokens;
            let most = room.min(capacity - sequence.tokens.len());
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

    /// Gets the blocks for `rows` more tokens, by preempting the youngest sequences if need be.
    /// Returns false if the sequence itself was the youngest and was preempted.
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

    /// Starts waiting sequences while there is room, the oldest first. A sequence whose next block
    /// another one is computing right now waits for that block, and others may overtake it. A
    /// sequence that lacks room may not be overtaken.
    fn admit(&mut self, plan: &mut StepPlan, budget: &mut usize) {
        // The bound keeps a step cheap when a long queue waits for one prefix.
        let ids: Vec<SequenceId> = self.waiting.keys().copied().take(2 * self.limits.max_running).collect();
        for id in ids {
            if *budget == 0 || self.running.len() >= self.limits.max_running {
                return;
            }
            let sequence = &self.waiting[&id];
            let matched = self.blocks.matched(sequence.reusable());
            if sequence.chain.get(matched).is_some_and(|next| self.prefixes_in_progress.contains_key(next)) {
                continue;
            }
            if !self.start(id) {
                return;
            }
            let rows = self.running[&id].uncomputed_in_step().min(*budget);
            *budget -= rows;
            self.add_span(plan, id, rows);
        }
    }

    /// Moves a waiting sequence to the running ones, with blocks for all its tokens. Returns false
    /// if there is no room for it.
    fn start(&mut self, id: SequenceId) -> bool {
        let sequence = self.waiting.get_mut(&id).expect("only a waiting sequence starts");
        let mut table = self.blocks.acquire(sequence.reusable());
        let matched = table.blocks().len();
        let wanted = sequence.tokens.len().div_ceil(self.blocks.block_tokens());
        // One spare block per running sequence, so that a new one is not preempted at once.
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
            *self.prefixes_in_progress.entry(hash).or_insert(0) += 1;
        }
        let sequence = self.waiting.remove(&id).expect("it was there above");
        self.running.insert(id, sequence);
        true
    }

    fn give_back(&mut self, sequence: &mut Sequence) {
        let done = (sequence.computed / self.blocks.block_tokens()).min(sequence.chain.len());
        drop_prefixes(&mut self.prefixes_in_progress, &sequence.chain[done..]);
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
            if let Some(choice) = sequence.pending_choice.filter(|_| at + 1 == sequence.tokens.len()) {
                plan.feedback.push(TokenFeedback { row: plan.tokens.len(), choice });
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

fn drop_prefixes(prefixes_in_progress: &mut HashMap<u64, usize>, hashes: &[u64]) {
    for hash in hashes {
        if let Some(count) = prefixes_in_progress.get_mut(hash) {
            *count -= 1;
            if *count == 0 {
                prefixes_in_progress.remove(hash);
            }
        }
    }
}
