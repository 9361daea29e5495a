//! What is known of a gap while it lasts: since when nothing is kept, why, and where footage got stuck.

use hearthkeep_format::segment::GapCause;

/// A stream of which nothing is kept now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenGap {
    /// Why, as far as is known now; the segment that ends the gap says why it began.
    pub cause: GapCause,
    /// Wall time to which there is footage, us; `None` where there has never been any.
    pub since_us: Option<i64>,
    /// How long it has lasted, us.
    pub length_us: u64,
    /// What does not get on, where nothing else explains it.
    pub stuck: Option<Stuck>,
}

/// Where footage is stuck although its stream says that it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// The thread that reads all cameras does not get on.
    Ingest,
    /// What was handed to a disk does not become durable.
    Disk,
    /// Pictures come, and none of them reaches a segment.
    Sealing,
    /// Pictures come, and none of them is a key frame.
    KeyFrame,
}

impl Stuck {
    /// What the gap is called.
    pub const fn cause(self) -> GapCause {
        match self {
            Self::KeyFrame => GapCause::NoKeyFrame,
            Self::Ingest | Self::Disk | Self::Sealing => GapCause::Stuck,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Ingest => "The thread that reads the cameras has stopped getting on.",
            Self::Disk => "Nothing that was recorded reaches the disk: it hangs.",
            Self::Sealing => "The camera sends pictures, but none of them is recorded.",
            Self::KeyFrame => sentence(Some(GapCause::NoKeyFrame)),
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Ingest => {
                "The recorder ends by itself if this lasts, to be started again. Report what the log says."
            }
            Self::Disk => {
                "What waits is kept in memory for half a minute. Look at the disk's cable, its power and its health."
            }
            Self::Sealing => "It is connected anew by itself. Report what the log says.",
            Self::KeyFrame => {
                "Set a key frame interval (I-frame, GOP) of one or two seconds in the camera."
            }
        }
    }
}

impl OpenGap {
    /// What keeps footage from being kept, for people.
    pub const fn sentence(&self) -> &'static str {
        match self.stuck {
            Some(stuck) => stuck.sentence(),
            None => sentence(Some(self.cause)),
        }
    }

    /// What to do about it; `None` where the stream's own state says more, or nothing need be done.
    pub const fn advice(&self) -> Option<&'static str> {
        match (self.stuck, self.cause) {
            (Some(stuck), _) => Some(stuck.advice()),
            (None, GapCause::QueueFull) => {
                Some("It goes on by itself. Look at the disk's health, or use a faster one.")
            }
            (None, GapCause::DiskError) => {
                Some("It is tried again by itself. The view \"Box\" says what the disk says.")
            }
            (None, GapCause::NoKeyFrame) => Some(Stuck::KeyFrame.advice()),
            _ => None,
        }
    }
}

/// What is said of pictures that may be damaged.
pub const DAMAGED: &str =
    "Packets were lost on the way from the camera: pictures may be damaged here.";

/// What is said of pictures that a disk has lost.
pub const ROTTEN: &str = "What the disk has of this is damaged, as after a power cut or by its age: pictures are missing here.";

/// A gap's cause for people; of one that nothing explains, too.
pub const fn sentence(cause: Option<GapCause>) -> &'static str {
    match cause {
        None => "Nothing says why there is no footage here; it may have been deleted.",
        Some(GapCause::Start) => "Nothing was recorded before.",
        Some(GapCause::Shutdown) => "The recorder was switched off.",
        Some(GapCause::Crash) => "The recorder or its power failed.",
        Some(GapCause::CameraLost) => "The camera could not be reached.",
        Some(GapCause::CameraStalled) => "The camera was connected but sent no pictures.",
        Some(GapCause::QueueFull) => "The disk was too slow.",
        Some(GapCause::DiskError) => "The disk failed or was full.",
        Some(GapCause::Parameters) => "The camera changed its video settings.",
        Some(GapCause::NoKeyFrame) => "The camera sent no whole picture to begin with.",
        Some(GapCause::Timestamps) => "The camera's clock jumped.",
        Some(GapCause::CameraData) => "The camera sent what cannot be recorded.",
        Some(GapCause::Stuck) => "The recorder was stuck, and began anew by itself.",
    }
}
