//! `hearthkeep announce`, which only `run` starts: the process that announces the box in the network.

use std::io;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::output::{ExitStatus, Failure, OrFail, log_to_stderr};
use crate::lan::{self, Announcement};
use crate::limits::LAN_PROCESS_BYTES_MAX;

/// How far behind the recorder it comes, in steps of nice(2).
const NICE: i32 = 10;

#[derive(Debug, clap::Args)]
pub struct AnnounceArguments {
    /// Where the page is served
    #[arg(long)]
    listen: SocketAddr,
    /// The name under .local
    #[arg(long)]
    host: String,
    /// The fingerprint that people compare
    #[arg(long)]
    fingerprint: String,
}

/// Announces until standard input ends, as it does with whoever started this, or a signal comes.
pub(super) fn main(arguments: AnnounceArguments) -> Result<ExitStatus, Failure> {
    log_to_stderr();
    confine();
    let announcement = Announcement {
        listen: arguments.listen,
        host: arguments.host,
        fingerprint: arguments.fingerprint,
    };
    announcement.check().or_fail(ExitStatus::Failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_fail(ExitStatus::Failed)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).or_fail(ExitStatus::Failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).or_fail(ExitStatus::Failed)?;
        let (tell, closed) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            // However it ends, nobody is there any more.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            let _ = tell.send(());
        });
        let end = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = closed => {}
            }
        };
        lan::respond(&announcement, end)
            .await
            .or_fail(ExitStatus::Failed)
    })?;
    Ok(ExitStatus::Done)
}

/// Whatever the network sends, it costs the recorder neither memory nor time, and writes no core file.
fn confine() {
    let limit = |bytes| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    let memory = setrlimit(Resource::Data, limit(LAN_PROCESS_BYTES_MAX));
    let core = setrlimit(Resource::Core, limit(0));
    let behind = nice(NICE).map(drop);
    if let Err(error) = memory.and(core).and(behind) {
        tracing::warn!("what announces the box could not be confined: {error}");
    }
}
