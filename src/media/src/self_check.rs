//! `hearthkeep-media sandbox`: puts the sandbox on and tries to break out of it, layer by layer.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;

use rustix::process::Resource;

use super::sandbox::{self, Layer};

/// Says what is on, and what was tried in vain.
///
/// # Errors
/// When something that should be refused was allowed.
pub fn run() -> Result<(), String> {
    let mut allowed = Vec::new();
    let mut try_out = |layer: &Layer, what: &str, tried: io::Result<()>| {
        let said = match tried {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => "refused".to_owned(),
            Err(error) => format!("failed for another reason: {error}"),
            Ok(()) => "ALLOWED".to_owned(),
        };
        if layer.is_on() && said != "refused" {
            allowed.push(what.to_owned());
        }
        println!("{layer}: {what}: {said}");
    };
    // Asked for now, since the sandbox does not answer any more.
    let parent = rustix::process::getppid();
    let limits = sandbox::limit(true);
    let core = rustix::process::getrlimit(Resource::Core);
    println!("{limits}");
    // Of the limits only this one can be told apart from what follows. (A file's size ends the process.)
    let files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    println!("{limits}: {} more files could be opened", files.len());
    drop(files);

    let landlock = sandbox::close_files();
    try_out(
        &landlock,
        "reading a file",
        File::open("/dev/null").map(drop),
    );
    let writing = File::options().write(true).open("/dev/null");
    try_out(&landlock, "writing a file", writing.map(drop));
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    try_out(&landlock, "listening", listening.map(drop));

    let seccomp = sandbox::refuse_calls();
    try_out(
        &seccomp,
        "reading a file",
        File::open("/dev/null").map(drop),
    );
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    try_out(&seccomp, "a socket", socket.map(drop));
    let program = Command::new("/bin/true").spawn();
    try_out(&seccomp, "a program", program.map(drop));
    let thread = std::thread::Builder::new().spawn(|| ());
    try_out(&seccomp, "a thread", thread.map(drop));
    let signal = parent.map_or(Ok(()), rustix::process::test_kill_process);
    try_out(
        &seccomp,
        "a signal to the parent",
        signal.map_err(io::Error::from),
    );
    let limited = rustix::process::setrlimit(Resource::Core, core);
    try_out(&seccomp, "other limits", limited.map_err(io::Error::from));
    match allowed.is_empty() {
        true => Ok(()),
        false => Err(format!("the sandbox allowed: {}", allowed.join(", "))),
    }
}
