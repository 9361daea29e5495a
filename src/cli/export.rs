//! `hearthkeep export`

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::footage::{FootageArguments, tell_skipped};
use super::output::{ExitStatus, Failure};
use super::span::rfc3339;
use crate::archive::{self, Export, Exported};

#[derive(Debug, clap::Args)]
pub struct ExportArguments {
    #[command(flatten)]
    footage: FootageArguments,
    /// The MP4 file to write; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn main(arguments: ExportArguments) -> Result<ExitStatus, Failure> {
    let (exported, log) =
        arguments
            .footage
            .with(|export| match arguments.out.as_os_str() == "-" {
                true => to_stdout(export),
                false => to_file(export, &arguments.out),
            })?;
    Ok(report(exported)?.or(log))
}

fn to_stdout(export: &Export<'_>) -> Result<Exported, archive::Error> {
    let mut fresh = Some(io::stdout().lock());
    archive::export(
        export,
        &mut || Ok(fresh.take().map(BufWriter::new)),
        &mut |_, _| {},
    )
}

/// Writes beside the file and renames, so that a name never stands for half a file.
fn to_file(export: &Export<'_>, out: &Path) -> Result<Exported, archive::Error> {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = out.with_file_name(name);
    let bar = progress_bar();
    let exported = archive::export(
        export,
        &mut || File::create(&part).map(|file| Some(BufWriter::with_capacity(1 << 20, file))),
        &mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        },
    );
    bar.finish_and_clear();
    let renamed = exported.and_then(|exported| {
        File::open(&part)?.sync_all()?;
        fs::rename(&part, out)?;
        Ok(exported)
    });
    if renamed.is_err() {
        // Whatever was written is of no use; that it may not be there is fine.
        let _ = fs::remove_file(&part);
    }
    renamed
}

fn progress_bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            .expect("the template is right");
    ProgressBar::new(0).with_style(style)
}

fn report(exported: Exported) -> Result<ExitStatus, Failure> {
    let mut words = io::stderr().lock();
    let _ = writeln!(
        words,
        "exported {:.1} MB, beginning at {}",
        exported.bytes as f64 / 1e6,
        rfc3339(exported.begins_us)
    );
    drop(words);
    Ok(tell_skipped(&exported.skipped))
}
