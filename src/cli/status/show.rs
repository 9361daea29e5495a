//! How the box is, for people.

use super::super::foreseen;
use super::super::output::{Failure, line};
use super::super::span::rfc3339;
use super::{CameraStatus, DiskStatus, Status};
use crate::config::size_text;
use crate::web::footage::ScrubStatus;

pub(super) fn show(status: &Status) -> Result<(), Failure> {
    match status.pid {
        Some(pid) => line(format_args!("recorder     running (process {pid})"))?,
        None => line("recorder     not running; start it with `hearthkeep run`")?,
    }
    match (status.claimed, &status.claim_code_file) {
        (true, _) => line("owner        claimed")?,
        (false, Some(file)) => line(format_args!(
            "owner        none yet: open the page and type the claim code in {}",
            file.display()
        ))?,
        (false, None) => line(
            "owner        none yet: start `hearthkeep run` for a claim code, or use `hearthkeep init`",
        )?,
    }
    for address in &status.addresses {
        line(format_args!("page         {address}"))?;
    }
    let fingerprint = status.fingerprint.as_deref();
    line(format_args!(
        "fingerprint  {}",
        fingerprint.unwrap_or("made at the first run")
    ))?;
    status.cameras.iter().try_for_each(show_camera)?;
    status.disks.iter().try_for_each(show_disk)?;
    // Once more, and all of it: the rows above are for who looks, these for who must do something.
    let trouble = |trouble: &String| line(format_args!("trouble      {trouble}"));
    status.troubles.iter().try_for_each(trouble)
}

fn show_camera(camera: &CameraStatus) -> Result<(), Failure> {
    let newest = match (&camera.newest, camera.age_s) {
        (Some(newest), Some(age_s)) => format!("newest {newest} ({})", ago(age_s)),
        _ => "nothing recorded".to_owned(),
    };
    let since = match (&camera.since, camera.state) {
        (Some(since), "failed") => format!(", since {since}"),
        _ => String::new(),
    };
    let gap = camera.gap.as_ref().map_or(String::new(), |gap| {
        format!(", nothing is kept ({})", gap.cause)
    });
    line(format_args!(
        "camera       {:<16} {:<10} {:>10.1} MB  {newest}{since}{gap}",
        camera.camera,
        camera.state,
        camera.bytes as f64 / 1e6,
    ))?;
    below(foreseen::keeps(camera.kept_days, camera.bytes_per_day))
}

fn show_disk(disk: &DiskStatus) -> Result<(), Failure> {
    let free = disk.free_bytes.map_or("?".to_owned(), size_text);
    let wrong = disk.error.as_ref().or(disk.slow.as_ref());
    let wrong = wrong.map_or(String::new(), |wrong| format!(": {wrong}"));
    line(format_args!(
        "disk         {}  {} of footage, {free} free{wrong}",
        disk.path.display(),
        size_text(disk.footage_bytes),
    ))?;
    below(room(disk))?;
    below(disk.scrub.as_ref().map(scrub))
}

/// Says more about the row above.
fn below(more: Option<String>) -> Result<(), Failure> {
    more.map_or(Ok(()), |more| line(format_args!("             {more}")))
}

/// When it is full, and what of it is held. Of a recorder that does not run, nothing.
fn room(disk: &DiskStatus) -> Option<String> {
    disk.room_bytes?;
    let held = match disk.held_bytes {
        Some(held) if held > 0 => format!("; {} held", size_text(held)),
        _ => String::new(),
    };
    Some(format!("{}{held}", foreseen::full_in(disk.full_in_days)))
}

/// How far its footage was read again. What was found stands among the troubles.
fn scrub(scrub: &ScrubStatus) -> String {
    let found = match scrub.damaged {
        0 => "found whole".to_owned(),
        n => format!("{n} files found damaged or missing"),
    };
    let begun = rfc3339(scrub.begun_us);
    let last = match scrub.finished_us {
        Some(finished_us) => format!("; the last round ended {}", rfc3339(finished_us)),
        None => String::new(),
    };
    match (scrub.state.as_str(), scrub.finished_us) {
        ("resting", Some(finished_us)) => format!(
            "all footage from before {begun} read again and {found}, last finished {}",
            rfc3339(finished_us)
        ),
        ("waiting", _) => format!(
            "{}% of the footage read again since {begun} and {found}; recording needs the disk now{last}",
            scrub.percent
        ),
        _ => format!(
            "{}% of the footage read again since {begun} and {found}{last}",
            scrub.percent
        ),
    }
}

fn ago(age_s: f64) -> String {
    match age_s.max(0.0) {
        age_s if age_s < 120.0 => format!("{age_s:.0} s ago"),
        age_s if age_s < 7_200.0 => format!("{:.0} min ago", age_s / 60.0),
        age_s if age_s < 172_800.0 => format!("{:.0} h ago", age_s / 3_600.0),
        age_s => format!("{:.0} days ago", age_s / 86_400.0),
    }
}
