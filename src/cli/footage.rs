//! The footage of one camera that a command was asked for, and what opens it.

use std::ops::Range;
use std::sync::Arc;

use hearthkeep_format::OpenKeyring;

use super::local::{Local, OnDisk, PlaceArguments};
use super::opening::OpeningArguments;
use super::output::{ExitStatus, Failure};
use super::remote::BoxArguments;
use super::span::SpanArguments;
use crate::archive::{self, Export, Loss, Segment, Skipped};
use crate::store::browse::{Listed, Oddity};

/// Which footage, and how it is opened.
#[derive(Debug, Clone, clap::Args)]
pub struct FootageArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    remote: BoxArguments,
    #[command(flatten)]
    opening: OpeningArguments,
    /// The account whose passphrase it is
    #[arg(long, value_name = "NAME", default_value = "owner")]
    name: String,
    /// The camera
    #[arg(long, value_name = "NAME")]
    camera: String,
    #[command(flatten)]
    span: SpanArguments,
}

impl FootageArguments {
    /// Finds the segments that may lie in the span, and hands them over with what opens them. Returns also what the signed log and
    /// disks that are not here come to.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Export<'_>) -> Result<T, archive::Error>,
    ) -> Result<(T, ExitStatus), Failure> {
        let span = self.span.micros();
        let signed_in = self
            .remote
            .sign_in(&self.name, || self.opening.passphrase())?;
        if let Some(remote) = signed_in {
            let stream = remote.stream(&self.camera)?;
            let keyring = Arc::new(remote.keyring()?);
            let log = remote.witness()?;
            let (segments, away) = remote.segments(stream, &span)?;
            let done = hand_over(&segments, &[], &keyring, span, work)?;
            return Ok((done, log.or(away)));
        }
        let local = Local::open(&self.place, &self.opening)?;
        let stream = local.stream(&self.camera)?;
        let keyring = local.keyring(&self.opening, &self.name)?;
        let away = local.tell_away()?;
        let log = local.witness(&local.logs());
        let listing = local.listing(Some(&stream.id))?;
        let inside = listing
            .segments
            .iter()
            .filter(|listed| is_in(listed, &span));
        let mut segments: Vec<_> = inside
            .map(|listed| OnDisk {
                disks: &local.disks,
                listed,
            })
            .collect();
        // Disks that were copied to each other show a segment twice.
        segments.dedup_by_key(|segment| segment.id());
        let lost = listing.oddities.iter().filter(|oddity| oddity.is_loss());
        let unusable: Vec<_> = lost.map(unusable).collect();
        let done = hand_over(&segments, &unusable, &keyring, span, work)?;
        Ok((done, log.or(away)))
    }
}

fn hand_over<T, S: Segment>(
    segments: &[S],
    unusable: &[Skipped],
    keyring: &Arc<OpenKeyring>,
    span: Range<i64>,
    work: impl FnOnce(&Export<'_>) -> Result<T, archive::Error>,
) -> Result<T, Failure> {
    let segments: Vec<_> = segments.iter().map(|one| one as &dyn Segment).collect();
    let export = Export {
        segments: &segments,
        keyring,
        span,
        unusable,
    };
    work(&export).map_err(failure)
}

fn unusable(oddity: &Oddity) -> Skipped {
    Skipped {
        segment: oddity.segment,
        span: None,
        loss: Loss::Damaged(format!("cannot be used: {}", oddity.why)),
    }
}

/// Says what was left out, and what that means for the exit status: that retention made room is no fault.
pub(super) fn tell_skipped(skipped: &[Skipped]) -> ExitStatus {
    for skipped in skipped {
        eprintln!("left out: {skipped}");
    }
    match skipped.iter().any(Skipped::is_damaged) {
        true => ExitStatus::Damaged,
        false => ExitStatus::Done,
    }
}

pub(super) fn is_in(listed: &Listed, span: &Range<i64>) -> bool {
    let footage = listed.span();
    footage.start < span.end && footage.end > span.start
}

fn failure(error: archive::Error) -> Failure {
    let status = match &error {
        archive::Error::Nothing => ExitStatus::Nothing,
        archive::Error::NotAllowed { .. } => ExitStatus::Refused,
        archive::Error::AllDamaged(_) => ExitStatus::Damaged,
        archive::Error::LostOnTheWay {
            loss: Loss::Damaged(_),
            ..
        } => ExitStatus::Damaged,
        _ => ExitStatus::Failed,
    };
    Failure::new(status, error)
}
