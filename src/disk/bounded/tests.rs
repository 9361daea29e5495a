use std::sync::Condvar;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::disk::RealDisk;

/// A disk of which `space` does not come back before it is told to.
struct Hanging {
    real: RealDisk,
    hangs: Mutex<bool>,
    go_on: Condvar,
    removals: AtomicUsize,
}

impl Hanging {
    fn hang(&self, hangs: bool) {
        *lock(&self.hangs) = hangs;
        self.go_on.notify_all();
    }
}

impl Disk for Hanging {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.real.create_new(path)
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.real.open_read(path)
    }
    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.real.open_write(path)
    }
    fn list(&self, folder: &Path, each: &mut dyn FnMut(&str, bool)) -> io::Result<()> {
        self.real.list(folder, each)
    }
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.real.create_folder(path)
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.real.sync_folder(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.real.remove_file(path)
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.real.remove_folder(path)
    }
    fn space(&self) -> io::Result<Space> {
        let hangs = lock(&self.hangs);
        drop(self.go_on.wait_while(hangs, |hangs| *hangs));
        self.real.space()
    }
}

fn hanging(folder: &Path, patience: Patience) -> (Arc<Hanging>, BoundedDisk) {
    let hanging = Arc::new(Hanging {
        real: RealDisk::open(folder).unwrap(),
        hangs: Mutex::new(false),
        go_on: Condvar::new(),
        removals: AtomicUsize::new(0),
    });
    let raw: Arc<dyn Disk> = Arc::clone(&hanging) as _;
    let bounded = BoundedDisk::new(raw, "test".into(), patience).unwrap();
    (hanging, bounded)
}

#[test]
fn a_disk_that_hangs_keeps_nobody_and_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    // Where it answers it may take its time, as a busy machine does.
    let patient = Patience::Each(Duration::from_secs(60));
    let (hanging, bounded) = hanging(folder.path(), patient.clone());
    let path = Path::new("file");
    let file = bounded.create_new(path).unwrap();
    file.append(&mut [IoSlice::new(b"some "), IoSlice::new(b"bytes")])
        .unwrap();
    file.sync_data().unwrap();
    let mut read = [0; 16];
    assert_eq!(file.read_at(5, &mut read).unwrap(), 5);
    assert_eq!(&read[..5], b"bytes");
    let mut names = Vec::new();
    let mut each = |name: &str, is_folder| names.push((name.to_owned(), is_folder));
    bounded.list(Path::new(""), &mut each).unwrap();
    assert_eq!(names, [("file".to_owned(), false)]);

    hanging.hang(true);
    let short = Patience::Each(Duration::from_millis(50));
    bounded.lane().set_patience(short);
    assert!(is_no_answer(&bounded.space().unwrap_err()));
    assert!(bounded.lane().hangs_for().is_some());
    assert!(is_no_answer(&bounded.remove_file(path).unwrap_err()));
    assert!(is_no_answer(&file.size().unwrap_err()));
    drop(file);
    bounded.lane().set_patience(patient);
    hanging.hang(false);
    while bounded.lane().hangs_for().is_some() {
        std::thread::yield_now();
    }
    assert!(bounded.space().is_ok());
    assert_eq!(
        hanging.removals.load(Ordering::SeqCst),
        0,
        "what was given up before it was begun is not made later"
    );
    bounded.remove_file(path).unwrap();
    assert!(!folder.path().join("file").exists());
}

#[test]
fn what_the_kernel_says_of_a_dead_drive_is_an_answer() {
    let dead: io::Error = rustix::io::Errno::TIMEDOUT.into();
    assert_eq!(dead.kind(), io::ErrorKind::TimedOut);
    assert!(!is_no_answer(&dead));
    assert!(is_no_answer(&no_answer()));
}

#[test]
fn disks_that_share_their_patience_are_waited_for_no_longer_together() {
    let folder = tempfile::tempdir().unwrap();
    let shared = Patience::together(Duration::from_millis(1_200));
    let (first, one) = hanging(folder.path(), shared.clone());
    let (_, other) = hanging(folder.path(), shared.clone());
    one.space().unwrap();
    assert_eq!(shared.longest(), Duration::from_millis(1_200));
    first.hang(true);
    assert!(is_no_answer(&one.space().unwrap_err()));
    assert_eq!(
        shared.longest(),
        Patience::LEAST,
        "the rest of it is used up"
    );
    assert!(other.space().is_ok(), "who answers is used all the same");
    first.hang(false);
    while one.lane().hangs_for().is_some() {
        std::thread::yield_now();
    }
    assert!(
        is_no_answer(&one.space().unwrap_err()),
        "not again and again"
    );
    let after = Patience::Each(Duration::from_secs(600));
    one.lane().set_patience(after);
    one.space().unwrap();
}
