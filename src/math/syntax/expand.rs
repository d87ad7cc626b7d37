//! Writes ± out: an expression with a sign of both kinds is a list of two.

use super::node::{Edge, Joint, Node};

/// The most signs that are chosen independently.
const MAX_SIGNS: usize = 4;

/// Returns the answer without ±. Items of lists and sets are written out where they stand, anything
/// else as a whole.
pub(crate) fn expanded(node: Node) -> Node {
    match node {
        Node::Bracket(open @ (Edge::Bare | Edge::Brace), items, close, joint) => {
            let items = items.into_iter().flat_map(|item| variants(&item).unwrap_or_else(|| vec![item])).collect();
            Node::Bracket(open, items, close, joint)
        }
        node => match variants(&node) {
            Some(variants) => Node::list(variants, Joint::Or),
            None => node,
        },
    }
}

/// Returns the node with every choice of its signs; `None` if there are none, or too many. ± are
/// chosen independently, unless there is a ∓, which is the opposite of all ±.
fn variants(node: &Node) -> Option<Vec<Node>> {
    let (mut signs, mut has_flipped) = (0, false);
    node.any(&mut |node| {
        if let Node::PlusMinus(_, flipped) = node {
            signs += 1;
            has_flipped |= flipped;
        }
        false
    });
    if signs == 0 || signs > MAX_SIGNS && !has_flipped {
        return None;
    }
    let choices = if has_flipped { 2 } else { 1u32 << signs };
    let variant = |choice: u32| {
        let mut next = 0;
        let mut choose = |flipped: bool| {
            let minus = if has_flipped { (choice == 1) != flipped } else { choice >> next & 1 == 1 };
            next += 1;
            minus
        };
        signed(node.clone(), &mut choose)
    };
    Some((0..choices).map(variant).collect())
}

fn signed(node: Node, choose: &mut dyn FnMut(bool) -> bool) -> Node {
    let mut node = node;
    while let Node::PlusMinus(of, flipped) = node {
        node = if choose(flipped) { Node::Negative(of) } else { *of };
    }
    node.map(&mut |child| signed(child, choose))
}
