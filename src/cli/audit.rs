//! What commands that no recorder is asked for tell the signed log, and who typed them.

use hearthkeep_format::log::AuditKind;

use crate::clock::SystemClock;
use crate::keys::StateFolder;
use crate::random::OsRandom;
use crate::store::log::{WaitingAudits, audit};

/// Has the log say what was done here, once it is open again. That it cannot is said, and keeps nothing from being done.
pub(super) fn tell(state: &StateFolder, kind: AuditKind, detail: &str) {
    let mut waiting = WaitingAudits::new(state.folder(), state.state_key());
    let record = audit(kind, &who(), detail);
    if let Err(error) = waiting.add(record, &SystemClock::new(), &mut OsRandom) {
        let folder = state.folder().display();
        eprintln!(
            "hearthkeep: it is done, but the signed log will not say so, since {folder} cannot be written: {error}"
        );
    }
}

/// Whom the log names: who typed the command, as far as the shell says. Whoever may ask the recorder may read its state folder.
pub(super) fn who() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let user = user.map(|user| user.chars().take(64).collect::<String>());
    user.map_or_else(
        || "the command line".to_owned(),
        |user| format!("{user}, on the command line"),
    )
}
