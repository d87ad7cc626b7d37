//! The prefix tree: which block holds the keys and values of which whole-block prefix. It compares
//! tokens, never hashes alone.

use super::BlockId;
use std::collections::{BTreeSet, HashMap};

/// The index of a node in [`Tree`]'s arena.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct NodeId(u32);

#[derive(Debug)]
struct Node {
    block: BlockId,
    parent: Option<NodeId>,
    tokens: Box<[u32]>,
    children: HashMap<Box<[u32]>, NodeId>,
    /// The tick at which the last sequence released the node. The leaf with the oldest tick is
    /// evicted first.
    tick: u64,
    held: bool,
}

/// A tree of blocks, least recently used first to go. A node is `held` while a sequence uses its
/// block. Whoever holds a node holds its ancestors too, so the nodes that nobody holds can always
/// be evicted from the leaves upwards.
#[derive(Debug, Default)]
pub(super) struct Tree {
    roots: HashMap<Box<[u32]>, NodeId>,
    nodes: Vec<Option<Node>>,
    vacant: Vec<NodeId>,
    /// Leaves that nobody holds, least recently used first.
    evictable: BTreeSet<(u64, NodeId)>,
    /// The number of nodes that nobody holds.
    unheld: usize,
    clock: u64,
}

impl Tree {
    /// Returns the child of `parent` (a root when `None`) whose block holds exactly `tokens`.
    pub(super) fn child(&self, parent: Option<NodeId>, tokens: &[u32]) -> Option<NodeId> {
        let children = parent.map_or(&self.roots, |id| &self.node(id).children);
        children.get(tokens).copied()
    }

    /// Adds a node, which is held from the start.
    pub(super) fn insert(&mut self, parent: Option<NodeId>, tokens: &[u32], block: BlockId) -> NodeId {
        let node = Node { block, parent, tokens: tokens.into(), children: HashMap::new(), tick: 0, held: true };
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            NodeId(self.nodes.len() as u32 - 1)
        });
        self.nodes[id.0 as usize] = Some(node);
        let before = self.children_mut(parent).insert(tokens.into(), id);
        assert!(before.is_none(), "a prefix has one node");
        id
    }

    /// Returns the node's block.
    pub(super) fn block(&self, id: NodeId) -> BlockId {
        self.node(id).block
    }

    /// Marks the node as held, when the first sequence starts to use its block.
    pub(super) fn hold(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        assert!(!std::mem::replace(&mut node.held, true), "only an unheld node is taken up");
        let key = (node.tick, id);
        self.evictable.remove(&key);
        self.unheld -= 1;
    }

    /// Marks the node as not held, when the last sequence stops using its block.
    pub(super) fn release(&mut self, id: NodeId) {
        self.clock += 1;
        let tick = self.clock;
        let node = self.node_mut(id);
        assert!(std::mem::replace(&mut node.held, false), "only a held node is released");
        node.tick = tick;
        let leaf = node.children.is_empty();
        if leaf {
            self.evictable.insert((tick, id));
        }
        self.unheld += 1;
    }

    /// Removes the least recently used leaf that nobody holds and returns its block.
    pub(super) fn evict(&mut self) -> Option<BlockId> {
        let (_, id) = self.evictable.pop_first()?;
        let node = self.nodes[id.0 as usize].take().expect("an evictable node exists");
        self.vacant.push(id);
        self.unheld -= 1;
        self.children_mut(node.parent).remove(&node.tokens);
        if let Some(parent) = node.parent {
            let above = self.node(parent);
            if !above.held && above.children.is_empty() {
                self.evictable.insert((above.tick, parent));
            }
        }
        Some(node.block)
    }

    /// Returns how many blocks eviction can free.
    pub(super) fn unheld(&self) -> usize {
        self.unheld
    }

    fn children_mut(&mut self, parent: Option<NodeId>) -> &mut HashMap<Box<[u32]>, NodeId> {
        match parent {
            Some(id) => &mut self.node_mut(id).children,
            None => &mut self.roots,
        }
    }

    fn node(&self, id: NodeId) -> &Node {
        self.nodes[id.0 as usize].as_ref().expect("a node id is used while its node exists")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes[id.0 as usize].as_mut().expect("a node id is used while its node exists")
    }
}
