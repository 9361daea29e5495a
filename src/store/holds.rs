//! Holds: footage that people want to keep, whatever its age and however full the disks are.
//!
//! Their home is the log. One is effective as soon as it is set: retention looks at them again before each file that it removes.

use std::sync::{MutexGuard, PoisonError};

use hearthkeep_format::log::{HOLD_STREAMS_MAX, Hold, OPEN_END_US, Record};
use hearthkeep_format::{HoldId, StreamId};

use super::forecast;
use super::held::Held;
use super::log::Ticket;
use super::{Error, Result, Shared, Store};
use crate::limits::{HELD_PERCENT_MAX, HOLD_REASON_CHARS_MAX, HOLDS_MAX};

/// A hold that is to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// Its streams; none means all.
    pub streams: Vec<StreamId>,
    /// Wall time from which on footage is held, us.
    pub from_us: i64,
    /// Until when; without it, all that will be recorded too.
    pub to_us: Option<i64>,
    /// When the hold itself ends; without it, when somebody ends it.
    pub until_us: Option<i64>,
    /// Why, in a person's words.
    pub reason: String,
    /// Who wants it.
    pub who: String,
}

impl Store {
    /// Holds footage, from now on. [`Log::wait_for`](super::Log::wait_for) says whether that is written.
    ///
    /// # Errors
    /// Why it cannot be held: nothing is then.
    pub fn hold(&self, new: NewHold) -> Result<(Hold, Ticket)> {
        let shared = &self.shared;
        let reason = new.reason.trim();
        let to_us = new.to_us.unwrap_or(OPEN_END_US);
        let until_us = new.until_us.unwrap_or(OPEN_END_US);
        let sense = match () {
            () if reason.is_empty() => {
                Err("a hold needs a reason: who ends it one day wants to know why it was set")
            }
            () if reason.chars().count() > HOLD_REASON_CHARS_MAX => {
                Err("the reason of a hold is too long: at most 500 characters")
            }
            () if new.streams.len() > HOLD_STREAMS_MAX => {
                Err("a hold names too many streams: hold all cameras instead")
            }
            () if new.from_us >= to_us => Err("the span of a hold ends before it begins"),
            () if until_us <= shared.clock.wall_us() => Err("a hold cannot end in the past"),
            () if new.from_us > shared.clock.wall_us() && shared.clock.trusted() => Err(
                "the span of a hold begins in the future, where nothing has been recorded: set it once it has begun",
            ),
            () => Ok(()),
        };
        sense.map_err(Error::Hold)?;
        let hold = Hold {
            id: HoldId::random(&mut shared.random.clone()),
            streams: new.streams,
            from_us: new.from_us,
            to_us,
            until_us,
            reason: reason.to_owned(),
            who: new.who,
        };
        let _gate = shared.gate();
        self.check_room(&hold)?;
        let ticket = written(shared.log.append(Record::Hold(hold.clone())))?;
        // People's words stay in the log, which is sealed.
        tracing::info!(id = %hold.id, "footage is held");
        Ok((hold, ticket))
    }

    /// Ends a hold. What it held may be deleted from then on.
    ///
    /// # Errors
    /// [`Error::NoSuchHold`], or that it cannot be written.
    pub fn unhold(&self, id: &HoldId, reason: &str, who: &str) -> Result<Ticket> {
        let shared = &self.shared;
        let _gate = shared.gate();
        if !self.holds()?.iter().any(|hold| hold.id == *id) {
            return Err(Error::NoSuchHold);
        }
        let ticket = written(shared.log.append(Record::Unhold {
            id: *id,
            reason: reason.to_owned(),
            who: who.to_owned(),
        }))?;
        tracing::info!(%id, "a hold was ended");
        Ok(ticket)
    }

    /// The holds that stand.
    ///
    /// # Errors
    /// While they are not known.
    pub fn holds(&self) -> Result<Vec<Hold>> {
        let log = &self.shared.log;
        if !log.is_kept() {
            return Err(Error::Log(
                "this store is open without its log, which is the home of holds",
            ));
        }
        if !log.is_replayed() {
            return Err(Error::Log(
                "the log is still being read: try again in a moment",
            ));
        }
        Ok(log.holds())
    }

    /// Whether so much may be held.
    fn check_room(&self, new: &Hold) -> Result<()> {
        let mut holds = self.holds()?;
        if holds.len() >= HOLDS_MAX {
            return Err(Error::Hold(
                "there are too many holds: end some that are not needed any more",
            ));
        }
        holds.push(new.clone());
        let held_bytes = self
            .shared
            .catalog
            .held_bytes(&Held::by(&holds))
            .values()
            .sum();
        let room_bytes = forecast::room_bytes(&self.shared);
        if held_bytes > room_bytes / 100 * HELD_PERCENT_MAX {
            return Err(Error::HoldsTooMuch {
                held_bytes,
                room_bytes,
            });
        }
        Ok(())
    }
}

fn written(ticket: Ticket) -> Result<Ticket> {
    match ticket.is_lost() {
        true => Err(Error::Log(
            "the log cannot be written, so this was not done: `hearthkeep status` says why",
        )),
        false => Ok(ticket),
    }
}

impl Shared {
    /// What holds are set and files removed under, one after the other.
    pub(super) fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
