//! A store as it is installed, of a user who is not root and may read the configuration: what root types leaves all in it that user's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::installation::{HEARTHKEEP, PASSPHRASE, await_condition, path, signal};
use super::left_out::leave_out;
use super::{LONG, NOBODY};

const SPARE: &str = "a kettle on the back stove";

#[test]
fn what_root_does_to_a_store_is_left_to_its_user() {
    let Some(box_) = Installed::new("install: what root does to a store") else {
        return;
    };
    box_.make();
    let kit = fs::metadata(box_.at("roots/kit.txt")).unwrap();
    assert_eq!(
        (kit.uid(), kit.gid()),
        (0, 0),
        "it is who typed that has it"
    );

    let new = box_.folder_of_roots("new");
    box_.done(&["disk", "add"], &[path(&new)]);
    assert!(box_.config().contains(path(&new)));
    box_.is_its_users();
    box_.done(&["reindex"], &[]);
    box_.is_its_users();
    // The catalog is gone, and with it the lock file's last words: all is made anew.
    for file in ["catalog", "lock"] {
        let file = box_.at("state").join(file);
        let _ = fs::remove_dir_all(&file).or_else(|_| fs::remove_file(&file));
    }
    box_.done(
        &["check"],
        &["--passphrase-file", path(&box_.at("roots/old"))],
    );
    box_.is_its_users();
    box_.done(&["repair"], &[]);
    box_.is_its_users();
    box_.done(&["disk", "drain"], &[path(&new)]);
    box_.done(&["disk", "retire"], &[path(&new)]);
    assert!(!box_.config().contains(path(&new)));
    box_.is_its_users();
    box_.done(
        &["keys", "passphrase"],
        &[
            "--old-passphrase-file",
            path(&box_.at("roots/old")),
            "--passphrase-file",
            path(&box_.at("roots/new")),
        ],
    );
    box_.is_its_users();
    let mut recorder = box_.start(box_.as_its_user());
    signal(recorder.id(), "TERM");
    assert!(recorder.wait().unwrap().success());
    // Root may start it too; it is not root for long.
    let mut recorder = box_.start(Command::new(HEARTHKEEP));
    let status = fs::read_to_string(format!("/proc/{}/status", recorder.id())).unwrap();
    let user = format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}");
    assert!(status.lines().any(|line| line == user), "{status}");
    signal(recorder.id(), "TERM");
    assert!(recorder.wait().unwrap().success());
    box_.done(&["reindex"], &[]);
    // Root has seen its log, and keeps that at home.
    assert_eq!(
        fs::metadata(box_.at("roots/hearthkeep/logs"))
            .unwrap()
            .uid(),
        0
    );
    box_.is_its_users();
}

