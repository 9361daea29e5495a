//! The Merkle tree hash of RFC 6962, section 2.1, over hashes that are leaf hashes already.

use sha2::{Digest, Sha256};

/// The tree hash over `leaves`; of none, the hash of nothing.
pub fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree.root()
}

/// The leaf hash of `data`, given in parts that are joined.
pub fn leaf(data: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix([0]);
    data.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// A tree that grows leaf by leaf and keeps one hash a level: the roots of its complete subtrees.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    count: u64,
    /// The roots of the complete subtrees, largest first: one for each bit set in `count`.
    roots: Vec<[u8; 32]>,
}

impl Tree {
    /// Adds a leaf hash at the end.
    pub fn push(&mut self, leaf: [u8; 32]) {
        let mut hash = leaf;
        for _ in 0..self.count.trailing_ones() {
            let left = self
                .roots
                .pop()
                .expect("one root for each bit set in the count");
            hash = node(&left, &hash);
        }
        self.roots.push(hash);
        self.count += 1;
    }

    /// The tree hash over the leaves so far.
    pub fn root(&self) -> [u8; 32] {
        let mut smallest_first = self.roots.iter().rev();
        match smallest_first.next() {
            None => Sha256::digest([]).into(),
            Some(last) => smallest_first.fold(*last, |right, left| node(left, &right)),
        }
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new_with_prefix([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recursive definition of RFC 6962, word for word.
    fn by_definition(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let k = many.len().next_power_of_two() / 2;
                node(&by_definition(&many[..k]), &by_definition(&many[k..]))
            }
        }
    }

    #[test]
    fn equals_the_definition() {
        let leaves: Vec<_> = (0..70u8).map(|i| [i; 32]).collect();
        for n in 0..=leaves.len() {
            assert_eq!(
                root(&leaves[..n]),
                by_definition(&leaves[..n]),
                "{n} leaves"
            );
        }
    }

    /// The tree of certificate-transparency's reference test: eight leaves, whose root is
    /// published.
    #[test]
    fn equals_the_published_root() {
        let data: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[
                0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
                0x6e, 0x6f,
            ],
        ];
        let leaves: Vec<_> = data.iter().map(|d| leaf(&[d])).collect();
        let hex: String = root(&leaves).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
    }
}
