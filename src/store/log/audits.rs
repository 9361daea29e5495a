//! Audits: what people did to the store, beyond its footage.
//!
//! A store that is open hands them to its log. While none is, as at the claim of a box and for some commands that no recorder is
//! asked for, they wait in `log.audits.sealed` in the state folder with their times; the log has them as soon as it is open again.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::Random;
use hearthkeep_format::log::{AuditKind, Record, Stamped, TEXT_LEN_MAX};

use super::waiting::{WaitingFile, Waits};
use crate::clock::Clock;
use crate::limits::LOG_AUDITS_MAX;

pub(super) const FILE: &str = "log.audits.sealed";

/// What somebody did. Who it was and what more there is to say are cut to what a record takes.
pub fn audit(kind: AuditKind, who: &str, detail: &str) -> Record {
    let cut = |text: &str| {
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = ends.take_while(|end| *end <= TEXT_LEN_MAX).last();
        text[..end.unwrap_or(0)].to_owned()
    };
    Record::Audit {
        kind,
        who: cut(who),
        detail: cut(detail),
    }
}

/// Audits that wait for a log to be open.
pub type WaitingAudits = WaitingFile<Stamped>;

impl WaitingAudits {
    /// Has one more wait, durably. To be called by whoever holds the store's lock, while no store is open. Where there are too many,
    /// the oldest go; what cannot be read is kept aside.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn add(
        &mut self,
        record: Record,
        clock: &dyn Clock,
        random: &mut dyn Random,
    ) -> io::Result<()> {
        let mut waiting = self.read().unwrap_or_default();
        waiting.push(Stamped {
            wall_us: clock.wall_us(),
            clock_trusted: clock.trusted(),
            record,
        });
        let surplus = waiting.len().saturating_sub(LOG_AUDITS_MAX);
        self.write(waiting[surplus..].iter(), random)
    }
}

impl Waits for Stamped {
    const FILE: &'static str = FILE;
    const LACKS: &'static str =
        "of what people did while no recorder ran the signed log does not say all";
    type Written = String;

    fn written(&self) -> io::Result<String> {
        let mut record = Vec::new();
        self.encode(&mut record).map_err(io::Error::other)?;
        Ok(BASE64.encode(record))
    }

    fn read(written: &String) -> Option<Self> {
        let stamped = Self::decode(&BASE64.decode(written).ok()?).ok()?;
        matches!(stamped.record, Record::Audit { .. }).then_some(stamped)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::clock::SimClock;
    use crate::random::OsRandom;
    use crate::state_file::StateKey;

    #[test]
    fn they_wait_with_their_times_until_they_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let waiting = |key| WaitingAudits::new(folder.path(), StateKey::new(Zeroizing::new(key)));
        let new = || waiting([1; 32]);
        assert_eq!(new().read(), Ok(Vec::new()));
        let clock = SimClock::new(7_000_000);
        let total = LOG_AUDITS_MAX + 3;
        for n in 0..total {
            let record = audit(AuditKind::DiskAdded, "robin", &n.to_string());
            new().add(record, &clock, &mut OsRandom).unwrap();
            clock.advance_us(1);
        }
        let read = new().read().unwrap();
        assert_eq!(read.len(), LOG_AUDITS_MAX);
        for (n, stamped) in (3..total).zip(&read) {
            let record = audit(AuditKind::DiskAdded, "robin", &n.to_string());
            let wall_us = 7_000_000 + n as i64;
            assert_eq!((stamped.wall_us, &stamped.record), (wall_us, &record));
        }
        assert!(waiting([2; 32]).read().is_err());
        new().forget();
        assert_eq!(new().read(), Ok(Vec::new()));
    }

    #[test]
    fn words_that_are_too_long_are_cut_to_what_a_record_takes() {
        let long = "ä".repeat(TEXT_LEN_MAX);
        let stamped = Stamped {
            wall_us: 0,
            clock_trusted: true,
            record: audit(AuditKind::Claimed, &format!("x{long}"), &long),
        };
        let record = Waits::read(&stamped.written().unwrap());
        let record: Stamped = record.unwrap();
        let record = record.record;
        let Record::Audit { who, detail, .. } = &record else {
            panic!("{record:?}");
        };
        assert_eq!((who.len(), detail.len()), (TEXT_LEN_MAX - 1, TEXT_LEN_MAX));
        assert_eq!(record, stamped.record);
    }
}
