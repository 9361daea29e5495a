//! Records: what a log tells (`docs/format.md`, 9.1).

mod layout;

use crate::segment::GapCause;
use crate::{
    BootId, DiskId, EpochId, HoldId, Kind, Result, SegmentId, StoreId, StreamId, VerifyingKey,
};

/// Length of a text in a record at most, in bytes of UTF-8.
pub const TEXT_LEN_MAX: usize = 1024;
/// The end of a gap or a hold that has none yet.
pub const OPEN_END_US: i64 = i64::MAX;
/// Segments that a record of deletion names at most.
pub(super) const DELETED_MAX: usize = 1024;
/// Streams that a hold names at most.
pub const HOLD_STREAMS_MAX: usize = 2048;

/// A record, and when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// Wall time, in microseconds since 1970.
    pub wall_us: i64,
    /// Whether the box trusted its clock then.
    pub clock_trusted: bool,
    /// What happened.
    pub record: Record,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The log begins: always and only its first entry.
    Begun {
        /// The store.
        store: StoreId,
        /// The key that signs the log.
        key: VerifyingKey,
        /// Why there is a new log.
        cause: BeginCause,
        /// The last checkpoint of the log before it, a signed note; empty where there was none.
        previous: String,
    },
    /// The recorder started.
    Started {
        /// The boot of the machine.
        boot: BootId,
        /// Time since that boot, in microseconds.
        monotonic_us: u64,
        /// Whether the recorder before it had died.
        after_crash: bool,
        /// The program's version.
        version: String,
    },
    /// An epoch began.
    EpochOpened {
        /// Its stream.
        stream: StreamId,
        /// What it holds.
        kind: Kind,
        /// The epoch.
        epoch: EpochId,
        /// The generation that it is sealed to.
        generation: u32,
    },
    /// A segment is whole and durable.
    SegmentClosed(SegmentClosed),
    /// Segments are about to be deleted.
    Deleted(Deleted),
    /// Nothing was recorded for some time.
    Gap {
        /// The stream.
        stream: StreamId,
        /// Why.
        cause: GapCause,
        /// Wall time from which on nothing is there, in microseconds.
        from_us: i64,
        /// Wall time at which there is something again; [`OPEN_END_US`] while that is not known. A later record of the same stream and
        /// beginning takes the place of this one.
        to_us: i64,
    },
    /// Footage is not to be deleted.
    Hold(Hold),
    /// A hold has ended.
    Unhold {
        /// The hold.
        id: HoldId,
        /// Why, in a person's words.
        reason: String,
        /// Who ended it.
        who: String,
    },
    /// What the wall clock said at a moment of monotonic time, when it was trusted.
    ClockAnchor {
        /// The boot that the monotonic time counts from.
        boot: BootId,
        /// Monotonic time, in microseconds.
        monotonic_us: u64,
        /// Wall time, in microseconds since 1970.
        wall_us: i64,
        /// What made it worth telling.
        cause: AnchorCause,
    },
    /// Something about people, devices, passphrases, the claim or the disks changed.
    Audit {
        /// What.
        kind: AuditKind,
        /// Who did it.
        who: String,
        /// More about it.
        detail: String,
    },
    /// A record of a type that this program does not know.
    Unknown {
        /// Its type.
        kind: u8,
    },
}

/// A segment that is whole and durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentClosed {
    /// Its stream.
    pub stream: StreamId,
    /// Its epoch.
    pub epoch: EpochId,
    /// The segment.
    pub segment: SegmentId,
    /// The disk that it lies on. A later record of the same segment says where it lies from then on.
    pub disk: DiskId,
    /// What it holds.
    pub kind: Kind,
    /// The Merkle tree hash in its end block.
    pub root: [u8; 32],
    /// One higher in each segment of the stream.
    pub sequence: u64,
    /// Wall time of its first sample, in microseconds, as its start block says.
    pub start_us: i64,
    /// Media duration, in microseconds.
    pub duration_us: u64,
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// Whether it was torn and got its tail at a later start.
    pub recovered: bool,
    /// Whether the box trusted its clock when the segment began.
    pub clock_trusted: bool,
}

