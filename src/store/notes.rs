//! What the keeper of the catalog is told by others.

use std::sync::{Arc, mpsc};

use super::outage::Waiting;
use super::turns::Bell;
use super::writer::Event;
use crate::clock::Clock;

/// What the keeper is told.
pub(super) enum Note {
    /// Something happened to a segment.
    Event(Event),
    /// What is to be done with a disk has changed: look at them at once.
    Disks,
    /// Forget all segments of the disk with this number: it is used no more.
    Forget(u16),
    /// End, when all that was told before is done.
    Stop,
}

/// By which the keeper is told.
#[derive(Clone)]
pub(super) struct Notes {
    notes: mpsc::Sender<Note>,
    bell: Arc<Bell>,
    waiting: Arc<Waiting>,
    clock: Arc<dyn Clock>,
}

/// The other end of them.
pub(super) struct Inbox {
    pub notes: mpsc::Receiver<Note>,
    pub bell: Arc<Bell>,
}

impl Notes {
    pub(super) fn new(waiting: Arc<Waiting>, clock: Arc<dyn Clock>) -> (Self, Inbox) {
        let bell = Arc::<Bell>::default();
        let (sender, receiver) = mpsc::channel();
        let inbox = Inbox {
            notes: receiver,
            bell: Arc::clone(&bell),
        };
        let notes = Self {
            notes: sender,
            bell,
            waiting,
            clock,
        };
        (notes, inbox)
    }

    /// Tells what happened to a segment. The keeper ends after the writers: that nobody listens is no failure.
    pub(super) fn tell(&self, event: Event) {
        // That an open segment grew is nothing to wake for.
        if !matches!(event, Event::Durable(_)) {
            self.waiting.begins(self.clock.monotonic_us());
            self.note(Note::Event(event));
        }
    }

    /// Tells that what is to be done with the disks has changed.
    pub(super) fn look_at_disks(&self) {
        self.note(Note::Disks);
    }

    /// Tells that a disk is used no more, and its footage given up.
    pub(super) fn forget(&self, number: u16) {
        self.note(Note::Forget(number));
    }

    /// False where nobody hears it any more.
    pub(super) fn note(&self, note: Note) -> bool {
        let is_heard = self.notes.send(note).is_ok();
        self.bell.ring();
        is_heard
    }
}
