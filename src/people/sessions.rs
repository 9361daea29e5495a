//! Login sessions: who holds a cookie that lets them in.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hearthkeep_format::Random;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::limits::{
    SESSION_ABSOLUTE_S_MAX, SESSION_IDLE_S_MAX, SESSION_SAVED_EVERY_S, SESSIONS_MAX,
};

const SECOND_US: i64 = 1_000_000;

/// The secret in the cookie: 32 random bytes. The box keeps its hash only.
pub struct Token(Zeroizing<[u8; 32]>);

impl Token {
    fn random(random: &mut dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// As it stands in the cookie.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(*self.0))
    }

    /// Reads a cookie's value; `None` for anything but a token.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        let length = URL_SAFE_NO_PAD
            .decode_slice(text, bytes.as_mut_slice())
            .ok()?;
        (length == bytes.len()).then_some(Self(bytes))
    }

    fn id(&self) -> SessionId {
        SessionId(Sha256::digest(*self.0).into())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Names a login session without being able to open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The login session.
    pub id: SessionId,
    /// The account's name.
    pub name: String,
}

#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: HashMap<SessionId, Entry>,
    /// Something was used that a file may be told at leisure.
    pub worth_saving: bool,
}

#[derive(Debug)]
struct Entry {
    name: String,
    begun_us: i64,
    used_us: i64,
}

/// When nobody knew the time. Later than any time, so that the next tidying makes it the time that is known then.
const UNKNOWN_US: i64 = i64::MAX;

impl Entry {
    /// Nobody is signed out while the time is not known.
    fn is_over(&self, now_us: Option<i64>) -> bool {
        now_us.is_some_and(|now_us| {
            now_us.saturating_sub(self.begun_us) > SESSION_ABSOLUTE_S_MAX * SECOND_US
                || now_us.saturating_sub(self.used_us) > SESSION_IDLE_S_MAX * SECOND_US
        })
    }

    /// Notes a use, at leisure; says whether that is worth saving.
    fn note_use(&mut self, now_us: i64) -> bool {
        let is_old = now_us.saturating_sub(self.used_us) > SESSION_SAVED_EVERY_S * SECOND_US;
        let is_new = self.begins_by(now_us);
        if is_old {
            self.used_us = now_us;
        }
        is_old || is_new
    }

    /// A time to come is one that nobody knew, or of a clock that was ahead: it is made now, so that no session lasts for ever.
    fn begins_by(&mut self, now_us: i64) -> bool {
        let was_later = self.begun_us > now_us;
        self.begun_us = self.begun_us.min(now_us);
        self.used_us = self.used_us.min(now_us);
        was_later
    }
}

/// The time is `None` where it is not known, or not sure.
impl Sessions {
    pub fn begin(&mut self, name: &str, now_us: Option<i64>, random: &mut dyn Random) -> Token {
        self.tidy(now_us);
        if self.all.len() >= SESSIONS_MAX {
            let oldest = self
                .all
                .iter()
                .min_by_key(|(_, entry)| entry.used_us)
                .map(|(id, _)| *id);
            oldest.and_then(|id| self.all.remove(&id));
        }
        let token = Token::random(random);
        let entry = Entry {
            name: name.to_owned(),
            begun_us: now_us.unwrap_or(UNKNOWN_US),
            used_us: now_us.unwrap_or(UNKNOWN_US),
        };
        self.all.insert(token.id(), entry);
        token
    }

    pub fn find(&mut self, token: &Token, now_us: Option<i64>) -> Option<Session> {
        let id = token.id();
        let entry = self
            .all
            .get_mut(&id)
            .filter(|entry| !entry.is_over(now_us))?;
        self.worth_saving |= now_us.is_some_and(|now_us| entry.note_use(now_us));
        Some(Session {
            id,
            name: entry.name.clone(),
        })
    }

    pub fn is_live(&self, id: &SessionId, now_us: Option<i64>) -> bool {
        self.all.get(id).is_some_and(|entry| !entry.is_over(now_us))
    }

    pub fn end(&mut self, token: &Token) -> bool {
        self.all.remove(&token.id()).is_some()
    }

    pub fn end_all(&mut self) {
        self.all.clear();
    }

