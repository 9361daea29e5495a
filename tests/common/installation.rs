//! A whole installation in a folder of its own: configuration, store, owner; and the program run on it.

#![allow(dead_code, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program under test.
pub const HEARTHKEEP: &str = env!("CARGO_BIN_EXE_hearthkeep");

/// The passphrase of every installation here.
pub const PASSPHRASE: &str = "a lamp in the hall window";

/// A configured and initialised store. Its folder goes when it is dropped.
pub struct Installation {
    folder: tempfile::TempDir,
}

/// A camera of an installation.
pub struct CameraEntry<'a> {
    pub name: &'a str,
    pub url: &'a str,
    /// Further lines of its `[[camera]]` table.
    pub more: &'a str,
}

impl<'a> CameraEntry<'a> {
    /// Cameras of which name and address are all there is to say.
    pub fn plain(names: &[&'a str], urls: &'a [String]) -> Vec<Self> {
        let entry = |(name, url): (&&'a str, &'a String)| Self {
            name,
            url,
            more: "",
        };
        names.iter().zip(urls).map(entry).collect()
    }
}

impl Installation {
    /// Writes a configuration for these cameras and runs `hearthkeep init`.
    pub fn new(cameras: &[CameraEntry<'_>]) -> Self {
        let installation = Self::unmade(cameras);
        installation.init();
        installation
    }

    /// The same without `init`.
    pub fn unmade(cameras: &[CameraEntry<'_>]) -> Self {
        let installation = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        installation.write_config(cameras);
        std::fs::create_dir(installation.footage()).unwrap();
        std::fs::write(installation.passphrase_file(), format!("{PASSPHRASE}\n")).unwrap();
        installation
    }

    /// Makes store and owner.
    pub fn init(&self) {
        let kit = self.kit_file();
        let output = self.run("init", &["--recovery-kit-out", path(&kit)]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Writes the configuration anew.
    pub fn write_config(&self, cameras: &[CameraEntry<'_>]) {
        self.write_config_with_disks(cameras, &["footage"]);
    }

    /// The same with other disks.
    pub fn write_config_with_disks(&self, cameras: &[CameraEntry<'_>], disks: &[&str]) {
        let mut text = String::from("state_dir = \"state\"\n[server]\nlisten = \"127.0.0.1:0\"\n");
        for disk in disks {
            write!(text, "[[disk]]\npath = \"{disk}\"\n").unwrap();
        }
        for CameraEntry { name, url, more } in cameras {
            write!(
                text,
                "[[camera]]\nname = \"{name}\"\nurl = \"{url}\"\n{more}\n"
            )
            .unwrap();
        }
        std::fs::write(self.config(), text).unwrap();
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.folder().join("hearthkeep.toml")
    }

    pub fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    pub fn footage(&self) -> PathBuf {
        self.folder().join("footage")
    }

    pub fn passphrase_file(&self) -> PathBuf {
        self.folder().join("passphrase")
    }

    pub fn kit_file(&self) -> PathBuf {
        self.folder().join("recovery-kit.txt")
    }

    /// Runs a subcommand with `--config`, and with the passphrase where it opens footage; waits for its end.
    pub fn run(&self, subcommand: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(subcommand);
        let opens = ["init", "export", "play"].contains(&subcommand);
        let is_given = |name: &str| arguments.contains(&name);
        if opens && !is_given("--kit") && !is_given("--passphrase-file") {
            command.arg("--passphrase-file").arg(self.passphrase_file());
        }
        command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What `list --json` prints.
    pub fn list(&self, arguments: &[&str]) -> Value {
        let output = self.run("list", &[&["--json"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What `list --json --box` prints, which asks the running box over its page's port.
    pub fn list_from_afar(&self, recorder: &mut Running<'_>) -> Value {
        let url = format!("https://{}", recorder.address());
        let status = self.run("status", &["--json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let output = Command::new(HEARTHKEEP)
            .args(["list", "--json", "--box", &url, "--fingerprint"])
            .arg(status["fingerprint"].as_str().unwrap())
            .arg("--passphrase-file")
            .arg(self.passphrase_file())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Begins to record; waits for nothing.
    pub fn start(&self) -> Running<'_> {
        self.start_with(&[])
    }

    /// The same with these environment variables.
    pub fn start_with(&self, variables: &[(&str, &str)]) -> Running<'_> {
        let mut command = self.command("run");
        command.envs(variables.iter().copied());
        self.spawn(command)
    }

    /// The same with a command that becomes `hearthkeep run`.
    pub fn spawn(&self, mut command: Command) -> Running<'_> {
        let said_before = self.log().len();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder().join("log"))
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Running {
            child: command.spawn().unwrap(),
            installation: self,
            said_before,
        }
    }

    /// What `run` has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// All files below a folder; a socket is none.
    pub fn files(folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    files.push(entry.path());
                }
            }
        }
        files
    }

    /// A subcommand with `--config`, to be run otherwise than [`run`](Self::run) does.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(HEARTHKEEP);
        command.arg(subcommand).arg("--config").arg(self.config());
        command.env("XDG_STATE_HOME", self.folder().join("seen"));
        command
    }
}

impl Drop for Installation {
    /// A test that fails shows what the recorder said last; the folder goes with it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().rev().take(40).collect();
            let last: Vec<_> = lines.into_iter().rev().collect();
            eprintln!("the recorder said at last:\n{}", last.join("\n"));
        }
    }
}

/// A recorder at work. It is killed when it is dropped.
pub struct Running<'a> {
    child: Child,
    installation: &'a Installation,
    /// Bytes of the log that runs before this one wrote.
    said_before: usize,
}

impl Running<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until a condition on what is listed holds.
    pub fn until(&mut self, what: &str, limit: Duration, mut holds: impl FnMut(&Value) -> bool) {
        await_condition(what, limit, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "the recorder ended with {status} while waiting for: {what}\n{}",
                    self.installation.log()
                );
            }
            holds(&self.installation.list(&[]))
        });
    }

    /// Waits until it serves, and returns where: an address with its port.
    pub fn address(&mut self) -> String {
        let mut address = None;
        let limit = Duration::from_secs(30);
        await_condition("the web server's address in the log", limit, || {
            let log = self.installation.log();
            let found = log[self.said_before..].rsplit_once("address=");
            let found = found.map(|(_, rest)| rest);
            address = found
                .and_then(|rest| rest.split_whitespace().next())
                .map(str::to_owned);
            address.is_some()
        });
        address.unwrap()
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(mut self) {
        signal(self.pid(), "TERM");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.installation.log());
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until `holds`, and fails with `what` after `limit`.
pub fn await_condition(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "waited {limit:?} for: {what}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Sends a signal by pid.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .unwrap();
    assert!(status.success());
}

/// A path as text.
pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Reads a file whole.
pub fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}
