//! What `make install` puts where, and the README's way to record one's own cameras as an ordinary user.
#![allow(clippy::unwrap_used)]

#[path = "common/installation.rs"]
mod installation;
#[path = "common/left_out.rs"]
mod left_out;
#[path = "owned/mod.rs"]
mod owned;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hearthkeep::config::Config;
use installation::{HEARTHKEEP, await_condition, path, signal};
use serde_json::Value;

/// `nobody` and `nogroup`, on every Debian.
const NOBODY: &str = "65534";
const LONG: Duration = Duration::from_secs(30);

#[test]
fn everything_is_installed_and_a_configuration_is_never_overwritten() {
    let root = tempfile::tempdir().unwrap();
    let built = built(root.path());
    let to = root.path().join("to");
    install(&built, &to, "/usr");
    for (file, mode) in [
        ("usr/bin/hearthkeep", 0o755),
        ("usr/bin/hearthkeep-media", 0o755),
        ("usr/share/man/man1/hearthkeep.1.gz", 0o644),
        ("usr/share/bash-completion/completions/hearthkeep", 0o644),
        ("usr/share/fish/vendor_completions.d/hearthkeep.fish", 0o644),
        ("usr/share/zsh/vendor-completions/_hearthkeep", 0o644),
        ("usr/lib/systemd/system/hearthkeep.service", 0o644),
        ("usr/lib/sysusers.d/hearthkeep.conf", 0o644),
        ("usr/lib/tmpfiles.d/hearthkeep.conf", 0o644),
        ("etc/hearthkeep/hearthkeep.toml", 0o640),
    ] {
        let found = fs::metadata(to.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(found.len() > 0, "{file}");
        assert_eq!(found.permissions().mode() & 0o777, mode, "{file}");
    }
    let config = to.join("etc/hearthkeep/hearthkeep.toml");
    let read = Config::load(&config).unwrap();
    let tmpfiles = fs::read_to_string(to.join("usr/lib/tmpfiles.d/hearthkeep.conf")).unwrap();
    for folder in [&read.state_dir, &read.disks[0].path] {
        let line = format!("d {} ", folder.display());
        assert!(tmpfiles.contains(&line), "{line}");
    }
    let unit = fs::read_to_string(to.join("usr/lib/systemd/system/hearthkeep.service")).unwrap();
    let writable = unit
        .lines()
        .find_map(|line| line.strip_prefix("ReadWritePaths="))
        .unwrap();
    let writable: Vec<_> = writable
        .split(' ')
        .map(|path| path.trim_start_matches('-'))
        .collect();
    // Where disks are mounted: one more needs no restart.
    for folder in [
        &read.disks[0].path,
        Path::new("/mnt/new"),
        Path::new("/media/new"),
    ] {
        assert!(
            writable.iter().any(|path| folder.starts_with(path)),
            "{folder:?}"
        );
    }
    let page = Command::new("gzip")
        .args(["-dc", path(&to.join("usr/share/man/man1/hearthkeep.1.gz"))])
        .output()
        .unwrap();
    assert!(
        String::from_utf8(page.stdout)
            .unwrap()
            .contains("EXIT STATUS")
    );

    fs::write(&config, "mine").unwrap();
    install(&built, &to, "/usr/local");
    assert_eq!(fs::read_to_string(&config).unwrap(), "mine");
    let unit =
        fs::read_to_string(to.join("usr/local/lib/systemd/system/hearthkeep.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/hearthkeep run --config /etc/hearthkeep/"));
    let leftovers = installation::Installation::files(&to);
    assert!(
        leftovers.iter().all(|file| !path(file).ends_with(".new")),
        "{leftovers:?}"
    );
}

#[test]
fn nothing_is_installed_before_it_was_built() {
    let root = tempfile::tempdir().unwrap();
    let output = installer(&root.path().join("empty"), &root.path().join("to"), "/usr");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("make build"),
        "{said}"
    );
    assert!(!root.path().join("to").exists());
}

