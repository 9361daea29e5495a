//! Reading a segment that lies in a file: for export, playing, checking and fuzzing.

use std::ops::Range;

use super::check::{self, Report};
use super::chunk::{ChunkPrefix, ChunkType, IndexEntry};
use super::footer::{Footer, FragmentPlace};
use super::layout::Layout;
use super::opener::SegmentOpener;
use super::preamble::Preamble;
use super::read_at::{ReadAt, ReadError, read_vec};
use super::walk::{self, Proof, Walk, WalkedChunk};
use super::{CIPHERTEXT_LEN_MAX, Header};
use crate::{Error, MetadataKey, Result};

/// A segment in a file, opened.
///
/// A flipped bit costs at most the chunk it hits: the head stands twice, and chunks are found by
/// the footer or, where that is gone, by walking.
pub struct File<R> {
    file: R,
    opener: SegmentOpener,
    layout: Layout,
    footer: Option<Footer>,
    places: Vec<Place>,
}

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub k: u32,
    /// Where it starts in the file, in bytes.
    pub offset: u64,
    /// Its length from chunk header to leaf, in bytes.
    pub length: u32,
    /// When it plays; `None` when the footer is gone and the metadata key was not given.
    pub entry: Option<IndexEntry>,
}

impl<R: ReadAt> File<R> {
    /// Opens a file. `unlock` is given a head (header, envelope and chunk 0) and opens it, with the
    /// keys of the generation that its [`Header`] names; when it cannot, it is given the copy.
    ///
    /// # Errors
    /// What `unlock` said of the first head, when neither can be opened.
    pub fn open(
        file: R,
        mut unlock: impl FnMut(&[u8]) -> Result<SegmentOpener>,
    ) -> Result<Self, ReadError> {
        let mut layout = Layout::find(&file, None)?;
        let first = match &layout.first {
            Ok(head) => unlock(&head.bytes),
            Err(error) => Err(error.clone()),
        };
        let opener = match (first, &layout.copy) {
            (Ok(opener), _) => opener,
            (Err(error), Some(Ok(copy))) => {
                let opener = unlock(&copy.bytes).map_err(|_| error.clone())?;
                layout.first = Err(error);
                opener
            }
            (Err(error), _) => return Err(error.into()),
        };
        layout.chunks.start = u64::from(opener.header().first_chunk_offset);
        layout.chunks.end = layout.chunks.end.max(layout.chunks.start);
        let mut file = Self {
            file,
            opener,
            layout,
            footer: None,
            places: Vec::new(),
        };
        file.locate()?;
        Ok(file)
    }

    /// What opens its chunks.
    pub fn opener(&self) -> &SegmentOpener {
        &self.opener
    }

    /// The header.
    pub fn header(&self) -> &Header {
        self.opener.header()
    }

    /// Run, anchor and init segment.
    pub fn preamble(&self) -> &Preamble {
        self.opener.preamble()
    }

    /// The footer, unless the segment is torn or it is damaged.
    pub fn footer(&self) -> Option<&Footer> {
        self.footer.as_ref()
    }

    /// The chunks between preamble and footer, in order, as far as they can be found.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Those that are needed to show `span` (in microseconds after the segment's first sample):
    /// from the key frame before its start. Everything, where times are not known.
    pub fn range(&self, span: Range<u64>) -> &[Place] {
        let starts_by = |place: &Place, at: u64, key: bool| {
            place
                .entry
                .is_none_or(|e| e.start_us <= at && (e.key_frame || !key))
        };
        let from = self
            .places
            .iter()
            .rposition(|place| starts_by(place, span.start, true));
        let before_end = |place: &Place| place.entry.is_none_or(|e| e.start_us < span.end);
        let to = self
            .places
            .iter()
            .rposition(before_end)
            .map_or(0, |last| last + 1);
        match self.places.iter().any(|place| place.entry.is_none()) {
            true => &self.places,
            false => self.places.get(from.unwrap_or(0)..to).unwrap_or_default(),
        }
    }

    /// Reads a chunk and returns its body.
    ///
    /// # Errors
    /// [`ReadError::Format`] when it is damaged: the others are not.
    pub fn read(&self, place: &Place) -> Result<Vec<u8>, ReadError> {
        let mut buffer = Vec::new();
        let body = self.read_into(place, &mut buffer)?;
        buffer.truncate(body.end);
        buffer.drain(..body.start);
        Ok(buffer)
    }

