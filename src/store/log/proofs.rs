//! Proofs about a log for those who ask. A viewer takes a proof that does not hold for another history: so none is given by a tree that has
//! rotted, while the entries that it follows from are right.

use std::collections::BTreeMap;
use std::io;

use hearthkeep_format::merkle::{self, Hash};

use super::files::{LogFiles, NODE_LEN, is_lack};

/// Where a proof's hashes come from: level and index of a complete subtree.
type Nodes<'a> = &'a mut dyn FnMut(u32, u64) -> io::Result<Hash>;

impl LogFiles {
    /// The proof that the log with the first `from` entries is the beginning of that with `to`.
    ///
    /// # Errors
    /// Those of the disk; where neither tree nor entries give a proof that holds.
    pub fn consistency(&self, from: u64, to: u64) -> io::Result<Vec<Hash>> {
        self.proof(
            to,
            |nodes| merkle::consistency(from, to, nodes),
            |proof, root| {
                let begins = self.root_at(from)?;
                Ok(merkle::verify_consistency(from, to, proof, &begins, root).is_ok())
            },
        )
    }

    /// The proof that an entry is in the log with the first `size`.
    ///
    /// # Errors
    /// As [`LogFiles::consistency`].
    pub fn inclusion(&self, index: u64, size: u64) -> io::Result<Vec<Hash>> {
        self.proof(
            size,
            |nodes| merkle::inclusion(index, size, nodes),
            |proof, root| {
                let leaf = self.hash(0, index)?;
                Ok(merkle::verify_inclusion(&leaf, index, size, proof, root).is_ok())
            },
        )
    }

    /// By the tree, which takes a few reads; by all entries, where that does not hold.
    fn proof(
        &self,
        size: u64,
        prove: impl Fn(Nodes<'_>) -> io::Result<Vec<Hash>>,
        holds: impl Fn(&[Hash], &Hash) -> io::Result<bool>,
    ) -> io::Result<Vec<Hash>> {
        let by_tree = || -> io::Result<Option<Vec<Hash>>> {
            let proof = prove(&mut |level, index| self.hash(level, index))?;
            let root = match size == self.checkpoint.size {
                true => self.checkpoint.root,
                false => self.root_at(size)?,
            };
            Ok(holds(&proof, &root)?.then_some(proof))
        };
        match by_tree() {
            Ok(Some(proof)) => return Ok(proof),
            Err(error) if !is_lack(&error) => return Err(error),
            _ if size > self.checkpoint.size => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
        let mut wanted = BTreeMap::new();
        prove(&mut |level, index| {
            wanted.insert(merkle::position(level, index), Hash::default());
            Ok(Hash::default())
        })?;
        let mut at = 0;
        let walked = self.walk(&|_| Ok(()), |_, nodes| {
            for node in nodes.as_chunks::<NODE_LEN>().0 {
                if let Some(hash) = wanted.get_mut(&at) {
                    hash.copy_from_slice(&node[..32]);
                }
                at += 1;
            }
            Ok(())
        });
        walked.map_err(io::Error::from)?;
        prove(&mut |level, index| Ok(wanted[&merkle::position(level, index)]))
    }
}