    pub fn end_all_of(&mut self, name: &str) {
        self.all.retain(|_, entry| entry.name != name);
    }

    /// Drops what is over.
    pub fn tidy(&mut self, now_us: Option<i64>) {
        let Some(now) = now_us else { return };
        let before = self.all.len();
        self.all.retain(|_, entry| !entry.is_over(now_us));
        self.worth_saving |= self.all.len() < before;
        for entry in self.all.values_mut() {
            self.worth_saving |= entry.begins_by(now);
        }
    }

    pub fn to_written(&self) -> Vec<WrittenSession> {
        let written = |(id, entry): (&SessionId, &Entry)| WrittenSession {
            token_hash: id.0,
            name: entry.name.clone(),
            begun_us: entry.begun_us,
            used_us: entry.used_us,
        };
        self.all.iter().map(written).collect()
    }

    pub fn from_written(written: Vec<WrittenSession>) -> Self {
        let read = |written: WrittenSession| {
            let WrittenSession {
                token_hash,
                name,
                begun_us,
                used_us,
            } = written;
            (
                SessionId(token_hash),
                Entry {
                    name,
                    begun_us,
                    used_us,
                },
            )
        };
        Self {
            all: written.into_iter().map(read).collect(),
            worth_saving: false,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSession {
    #[serde(with = "super::base64_bytes")]
    token_hash: [u8; 32],
    name: String,
    begun_us: i64,
    used_us: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    const DAY_US: i64 = 86_400 * SECOND_US;

    #[test]
    fn a_session_ends_when_idle_or_old() {
        let mut sessions = Sessions::default();
        let idle = sessions.begin("owner", Some(0), &mut OsRandom);
        let used = sessions.begin("owner", Some(0), &mut OsRandom);
        for day in 1..=90 {
            let now_us = Some(day * DAY_US);
            assert!(sessions.find(&used, now_us).is_some(), "day {day}");
            assert_eq!(
                sessions
                    .find(&idle, if day <= 30 { Some(0) } else { now_us })
                    .is_some(),
                day <= 30
            );
        }
        let over_us = Some(90 * DAY_US + SECOND_US);
        assert!(
            sessions.find(&used, None).is_some(),
            "the time is not known"
        );
        assert!(sessions.find(&used, over_us).is_none());
        sessions.tidy(None);
        assert_eq!(sessions.all.len(), 2);
        sessions.tidy(over_us);
        assert!(sessions.all.is_empty() && sessions.worth_saving);
    }

    #[test]
    fn a_session_of_an_unknown_or_later_time_begins_when_the_time_is_known() {
        let mut sessions = Sessions::default();
        let unknown = sessions.begin("owner", None, &mut OsRandom);
        let ahead = sessions.begin("owner", Some(5_000 * DAY_US), &mut OsRandom);
        sessions.tidy(Some(DAY_US));
        assert!(sessions.worth_saving);
        for token in [unknown, ahead] {
            assert!(sessions.find(&token, Some(31 * DAY_US)).is_some());
            assert!(sessions.find(&token, Some(92 * DAY_US)).is_none());
        }
    }

    #[test]
    fn the_least_used_makes_room() {
        let mut sessions = Sessions::default();
        let mut tokens: Vec<Token> = (0..SESSIONS_MAX)
            .map(|i| sessions.begin("owner", Some(i as i64), &mut OsRandom))
            .collect();
        let now_us = Some(SESSIONS_MAX as i64);
        tokens.push(sessions.begin("owner", now_us, &mut OsRandom));
        let live = tokens
            .iter()
            .map(|token| sessions.find(token, now_us).is_some());
        assert_eq!(
            live.collect::<Vec<_>>(),
            [vec![false], vec![true; SESSIONS_MAX]].concat()
        );
    }

    #[test]
    fn only_tokens_are_tokens() {
        let token = Token::random(&mut OsRandom);
        let text = token.to_text();
        assert_eq!(text.len(), 43);
        assert_eq!(Token::from_text(&text).unwrap().id(), token.id());
        for wrong in [
            "",
            "x",
            &text[1..],
            &format!("{}A", *text),
            "=".repeat(43).as_str(),
            "é",
        ] {
            assert!(Token::from_text(wrong).is_none(), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(redacted)");
    }
}
