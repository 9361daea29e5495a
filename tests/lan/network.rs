//! Two machines on a cable: network namespaces with a host name each. They go when they are dropped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A network namespace and a host name, held by a process that waits for the end of its input.
pub struct Machine {
    holder: Child,
}

/// The machines on both ends of the cable, whose interface is `lan0` on both.
pub fn two_machines(first: &str, second: &str) -> [Machine; 2] {
    let mut apart = Command::new("unshare");
    // Somebody who is not root has all rights in a user namespace of his own.
    if !rustix::process::geteuid().is_root() {
        apart.args(["--user", "--map-root-user"]);
    }
    let first = Machine::start(apart, first);
    let second = Machine::start(first.run_here(Command::new("unshare")), second);
    let peer = second.holder.id().to_string();
    first.ip(&[
        "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", &peer,
    ]);
    for machine in [&first, &second] {
        machine.ip(&["link", "set", "lan0", "up"]);
    }
    [first, second]
}

impl Machine {
    fn start(mut unshare: Command, host: &str) -> Self {
        let script = "hostname \"$0\" && ip link set lo up && echo ready && exec cat";
        let mut holder = unshare
            .args(["--net", "--uts", "sh", "-c", script, host])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let output = holder.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut said).unwrap();
        assert_eq!(
            said, "ready\n",
            "this test needs root, or user namespaces, and the packages: iproute2 hostname util-linux"
        );
        Self { holder }
    }

    /// The command, on this machine.
    pub fn run_here(&self, command: Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.holder.id().to_string()]);
        if !rustix::process::geteuid().is_root() {
            inside.args(["--user", "--preserve-credentials"]);
        }
        inside.args(["--net", "--uts", "--"]);
        inside.arg(command.get_program()).args(command.get_args());
        inside
    }

    /// `ip` with these arguments.
    pub fn ip(&self, arguments: &[&str]) {
        let mut command = Command::new("ip");
        command.args(arguments);
        let status = self.run_here(command).status().unwrap();
        assert!(status.success(), "ip {arguments:?}");
    }

    /// Gives `lan0` an address, such as `10.77.0.1/24`.
    pub fn add_address(&self, address: &str) {
        self.ip(&["address", "add", address, "dev", "lan0"]);
    }

    /// Whether somebody listens for multicast DNS.
    pub fn listens_for_mdns(&self) -> bool {
        let mut command = Command::new("cat");
        command.args(["/proc/net/udp", "/proc/net/udp6"]);
        let output = self.run_here(command).output().unwrap();
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).contains(&format!(":{:04X} ", 5353))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
