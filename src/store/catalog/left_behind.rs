//! What the database had that could not be taken along into memory, so that it is not written over when the catalog goes back there.
//!
//! Segments that lie on a disk which is there are found again on it. Of the others the database is all that knows of them.

use std::collections::{BTreeMap, BTreeSet};

use hearthkeep_format::StreamId;

use super::entry::summary_key;
use super::{CatalogError, Database, Entry, Summary, read_parts};

#[derive(Debug, Clone, Default)]
pub(super) struct LeftBehind {
    /// The fingerprints of the segments in each bucket, but for those that memory was told of since.
    buckets: BTreeMap<(StreamId, u64), Vec<u32>>,
    /// Disks that are used no more since.
    given_up: BTreeSet<u16>,
}

impl LeftBehind {
    /// A bucket could not be taken along.
    pub(super) fn leave(&mut self, stream: StreamId, number: u64, summary: &Summary) {
        let segments = summary.fingerprints.to_vec();
        self.buckets.insert((stream, number), segments);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// A segment was entered or forgotten: the database no longer knows it better.
    pub(super) fn heard_of(&mut self, entry: &Entry) {
        let told = Entry::fingerprint(&entry.segment);
        let bucket = self.buckets.get_mut(&(entry.stream, entry.bucket()));
        bucket
            .into_iter()
            .for_each(|segments| segments.retain(|segment| *segment != told));
    }

    /// Nothing that lies on this disk is wanted.
    pub(super) fn give_up(&mut self, disk: u16) {
        self.given_up.insert(disk);
    }

    /// The buckets of which something is wanted.
    pub(super) fn buckets(&self) -> Vec<(StreamId, u64)> {
        let wanted = self.buckets.iter();
        let wanted = wanted.filter(|(_, segments)| !segments.is_empty());
        wanted.map(|(bucket, _)| *bucket).collect()
    }

    /// What the database has of a bucket and is wanted; nothing where it contradicts itself.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(
        &self,
        home: &dyn Database,
        stream: &StreamId,
        number: u64,
    ) -> Result<Vec<Entry>, CatalogError> {
        let segments = self.buckets.get(&(*stream, number));
        let segments = segments.map_or(&[][..], Vec::as_slice);
        let mut entries = match read_bucket(home, stream, number) {
            Err(CatalogError::Damaged(why)) => {
                tracing::error!(%stream, "some of what the catalog knew of disks that are away is lost: {why}");
                Vec::new()
            }
            read => read?,
        };
        entries.retain(|entry| {
            segments.contains(&Entry::fingerprint(&entry.segment))
                && !self.given_up.contains(&entry.disk)
        });
        Ok(entries)
    }
}

/// A bucket by the database's own summary of it.
fn read_bucket(
    home: &dyn Database,
    stream: &StreamId,
    number: u64,
) -> Result<Vec<Entry>, CatalogError> {
    let Some(packed) = home.get(&summary_key(stream, number))? else {
        return Ok(Vec::new());
    };
    let summary = Summary::unpack(&packed);
    let summary = summary.ok_or(CatalogError::Damaged("a summary cannot be read"))?;
    read_parts(home, stream, number, summary.fingerprints.len())
}
