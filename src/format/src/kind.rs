//! What a segment holds.

use crate::{Error, Result};

/// What a segment, and the epoch it belongs to, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Video and sound.
    Media = 1,
    /// Events.
    Events = 2,
    /// Preview pictures.
    Previews = 3,
}

impl Kind {
    /// The byte that stands for it in headers and key derivation.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The kind that this byte stands for.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a byte that stands for none.
    pub const fn from_u8(byte: u8) -> Result<Self> {
        match byte {
            1 => Ok(Self::Media),
            2 => Ok(Self::Events),
            3 => Ok(Self::Previews),
            _ => Err(Error::Malformed {
                what: "kind",
                offset: 0,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_back() {
        for kind in [Kind::Media, Kind::Events, Kind::Previews] {
            assert_eq!(Kind::from_u8(kind.as_u8()), Ok(kind));
        }
        assert!(Kind::from_u8(0).is_err());
        assert!(Kind::from_u8(4).is_err());
    }
}
