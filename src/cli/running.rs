//! Asking the recorder that runs, and what it says that its catalog has.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::cli::socket::{self, Answer, Request};
use crate::limits::LOCK_MS_MAX;
use crate::store::check::{Catalogued, Page, PageFrom};
use crate::store::lock;

/// A lock that somebody has, and a recorder that does not answer yet, are tried again after this.
pub(super) const LOCK_AGAIN: Duration = Duration::from_millis(50);

/// Asks the recorder of this state folder, and waits for one that is just starting. `None` where nobody answers: no process has the store's lock, or
/// another command has it for long. The error is a sentence.
pub(super) fn ask<T: DeserializeOwned>(
    state_dir: &Path,
    request: &Request,
) -> Result<Option<T>, String> {
    let begun = Instant::now();
    loop {
        let is_late = begun.elapsed() >= Duration::from_millis(LOCK_MS_MAX);
        match socket::ask(state_dir, request).map_err(|error| unasked(&error))? {
            Some(Answer::Done(done)) => return Ok(Some(done)),
            Some(Answer::Refused(sentence)) => return Err(sentence),
            Some(Answer::NotYet(sentence)) if is_late => return Err(sentence),
            None if is_late || !matches!(lock::holder(state_dir), Ok(Some(_))) => return Ok(None),
            Some(Answer::NotYet(_)) | None => std::thread::sleep(LOCK_AGAIN),
        }
    }
}

/// The catalog of the recorder of this state folder, from its first segment on.
pub(super) fn segments(state_dir: &Path) -> impl Iterator<Item = Result<Catalogued, String>> {
    let mut next = Some(None);
    let pages = std::iter::from_fn(move || {
        let from: Option<PageFrom> = next.take()?;
        let page = page(state_dir, from);
        if let Ok((_, following)) = &page {
            next = following.clone().map(Some);
        }
        Some(page)
    });
    pages.flat_map(|page| match page {
        Ok((segments, _)) => segments.into_iter().map(Ok).collect::<Vec<_>>(),
        Err(why) => vec![Err(why)],
    })
}

/// Whether it still has a segment as it had it before: what is deleted or moved meanwhile is no finding.
pub(super) fn still_has(state_dir: &Path, before: &Catalogued) -> Result<bool, String> {
    let from = PageFrom::segment(&before.entry);
    let (now, _) = page(state_dir, Some(from))?;
    let is_it = |now: &Catalogued| now.entry == before.entry && now.disk == before.disk;
    Ok(now.iter().any(is_it))
}

/// That a recorder runs and cannot be asked, and what to do.
pub(super) fn unasked(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "type it with `sudo`",
        _ => {
            "it may be busy or just starting, so try again in a moment; where that does not help, its log says what it does, and it can \
             be started again without harm"
        }
    };
    format!("the running recorder cannot be asked ({error}): {advice}")
}

fn page(
    state_dir: &Path,
    from: Option<PageFrom>,
) -> Result<(Vec<Catalogued>, Option<PageFrom>), String> {
    let page = ask::<Page>(state_dir, &Request::Catalog { from })?;
    let page = page.ok_or("the process that holds this store does not say what it has: it is just starting, or is another command")?;
    let segments = page.segments();
    let segments = segments.ok_or("what the running recorder says makes no sense: it is of another version, so start it again")?;
    Ok((segments, page.next().cloned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::lock;

    #[test]
    fn a_recorder_that_is_just_starting_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ask::<u32>(folder.path(), &Request::Disks), Ok(None));
        let _lock = lock::acquire(folder.path()).unwrap();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| ask::<u32>(folder.path(), &Request::Disks));
            let mut asked_before = 0;
            let handle = move |_| {
                asked_before += 1;
                match asked_before {
                    ..=3 => Answer::NotYet("it is just starting".to_owned()),
                    _ => Answer::Done(asked_before.into()),
                }
            };
            let _answering = socket::answer(folder.path(), handle).unwrap();
            assert_eq!(asked.join().unwrap(), Ok(Some(4)));
        });
    }

    #[test]
    fn what_is_refused_is_not_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let handle = move |_| {
            tell.send(()).unwrap();
            Answer::Refused("no".to_owned())
        };
        let _answering = socket::answer(folder.path(), handle).unwrap();
        let refused = ask::<u32>(folder.path(), &Request::Disks);
        assert_eq!(refused, Err("no".to_owned()));
        assert_eq!(told.try_iter().count(), 1);
    }
}
