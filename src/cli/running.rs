//! What a running recorder says that its catalog has.

use std::io;
use std::path::Path;

use crate::cli::socket::{self, Request};
use crate::store::check::{Catalogued, Page, PageFrom};

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
    let answer = socket::ask::<Page>(state_dir, &Request::Catalog { from });
    let answer = answer.map_err(|error| unasked(&error))?;
    let page = answer.unwrap_or_else(|| {
        let sentence = "the process that holds this store does not say what it has: it is just starting, or is another command";
        Err(sentence.to_owned())
    })?;
    let segments = page.segments();
    let segments = segments.ok_or("what the running recorder says makes no sense: it is of another version, so start it again")?;
    Ok((segments, page.next().cloned()))
}
