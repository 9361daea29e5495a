//! The signed log: what this browser has seen of it, against what the box shows now.

use hearthkeep_format::MetadataKey;
use hearthkeep_format::log::{Ask, Examination, Head, Outcome};

use crate::fields::{Answer, Fields};
use crate::{Failure, Vault};

/// Logs that a box may show: more is surely nonsense.
const LOGS_MAX: u32 = 4096;

impl Vault {
    /// key and checkpoint kept (both empty where nothing is), number of logs, key and checkpoint of each -> what to ask for next
    pub(crate) fn log_begin(
        &mut self,
        fields: &mut Fields<'_>,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let kept = head(fields)?;
        let kept = (!kept.key.is_empty()).then_some(kept);
        let count = fields.u32()?;
        if count > LOGS_MAX {
            return Err("the box shows more logs than it can have".into());
        }
        let shown = (0..count).map(|_| head(fields));
        let shown = shown.collect::<Result<Vec<_>, _>>()?;
        let (examination, ask) = Examination::begin(kept.as_ref(), &shown);
        self.examination = Some(examination);
        tell(&ask, answer);
        Ok(())
    }

    /// entry 0 where that was asked for, hashes one after another -> what to ask for next
    pub(crate) fn log_tell(
        &mut self,
        fields: &mut Fields<'_>,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let first = fields.bytes()?;
        let (hashes, rest) = fields.bytes()?.as_chunks::<32>();
        if !rest.is_empty() {
            return Err("the box sent a proof that is none".into());
        }
        let keyring = self.keyring.as_ref();
        let m = |generation| {
            let (_, m) = keyring?.generation(generation)?;
            Some(MetadataKey::from_bytes(*m.as_bytes()))
        };
        let examination = self.examination.as_mut();
        let examination = examination.ok_or("no log is being looked at")?;
        tell(&examination.tell(first, hashes, &m), answer);
        Ok(())
    }
}

fn head(fields: &mut Fields<'_>) -> Result<Head, Failure> {
    let (key, note) = (fields.text()?.to_owned(), fields.text()?.to_owned());
    Ok(Head { key, note })
}

/// `consistency`, log, from, to; `first`, log, size; `keep`, key, checkpoint, why new logs have begun; `complain`, a
/// sentence; or `none`
fn tell(ask: &Ask, answer: &mut Answer) {
    match ask {
        Ask::Consistency { log, from, to } => answer
            .text("consistency")
            .text(&log.to_string())
            .number(*from as f64)
            .number(*to as f64),
        Ask::First { log, size } => answer
            .text("first")
            .text(&log.to_string())
            .number(*size as f64),
        Ask::Done(Outcome::Keep(head, causes)) => {
            let causes: Vec<_> = causes.iter().map(|cause| cause.as_str()).collect();
            answer
                .text("keep")
                .text(&head.key)
                .text(&head.note)
                .text(&causes.join(" "))
        }
        Ask::Done(Outcome::Complain(complaint)) => {
            answer.text("complain").text(&complaint.to_string())
        }
        Ask::Done(Outcome::None) => answer.text("none"),
    };
}
