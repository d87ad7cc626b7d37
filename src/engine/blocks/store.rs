//! The block pool: reference counts, the free list, and sharing through the prefix tree.

use super::tree::{NodeId, Tree};

/// The number of a block in the K/V pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct BlockId(pub(crate) u32);

/// The blocks of one sequence, in the order of its tokens. It is not `Clone`: every table is
/// released exactly once.
#[derive(Debug, Default)]
pub(crate) struct Table {
    blocks: Vec<BlockId>,
    /// The tree nodes of the leading blocks; the rest is private to the sequence.
    nodes: Vec<NodeId>,
}

impl Table {
    /// Returns the blocks in the order of the sequence's tokens.
    pub(crate) fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }
}

/// The number of blocks of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PoolSize {
    /// All blocks.
    pub(crate) total: usize,
    /// The number of blocks in use up to which unused prefixes stay cached. Beyond it, they are
    /// evicted before a block is taken that was never used, so that the pool takes no more memory
    /// than the running sequences need.
    pub(crate) cached: usize,
}

impl From<usize> for PoolSize {
    /// A pool that keeps unused prefixes until it is full.
    fn from(total: usize) -> Self {
        Self { total, cached: total }
    }
}

/// The pool: every block is free, held by tables, or cached in the prefix tree.
#[derive(Debug)]
pub(crate) struct Blocks {
    block_tokens: usize,
    size: PoolSize,
    /// The number of tables that hold each block that was ever taken. The others follow in order.
    references: Vec<u32>,
    /// The blocks that were taken and are free again.
    free: Vec<BlockId>,
    tree: Tree,
    reuse: bool,
}

impl Blocks {
    /// Creates a pool of blocks of `block_tokens` tokens. Without `reuse`, no two sequences share a
    /// block.
    pub(crate) fn new(size: impl Into<PoolSize>, block_tokens: usize, reuse: bool) -> Self {
        let (size, references, free) = (size.into(), Vec::new(), Vec::new());
        Self { block_tokens, size, references, free, tree: Tree::default(), reuse }
    }

    /// Returns the number of tokens per block.
    pub(crate) fn block_tokens(&self) -> usize {
        self.block_tokens
    }

    /// Returns whether sequences share the blocks of equal prefixes.
    pub(crate) fn shares(&self) -> bool {
        self.reuse
    }

    /// Returns the number of blocks in the pool.
    pub(crate) fn capacity(&self) -> usize {
        self.size.total
    }

    /// Returns how many blocks can be taken now, including those that evicting unused prefixes
    /// would free.
    pub(crate) fn available(&self) -> usize {
        self.free.len() + self.untouched() + self.tree.unheld()
    }

    /// Returns the number of blocks that were never taken.
    fn untouched(&self) -> usize {
        self.size.total - self.references.len()
    }

    /// Returns how many whole leading blocks of `tokens` the prefix tree holds.
    pub(crate) fn matched(&self, tokens: &[u32]) -> usize {
        self.walk(tokens).count()
    }

    /// Returns a table that holds the blocks that [`matched`](Self::matched) counts.
    pub(crate) fn acquire(&mut self, tokens: &[u32]) -> Table {
        let nodes: Vec<NodeId> = self.walk(tokens).collect();
        let blocks: Vec<BlockId> = nodes.iter().map(|&node| self.tree.block(node)).collect();
        for (&node, &block) in nodes.iter().zip(&blocks) {
            self.reference(node, block);
        }
        Table { blocks, nodes }
    }

    /// Grows the table to at least `count` blocks. Returns false and changes nothing if the pool
    /// has too few.
    #[must_use]
    pub(crate) fn extend(&mut self, table: &mut Table, count: usize) -> bool {
        let more = count.saturating_sub(table.blocks.len());
        if more > self.available() {
            return false;
        }
        for _ in 0..more {
            let block = self.take().expect("availability was checked");
            self.references[block.0 as usize] = 1;
            table.blocks.push(block);
        }
        true
    }