#[test]
fn the_readmes_configuration_runs_as_an_ordinary_user() {
    let anybody = Anybody::new();
    let log = anybody.root.path().join("log");
    let to = fs::File::create(&log).unwrap();
    let mut run = anybody.command("run");
    let mut recorder = run
        .stdout(to.try_clone().unwrap())
        .stderr(to)
        .spawn()
        .unwrap();
    let mut status = Value::Null;
    await_condition("it runs, has a page and waits for its owner", LONG, || {
        let ended = recorder.try_wait().unwrap();
        assert!(ended.is_none(), "{}", fs::read_to_string(&log).unwrap());
        let output = anybody.command("status").arg("--json").output().unwrap();
        status = serde_json::from_slice(&output.stdout).unwrap_or_default();
        output.status.code() == Some(4) && status["addresses"][0].is_string()
    });
    let code = status["claim_code_file"].as_str().unwrap();
    assert_eq!(
        Path::new(code),
        anybody.root.path().join("state/claim-code")
    );
    // Its output is no terminal: the code stands in its file only.
    let code = fs::read_to_string(code).unwrap();
    assert!(code.trim().len() >= 8, "{code}");
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("type the claim code in"), "{said}");
    assert!(
        !said.contains(code.lines().next().unwrap().trim()),
        "{said}"
    );
    signal(recorder.id(), "TERM");
    assert!(recorder.wait().unwrap().success());
}

#[test]
fn a_command_that_holds_a_secret_leaves_no_core_file() {
    let anybody = Anybody::new();
    // It waits for its passphrase for as long as nobody writes one.
    let passphrase = anybody.root.path().join("passphrase");
    let made = Command::new("mkfifo")
        .args(["-m", "666"])
        .arg(&passphrase)
        .status();
    assert!(made.unwrap().success());
    let mut init = anybody.command("init");
    let mut waiting = init
        .arg("--passphrase-file")
        .arg(&passphrase)
        .spawn()
        .unwrap();
    let process = PathBuf::from(format!("/proc/{}", waiting.id()));
    // The files of what cannot be dumped belong to root there, whoever runs it (proc(5)).
    let is_so = || {
        let comm = fs::read_to_string(process.join("comm")).unwrap();
        let status = fs::read_to_string(process.join("status")).unwrap();
        let is_roots = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
        comm.trim() == "hearthkeep"
            && !is_roots
            && fs::metadata(process.join("environ")).unwrap().uid() == 0
    };
    let shown = std::panic::catch_unwind(|| {
        await_condition("it is the program, and cannot be dumped", LONG, is_so);
    });
    // It would wait for ever.
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    shown.unwrap();
}

/// A user who is not root, with the README's configuration and a folder for footage.
struct Anybody {
    root: tempfile::TempDir,
    is_root: bool,
}

impl Anybody {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let readme = fs::read_to_string(house().join("README.md")).unwrap();
        let (_, rest) = readme.split_once("```toml\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        // Its port may be taken where this runs.
        assert!(example.contains("0.0.0.0:8443"));
        let config = example.replace("0.0.0.0:8443", "127.0.0.1:0");
        fs::write(root.path().join("hearthkeep.toml"), config).unwrap();
        fs::create_dir(root.path().join("footage")).unwrap();
        fs::copy(HEARTHKEEP, root.path().join("hearthkeep")).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            let id = Some(NOBODY.parse().unwrap());
            for given in [root.path(), &root.path().join("footage")] {
                std::os::unix::fs::chown(given, id, id).unwrap();
            }
        }
        Self { root, is_root }
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(if self.is_root { "setpriv" } else { "env" });
        if self.is_root {
            let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
            command.args([&user, &group, "--clear-groups"]);
        }
        command
            .arg(self.root.path().join("hearthkeep"))
            .args([subcommand, "--config"])
            .arg(self.root.path().join("hearthkeep.toml"))
            .stdin(Stdio::null());
        command
    }
}

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder as `make build` leaves it. What is tested here is not what the second program does.
fn built(root: &Path) -> PathBuf {
    let built = root.join("built");
    fs::create_dir(&built).unwrap();
    fs::copy(HEARTHKEEP, built.join("hearthkeep")).unwrap();
    fs::copy(HEARTHKEEP, built.join("hearthkeep-media")).unwrap();
    built
}

fn install(built: &Path, to: &Path, prefix: &str) {
    let output = installer(built, to, prefix);
    assert!(output.status.success(), "{output:?}");
}

fn installer(built: &Path, to: &Path, prefix: &str) -> std::process::Output {
    Command::new("sh")
        .arg(house().join("packaging/install.sh"))
        .arg(built)
        .env("DESTDIR", to)
        .env("PREFIX", prefix)
        .output()
        .unwrap()
}
