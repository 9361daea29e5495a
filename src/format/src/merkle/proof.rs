//! Proofs that a tree has an entry, and that one tree is the beginning of another (RFC 6962, 2.1.1 and 2.1.2; checked as
//! RFC 9162, 2.1.3.2 and 2.1.4.2 say).

use super::{Hash, joined, node};
use crate::{Error, Result};

/// Hashes that a proof may have: those of a tree of 2^63 leaves.
pub const PROOF_HASHES_MAX: usize = 64;

/// Where a proof's hashes come from: the root of the complete subtree with 2^level leaves from `index` · 2^level on.
type Nodes<'a, E> = &'a mut dyn FnMut(u32, u64) -> Result<Hash, E>;

/// The root of the tree's first `size` leaves.
///
/// # Errors
/// Those of `nodes`.
pub fn root_at<E>(
    size: u64,
    mut nodes: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    range(0, size, &mut nodes)
}

/// The proof that the leaf `index` is in the tree of the first `size` leaves; empty where there is no such leaf.
///
/// # Errors
/// Those of `nodes`.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    mut nodes: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while index < size && to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(range(middle, to, &mut nodes)?);
            to = middle;
        } else {
            proof.push(range(from, middle, &mut nodes)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of the first `old` leaves is the beginning of that of the first `size`; empty where `old` is zero or
/// not below `size`.
///
/// # Errors
/// Those of `nodes`.
pub fn consistency<E>(
    old: u64,
    size: u64,
    mut nodes: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    if old == 0 || old >= size {
        return Ok(proof);
    }
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(range(middle, to, &mut nodes)?);
            to = middle;
        } else {
            proof.push(range(from, middle, &mut nodes)?);
            from = middle;
        }
    }
    // The old tree itself is known to whoever asks.
    if from > 0 {
        proof.push(range(from, to, &mut nodes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the leaf `index` with this hash is in the tree with this root.
///
/// # Errors
/// [`Error::Tampered`] where the proof does not show it.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<()> {
    const WRONG: Error = Error::Tampered {
        what: "proof of inclusion",
    };
    if index >= size || proof.len() > PROOF_HASHES_MAX {
        return Err(WRONG);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for other in proof {
        if last == 0 {
            return Err(WRONG);
        }
        if at & 1 == 1 || at == last {
            hash = node(other, &hash);
            skip_right_edge(&mut at, &mut last);
        } else {
            hash = node(&hash, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    match last == 0 && hash == *root {
        true => Ok(()),
        false => Err(WRONG),
    }
}

/// Checks that the tree of `old` leaves with the root `old_root` is the beginning of that of `size` leaves with `root`.
///
/// # Errors
/// [`Error::Tampered`] where the proof does not show it.
pub fn verify_consistency(
    old: u64,
    size: u64,
    proof: &[Hash],
    old_root: &Hash,
    root: &Hash,
) -> Result<()> {
    const WRONG: Error = Error::Tampered {
        what: "proof of consistency",
    };
    if old > size || proof.len() > PROOF_HASHES_MAX {
        return Err(WRONG);
    }
    if old == size || old == 0 {
        let same = match old == size {
            true => old_root == root,
            false => *old_root == joined(&[]),
        };
        return match proof.is_empty() && same {
            true => Ok(()),
            false => Err(WRONG),
        };
    }
    // Where the old tree is complete, its root begins the path.
    let (first, path) = match old.is_power_of_two() {
        true => (old_root, proof),
        false => proof.split_first().ok_or(WRONG)?,
    };
    let (mut at, mut last) = (old - 1, size - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut was, mut is) = (*first, *first);
    for other in path {
        if last == 0 {
            return Err(WRONG);
        }
        if at & 1 == 1 || at == last {
            was = node(other, &was);
            is = node(other, &is);
            skip_right_edge(&mut at, &mut last);
        } else {
            is = node(&is, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    match last == 0 && was == *old_root && is == *root {
        true => Ok(()),
        false => Err(WRONG),
    }
}

/// Goes up while a node at the right edge has no sibling.
fn skip_right_edge(at: &mut u64, last: &mut u64) {
    while *at & 1 == 0 && *at != 0 {
        (*at, *last) = (*at >> 1, *last >> 1);
    }
}

/// The largest power of two below `count`, which is at least two.
const fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// The hash over the leaves from `from` to `to`. `from` is where a subtree of the tree begins.
fn range<E>(from: u64, to: u64, nodes: Nodes<'_, E>) -> Result<Hash, E> {
    let (mut at, mut roots) = (from, Vec::new());
    while at < to {
        let level = (to - at).ilog2();
        roots.push(nodes(level, at >> level)?);
        at += 1 << level;
    }
    Ok(joined(&roots))
}