    /// Takes a block that nobody holds: a free one, or else one that was never taken, or the least
    /// recently used of an unused prefix. Which of these two goes first depends on
    /// [`PoolSize::cached`].
    fn take(&mut self) -> Option<BlockId> {
        if let Some(block) = self.free.pop() {
            return Some(block);
        }
        let keeps_prefixes = self.references.len() < self.size.cached;
        let evicted = if keeps_prefixes { None } else { self.tree.evict() };
        if evicted.is_some() || self.untouched() == 0 {
            return evicted.or_else(|| self.tree.evict());
        }
        self.references.push(0);
        Some(BlockId(self.references.len() as u32 - 1))
    }

    /// Enters into the prefix tree the blocks that the first `computed` of `tokens` fill. Where the
    /// tree has the same prefix already, the table takes the tree's block (its content is bitwise
    /// equal) and frees its own.
    pub(crate) fn publish(&mut self, table: &mut Table, tokens: &[u32], computed: usize) {
        if !self.reuse {
            return;
        }
        for index in table.nodes.len()..computed / self.block_tokens {
            let content = &tokens[index * self.block_tokens..(index + 1) * self.block_tokens];
            let (parent, own) = (table.nodes.last().copied(), table.blocks[index]);
            let node = match self.tree.child(parent, content) {
                Some(node) => {
                    let block = self.tree.block(node);
                    self.reference(node, block);
                    self.references[own.0 as usize] -= 1;
                    self.free.push(own);
                    table.blocks[index] = block;
                    node
                }
                None => self.tree.insert(parent, content, own),
            };
            table.nodes.push(node);
        }
    }

    /// Releases all blocks of the table. Those in the prefix tree stay cached until the pool needs
    /// room.
    pub(crate) fn release(&mut self, table: Table) {
        for (index, block) in table.blocks.into_iter().enumerate().rev() {
            let count = &mut self.references[block.0 as usize];
            *count = count.checked_sub(1).expect("a block is released once per reference");
            if *count == 0 {
                match table.nodes.get(index) {
                    Some(&node) => self.tree.release(node),
                    None => self.free.push(block),
                }
            }
        }
    }

    fn walk(&self, tokens: &[u32]) -> impl Iterator<Item = NodeId> {
        let tokens = if self.reuse { tokens } else { &[] };
        let mut parent = None;
        tokens.chunks_exact(self.block_tokens).map_while(move |content| {
            parent = Some(self.tree.child(parent, content)?);
            parent
        })
    }

