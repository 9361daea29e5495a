//! The bytes of records (`docs/format.md`, 9.1).

use super::{
    AnchorCause, AuditKind, BeginCause, DELETED_MAX, Deleted, DeletedSegment, DeletionCause,
    HOLD_STREAMS_MAX, Hold, Record, SegmentClosed, Stamped, TEXT_LEN_MAX,
};
use crate::log::NOTE_LEN_MAX;
use crate::segment::GapCause;
use crate::{
    BootId, DiskId, EpochId, Error, HoldId, Kind, Result, SegmentId, StoreId, StreamId,
    VerifyingKey,
};

const WHAT: &str = "log record";

const BEGUN: u8 = 1;
const STARTED: u8 = 2;
const EPOCH_OPENED: u8 = 3;
const SEGMENT_CLOSED: u8 = 4;
const DELETED: u8 = 5;
const GAP: u8 = 6;
const HOLD: u8 = 7;
const UNHOLD: u8 = 8;
const CLOCK_ANCHOR: u8 = 9;
const AUDIT: u8 = 10;

pub(super) fn encode(stamped: &Stamped, out: &mut Vec<u8>) -> Result<()> {
    let head = out.len();
    out.extend_from_slice(&[0, stamped.clock_trusted.into(), 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&stamped.wall_us.to_be_bytes());
    let kind = put(&stamped.record, &mut Out(out))?;
    out[head] = kind;
    Ok(())
}

fn put(record: &Record, out: &mut Out<'_>) -> Result<u8> {
    match record {
        Record::Begun {
            store,
            key,
            cause,
            previous,
        } => {
            out.put(store.as_bytes()).put(key.as_bytes());
            out.put(&[cause.as_u8(), 0]);
            out.text(previous, NOTE_LEN_MAX)?;
            Ok(BEGUN)
        }
        Record::Started {
            boot,
            monotonic_us,
            after_crash,
            version,
        } => {
            out.put(boot.as_bytes()).put(&monotonic_us.to_be_bytes());
            out.put(&[u8::from(*after_crash), 0]);
            out.text(version, TEXT_LEN_MAX)?;
            Ok(STARTED)
        }
        Record::EpochOpened {
            stream,
            kind,
            epoch,
            generation,
        } => {
            out.put(stream.as_bytes()).put(epoch.as_bytes());
            out.put(&generation.to_be_bytes()).put(&[kind.as_u8()]);
            Ok(EPOCH_OPENED)
        }
        Record::SegmentClosed(closed) => Ok(put_closed(closed, out)),
        Record::Deleted(deleted) => put_deleted(deleted, out),
        Record::Gap {
            stream,
            cause,
            from_us,
            to_us,
        } => {
            out.put(stream.as_bytes()).put(&from_us.to_be_bytes());
            out.put(&to_us.to_be_bytes()).put(&[cause.as_u8()]);
            Ok(GAP)
        }
        Record::Hold(hold) => put_hold(hold, out),
        Record::Unhold { id, reason, who } => {
            out.put(id.as_bytes());
            out.text(reason, TEXT_LEN_MAX)?;
            out.text(who, TEXT_LEN_MAX)?;
            Ok(UNHOLD)
        }
        Record::ClockAnchor {
            boot,
            monotonic_us,
            wall_us,
            cause,
        } => {
            out.put(boot.as_bytes()).put(&monotonic_us.to_be_bytes());
            out.put(&wall_us.to_be_bytes()).put(&[cause.as_u8()]);
            Ok(CLOCK_ANCHOR)
        }
        Record::Audit { kind, who, detail } => {
            out.put(&[kind.as_u8()]);
            out.text(who, TEXT_LEN_MAX)?;
            out.text(detail, TEXT_LEN_MAX)?;
            Ok(AUDIT)
        }
        Record::Unknown { kind } => Ok(*kind),
    }
}

fn put_closed(closed: &SegmentClosed, out: &mut Out<'_>) -> u8 {
    out.put(closed.stream.as_bytes())
        .put(closed.epoch.as_bytes());
    out.put(closed.segment.as_bytes())
        .put(closed.disk.as_bytes());
    out.put(&closed.root).put(&closed.sequence.to_be_bytes());
    out.put(&closed.start_us.to_be_bytes())
        .put(&closed.duration_us.to_be_bytes())
        .put(&closed.bytes.to_be_bytes());
    let flags = u8::from(closed.recovered) | u8::from(closed.clock_trusted) << 1;
    out.put(&[closed.kind.as_u8(), flags]);
    SEGMENT_CLOSED
}

fn put_deleted(deleted: &Deleted, out: &mut Out<'_>) -> Result<u8> {
    if deleted.segments.is_empty() {
        return Err(Error::Truncated { what: WHAT });
    }
    out.put(deleted.stream.as_bytes());
    out.put(&[deleted.cause.as_u8(), 0]);
    out.count(deleted.segments.len(), DELETED_MAX)?;
    for DeletedSegment { segment, sequence } in &deleted.segments {
        out.put(segment.as_bytes()).put(&sequence.to_be_bytes());
    }
    Ok(DELETED)
}

fn put_hold(hold: &Hold, out: &mut Out<'_>) -> Result<u8> {
    out.put(hold.id.as_bytes()).put(&hold.from_us.to_be_bytes());
    out.put(&hold.to_us.to_be_bytes());
    out.put(&hold.until_us.to_be_bytes());
    out.count(hold.streams.len(), HOLD_STREAMS_MAX)?;
    for stream in &hold.streams {
        out.put(stream.as_bytes());
    }
    out.text(&hold.reason, TEXT_LEN_MAX)?;
    out.text(&hold.who, TEXT_LEN_MAX)?;
    Ok(HOLD)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Stamped> {
    let mut rest = Fields { bytes, at: 0 };
    let [kind] = rest.array()?;
    let clock_trusted = rest.flag()?;
    rest.zeros(6)?;
    let stamped = Stamped {
        clock_trusted,
        wall_us: rest.i64()?,
        record: take(kind, &mut rest)?,
    };
    match rest.at == bytes.len() {
        true => Ok(stamped),
        false => Err(rest.malformed()),
    }
}

fn take(kind: u8, rest: &mut Fields<'_>) -> Result<Record> {
    Ok(match kind {
        BEGUN => Record::Begun {
            store: StoreId::from_bytes(rest.array()?),
            key: rest.verifying_key()?,
            cause: rest.cause(BeginCause::from_u8)?,
            previous: {
                rest.zeros(1)?;
                rest.text(NOTE_LEN_MAX)?
            },
        },
        STARTED => Record::Started {
            boot: BootId::from_bytes(rest.array()?),
            monotonic_us: rest.u64()?,
            after_crash: rest.flag()?,
            version: {
                rest.zeros(1)?;
                rest.text(TEXT_LEN_MAX)?
            },
        },
        EPOCH_OPENED => {
            let stream = StreamId::from_bytes(rest.array()?);
            let epoch = EpochId::from_bytes(rest.array()?);
            let generation = u32::from_be_bytes(rest.array()?);
            let kind = rest.kind()?;
            Record::EpochOpened {
                stream,
                kind,
                epoch,
                generation,
            }
        }
        SEGMENT_CLOSED => Record::SegmentClosed(take_closed(rest)?),
        DELETED => Record::Deleted(take_deleted(rest)?),
        GAP => {
            let stream = StreamId::from_bytes(rest.array()?);
            let (from_us, to_us) = rest.span()?;
            Record::Gap {
                stream,
                cause: rest.cause(GapCause::from_u8)?,
                from_us,
                to_us,
            }
        }
        HOLD => Record::Hold(take_hold(rest)?),
        UNHOLD => Record::Unhold {
            id: HoldId::from_bytes(rest.array()?),
            reason: rest.text(TEXT_LEN_MAX)?,
            who: rest.text(TEXT_LEN_MAX)?,
        },
        CLOCK_ANCHOR => Record::ClockAnchor {
            boot: BootId::from_bytes(rest.array()?),
            monotonic_us: rest.u64()?,
            wall_us: rest.i64()?,
            cause: rest.cause(AnchorCause::from_u8)?,
        },
        AUDIT => Record::Audit {
            kind: rest.cause(AuditKind::from_u8)?,
            who: rest.text(TEXT_LEN_MAX)?,
            detail: rest.text(TEXT_LEN_MAX)?,
        },
        0 => return Err(rest.malformed()),
        kind => {
            rest.at = rest.bytes.len();
            Record::Unknown { kind }
        }
    })
}

fn take_closed(rest: &mut Fields<'_>) -> Result<SegmentClosed> {
    let stream = StreamId::from_bytes(rest.array()?);
    let epoch = EpochId::from_bytes(rest.array()?);
    let segment = SegmentId::from_bytes(rest.array()?);
    let disk = DiskId::from_bytes(rest.array()?);
    let root = rest.array()?;
    let (sequence, start_us) = (rest.u64()?, rest.i64()?);
    let (duration_us, bytes) = (rest.u64()?, rest.u64()?);
    let kind = rest.kind()?;
    let malformed = rest.malformed();
    let [flags] = rest.array()?;
    if flags > 3 {
        return Err(malformed);
    }
    Ok(SegmentClosed {
        stream,
        epoch,
        segment,
        disk,
        kind,
        root,
        sequence,
        start_us,
        duration_us,
        bytes,
        recovered: flags & 1 == 1,
        clock_trusted: flags & 2 == 2,
    })
}

fn take_deleted(rest: &mut Fields<'_>) -> Result<Deleted> {
    let stream = StreamId::from_bytes(rest.array()?);
    let cause = rest.cause(DeletionCause::from_u8)?;
    rest.zeros(1)?;
    let malformed = rest.malformed();
    let count = rest.count(DELETED_MAX)?;
    if count == 0 {
        return Err(malformed);
    }
    let segment = |_| -> Result<DeletedSegment> {
        Ok(DeletedSegment {
            segment: SegmentId::from_bytes(rest.array()?),
            sequence: rest.u64()?,
        })
    };
    let segments = (0..count).map(segment).collect::<Result<_>>()?;
    Ok(Deleted {
        stream,
        cause,
        segments,
    })
}

fn take_hold(rest: &mut Fields<'_>) -> Result<Hold> {
    let id = HoldId::from_bytes(rest.array()?);
    let (from_us, to_us) = rest.span()?;
    let until_us = rest.i64()?;
    let count = rest.count(HOLD_STREAMS_MAX)?;
    let streams = (0..count).map(|_| rest.array().map(StreamId::from_bytes));
    let streams = streams.collect::<Result<_>>()?;
    Ok(Hold {
        id,
        streams,
        from_us,
        to_us,
        until_us,
        reason: rest.text(TEXT_LEN_MAX)?,
        who: rest.text(TEXT_LEN_MAX)?,
    })
}

struct Out<'a>(&'a mut Vec<u8>);

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn count(&mut self, count: usize, limit: usize) -> Result<()> {
        let too_many = Error::Limit {
            what: WHAT,
            limit: limit as u64,
        };
        let count = u16::try_from(count).ok();
        let count = count.filter(|count| usize::from(*count) <= limit);
        self.put(&count.ok_or(too_many)?.to_be_bytes());
        Ok(())
    }

    fn text(&mut self, text: &str, limit: usize) -> Result<()> {
        self.count(text.len(), limit)?;
        self.put(text.as_bytes());
        Ok(())
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let taken = self.bytes.get(self.at..).and_then(|b| b.get(..length));
        let taken = taken.ok_or(Error::Truncated { what: WHAT })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many were taken"))
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// From and to, the one not after the other.
    fn span(&mut self) -> Result<(i64, i64)> {
        let malformed = self.malformed();
        match (self.i64()?, self.i64()?) {
            (from, to) if from <= to => Ok((from, to)),
            _ => Err(malformed),
        }
    }

    fn flag(&mut self) -> Result<bool> {
        self.cause(|byte| (byte <= 1).then_some(byte == 1))
    }

    fn kind(&mut self) -> Result<Kind> {
        self.cause(|byte| Kind::from_u8(byte).ok())
    }

    fn cause<T>(&mut self, read: impl Fn(u8) -> Option<T>) -> Result<T> {
        let malformed = self.malformed();
        let [byte] = self.array()?;
        read(byte).ok_or(malformed)
    }

    fn zeros(&mut self, length: usize) -> Result<()> {
        let malformed = self.malformed();
        match self.take(length)?.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(malformed),
        }
    }

    fn count(&mut self, limit: usize) -> Result<usize> {
        match usize::from(u16::from_be_bytes(self.array()?)) {
            count if count <= limit => Ok(count),
            _ => Err(Error::Limit {
                what: WHAT,
                limit: limit as u64,
            }),
        }
    }

    fn text(&mut self, limit: usize) -> Result<String> {
        let length = self.count(limit)?;
        let malformed = self.malformed();
        let text = self.take(length)?.to_vec();
        String::from_utf8(text).map_err(|_| malformed)
    }

    fn verifying_key(&mut self) -> Result<VerifyingKey> {
        let malformed = self.malformed();
        VerifyingKey::from_bytes(&self.array()?).map_err(|_| malformed)
    }

    const fn malformed(&self) -> Error {
        Error::Malformed {
            what: WHAT,
            offset: self.at,
        }
    }
}