#[test]
fn root_adds_a_disk_to_a_running_recorder_and_its_user_is_told_how() {
    let Some(box_) = Installed::new("install: a disk for a running recorder") else {
        return;
    };
    box_.make();
    let mut recorder = box_.start(box_.as_its_user());
    let before = box_.config();
    let new = box_.folder_of_roots("new");

    // The user of the service may not change the configuration: nothing is done, and who may is named.
    let mut command = box_.as_its_user();
    command.args([
        "disk",
        "add",
        "--config",
        path(&box_.at("etc/hearthkeep.toml")),
    ]);
    let output = command.arg(&new).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(
        said.contains("type `sudo hearthkeep disk add --config "),
        "{said}"
    );
    assert_eq!(fs::read_dir(&new).unwrap().count(), 0);

    box_.done(&["disk", "add"], &[path(&new), "--max-bytes", "1GB"]);
    let in_use = || {
        let output = box_.run(&["disk", "list"], &["--json"]);
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = rows.as_array().unwrap().clone();
        rows.iter()
            .any(|row| row["path"] == path(&new) && row["state"] == "in use")
    };
    await_condition("it is in use", LONG, in_use);
    let after = box_.config();
    box_.is_its_users();

    // What was taken in and did not get into the configuration gets there by trying again.
    fs::write(box_.at("etc/hearthkeep.toml"), before).unwrap();
    box_.done(&["disk", "add"], &[path(&new), "--max-bytes", "1GB"]);
    assert_eq!(box_.config(), after);

    // What is somebody's is not taken from them.
    let letters = box_.folder_of_roots("letters");
    fs::write(letters.join("letter"), "x").unwrap();
    let output = box_.run(&["disk", "add"], &[path(&letters)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::metadata(&letters).unwrap().uid(), 0);
    let theirs = box_.folder_of_roots("theirs");
    chown(&theirs, Some(4242), Some(4242)).unwrap();
    let output = box_.run(&["disk", "add"], &[path(&theirs)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("cannot write to the disk folder") && said.contains("chown"),
        "{said}"
    );
    assert_eq!(box_.config(), after);
    signal(recorder.id(), "TERM");
    assert!(recorder.wait().unwrap().success());
    box_.is_its_users();

    // Nor is anything given to a store that cannot be opened.
    fs::write(box_.at("state/store.sealed"), "of another version").unwrap();
    let unused = box_.folder_of_roots("unused");
    let output = box_.run(&["disk", "add"], &[path(&unused)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::metadata(&unused).unwrap().uid(), 0);
}

/// What `make install` and systemd make, in a folder of its own.
struct Installed {
    root: tempfile::TempDir,
}

impl Installed {
    fn new(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            leave_out(test, "it is not run by root");
            return None;
        }
        let installed = Self {
            root: tempfile::tempdir().unwrap(),
        };
        let id = Some(NOBODY.parse().unwrap());
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        mode(installed.root.path(), 0o755);
        for (folder, owner, bits) in [
            ("etc", Some(0), 0o750),
            ("state", id, 0o700),
            ("footage", id, 0o750),
        ] {
            let folder = installed.at(folder);
            fs::create_dir(&folder).unwrap();
            chown(&folder, owner, id).unwrap();
            mode(&folder, bits);
        }
        fs::create_dir(installed.at("roots")).unwrap();
        mode(&installed.at("roots"), 0o700);
        for (file, passphrase) in [("old", PASSPHRASE), ("new", SPARE)] {
            let file = installed.at("roots").join(file);
            fs::write(&file, passphrase).unwrap();
            mode(&file, 0o600);
        }
        let config = installed.at("etc/hearthkeep.toml");
        let (state, footage) = (installed.at("state"), installed.at("footage"));
        let text = format!(
            "state_dir = \"{}\"\n[server]\nlisten = \"127.0.0.1:0\"\nannounce = false\n[[disk]]\npath = \"{}\"\n",
            state.display(),
            footage.display()
        );
        fs::write(&config, text).unwrap();
        chown(&config, Some(0), id).unwrap();
        mode(&config, 0o640);
        fs::copy(HEARTHKEEP, installed.at("hearthkeep")).unwrap();
        Some(installed)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn config(&self) -> String {
        let config = self.at("etc/hearthkeep.toml");
        let facts = fs::metadata(&config).unwrap();
        let group: u32 = NOBODY.parse().unwrap();
        let found = (facts.uid(), facts.gid(), facts.mode() & 0o777);
        assert_eq!(found, (0, group, 0o640));
        fs::read_to_string(config).unwrap()
    }

    /// A store and its owner, by root.
    fn make(&self) {
        let (passphrase, kit) = (self.at("roots/old"), self.at("roots/kit.txt"));
        let files = [
            "--passphrase-file",
            path(&passphrase),
            "--recovery-kit-out",
            path(&kit),
        ];
        self.done(&["init"], &files);
        self.is_its_users();
    }

    fn folder_of_roots(&self, name: &str) -> PathBuf {
        let folder = self.at(name);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        folder
    }

    /// A command that root types.
    fn run(&self, subcommand: &[&str], arguments: &[&str]) -> Output {
        Command::new(HEARTHKEEP)
            .args(subcommand)
            .args(["--config", path(&self.at("etc/hearthkeep.toml"))])
            .args(arguments)
            .env("XDG_STATE_HOME", self.at("roots"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn done(&self, subcommand: &[&str], arguments: &[&str]) {
        let output = self.run(subcommand, arguments);
        assert!(output.status.success(), "{subcommand:?}: {output:?}");
    }

    /// The program, as who the store belongs to.
    fn as_its_user(&self) -> Command {
        let mut command = Command::new("setpriv");
        let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
        command.args([&user, &group, "--clear-groups"]);
        command.arg(self.at("hearthkeep"));
        command
    }

    /// The recorder, once it has a page and its disks.
    fn start(&self, mut program: Command) -> Child {
        let log = fs::File::create(self.at("log")).unwrap();
        let mut recorder = program
            .args(["run", "--config", path(&self.at("etc/hearthkeep.toml"))])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        await_condition("it runs and has its disk", LONG, || {
            let ended = recorder.try_wait().unwrap();
            let said = || fs::read_to_string(self.at("log")).unwrap();
            assert!(ended.is_none(), "{}", said());
            // `disk list` would say it too, of a disk that nobody has yet.
            said().contains("recording cameras=")
        });
        recorder
    }

    /// All that there is of the store belongs to its user.
    fn is_its_users(&self) {
        let user: u32 = NOBODY.parse().unwrap();
        let mut folders: Vec<_> = ["state", "footage", "new"].map(|name| self.at(name)).into();
        folders.retain(|folder| folder.exists());
        while let Some(folder) = folders.pop() {
            assert_eq!(fs::metadata(&folder).unwrap().uid(), user, "{folder:?}");
            for entry in fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                assert_eq!(entry.metadata().unwrap().uid(), user, "{entry:?}");
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
    }
}
