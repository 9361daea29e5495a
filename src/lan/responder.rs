//! The process that answers in the network: the only place that knows how multicast DNS is done.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use mdns_sd::{DaemonEvent, DnsNameChange, IfKind, IfPredicate, RRType, Receiver};
use mdns_sd::{ServiceDaemon, ServiceInfo};
use tokio::time::{Instant, sleep_until, timeout};

use super::announcement::{Announcement, SERVICES};
use crate::limits::{LAN_ANNOUNCED_MS_MAX, LAN_GOODBYE_MS_MAX, LAN_LOOK_S};

/// Why a box cannot be announced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It did not start, or did not take what is to be announced.
    #[error("multicast DNS cannot be used: {0}")]
    Mdns(#[from] mdns_sd::Error),
    /// Its thread is gone.
    #[error("multicast DNS ended by itself")]
    Ended,
}

/// Announces until `end` comes, then takes everything back. Interfaces that come and go are followed.
///
/// On an interface where another machine has the same host name, the box is not announced: the name that would be left for
/// it is not one that its certificate stands for, and not one that its page answers to.
///
/// # Errors
///
/// See [`enum@Error`].
pub async fn respond(
    announcement: &Announcement,
    end: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut end = pin!(end);
    let mut left_out = HashSet::new();
    loop {
        let (daemon, events) = open(announcement, &left_out)?;
        let turn = tokio::select! {
            () = &mut end => Turn::End,
            turn = watch(announcement, &events) => turn,
        };
        goodbye(&daemon).await;
        match turn {
            Turn::End => return Ok(()),
            Turn::Ended => return Err(Error::Ended),
            Turn::NameTaken(interface) => {
                tracing::warn!(
                    "another machine in the network behind {interface} is called {} too, or another program of this one tells \
                     other addresses for that name: this box is not announced there. Give one of them another host name and \
                     start this again",
                    announcement.host
                );
                left_out.insert(interface);
            }
        }
    }
}

/// What happened while the box was announced.
enum Turn {
    End,
    /// The library's thread is gone.
    Ended,
    /// On this interface the host name belongs to another machine.
    NameTaken(String),
}

fn open(
    announcement: &Announcement,
    left_out: &HashSet<String>,
) -> Result<(ServiceDaemon, Receiver<DaemonEvent>), Error> {
    let daemon = ServiceDaemon::new()?;
    let events = daemon.monitor()?;
    daemon.set_ip_check_interval(LAN_LOOK_S)?;
    daemon.disable_interface(IfKind::All)?;
    let (wanted, left_out) = (announcement.clone(), left_out.clone());
    daemon.enable_interface(IfKind::Predicate(IfPredicate::new(move |interface| {
        wanted.tells(interface.ip()) && !left_out.contains(&interface.name)
    })))?;
    for service in SERVICES {
        let info = ServiceInfo::new(
            service,
            &announcement.instance(),
            &format!("{}.", announcement.host),
            (),
            announcement.listen.port(),
            &announcement.txt()[..],
        )?;
        daemon.register(info.enable_addr_auto())?;
    }
    Ok((daemon, events))
}

/// Waits for what cannot be left as it is, and says what else is worth a word.
async fn watch(announcement: &Announcement, events: &Receiver<DaemonEvent>) -> Turn {
    let (mut is_announced, mut is_late) = (false, false);
    let late = Instant::now() + Duration::from_millis(LAN_ANNOUNCED_MS_MAX);
    loop {
        let event = tokio::select! {
            event = events.recv_async() => event,
            () = sleep_until(late), if !is_announced && !is_late => {
                is_late = true;
                tracing::warn!("{}", why_not_yet(announcement));
                continue;
            }
        };
        match event {
            Ok(DaemonEvent::NameChange(change)) if is_of_host(&change) => {
                return Turn::NameTaken(change.intf_name);
            }
            Ok(DaemonEvent::NameChange(change)) => {
                tracing::info!("another box is announced as {} too", change.original);
            }
            Ok(DaemonEvent::Announce(service, at)) => {
                tracing::debug!("{service} is announced at {at}");
                if !is_announced {
                    is_announced = true;
                    let (name, url) = (announcement.instance(), announcement.url());
                    tracing::info!("announced in the network as \"{name}\": {url}");
                }
            }
            Ok(DaemonEvent::Error(error)) => tracing::warn!("announcing the box: {error}"),
            Ok(_) => {}
            Err(_) => return Turn::Ended,
        }
    }
}

fn is_of_host(change: &DnsNameChange) -> bool {
    matches!(change.rr_type, RRType::A | RRType::AAAA)
}

fn why_not_yet(announcement: &Announcement) -> String {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let served = |interface: &if_addrs::Interface| announcement.tells(interface.ip());
    if interfaces.iter().any(served) {
        return "the box is not announced yet: multicast DNS (UDP port 5353) cannot be used on any interface of this machine"
            .to_owned();
    }
    "the box is not announced yet: no network interface of this machine has an address that its page is served on. It \
     will be when one has"
        .to_owned()
}

/// Tells the network that nothing of this holds any more, and waits until that has been sent.
async fn goodbye(daemon: &ServiceDaemon) {
    let Ok(done) = daemon.shutdown() else {
        return;
    };
    let limit = Duration::from_millis(LAN_GOODBYE_MS_MAX);
    // What was not taken back in time is forgotten by the others when its time is up: two minutes for the address.
    let _ = timeout(limit, done.recv_async()).await;
}
