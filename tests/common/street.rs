//! Several cameras at once, and what each of them shows.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use crate::common::{Cameras, clip};
use crate::installation::{CameraEntry, Installation, path};
use crate::judge;

const CLIPS: [&str; 3] = ["h264_small", "h265_small", "h264_other"];

pub struct Street {
    pub names: Vec<String>,
    clips: Vec<PathBuf>,
    pub cameras: Cameras,
}

impl Street {
    pub fn new(cameras: usize) -> Self {
        Self::showing(cameras, &CLIPS)
    }

    /// The same with these clips, one after another.
    pub fn showing(cameras: usize, clips: &[&str]) -> Self {
        let names: Vec<_> = (0..cameras).map(|i| format!("camera{i:02}")).collect();
        let made: Vec<_> = clips.iter().map(|name| clip(name)).collect();
        let clips: Vec<_> = made.iter().cycle().take(cameras).cloned().collect();
        let shown: Vec<_> = names
            .iter()
            .zip(&clips)
            .map(|(n, c)| format!("{n}={}", c.display()))
            .collect();
        let cameras = Cameras::start(&shown.iter().map(String::as_str).collect::<Vec<_>>());
        Self {
            names,
            clips,
            cameras,
        }
    }

    pub fn entries(&self) -> Vec<CameraEntry<'_>> {
        let entry = |name| CameraEntry {
            name,
            url: self.cameras.url(name),
            more: "",
        };
        self.names.iter().map(String::as_str).map(entry).collect()
    }

    /// Exports every camera: nothing but its own pictures and sound, each once, in order and in time; what is missing ends
    /// with a key frame. Returns the pictures that were found of each.
    pub fn is_what_was_recorded(&self, installation: &Installation) -> Vec<u64> {
        let cameras = 0..self.names.len();
        cameras
            .map(|camera| self.is_what_one_recorded(installation, camera))
            .collect()
    }

    /// The same of one of them, by its number.
    pub fn is_what_one_recorded(&self, installation: &Installation, camera: usize) -> u64 {
        is_of_the_clip(installation, &self.names[camera], &self.clips[camera])
    }
}

fn is_of_the_clip(installation: &Installation, camera: &str, clip: &Path) -> u64 {
    let mp4 = installation.folder().join("export.mp4");
    let output = installation.run("export", &["--camera", camera, "--out", path(&mp4)]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let verdict = judge::slices(&mp4, &[clip], &["--gaps", "--av-ms-max", "40"]);
    assert_eq!(verdict["ok"], true, "{camera}: {verdict:#}");
    judge::decodes_silently_with_gaps(&mp4);
    std::fs::remove_file(&mp4).unwrap();
    verdict["video"]["count"].as_u64().unwrap()
}
