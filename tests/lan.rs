//! A box is found in its network by an independent client, reached by what that was told, and gone when it ends.
#![allow(clippy::unwrap_used)]

#[path = "common/installation.rs"]
mod installation;
#[path = "lan/network.rs"]
mod network;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use installation::{Installation, Running, await_condition};
use network::{Machine, two_machines};
use serde_json::Value;

/// The system's Python has the packages that Debian installs.
const PYTHON: &str = "/usr/bin/python3";
const SERVICES: [&str; 2] = ["_hearthkeep._tcp.local.", "_https._tcp.local."];
/// Looking at interfaces, probing, announcing.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_box_is_found_reached_and_taken_back() {
    let [attic, visitor] = two_machines("attic", "visitor");
    visitor.add_address("10.77.0.2/24");
    let watcher = Watcher::start(&visitor);
    let installation = Installation::new(&[]);

    // Neither of these may be the first that is heard of.
    let on_this_machine = "listen = \"127.0.0.1:0\"";
    for (server, words) in [
        (on_this_machine, "served on this machine only"),
        (
            "listen = \"0.0.0.0:0\"\nannounce = false",
            "server.announce",
        ),
    ] {
        set_server(&installation, server);
        let running = installation.spawn(attic.run_here(installation.command("run")));
        until_said(&installation, words);
        assert!(!attic.listens_for_mdns(), "{server}");
        running.terminate();
    }

    set_server(&installation, "listen = \"0.0.0.0:0\"");
    let running = installation.spawn(attic.run_here(installation.command("run")));
    until_said(&installation, "no network interface of this machine has");
    attic.add_address("10.77.0.1/24");
    let port = port(&installation);
    let fingerprint = fingerprint(&installation);
    for event in watcher.next_two("add") {
        let service = event["service"].as_str().unwrap();
        assert_eq!(event["name"], format!("Hearthkeep on attic.{service}"));
        assert_eq!(event["host"], "attic.local.");
        assert_eq!(event["port"], port);
        assert_eq!(event["addresses"], serde_json::json!(["10.77.0.1"]));
        let version = env!("CARGO_PKG_VERSION");
        let txt = serde_json::json!({ "path": "/", "fp": fingerprint, "version": version });
        assert_eq!(event["txt"], txt);
    }
    until_said(&installation, &format!("https://attic.local:{port}"));
    visit(&visitor, "10.77.0.1", port, &fingerprint);

    running.terminate();
    watcher.next_two("remove");
    assert!(!attic.listens_for_mdns());
}

#[test]
fn a_killed_box_takes_its_word_back_too() {
    let [attic, visitor] = two_machines("attic", "visitor");
    attic.add_address("10.77.0.1/24");
    visitor.add_address("10.77.0.2/24");
    let watcher = Watcher::start(&visitor);
    let installation = Installation::new(&[]);
    set_server(&installation, "listen = \"10.77.0.1:0\"");
    let running = installation.spawn(attic.run_here(installation.command("run")));
    watcher.next_two("add");
    running.kill();
    watcher.next_two("remove");
}

#[test]
fn a_second_box_of_the_same_name_holds_its_tongue() {
    let [first, second] = two_machines("attic", "attic");
    first.add_address("10.77.0.1/24");
    second.add_address("10.77.0.2/24");
    let installations = [Installation::new(&[]), Installation::new(&[])];
    let start = |installation, machine: &Machine| -> Running<'_> {
        let installation: &Installation = installation;
        set_server(installation, "listen = \"0.0.0.0:0\"");
        installation.spawn(machine.run_here(installation.command("run")))
    };
    let running = start(&installations[0], &first);
    until_said(&installations[0], "announced in the network as");
    let silent = start(&installations[1], &second);
    until_said(
        &installations[1],
        "another machine in the network behind lan0 is called attic.local too",
    );

    // Somebody who comes now finds the first and nothing else.
    let watcher = Watcher::start(&second);
    let port = port(&installations[0]);
    for event in watcher.next_two("add") {
        assert_eq!(
            (&event["host"], &event["port"]),
            (&"attic.local.".into(), &port.into())
        );
    }
    running.terminate();
    watcher.next_two("remove");
    silent.terminate();
}

