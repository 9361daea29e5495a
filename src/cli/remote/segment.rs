//! A segment behind a box's HTTPS, read in pieces large enough that the network's delay does not count.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use hearthkeep_format::segment::ReadAt;
use hearthkeep_format::{SegmentId, StreamId};

use super::super::output::ExitStatus;
use super::TimelineSegment;
use super::client::Client;
use crate::archive::Segment;

/// What is asked for at once.
const PIECE_BYTES: u64 = 1 << 20;
/// Pieces that are kept: the end and the head, which are read first, and where reading is.
const PIECES_KEPT: usize = 4;

/// A segment of a box.
pub struct RemoteSegment {
    client: Rc<Client>,
    path: String,
    id: SegmentId,
    span: Range<i64>,
}

impl RemoteSegment {
    /// `None` when the ids are none.
    pub(super) fn new(client: Rc<Client>, stream: &str, segment: &TimelineSegment) -> Option<Self> {
        let (stream, id) = (
            StreamId::from_hex(stream)?,
            SegmentId::from_hex(&segment.id)?,
        );
        let path = format!("/api/v1/segments/{stream}/{id}");
        let end_us = segment
            .start_us
            .saturating_add_unsigned(segment.duration_us);
        Some(Self {
            client,
            path,
            id,
            span: segment.start_us..end_us,
        })
    }
}

impl Segment for RemoteSegment {
    fn id(&self) -> SegmentId {
        self.id
    }

    fn span(&self) -> Range<i64> {
        self.span.clone()
    }

    fn open(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        let pieces = RefCell::new(VecDeque::new());
        let mut opened = Opened {
            segment: self,
            size: PIECE_BYTES,
            pieces,
        };
        // The first piece also says how many bytes there are, which for one that is being written grows.
        let (first, size) = opened.fetch(0)?;
        opened.size = size;
        opened.pieces.get_mut().push_back((0, first));
        Ok(Box::new(opened))
    }
}

/// One that is being read. Its size is what it was when it was opened.
struct Opened<'a> {
    segment: &'a RemoteSegment,
    size: u64,
    pieces: RefCell<VecDeque<(u64, Bytes)>>,
}

impl Opened<'_> {
    /// Asks for the piece with this number; says also how large the segment is.
    fn fetch(&self, number: u64) -> io::Result<(Bytes, u64)> {
        let from = number * PIECE_BYTES;
        let to = from.saturating_add(PIECE_BYTES).min(self.size);
        let answer = self.segment.client.range(&self.segment.path, from, to);
        let answer = answer.map_err(|failure| match failure.status {
            ExitStatus::Nothing => io::Error::new(io::ErrorKind::NotFound, failure.sentence),
            _ => io::Error::other(failure.sentence),
        })?;
        let size = answer.whole_bytes.unwrap_or(answer.body.len() as u64);
        Ok((answer.body, size))
    }

    fn piece(&self, number: u64) -> io::Result<Bytes> {
        let mut pieces = self.pieces.borrow_mut();
        if let Some((_, bytes)) = pieces.iter().find(|(known, _)| *known == number) {
            return Ok(bytes.clone());
        }
        let (bytes, _) = self.fetch(number)?;
        if pieces.len() == PIECES_KEPT {
            pieces.pop_front();
        }
        pieces.push_back((number, bytes.clone()));
        Ok(bytes)
    }
}

impl ReadAt for Opened<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let piece = self.piece(at / PIECE_BYTES)?;
            let rest = piece.get((at % PIECE_BYTES) as usize..).unwrap_or_default();
            if rest.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let length = rest.len().min(buffer.len() - done);
            buffer[done..done + length].copy_from_slice(&rest[..length]);
            done += length;
        }
        Ok(())
    }
}
