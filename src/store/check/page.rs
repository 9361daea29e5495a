//! What a running recorder's catalog has, a page at a time, for a check that goes on beside it: the database itself has one owner.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::{DiskId, StreamId};
use serde::{Deserialize, Serialize};

use crate::limits::CATALOG_PAGE_BUCKETS;
use crate::store::catalog::{Catalog, CatalogError, Entry, pack, unpack};

/// A segment as a catalog has it.
#[derive(Debug, Clone, Copy)]
pub struct Catalogued {
    /// What is known of it.
    pub entry: Entry,
    /// The disk that it lies on; `None` of one that the catalog does not name.
    pub disk: Option<DiskId>,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct From {
    stream: String,
    bucket: u64,
}

impl From {
    /// The page that a segment is on.
    pub fn segment(entry: &Entry) -> Self {
        Self {
            stream: entry.stream.to_string(),
            bucket: entry.bucket(),
        }
    }
}

/// Some of the segments of one stream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page {
    /// The ids of the disks, by their numbers.
    disks: Vec<String>,
    stream: String,
    /// As the catalog packs them.
    entries: String,
    /// Where the next one begins; the last has none.
    next: Option<From>,
}

impl Page {
    /// The page that begins there, or the first.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub(in crate::store) fn of(
        catalog: &Catalog,
        from: Option<&From>,
    ) -> Result<Self, CatalogError> {
        let from = from.and_then(|from| Some((StreamId::from_hex(&from.stream)?, from.bucket)));
        let mut streams = catalog.streams();
        streams.sort_unstable();
        streams.retain(|stream| from.is_none_or(|(first, _)| *stream >= first));
        let disks = (0..).map_while(|number| catalog.disk(number));
        let disks = disks.map(|disk| disk.to_string()).collect();
        let Some(stream) = streams.first() else {
            return Ok(Self {
                disks,
                stream: String::new(),
                entries: String::new(),
                next: None,
            });
        };
        let begin = from.filter(|(first, _)| first == stream);
        let begin = begin.map_or(0, |(_, bucket)| bucket);
        let mut numbers = catalog.buckets(stream);
        numbers.retain(|number| *number >= begin);
        let mut entries = Vec::new();
        for number in numbers.iter().take(CATALOG_PAGE_BUCKETS) {
            entries.extend(catalog.in_bucket(stream, *number)?);
        }
        let at = |stream: &StreamId, bucket| From {
            stream: stream.to_string(),
            bucket,
        };
        let next = numbers.get(CATALOG_PAGE_BUCKETS);
        let next = next.map(|number| at(stream, *number));
        Ok(Self {
            disks,
            stream: stream.to_string(),
            entries: BASE64.encode(pack(&entries)),
            next: next.or_else(|| streams.get(1).map(|stream| at(stream, 0))),
        })
    }

    /// What it has; `None` where no recorder of this version would say so.
    pub fn segments(&self) -> Option<Vec<Catalogued>> {
        if self.stream.is_empty() {
            return Some(Vec::new());
        }
        let packed = BASE64.decode(&self.entries).ok()?;
        let entries = unpack(StreamId::from_hex(&self.stream)?, &packed)?;
        let catalogued = |entry: Entry| Catalogued {
            entry,
            disk: self
                .disks
                .get(usize::from(entry.disk))
                .and_then(|id| DiskId::from_hex(id)),
        };
        Some(entries.into_iter().map(catalogued).collect())
    }

    /// Where the next one begins.
    pub fn next(&self) -> Option<&From> {
        self.next.as_ref()
    }
}
