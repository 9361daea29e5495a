//! The disks, for people.

use std::path::Path;

use super::super::foreseen;
use super::super::output::{Failure, line};
use super::super::span::rfc3339;
use super::{DiskStatus, Retired};
use crate::config::size_text;

pub(super) fn disk(disk: &DiskStatus) -> Result<(), Failure> {
    let size = disk.size_bytes.map_or("?".to_owned(), size_text);
    let free = disk.free_bytes.map_or("?".to_owned(), size_text);
    let oldest = disk.oldest_us.map_or("none".to_owned(), rfc3339);
    line(format_args!(
        "{}\n  {:<9} {:<5} {} of footage, {free} of {size} free; oldest {oldest}",
        disk.path,
        disk.state,
        disk.tier,
        size_text(disk.used_bytes),
    ))?;
    if let Some(id) = &disk.id {
        line(format_args!("  id        {id}"))?;
    }
    if let Some(drain) = &disk.drain {
        line(format_args!(
            "  emptied   {} moved since the recorder's start, {} left{}",
            size_text(drain.moved_bytes),
            size_text(drain.left_bytes),
            if drain.let_go {
                "; the oldest may go"
            } else {
                ""
            },
        ))?;
    }
    line(format_args!("  room      {}", room(disk)))?;
    let troubles = [&disk.trouble, &disk.error, &disk.slow];
    let trouble = |trouble: &String| line(format_args!("  trouble   {trouble}"));
    troubles.into_iter().flatten().try_for_each(trouble)
}

/// What footage may take of it, what of it is held, and when it is full.
fn room(disk: &DiskStatus) -> String {
    let Some(room_bytes) = disk.room_bytes else {
        return "not known".to_owned();
    };
    let held = disk.held_bytes.map_or("?".to_owned(), size_text);
    let full = foreseen::full_in(disk.full_in_days);
    format!(
        "{} for footage, {held} of it held; {full}",
        size_text(room_bytes)
    )
}

pub(super) fn retired(path: &Path, retired: &Retired) -> Result<(), Failure> {
    let path = path.display();
    match (retired.segments, retired.oldest_us) {
        (0, _) => line(format_args!(
            "{path} is retired, and out of the configuration. No footage went with it."
        ))?,
        (segments, oldest_us) => line(format_args!(
            "{path} is retired, and out of the configuration. With it went {segments} segments, {} of footage{}{}.",
            size_text(retired.bytes),
            oldest_us.map_or(String::new(), |us| format!(
                ", the oldest of {}",
                rfc3339(us)
            )),
            match retired.held_bytes {
                Some(0) => String::new(),
                None =>
                    "; how much of it was held is not known, since no disk is there that says so"
                        .to_owned(),
                Some(held) => format!(
                    "; {} of it were held, since somebody wanted to keep them",
                    size_text(held)
                ),
            },
        ))?,
    }
    if let Some(why) = &retired.unmarked {
        eprintln!("hearthkeep: the disk itself does not say that it was retired: {why}");
    }
    Ok(())
}