    /// Reads a chunk into `buffer`, which may be used again, and returns where in it the body
    /// stands.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_into(
        &self,
        place: &Place,
        buffer: &mut Vec<u8>,
    ) -> Result<Range<usize>, ReadError> {
        let end = place.offset.checked_add(place.length.into());
        if end.is_none_or(|end| end > self.file.size())
            || place.length as usize > CIPHERTEXT_LEN_MAX + 88
        {
            return Err(Error::Truncated { what: "segment" }.into());
        }
        buffer.resize(place.length as usize, 0);
        self.file.read_at(place.offset, buffer)?;
        let opened = self.opener.open_chunk_in_place(buffer)?;
        if opened.k != place.k {
            return Err(Error::Tampered {
                what: "order of chunks",
            }
            .into());
        }
        Ok(opened.body)
    }

    /// Opens everything and says what is wrong with it. `m` is the metadata key, for tail and root.
    ///
    /// # Errors
    /// [`ReadError::Io`]: damage is no error.
    pub fn check(&self, m: Option<&MetadataKey>) -> Result<Report, ReadError> {
        let walk = self.walk()?;
        let mut failed = None;
        let report = check::report(&walk, m, &mut |chunk| {
            self.fits(chunk, &walk).unwrap_or_else(|error| {
                failed = Some(error);
                false
            })
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// Every walked chunk opens; a footer must also say where the others were found.
    fn fits(&self, chunk: &WalkedChunk, walk: &Walk) -> Result<bool, ReadError> {
        if !chunk.is_final || !walk.damaged.is_empty() {
            return Ok(true);
        }
        let bytes = read_vec(&self.file, chunk.offset, chunk.length as usize)?;
        let Ok(footer) = self.opener.open_footer(&bytes) else {
            return Ok(false);
        };
        let walked = walk
            .chunks
            .iter()
            .filter(|chunk| chunk.k > 0 && !chunk.is_final);
        let found = walked.map(|chunk| (chunk.offset, chunk.length));
        let told = footer
            .fragments
            .iter()
            .map(|place| (place.offset.into(), place.length));
        Ok(found.eq(told))
    }

    fn walk(&self) -> Result<Walk, ReadError> {
        let layout = self.layout.clone();
        walk::walk_with(&self.file, layout, Proof::Content(&self.opener))
    }

    /// Finds chunks by the footer that the tail names, or else by walking.
    fn locate(&mut self) -> Result<(), ReadError> {
        let told = self
            .layout
            .tail
            .map_or(0, |(tail, _)| u64::from(tail.footer_offset));
        self.footer = self.footer_at(told)?;
        if let Some(footer) = &self.footer {
            let entries = self.footer_entries(footer);
            let places = footer.fragments.iter().zip(entries).zip(1..);
            let place = |((place, entry), k): ((&FragmentPlace, _), _)| Place {
                k,
                offset: place.offset.into(),
                length: place.length,
                entry: Some(entry),
            };
            self.places = places.map(place).collect();
            return Ok(());
        }
        let walk = self.walk()?;
        if let Some(last) = walk.chunks.last().filter(|chunk| chunk.is_final) {
            self.footer = self.footer_at(last.offset)?;
        }
        // A footer that is not where the tail says may have been moved, and the chunks with it: it
        // is believed for times, not for places.
        let entries: Vec<_> = match &self.footer {
            Some(footer) => self.footer_entries(footer).collect(),
            None => Vec::new(),
        };
        let walked = walk
            .chunks
            .iter()
            .filter(|chunk| chunk.k > 0 && !chunk.is_final);
        self.places = walked
            .map(|chunk| Place {
                k: chunk.k,
                offset: chunk.offset,
                length: chunk.length,
                entry: chunk.entry.or(entries.get(chunk.k as usize - 1).copied()),
            })
            .collect();
        Ok(())
    }

    fn footer_entries<'f>(
        &self,
        footer: &'f Footer,
    ) -> impl Iterator<Item = IndexEntry> + use<'f, R> {
        let chunk_type = ChunkType::of(self.opener.header().kind);
        footer.fragments.iter().map(move |place| IndexEntry {
            start_us: place.start_us,
            duration_us: place.duration_us,
            key_frame: place.key_frame,
            chunk_type,
        })
    }

    fn footer_at(&self, offset: u64) -> Result<Option<Footer>, ReadError> {
        let end = self.layout.chunks.end;
        if offset < self.layout.chunks.start || end.saturating_sub(offset) < 8 {
            return Ok(None);
        }
        let mut prefix = [0; 8];
        self.file.read_at(offset, &mut prefix)?;
        let Ok(prefix) = ChunkPrefix::parse(&prefix) else {
            return Ok(None);
        };
        if !prefix.is_final || end - offset < prefix.chunk_len() as u64 {
            return Ok(None);
        }
        let bytes = read_vec(&self.file, offset, prefix.chunk_len())?;
        Ok(self.opener.open_footer(&bytes).ok())
    }
}
