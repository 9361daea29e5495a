//! Bytes as base64 text in the file of accounts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let bytes = STANDARD
        .decode(String::deserialize(deserializer)?)
        .map_err(D::Error::custom)?;
    T::try_from(bytes).map_err(|_| D::Error::custom("the wrong number of bytes"))
}
