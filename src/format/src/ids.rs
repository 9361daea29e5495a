//! Identifiers: 16 random bytes each, written in hex. They are the only names that stand in the clear.

use crate::Random;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The identifier with these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// A new one.
            pub fn random(random: &mut dyn Random) -> Self {
                let mut bytes = [0; 16];
                random.fill(&mut bytes);
                Self(bytes)
            }

            /// Reads 32 hex digits, upper or lower case; `None` for anything else.
            pub fn from_hex(text: &str) -> Option<Self> {
                hex_16(text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

id!(
    /// A store: all disks, keys and footage of one box.
    StoreId
);
id!(
    /// A disk of a store.
    DiskId
);
id!(
    /// A stream: a camera's main or sub feed.
    StreamId
);
id!(
    /// An epoch of one stream and kind.
    EpochId
);
id!(
    /// A segment: the first 16 bytes of its header's salt.
    SegmentId
);
id!(
    /// A run: unbroken samples from one RTSP session.
    RunId
);
id!(
    /// A signed log: what follows from the key that signs it.
    LogId
);
id!(
    /// A hold: footage that retention must not delete.
    HoldId
);
id!(
    /// A boot of the machine, as the kernel names it.
    BootId
);

fn hex_16(text: &str) -> Option<[u8; 16]> {
    let digits = text.as_bytes();
    if digits.len() != 32 {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_back() {
        let id = StoreId::from_bytes(std::array::from_fn(|i| (i * 17) as u8));
        assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
        assert_eq!(StoreId::from_hex(&id.to_string()), Some(id));
        assert_eq!(StoreId::from_hex(&id.to_string().to_uppercase()), Some(id));
        assert_eq!(StoreId::from_hex("0011"), None);
        assert_eq!(StoreId::from_hex("zz112233445566778899aabbccddeeff"), None);
        assert_eq!(StoreId::from_hex("+0112233445566778899aabbccddeeff"), None);
    }
}