    fn reference(&mut self, node: NodeId, block: BlockId) {
        let count = &mut self.references[block.0 as usize];
        *count += 1;
        if *count == 1 {
            self.tree.hold(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Checks that no block is lost or counted twice: every block is free, held by the tables that
    /// count it, or cached.
    fn check(blocks: &Blocks, tables: &[(Table, Vec<u32>)]) {
        let mut held = vec![0; blocks.references.len()];
        for (table, _) in tables {
            table.blocks.iter().for_each(|block| held[block.0 as usize] += 1);
        }
        assert_eq!(held, blocks.references);
        let used = held.iter().filter(|&&count| count > 0).count();
        assert_eq!(used + blocks.available(), blocks.capacity());
        let mut free = blocks.free.clone();
        free.sort_unstable();
        free.dedup();
        assert_eq!(free.len(), blocks.free.len());
        assert!(free.iter().all(|block| held[block.0 as usize] == 0));
    }

    #[test]
    fn an_equal_prefix_is_shared_and_another_is_not() {
        let mut blocks = Blocks::new(8, 2, true);
        let tokens = [1, 2, 3, 4, 5];
        let mut first = blocks.acquire(&tokens);
        assert!(blocks.extend(&mut first, 3));
        blocks.publish(&mut first, &tokens, 5);
        assert_eq!((blocks.matched(&tokens), blocks.matched(&[1, 2, 3]), blocks.matched(&[1, 2, 4, 3, 9])), (2, 1, 1));
        let second = blocks.acquire(&[1, 2, 3, 4, 9]);
        assert_eq!(second.blocks(), &first.blocks()[..2]);
        blocks.release(first);
        blocks.release(second);
        assert_eq!(blocks.available(), 8);
        assert_eq!(blocks.matched(&tokens), 2, "a released prefix stays known");
    }

    #[test]
    fn the_least_recently_used_prefix_goes_first() {
        let mut blocks = Blocks::new(3, 1, true);
        for token in [1, 2, 3] {
            let mut table = blocks.acquire(&[token, 0]);
            assert!(blocks.extend(&mut table, 1));
            blocks.publish(&mut table, &[token, 0], 1);
            blocks.release(table);
        }
        let again = blocks.acquire(&[1, 0]);
        blocks.release(again);
        let mut other = blocks.acquire(&[9]);
        assert!(blocks.extend(&mut other, 1));
        assert_eq!([1, 2, 3].map(|token| blocks.matched(&[token, 0])), [1, 0, 1]);
    }

    #[test]
    fn two_who_computed_the_same_block_end_up_with_one() {
        let mut blocks = Blocks::new(4, 1, true);
        let (mut a, mut b) = (Table::default(), Table::default());
        assert!(blocks.extend(&mut a, 2) && blocks.extend(&mut b, 2));
        assert_eq!(blocks.available(), 0);
        blocks.publish(&mut a, &[7, 8], 2);
        blocks.publish(&mut b, &[7, 9], 2);
        assert_eq!(a.blocks()[0], b.blocks()[0]);
        assert_eq!(blocks.available(), 1);
    }

    #[test]
    fn unused_prefixes_go_before_memory_is_taken_that_was_never_used() {
        let mut blocks = Blocks::new(PoolSize { total: 6, cached: 2 }, 1, true);
        for token in [1, 2, 3] {
            let mut table = blocks.acquire(&[token, 0]);
            assert!(blocks.extend(&mut table, 1));
            blocks.publish(&mut table, &[token, 0], 1);
            blocks.release(table);
        }
        assert_eq!([1, 2, 3].map(|token| blocks.matched(&[token, 0])), [0, 1, 1]);
        assert_eq!((blocks.references.len(), blocks.available()), (2, 6));
        // What runs may have every block.
        let mut long = Table::default();
        assert!(blocks.extend(&mut long, 6) && !blocks.extend(&mut Table::default(), 1));
        blocks.release(long);
        assert_eq!((blocks.references.len(), blocks.available()), (6, 6));
    }

    proptest! {
        #[test]
        fn no_block_is_lost_or_held_twice(
            reuse: bool,
            cached in 0usize..=12,
            steps in prop::collection::vec((0usize..4, 0usize..8, prop::collection::vec(0u32..2, 1..14)), 1..60),
        ) {
            let mut blocks = Blocks::new(PoolSize { total: 12, cached }, 2, reuse);
            let mut tables: Vec<(Table, Vec<u32>)> = Vec::new();
            for (action, pick, tokens) in steps {
                if action == 0 && !tables.is_empty() {
                    let (table, _) = tables.swap_remove(pick % tables.len());
                    blocks.release(table);
                } else {
                    let mut table = blocks.acquire(&tokens);
                    let known = table.blocks().len();
                    let wanted = tokens.len().div_ceil(2);
                    if blocks.extend(&mut table, wanted) {
                        prop_assert_eq!(table.blocks().len(), wanted);
                        let computed = tokens.len().min(2 * known + pick);
                        blocks.publish(&mut table, &tokens, computed);
                        tables.push((table, tokens));
                    } else {
                        prop_assert!(blocks.available() + known < wanted);
                        blocks.release(table);
                    }
                }
                check(&blocks, &tables);
            }
            tables.drain(..).for_each(|(table, _)| blocks.release(table));
            prop_assert_eq!(blocks.available(), 12);
            let mut all = Table::default();
            prop_assert!(blocks.extend(&mut all, 12), "everything can be had again");
        }
    }
}