/// Segments of a stream that are about to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Their stream.
    pub stream: StreamId,
    /// Why.
    pub cause: DeletionCause,
    /// The segments, at least one.
    pub segments: Vec<DeletedSegment>,
}

/// A segment that is about to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletedSegment {
    /// The segment.
    pub segment: SegmentId,
    /// Its sequence.
    pub sequence: u64,
}

/// Footage that is not to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The hold.
    pub id: HoldId,
    /// Its streams; none means all.
    pub streams: Vec<StreamId>,
    /// Wall time from which on footage is held, in microseconds.
    pub from_us: i64,
    /// Until when; [`OPEN_END_US`] where it has no end.
    pub to_us: i64,
    /// Wall time at which the hold itself ends; [`OPEN_END_US`] where somebody has to end it.
    pub until_us: i64,
    /// Why, in a person's words.
    pub reason: String,
    /// Who wants it.
    pub who: String,
}

macro_rules! causes {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$each])* $variant = $number,)* }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The byte that stands for it.
            pub const fn as_u8(self) -> u8 {
                self as u8
            }

            /// What a byte stands for, if anything.
            pub const fn from_u8(byte: u8) -> Option<Self> {
                match byte { $($number => Some(Self::$variant),)* _ => None }
            }

            /// Its name in documents, messages and interfaces.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

causes! {
    /// Why there is a new log.
    BeginCause {
        /// The store is new, or had no log.
        First = 1 "first",
        /// The state folder was lost, or came back from a backup: the key before is gone, or may have signed more than is known.
        StateRestored = 2 "state-restored",
        /// The disks did not have all that was published.
        RolledBack = 3 "rolled-back",
    }
}

causes! {
    /// Why segments are deleted.
    DeletionCause {
        /// Older than their camera keeps.
        Age = 1 "age",
        /// Beyond their camera's bytes.
        CameraBytes = 2 "camera-bytes",
        /// Beyond their disk's bytes.
        DiskBytes = 3 "disk-bytes",
        /// To keep the disk's reserve free.
        FreeSpace = 4 "free-space",
        /// A deletion that a crash had interrupted.
        Begun = 5 "begun",
        /// A person said so.
        ByHand = 6 "by-hand",
        /// Damaged beyond repair, and put aside.
        SetAside = 7 "set-aside",
    }
}

causes! {
    /// What makes a clock's reading worth telling.
    AnchorCause {
        /// The clock became trusted.
        Trusted = 1 "trusted",
        /// It jumped.
        Jump = 2 "jump",
        /// Neither: it drifts.
        Drift = 3 "drift",
    }
}

causes! {
    /// What changed.
    AuditKind {
        /// The box got its owner.
        Claimed = 1 "claimed",
        /// Somebody may sign in from now on.
        PersonAdded = 2 "person-added",
        /// Somebody may not any more.
        PersonRemoved = 3 "person-removed",
        /// A device may sign in from now on.
        DeviceAdded = 4 "device-added",
        /// A device may not any more.
        DeviceRemoved = 5 "device-removed",
        /// A passphrase was set.
        Passphrase = 6 "passphrase",
        /// A disk belongs to the store from now on.
        DiskAdded = 7 "disk-added",
        /// A disk does not any more.
        DiskRemoved = 8 "disk-removed",
        /// Footage went out as a file.
        Exported = 9 "exported",
    }
}

impl Stamped {
    /// Appends it to `out`.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) where a text or a list is too long.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        layout::encode(self, out)
    }

    /// Reads what [`Stamped::encode`] writes.
    ///
    /// # Errors
    /// [`Error::Truncated`](crate::Error::Truncated), [`Error::Limit`](crate::Error::Limit) or
    /// [`Error::Malformed`](crate::Error::Malformed).
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        layout::decode(bytes)
    }
}