#[test]
fn a_flood_costs_the_box_its_announcing_only_and_not_for_long() {
    let [attic, visitor] = two_machines("attic", "visitor");
    attic.add_address("10.77.0.1/24");
    visitor.add_address("10.77.0.2/24");
    let installation = Installation::new(&[]);
    set_server(&installation, "listen = \"0.0.0.0:0\"");
    let running = installation.spawn(attic.run_here(installation.command("run")));
    until_said(&installation, "announced in the network as");

    let mut command = Command::new(PYTHON);
    command.args([&script("flood.py"), Path::new("10.77.0.2")]);
    let mut flood = visitor.run_here(command).spawn().unwrap();
    await_condition("the end of what listens", Duration::from_secs(60), || {
        !attic.listens_for_mdns()
    });
    flood.kill().unwrap();
    flood.wait().unwrap();
    let (port, fingerprint) = (port(&installation), fingerprint(&installation));
    visit(&visitor, "10.77.0.1", port, &fingerprint);

    until_said(&installation, "is started again");
    Watcher::start(&visitor).next_two("add");
    running.terminate();
}

/// What an independent client sees come and go.
struct Watcher {
    process: Child,
    events: Receiver<Value>,
}

impl Watcher {
    fn start(machine: &Machine) -> Self {
        let mut command = Command::new(PYTHON);
        command.arg(script("watch.py"));
        let mut process = machine
            .run_here(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (tell, events) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines {
                let _ = tell.send(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        let watcher = Self { process, events };
        assert_eq!(watcher.next()["event"], "ready");
        watcher
    }

    fn next(&self) -> Value {
        let event = self.events.recv_timeout(FOUND_WITHIN);
        event.expect("nothing was seen; this needs the package python3-zeroconf")
    }

    /// The next events: this one, of both services.
    fn next_two(&self, kind: &str) -> [Value; 2] {
        let mut events = [self.next(), self.next()];
        events.sort_by_key(|event| event["service"].to_string());
        for (event, service) in events.iter().zip(SERVICES) {
            let seen = (event["event"].as_str(), event["service"].as_str());
            assert_eq!(seen, (Some(kind), Some(service)), "{events:#?}");
        }
        events
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Compares fingerprints, and opens the page by its name with the box's authority alone.
fn visit(machine: &Machine, address: &str, port: u16, fingerprint: &str) {
    let mut command = Command::new(PYTHON);
    command.arg(script("visit.py"));
    command.args([address, &port.to_string(), "attic.local", fingerprint]);
    let output = machine.run_here(command).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lan")
        .join(name)
}

/// Replaces what stands in `[server]`.
fn set_server(installation: &Installation, lines: &str) {
    let text = std::fs::read_to_string(installation.config()).unwrap();
    let (before, rest) = text.split_once("[server]\n").unwrap();
    let (_, after) = rest.split_once("[[disk]]").unwrap();
    let text = format!("{before}[server]\n{lines}\n[[disk]]{after}");
    std::fs::write(installation.config(), text).unwrap();
}

fn until_said(installation: &Installation, words: &str) {
    await_condition(words, FOUND_WITHIN, || installation.log().contains(words));
}

/// Where the page is served, from the newest line of the log that says so.
fn port(installation: &Installation) -> u16 {
    let log = installation.log();
    let (_, address) = log.rsplit_once("address=").unwrap();
    let address = address.split_whitespace().next().unwrap();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// As `run` shows it to whoever is at the console.
fn fingerprint(installation: &Installation) -> String {
    let log = installation.log();
    let (_, fingerprint) = log.rsplit_once("fingerprint is ").unwrap();
    fingerprint.split_whitespace().next().unwrap().to_owned()
}
