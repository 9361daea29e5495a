//! The server itself: its listener, its threads and its limits.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use rustls::ServerConfig;

use super::footage::Footage;
use super::guard::guard;
use super::house::House;
use super::routes::configure;
use super::tls::{self, Tls};
use crate::clock::Clock;
use crate::keys::StateFolder;
use crate::limits::{
    BLOCKING_THREADS_MAX, CONNECTIONS_MAX, GOODBYE_S_MAX, HANDSHAKE_S_MAX, HANDSHAKES_MAX,
    IDLE_S_MAX, REQUEST_HEAD_S_MAX, STUCK_CLIENT_MS_MAX, TIDY_S, WEB_THREADS,
};
use crate::people::{self, People};
use crate::pool::Desk;

/// Why the web does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is taken, or not this machine's.
    #[error(
        "cannot listen on {address}: {source}. Set server.listen to an address of this machine and a port that is free"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate to show.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The claim code cannot be written.
    #[error(transparent)]
    People(#[from] people::Error),
    /// The server's thread did not start.
    #[error("the web server does not start: {0}")]
    Start(#[source] io::Error),
}

/// What the web joins.
pub struct Parts {
    /// Where to listen; port 0 for any.
    pub listen: SocketAddr,
    /// The state folder, claimed or not.
    pub keys: Arc<Mutex<StateFolder>>,
    /// The accounts.
    pub people: Arc<People>,
    /// The certificates.
    pub tls: Arc<Tls>,
    /// The recorder.
    pub footage: Arc<dyn Footage>,
    /// The disks, where they can be commanded.
    pub disks: Option<Desk>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A server that runs until it is stopped.
pub struct Running {
    address: SocketAddr,
    handle: ServerHandle,
    house: web::Data<House>,
    thread: JoinHandle<()>,
}

/// Starts to serve. When this returns, connections are accepted.
///
/// # Errors
///
/// See [`enum@Error`].
pub fn start(parts: Parts) -> Result<Running, Error> {
    let Parts {
        listen,
        keys,
        people,
        tls,
        footage,
        disks,
        clock,
    } = parts;
    let unusable = |source| Error::Listen {
        address: listen,
        source,
    };
    let listener = listen_on(listen).map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let config = tls.server_config()?;
    let house = web::Data::new(House::new(keys, people, tls, (footage, disks), clock)?);
    let (tell, told) = mpsc::channel();
    let served = house.clone();
    let run = move || {
        actix_web::rt::System::new().block_on(async move {
            match serve(listener, config, served.clone()) {
                Ok(server) => {
                    let _ = tell.send(Ok(server.handle()));
                    let tidying = actix_web::rt::spawn(tidy(served));
                    if let Err(error) = server.await {
                        tracing::error!("the web server ended: {error}");
                    }
                    tidying.abort();
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
    };
    let thread = std::thread::Builder::new()
        .name("web".to_owned())
        .spawn(run)
        .map_err(Error::Start)?;
    let gone = |_| Error::Start(io::ErrorKind::BrokenPipe.into());
    let handle = told.recv().map_err(gone)?.map_err(Error::Start)?;
    Ok(Running {
        address,
        handle,
        house,
        thread,
    })
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends: no new connections, those under way get a few seconds, what is only in memory is saved. Blocks.
    pub fn stop(self) {
        self.house.live.close();
        // The order is taken when `stop` is called; its future waits for the end, which `join` does too.
        drop(self.handle.stop(true));
        if self.thread.join().is_err() {
            tracing::error!("the web server panicked while it ended");
        }
        self.house.people.tidy();
    }
}

fn serve(
    listener: TcpListener,
    config: ServerConfig,
    house: web::Data<House>,
) -> io::Result<Server> {
    let app = move || {
        App::new()
            .app_data(house.clone())
            .configure(configure)
            .wrap(from_fn(guard))
    };
    let server = HttpServer::new(app)
        .workers(WEB_THREADS)
        .worker_max_blocking_threads(BLOCKING_THREADS_MAX)
        .max_connections(CONNECTIONS_MAX / WEB_THREADS)
        .max_connection_rate(HANDSHAKES_MAX / WEB_THREADS)
        .tls_handshake_timeout(Duration::from_secs(HANDSHAKE_S_MAX))
        .client_request_timeout(Duration::from_secs(REQUEST_HEAD_S_MAX))
        .client_disconnect_timeout(Duration::from_secs(GOODBYE_S_MAX))
        .keep_alive(Duration::from_secs(IDLE_S_MAX))
        .shutdown_timeout(GOODBYE_S_MAX)
        .tcp_nodelay(true)
        .disable_signals();
    Ok(server.listen_rustls_0_23(listener, config)?.run())
}

async fn tidy(house: web::Data<House>) {
    let mut minute = tokio::time::interval(Duration::from_secs(TIDY_S));
    minute.tick().await;
    loop {
        minute.tick().await;
        let house = house.clone();
        if web::block(move || house.tidy()).await.is_err() {
            tracing::warn!("the web's minute was missed: too much is waiting for the disks");
        }
    }
}

/// A client that takes nothing for this long is disconnected by the kernel: sockets accepted here inherit it (tcp(7)).
fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    rustix::net::sockopt::set_tcp_user_timeout(&listener, STUCK_CLIENT_MS_MAX)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_are_accepted_give_up_on_stuck_clients() {
        let listener = listen_on("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let timeout = rustix::net::sockopt::tcp_user_timeout(&accepted).unwrap();
        assert_eq!(timeout, STUCK_CLIENT_MS_MAX);
    }
}
