//! The list of streams: which random id on the disks is which camera. It lies sealed in the keyring.

use hearthkeep_format::{Random, StreamId};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::limits::STREAMS_MAX;

/// What a stream is called: a camera's main or sub feed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    /// The camera's name in the configuration.
    pub camera: String,
    /// "main" or "sub".
    pub feed: String,
}

impl StreamName {
    /// The main feed of a camera.
    pub fn main(camera: &str) -> Self {
        Self {
            camera: camera.to_owned(),
            feed: "main".to_owned(),
        }
    }
}

/// A stream of the store, also one whose camera is no longer configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownStream {
    /// Its folder on the disks.
    pub id: StreamId,
    /// Its name.
    pub name: StreamName,
}

#[derive(Serialize, Deserialize)]
struct Written {
    id: String,
    camera: String,
    feed: String,
}

/// Reads the list as it stands in the keyring; `Err` says what makes no sense.
pub fn decode_streams(json: &str) -> Result<Vec<KnownStream>, String> {
    let written: Vec<Written> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let read = |Written { id, camera, feed }| {
        let id = StreamId::from_hex(&id).ok_or("a stream's id is not an id")?;
        Ok(KnownStream {
            id,
            name: StreamName { camera, feed },
        })
    };
    written.into_iter().map(read).collect()
}

pub(super) fn encode_streams(streams: &[KnownStream]) -> String {
    let written = |stream: &KnownStream| Written {
        id: stream.id.to_string(),
        camera: stream.name.camera.clone(),
        feed: stream.name.feed.clone(),
    };
    let written: Vec<Written> = streams.iter().map(written).collect();
    serde_json::to_string(&written).expect("plain values become JSON")
}

/// Adds those of `others` whose ids are not there yet.
pub(super) fn join(streams: &mut Vec<KnownStream>, others: &[KnownStream]) -> Result<(), Error> {
    for other in others {
        if streams.iter().all(|known| known.id != other.id) {
            if streams.len() == STREAMS_MAX {
                return Err(Error::TooManyStreams { limit: STREAMS_MAX });
            }
            streams.push(other.clone());
        }
    }
    Ok(())
}

/// Adds those of `wanted` that have no id yet; says whether there were any.
pub(super) fn allocate(
    streams: &mut Vec<KnownStream>,
    wanted: &[StreamName],
    random: &mut dyn Random,
) -> Result<bool, Error> {
    let before = streams.len();
    for name in wanted {
        if streams.iter().any(|known| known.name == *name) {
            continue;
        }
        if streams.len() == STREAMS_MAX {
            return Err(Error::TooManyStreams { limit: STREAMS_MAX });
        }
        streams.push(KnownStream {
            id: StreamId::random(random),
            name: name.clone(),
        });
    }
    Ok(streams.len() > before)
}
