//! `hearthkeep run`

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::ConfigArgument;
use super::local::{load_config, state_failure};
use super::output::{ExitStatus, Failure, OrFail, log_to_stderr};
use super::owner;
use super::socket::{self, Answer, Answering, Request};
use super::span::rfc3339;
use super::status::report::{Page, Report};
use super::store;
use super::{disk, hold};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config};
use crate::keys::{KnownStream, StateFolder, StreamName};
use crate::lan::{Announcement, Announcing};
use crate::limits::CLOSE_MS_MAX;
use crate::people::People;
use crate::pool::{self, Desk, Pool};
use crate::random::OsRandom;
use crate::record::{Recorder, Setting, Source, Waiting};
use crate::store::Store;
use crate::store::lock::Lock;
use crate::web::footage::Footage as _;
use crate::web::metrics::text_of;
use crate::web::tls::names::mdns_name;
use crate::web::tls::{OwnCertificate, Tls, TlsSettings};
use crate::web::{self, Parts, RecorderFootage, Recording};

/// How often a disk is looked for while there is none to record on.
const DISK_RETRY: Duration = Duration::from_secs(2);
/// How often it is looked whether all that records is alive.
const ROLL_CALL: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn main(arguments: RunArguments) -> Result<ExitStatus, Failure> {
    log_to_stderr();
    super::memory::give_back();
    let config = load_config(&arguments.config.config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    nested(&config).for_each(|told| tracing::warn!("{told}"));
    let lock = store::lock_patiently(&config)?;
    owner::stay().or_fail(ExitStatus::Refused)?;
    let state =
        StateFolder::open_or_create(&config.state_dir, &mut OsRandom).map_err(state_failure)?;
    let state = Arc::new(Mutex::new(state));
    let pool = Arc::new(Pool::new(Arc::clone(&state)));
    let desk = Desk::new(Arc::clone(&pool), arguments.config.config);
    let footage = Arc::new(RecorderFootage::new(Arc::clone(&state), Arc::clone(&clock)));
    let ended = end_on_signal(Arc::clone(&footage))?;
    let page = Arc::new(Page::new());
    let _answering = answer_commands(&config.state_dir, &footage, &page, &pool);
    let server = match serve(&config, &state, &footage, &clock, (&page, desk)) {
        Ok(server) => Some(server),
        // A port that is taken is no reason to lose a night; without an owner there would be nothing left to do.
        Err(failure) if is_claimed(&state) => {
            tracing::error!("recording goes on without the page: {}", failure.sentence);
            let _ = page.set(Err(failure.sentence));
            None
        }
        Err(failure) => return Err(failure),
    };
    if !is_claimed(&state) {
        pool.wait_for_claim();
    }
    let has_owner = wait_for_owner(&state, &footage, &ended);
    if has_owner {
        pool.make_first_disks(&config);
    }
    let running = match has_owner {
        true => record(&config, (&state, &pool), clock, lock, &footage, &ended)?,
        false => None,
    };
    let casualty = until_over(&ended, || {
        let (recorder, store) = running.as_ref()?;
        store.casualty().or_else(|| recorder.casualty())
    });
    tracing::info!("ending: what has been taken is made durable");
    if let Some((recorder, store)) = running {
        let close = move || {
            recorder.stop();
            store.close();
        };
        if casualty.is_none() {
            close();
        } else if !ends_within(CLOSE_MS_MAX, close) {
            // Who starts it again waits for its end, and a disk that hangs may never let go.
            let seconds = CLOSE_MS_MAX / 1_000;
            tracing::error!(
                "a disk does not take what is queued for it within {seconds} s: that is lost"
            );
        }
    }
    if let Some((server, announcing)) = server {
        // What is announced holds until here.
        announcing.into_iter().for_each(Announcing::stop);
        server.stop();
    }
    match casualty {
        None => Ok(ExitStatus::Done),
        Some(what) => Err(Failure::new(
            ExitStatus::Failed,
            format_args!(
                "{what} has failed inside, so recording was ended: start it again, and report what the log says before this"
            ),
        )),
    }
}

/// Blocks until the program is to end: because it was told to, or because of what this returns. Whoever starts it again
/// then records more than it would by going on.
fn until_over(ended: &End, casualty: impl Fn() -> Option<String>) -> Option<String> {
    loop {
        if let Some(what) = casualty() {
            return Some(what);
        }
        if ended.wait_at_most(ROLL_CALL) {
            return None;
        }
    }
}

/// Does something on a thread of its own; whether it came to an end within so many ms.
fn ends_within(longest_ms: u64, act: impl FnOnce() + Send + 'static) -> bool {
    let (tell, told) = mpsc::channel();
    let act = move || {
        act();
        // Nobody listens any more where it took too long.
        let _ = tell.send(());
    };
    let thread = std::thread::Builder::new().name("close".to_owned());
    match thread.spawn(act) {
        Ok(_) => told.recv_timeout(Duration::from_millis(longest_ms)).is_ok(),
        Err(error) => {
            tracing::error!("no thread can be had: {error}");
            false
        }
    }
}

/// Tells `hearthkeep status` how this is, and does what `disk` and `hold` ask for. That it cannot is no reason not to record.
fn answer_commands(
    state_dir: &Path,
    footage: &Arc<RecorderFootage>,
    page: &Arc<Page>,
    pool: &Arc<Pool>,
) -> Option<Answering> {
    let (footage, page, pool) = (Arc::clone(footage), Arc::clone(page), Arc::clone(pool));
    let handle = move |request| {
        // Asked before it is tried: meanwhile the start may come to its end.
        let has_begun = footage.has_begun();
        let done = match request {
            Request::Status => {
                serde_json::to_value(Report::of(&footage, &page)).map_err(|error| error.to_string())
            }
            request @ (Request::Holds { .. }
            | Request::AddHold { .. }
            | Request::EndHold { .. }) => hold::answer(&*footage, request),
            Request::Metrics => Ok(text_of(&footage.measures()).into()),
            request => disk::answer(&pool, request),
        };
        match done {
            Ok(done) => Answer::Done(done),
            Err(sentence) if !has_begun && footage.is_not_held_up() => Answer::NotYet(sentence),
            Err(sentence) => Answer::Refused(sentence),
        }
    };
    socket::answer(state_dir, handle)
        .map_err(|error| {
            tracing::warn!(
                "`hearthkeep status`, `disk` and `hold` will not reach the recorder: {error}"
            );
        })
        .ok()
}

/// Serves the page and the API, also before the box has an owner: it is claimed there.
fn serve(
    config: &Config,
    state: &Arc<Mutex<StateFolder>>,
    footage: &Arc<RecorderFootage>,
    clock: &Arc<dyn Clock>,
    (page, disks): (&Page, Desk),
) -> Result<(web::Running, Option<Announcing>), Failure> {
    let tls = Tls::open(&config.state_dir, tls_settings(config), Arc::clone(clock))
        .or_fail(ExitStatus::Failed)?;
    let tls = Arc::new(tls);
    let people = {
        let state = locked(state);
        People::open(
            state.folder(),
            state.state_key(),
            state.server_key(),
            Arc::clone(clock),
        )
        .or_fail(ExitStatus::Failed)?
    };
    let server = web::start(Parts {
        listen: config.server.listen,
        keys: Arc::clone(state),
        people: Arc::new(people),
        tls: Arc::clone(&tls),
        footage: Arc::clone(footage) as Arc<dyn web::footage::Footage>,
        disks: Some(disks),
        clock: Arc::clone(clock),
    })
    .or_fail(ExitStatus::Failed)?;
    let (address, fingerprint) = (server.address(), tls.fingerprint());
    tracing::info!(%address, "serving https; the certificate's SHA-256 fingerprint is {fingerprint}");
    let addresses = tls.names().addresses_of(address);
    tracing::info!("open the page at {}", addresses.join(" or "));
    let _ = page.set(Ok((address, Arc::clone(&tls))));
    let announcing = announce(config, address, tls);
    Ok((server, announcing))
}

/// Tells the local network where the page is, if it is to know. That it cannot be told is no reason for anything to end.
fn announce(config: &Config, listen: SocketAddr, tls: Arc<Tls>) -> Option<Announcing> {
    if !config.server.announce {
        tracing::info!("not announced in the network: the configuration says so (server.announce)");
        return None;
    }
    let host = mdns_name().unwrap_or_default();
    let what = {
        let tls = Arc::clone(&tls);
        move || Announcement {
            listen,
            host: host.clone(),
            fingerprint: tls.fingerprint(),
        }
    };
    let announcement = what();
    if let Err(silence) = announcement.check() {
        tracing::info!("not announced in the network: {silence}");
        return None;
    }
    if !tls.stands_for(&announcement.host) {
        let host = announcement.host;
        tracing::warn!(
            "this box is announced in the network as {host}, which the configured certificate does not stand for: browsers \
             will warn of that. Set server.announce = false, or bring a certificate that has this name too"
        );
    }
    let failed = |error| tracing::warn!("the box is not announced in the network: {error}");
    Announcing::start(what).map_err(failed).ok()
}

/// What the configuration says about certificates.
pub(super) fn tls_settings(config: &Config) -> TlsSettings {
    let own = config
        .server
        .certificate
        .as_ref()
        .map(|own| OwnCertificate {
            certificate: own.certificate.clone(),
            key: own.key.clone(),
        });
    TlsSettings {
        names: config.server.names.clone(),
        own,
    }
}

/// Blocks until there is somebody to seal to. False when the program is to end instead.
fn wait_for_owner(state: &Mutex<StateFolder>, footage: &RecorderFootage, ended: &End) -> bool {
    if !is_claimed(state) {
        tracing::info!("nothing is recorded until this box has an owner");
        footage.wait_for_claim();
    }
    !ended.has_come() && is_claimed(state)
}

/// Tells of disks that should never have come to lie in each other. Recording goes on; no drive is waited for to find out.
pub(super) fn nested(config: &Config) -> impl Iterator<Item = String> {
    let nested = config.nested(config::plain);
    nested.map(|nested| format!("{nested}. What is recorded is safe; `hearthkeep disk drain` and `disk retire` take one of them out"))
}

fn is_claimed(state: &Mutex<StateFolder>) -> bool {
    locked(state).is_claimed()
}

fn locked(state: &Mutex<StateFolder>) -> MutexGuard<'_, StateFolder> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to record; `None` when the program is to end before it could.
fn record(
    config: &Config,
    (state_folder, pool): (&Arc<Mutex<StateFolder>>, &Arc<Pool>),
    clock: Arc<dyn Clock>,
    lock: Lock,
    footage: &RecorderFootage,
    ended: &End,
) -> Result<Option<(Recorder, Arc<Store>)>, Failure> {
    if !clock.trusted() {
        tracing::warn!(
            "this box does not know the time: its clock says {}. What it records until it knows is marked so, and \
             nothing is deleted for its age. See that it can reach a time server",
            rfc3339(clock.wall_us())
        );
    }
    let begin = || waiting(config, (state_folder, pool), &clock, &lock);
    let Some((disks, waiting)) = wait_for_a_disk(config, pool, footage, ended, begin) else {
        return Ok(None);
    };
    let sources = sources(config, &mut locked(state_folder))?;
    let options = store::options(config, state_folder, pool, disks, Arc::clone(&clock))?;
    let keys = Arc::clone(&options.keys);
    let (opened, report) = Store::open(options, lock).or_fail(ExitStatus::Failed)?;
    tracing::info!(
        recovered = report.recovered,
        catalogued = report.inserted,
        strange = report.strange,
        "the store is open"
    );
    let store = Arc::new(opened);
    pool.opened(Arc::clone(&store));
    let setting = {
        let state = locked(state_folder);
        Setting {
            store_id: state.store(),
            sealing: state.sealing().map_err(state_failure)?,
            store: Arc::clone(&store),
            clock,
        }
    };
    let recorder =
        Recorder::start_after(waiting.as_ref(), sources, setting).or_fail(ExitStatus::Failed)?;
    tracing::info!(cameras = recorder.streams().len(), "recording");
    footage.begun(Recording {
        store: Arc::clone(&store),
        streams: recorder.streams().to_vec(),
        keys,
    });
    Ok(Some((recorder, store)))
}

/// The disks, once there is one to record on: it may be mounted late. What waited until then too, where it was waited for. `None` when the
/// program is to end instead.
fn wait_for_a_disk(
    config: &Config,
    pool: &Pool,
    footage: &RecorderFootage,
    ended: &End,
    begin: impl Fn() -> Waiting,
) -> Option<(pool::Disks, Option<Waiting>)> {
    let (mut said, mut waiting) = (Vec::new(), None::<Waiting>);
    loop {
        let disks = pool.mount(config);
        for disk in &disks.absent {
            if !said.contains(&disk.error) {
                tracing::error!("{}", disk.error);
                said.push(disk.error.clone());
            }
        }
        if !disks.mounted.is_empty() {
            if let Some(waiting) = &waiting {
                // None is waited for any more.
                footage.waits_for_a_disk(Vec::new(), waiting.streams());
            }
            return Some((disks, waiting));
        }
        let waiting = waiting.get_or_insert_with(&begin);
        footage.waits_for_a_disk(pool.list().unwrap_or_default(), waiting.streams());
        if ended.wait_at_most(DISK_RETRY) {
            return None;
        }
    }
}

/// The streams that wait for a disk, of those that have an id: others get theirs when the disks were asked for it.
fn waiting(
    config: &Config,
    (state, pool): (&Mutex<StateFolder>, &Pool),
    clock: &Arc<dyn Clock>,
    lock: &Lock,
) -> Waiting {
    let last = pool.glimpse(lock).last;
    tracing::error!("nothing is recorded: there is no disk to record on");
    let known = locked(state).streams().unwrap_or_default();
    let is_configured = |known: &KnownStream| {
        let mut cameras = config.cameras.iter();
        cameras.any(|camera| StreamName::main(&camera.name) == known.name)
    };
    let known = known.into_iter().filter(is_configured);
    let streams = known.map(|known| {
        let last = last.get(&known.id).copied();
        (known.id, known.name.camera, last)
    });
    Waiting::new(streams, clock)
}

/// The streams to record; new cameras get an id.
fn sources(config: &Config, state: &mut StateFolder) -> Result<Vec<Source>, Failure> {
    let wanted: Vec<_> = config
        .cameras
        .iter()
        .map(|camera| StreamName::main(&camera.name))
        .collect();
    let (known, _) = state
        .stream_ids(&wanted, &mut OsRandom)
        .map_err(state_failure)?;
    let source = |(known, camera): (KnownStream, _)| Source {
        id: known.id,
        camera,
    };
    Ok(known
        .into_iter()
        .zip(config.cameras.iter().cloned())
        .map(source)
        .collect())
}

/// That SIGTERM or SIGINT has come.
struct End(tokio::sync::watch::Receiver<bool>, tokio::runtime::Runtime);

impl End {
    /// Whether it came within this time. That the listening thread is gone counts as well: nothing is left to wait for.
    fn wait_at_most(&self, time: Duration) -> bool {
        let mut come = self.0.clone();
        let come = self
            .1
            .block_on(async { tokio::time::timeout(time, come.wait_for(|come| *come)).await });
        come.is_ok()
    }

    fn has_come(&self) -> bool {
        *self.0.borrow()
    }
}

/// Listens for SIGTERM and SIGINT from now on.
fn end_on_signal(footage: Arc<RecorderFootage>) -> Result<End, Failure> {
    let (tell, told) = tokio::sync::watch::channel(false);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("signals")
        .enable_all()
        .build()
        .or_fail(ExitStatus::Failed)?;
    let guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate()).or_fail(ExitStatus::Failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).or_fail(ExitStatus::Failed)?;
    drop(guard);
    runtime.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = tell.send(true);
        footage.wake();
    });
    Ok(End(told, runtime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_casualty_ends_the_program_and_so_does_a_signal() {
        let (tell, told) = tokio::sync::watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ended = End(told, runtime);
        let dead = || Some("what writes".to_owned());
        assert_eq!(until_over(&ended, dead), dead());
        tell.send(true).unwrap();
        assert_eq!(until_over(&ended, || None), None);
    }

    #[test]
    fn what_hangs_at_the_end_is_not_waited_for() {
        let (tell, told) = mpsc::channel::<()>();
        let hanging = move || {
            let _ = told.recv();
        };
        assert!(!ends_within(50, hanging));
        drop(tell);
        let (tell, told) = mpsc::channel();
        assert!(ends_within(60_000, move || tell.send(7).unwrap()));
        assert_eq!(told.recv(), Ok(7));
    }
}
