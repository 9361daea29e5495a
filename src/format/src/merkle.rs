//! The Merkle tree of RFC 6962, section 2.1, over hashes that are leaf hashes already: its root, and proofs about it.

mod proof;

use sha2::{Digest, Sha256};

pub use proof::{consistency, inclusion, root_at, verify_consistency, verify_inclusion};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// The tree hash over `leaves`; of none, the hash of nothing.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree.root()
}

/// The leaf hash of `data`, given in parts that are joined.
pub fn leaf(data: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new_with_prefix([0]);
    data.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// A tree that grows leaf by leaf and keeps one hash a level: the roots of its complete subtrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    count: u64,
    /// The roots of the complete subtrees, largest first: one for each bit set in `count`.
    roots: Vec<Hash>,
}

impl Tree {
    /// The tree of this many leaves, whose complete subtrees have these roots; `None` where their number is another.
    pub fn of(count: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == count.count_ones() as usize).then_some(Self { count, roots })
    }

    /// Adds a leaf hash at the end.
    pub fn push(&mut self, leaf: Hash) {
        self.push_told(leaf, |_| {});
    }

    /// The same, and tells each hash that is final from now on, in the order of [`position`]: the leaf, then the roots of
    /// the subtrees that it completes.
    pub fn push_told(&mut self, leaf: Hash, mut tell: impl FnMut(Hash)) {
        let mut hash = leaf;
        tell(hash);
        for _ in 0..self.count.trailing_ones() {
            let left = self
                .roots
                .pop()
                .expect("one root for each bit set in the count");
            hash = node(&left, &hash);
            tell(hash);
        }
        self.roots.push(hash);
        self.count += 1;
    }

    /// How many leaves it has.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The tree hash over the leaves so far.
    pub fn root(&self) -> Hash {
        joined(&self.roots)
    }
}

/// Where the complete subtree stands that has 2^level leaves from `index` · 2^level on, where hashes are written in the order
/// in which they become final.
pub const fn position(level: u32, index: u64) -> u64 {
    // Its last leaf, and as many hashes after that as it has levels.
    let leaf = ((index + 1) << level) - 1;
    hashes_of(leaf) + level as u64
}

/// How many hashes become final with this many leaves.
pub const fn hashes_of(count: u64) -> u64 {
    2 * count - count.count_ones() as u64
}

/// The roots of complete subtrees, largest first, as one hash.
fn joined(roots: &[Hash]) -> Hash {
    let mut smallest_first = roots.iter().rev();
    match smallest_first.next() {
        None => Sha256::digest([]).into(),
        Some(last) => smallest_first.fold(*last, |right, left| node(left, &right)),
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests;
