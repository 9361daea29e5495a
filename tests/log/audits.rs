//! What people did to a store stands in its log: what, when and by whom, beside a running recorder and without one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hearthkeep::clock::{Clock, SystemClock};
use hearthkeep::disk::{Disk, RealDisk};
use hearthkeep::keys::StateFolder;
use hearthkeep::store::SharedKeys;
use hearthkeep::store::log::{Reader, WaitingAudits, find};
use hearthkeep_format::MetadataKey;
use hearthkeep_format::log::{AuditKind, Record, Stamped};

use crate::common::{Cameras, clip};
use crate::installation::{CameraEntry, HEARTHKEEP, Installation, path};

const LONG: Duration = Duration::from_secs(90);

/// The audits in the log on the first disk.
fn logged(installation: &Installation) -> Vec<Stamped> {
    let state = StateFolder::load(&installation.state()).unwrap();
    let m = *state.metadata_key(1).unwrap().as_bytes();
    let keys: SharedKeys = Arc::new(move |n| (n == 1).then(|| MetadataKey::from_bytes(m)));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&installation.footage()).unwrap());
    let chain = find(&[disk], &state.store(), &*keys);
    let [log] = &chain.logs[..] else {
        panic!("{} logs", chain.logs.len());
    };
    let (mut reader, mut audits) = (Reader::new(keys), Vec::new());
    loop {
        let read = reader.next(&log.files).unwrap();
        if read.is_empty() {
            return audits;
        }
        let opened = read.into_iter().map(|(_, stamped)| stamped.unwrap());
        audits.extend(opened.filter(|it| matches!(it.record, Record::Audit { .. })));
    }
}

fn waiting(installation: &Installation) -> usize {
    let state = StateFolder::load(&installation.state()).unwrap();
    let waiting = WaitingAudits::new(state.folder(), state.state_key());
    waiting.read().unwrap().len()
}

/// Does something as robin.
fn done(installation: &Installation, command: &[&str], arguments: &[&str]) {
    let mut program = Command::new(HEARTHKEEP);
    program.args(command).arg("--config");
    program.arg(installation.config()).args(arguments);
    let output = program.env("SUDO_USER", "robin").output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn id_of(folder: &Path) -> String {
    let file = std::fs::read(folder.join("hearthkeep-disk.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    file["disk"].as_str().unwrap().to_owned()
}

#[test]
fn a_claim_a_passphrase_and_disks_that_come_and_go_are_told_with_their_times() {
    let mut times = vec![SystemClock::new().wall_us()];
    let mut pass = || times.push(SystemClock::new().wall_us());
    let cameras = Cameras::start(&[&format!("door={}", clip("h264_small").display())]);
    let urls = [cameras.url("door").to_owned()];
    let installation = Installation::new(&CameraEntry::plain(&["door"], &urls));
    pass();
    let disk = |name: &str| {
        let folder = installation.folder().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let (first, second) = (disk("first"), disk("second"));

    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(1)
    });
    done(&installation, &["disk", "add"], &[path(&first), "--cold"]);
    pass();
    done(&installation, &["disk", "retire"], &[path(&first)]);
    pass();
    recorder.terminate();
    assert_eq!(waiting(&installation), 0, "the log has them");

    let new = installation.folder().join("new-passphrase");
    std::fs::write(&new, "seven green herons by the weir\n").unwrap();
    let old = installation.passphrase_file();
    let files = [
        "--old-passphrase-file",
        path(&old),
        "--passphrase-file",
        path(&new),
    ];
    done(&installation, &["keys", "passphrase"], &files);
    pass();
    done(&installation, &["disk", "add"], &[path(&second), "--cold"]);
    pass();
    assert_eq!(logged(&installation).len(), 3, "no log was open");
    assert_eq!(waiting(&installation), 2);
    done(&installation, &["disk", "retire"], &[path(&second)]);
    pass();
    assert_eq!(waiting(&installation), 0, "it was, to take a disk out");

    let (first, second) = (id_of(&first), id_of(&second));
    let expected = [
        (AuditKind::Claimed, "by init"),
        (AuditKind::DiskAdded, first.as_str()),
        (AuditKind::DiskRemoved, &first),
        (AuditKind::Passphrase, "by the old one"),
        (AuditKind::DiskAdded, &second),
        (AuditKind::DiskRemoved, &second),
    ];
    let audits = logged(&installation);
    assert_eq!(audits.len(), expected.len(), "{audits:?}");
    for ((stamped, (what, more)), span) in audits.iter().zip(expected).zip(times.windows(2)) {
        let Record::Audit { kind, who, detail } = &stamped.record else {
            panic!("{stamped:?}");
        };
        assert_eq!((*kind, detail.as_str()), (what, more));
        let is_in_time = (span[0]..=span[1]).contains(&stamped.wall_us);
        assert!(is_in_time, "{span:?}: {stamped:?}");
        // Who makes the installation is whoever runs this.
        if what != AuditKind::Claimed {
            assert_eq!(who, "robin, on the command line");
        }
    }
    let told = installation.run("reindex", &[]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("and 6 audits."), "{told}");
}
