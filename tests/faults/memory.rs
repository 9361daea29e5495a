//! A limit of memory, by a control group of the first or the second version.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::durable::{are_durable, ids, until_durable};
use super::installation::{Installation, await_condition};
use super::rows::{cause, end_us, now_us, of_stream, start_us};
use super::street::Street;
use super::viewer::Viewer;

const CAMERAS: usize = 3;
const LONG: Duration = Duration::from_secs(60);
const LIMIT_BYTES: u64 = 256 << 20;
const BACK_US_MAX: i64 = 10_000_000;
const LOST_US_MAX: i64 = 2_500_000;

/// A control group with a limit of memory. It goes when it is dropped, if nobody is in it.
pub struct Group(PathBuf);

impl Group {
    /// `None` where this process may not make one.
    pub fn make(limit_bytes: u64) -> Option<Self> {
        let name = format!("hearthkeep-test-{}", std::process::id());
        let places = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        places.iter().find_map(|(root, limit)| {
            let group = Self(Path::new(root).join(&name));
            std::fs::create_dir(&group.0).ok()?;
            std::fs::write(group.0.join(limit), limit_bytes.to_string()).ok()?;
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Somebody may still be in it.
        let _ = std::fs::remove_dir(&self.0);
    }
}

impl Group {
    /// Puts a process into it.
    fn take(&self, pid: u32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

/// Memory that a process has in use, files that are cached aside.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.map_or(0, |kib| kib.parse::<u64>().unwrap() * 1024)
}

pub fn that_runs_out() {
    let street = Street::new(CAMERAS);
    let installation = Installation::new(&street.entries());
    let mut recorder = installation.start();
    let viewer = Viewer::new(&installation, &mut recorder);
    let visit = viewer.visit(&mut recorder);
    let ids = ids(&visit);
    until_durable(&visit, &ids, 0);

    let group = Group::make(LIMIT_BYTES).unwrap();
    group.take(recorder.pid());
    // Makes the kernel take it first.
    let score = format!("/proc/{}/oom_score_adj", recorder.pid());
    std::fs::write(score, "1000").unwrap();
    let hog = Hog::start(&group);
    await_condition("the kernel ends the recorder", LONG, || {
        recorder.has_ended()
    });
    let killed_us = now_us();
    drop(hog);
    drop(recorder);
    let mut recorder = installation.start();
    let visit = viewer.visit(&mut recorder);
    await_condition("all are recorded again", LONG, || {
        are_durable(&visit, &ids, killed_us + 1_000_000)
    });
    recorder.terminate();
    let list = installation.list(&[]);
    for id in &ids {
        let rows = of_stream(&list, id);
        let [before, after] = &rows[..] else {
            panic!("{list:#}");
        };
        assert_eq!(cause(after), Some("crash"), "{list:#}");
        let (back_us, lost_us) = (start_us(after) - killed_us, killed_us - end_us(before));
        println!(
            "recorded again after {} ms, {} ms lost",
            back_us / 1000,
            lost_us / 1000
        );
        assert!(back_us < BACK_US_MAX && lost_us < LOST_US_MAX, "{list:#}");
    }
    street.is_what_was_recorded(&installation);
}

/// A process that takes more memory than there is. It ends when it is dropped.
struct Hog(Child);

impl Hog {
    fn start(group: &Group) -> Self {
        let script = format!(
            "input(); held = bytearray({}); print(len(held))",
            2 * LIMIT_BYTES
        );
        let mut command = Command::new("/usr/bin/python3");
        let command = command.args(["-c", &script]).stdin(Stdio::piped());
        let mut hog = command.spawn().unwrap();
        group.take(hog.id());
        writeln!(hog.stdin.as_mut().unwrap(), "go").unwrap();
        Self(hog)
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
