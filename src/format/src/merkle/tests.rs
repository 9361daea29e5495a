use super::*;
use crate::Result;

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

/// The leaves of certificate-transparency's reference tests.
fn published_leaves() -> Vec<[u8; 32]> {
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
    data.iter().map(|d| leaf(&[d])).collect()
}

/// The tree of certificate-transparency's reference test: eight leaves, whose root is
/// published.
#[test]
fn equals_the_published_root() {
    let leaves = published_leaves();
    let hex: String = root(&leaves).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    );
}

/// The recursive definitions of RFC 6962, 2.1.1 and 2.1.2.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut proof, sibling) = match index < left.len() {
        true => (path(index, left), right),
        false => (path(index - left.len(), right), left),
    };
    proof.push(by_definition(sibling));
    proof
}

fn subproof(old: usize, leaves: &[Hash], is_known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return match is_known {
            true => Vec::new(),
            false => vec![by_definition(leaves)],
        };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut proof, sibling) = match old <= left.len() {
        true => (subproof(old, left, is_known), right),
        false => (subproof(old - left.len(), right, false), left),
    };
    proof.push(by_definition(sibling));
    proof
}

/// The hashes as a log keeps them.
fn kept(leaves: &[Hash]) -> Vec<Hash> {
    let (mut tree, mut kept) = (Tree::default(), Vec::new());
    for leaf in leaves {
        tree.push_told(*leaf, |hash| kept.push(hash));
        assert_eq!(kept.len() as u64, hashes_of(tree.count()));
    }
    kept
}

#[test]
fn proofs_equal_the_definition_and_verify_for_nothing_else() {
    let leaves: Vec<Hash> = (0..40u8).map(|i| [i; 32]).collect();
    let kept = kept(&leaves);
    let mut nodes = |level, index| Result::<_>::Ok(kept[position(level, index) as usize]);
    for size in 0..=leaves.len() {
        let tree = &leaves[..size];
        let root = root_at(size as u64, &mut nodes).unwrap();
        assert_eq!(root, by_definition(tree));
        for index in 0..size {
            let proof = inclusion(index as u64, size as u64, &mut nodes).unwrap();
            assert_eq!(proof, path(index, tree), "{index} of {size}");
            let check = |leaf: &Hash, at: usize, of: usize, proof: &[Hash]| {
                verify_inclusion(leaf, at as u64, of as u64, proof, &root).is_ok()
            };
            assert!(check(&tree[index], index, size, &proof));
            assert!(!check(&[99; 32], index, size, &proof));
            assert!(!check(&tree[index], index + size, size, &proof));
            let longer = [&proof[..], &[[0; 32]]].concat();
            assert!(!check(&tree[index], index, size, &longer));
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!check(&tree[index], index, size, shorter));
                assert!(!check(&tree[index], index ^ 1, size, &proof));
            }
        }
        for old in 1..size {
            let proof = consistency(old as u64, size as u64, &mut nodes).unwrap();
            assert_eq!(proof, subproof(old, tree, true), "{old} to {size}");
            let old_root = by_definition(&leaves[..old]);
            let check = |proof: &[Hash], old_root: &Hash, root: &Hash| {
                verify_consistency(old as u64, size as u64, proof, old_root, root).is_ok()
            };
            assert!(check(&proof, &old_root, &root), "{old} to {size}");
            assert!(!check(&proof, &[7; 32], &root));
            assert!(!check(&proof, &old_root, &[7; 32]));
            for at in 0..proof.len() {
                let mut changed = proof.clone();
                changed[at][0] ^= 1;
                assert!(!check(&changed, &old_root, &root), "{old} to {size}, {at}");
                changed.remove(at);
                assert!(!check(&changed, &old_root, &root), "{old} to {size}, {at}");
            }
        }
        assert!(verify_consistency(size as u64, size as u64, &[], &root, &root).is_ok());
        assert!(verify_consistency(0, size as u64, &[], &by_definition(&[]), &root).is_ok());
        assert!(verify_consistency(size as u64 + 1, size as u64, &[], &root, &root).is_err());
    }
}

/// A tree that is taken up again where its last hashes are known.
#[test]
fn a_tree_goes_on_from_its_subtrees() {
    let leaves: Vec<Hash> = (0..40u8).map(|i| [i; 32]).collect();
    let kept = kept(&leaves);
    for size in 0..leaves.len() as u64 {
        let (mut at, mut roots) = (0, Vec::new());
        for level in (0..64).rev().filter(|level| size >> level & 1 == 1) {
            roots.push(kept[position(level, at >> level) as usize]);
            at += 1 << level;
        }
        assert_eq!(Tree::of(size + 1, Vec::new()), None);
        let mut tree = Tree::of(size, roots).unwrap();
        leaves[size as usize..]
            .iter()
            .for_each(|leaf| tree.push(*leaf));
        assert_eq!(tree.root(), root(&leaves));
    }
}

/// The proofs that certificate-transparency's reference tests publish for that tree.
#[test]
fn proofs_equal_the_published_ones() {
    let leaves = published_leaves();
    let kept = kept(&leaves);
    let mut nodes = |level, index| Result::<_>::Ok(kept[position(level, index) as usize]);
    let hex = |hashes: Vec<Hash>| {
        let one = |hash: &Hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        hashes.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(
        hex(vec![root_at(7, &mut nodes).unwrap()]),
        ["ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"]
    );
    assert_eq!(
        hex(inclusion(0, 8, &mut nodes).unwrap()),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
    assert_eq!(
        hex(inclusion(5, 8, &mut nodes).unwrap()),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        hex(consistency(6, 8, &mut nodes).unwrap()),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}
