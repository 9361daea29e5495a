//! Audits: what people did to the store, beyond its footage.
//!
//! A store that is open hands them to its log. While none is, as at the claim of a box and for some commands that no recorder is
//! asked for, they wait in `log.audits.sealed` in the state folder with their times; the log has them as soon as it is open again.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::Random;
use hearthkeep_format::log::{AuditKind, Record, Stamped, TEXT_LEN_MAX};

use crate::clock::Clock;
use crate::limits::{LOG_AUDITS_MAX, STATE_FILE_BYTES_MAX};
use crate::state_file::{self, StateKey};

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
pub struct WaitingAudits {
    path: PathBuf,
    key: StateKey,
    is_there: bool,
}

impl WaitingAudits {
    /// Those of a state folder, sealed by this key.
    pub fn new(state_dir: &Path, key: StateKey) -> Self {
        let path = state_dir.join(FILE);
        Self {
            is_there: path.exists(),
            path,
            key,
        }
    }

    /// Has one more wait, durably. To be called by whoever holds the store's lock, while no store is open. Where there are too many,
    /// the oldest go, and so does what cannot be read.
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
        let written: Vec<_> = waiting[surplus..]
            .iter()
            .map(encoded)
            .collect::<io::Result<_>>()?;
        let json = serde_json::to_vec(&written).expect("plain values become JSON");
        state_file::replace(&self.path, &self.key.seal(FILE, &json, random))?;
        self.is_there = true;
        Ok(())
    }

    /// Those that wait, the oldest first.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(&self) -> Result<Vec<Stamped>, String> {
        let sealed = state_file::read(&self.path, STATE_FILE_BYTES_MAX);
        let Some(sealed) = sealed.map_err(|error| error.to_string())? else {
            return Ok(Vec::new());
        };
        let json = self.key.open(FILE, &sealed);
        let json = json.ok_or("it was changed, or sealed by another machine key")?;
        let written: Vec<String> =
            serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        let read = written.iter().map(|text| decoded(text)).collect();
        let read: Option<Vec<_>> = read;
        read.ok_or_else(|| "it is not as it was written".to_owned())
    }

    /// Forgets them: the log has all.
    pub(super) fn forget(&mut self) {
        if !self.is_there {
            return;
        }
        match state_file::remove(&self.path) {
            Ok(()) => self.is_there = false,
            // They are logged once more then.
            Err(error) => tracing::warn!(path = %self.path.display(), "could not delete: {error}"),
        }
    }
}

fn encoded(stamped: &Stamped) -> io::Result<String> {
    let mut record = Vec::new();
    stamped.encode(&mut record).map_err(io::Error::other)?;
    Ok(BASE64.encode(record))
}

fn decoded(text: &str) -> Option<Stamped> {
    let stamped = Stamped::decode(&BASE64.decode(text).ok()?).ok()?;
    matches!(stamped.record, Record::Audit { .. }).then_some(stamped)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::clock::SimClock;
    use crate::random::OsRandom;

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
        let record = decoded(&encoded(&stamped).unwrap()).unwrap().record;
        let Record::Audit { who, detail, .. } = &record else {
            panic!("{record:?}");
        };
        assert_eq!((who.len(), detail.len()), (TEXT_LEN_MAX - 1, TEXT_LEN_MAX));
        assert_eq!(record, stamped.record);
    }
}
