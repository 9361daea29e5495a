//! `hearthkeep-media`: what needs FFmpeg, in a process of its own.
//!
//! It reads fragmented MP4 from standard input and writes to standard output, and opens nothing else: the only protocol
//! it lets FFmpeg use is `pipe`. The recorder starts it as a child, so that the recorder itself links no FFmpeg (Debian's
//! is a GPL build) and a hostile stream can cost a child at most, in a sandbox without files, network or other programs.
//!
//! ```text
//! hearthkeep-media mpegts      remux to MPEG-TS
//! hearthkeep-media matroska    remux to Matroska
//! hearthkeep-media picture     decode the first picture, as PNG
//! hearthkeep-media sandbox     say what this kernel's sandbox refuses, by trying it
//! ```

mod picture;
mod remux;
mod sandbox;
mod self_check;

use std::process::ExitCode;

use ffmpeg_next as ffmpeg;

const USAGE: &str =
    "usage: hearthkeep-media mpegts|matroska|picture  < fragmented.mp4  > output, a pipe";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(task), None) = (arguments.next(), arguments.next()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("hearthkeep-media: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &str) -> Result<(), String> {
    if task == "sandbox" {
        return self_check::run();
    }
    let layers = [
        sandbox::limit(task == "picture"),
        sandbox::close_files(),
        sandbox::refuse_calls(),
    ];
    let log = std::env::var("HEARTHKEEP_LOG").unwrap_or_default();
    if ["debug", "trace"].iter().any(|level| log.contains(level)) {
        layers
            .iter()
            .for_each(|layer| eprintln!("hearthkeep-media: sandbox: {layer}"));
    }
    ffmpeg::init().map_err(|error| format!("FFmpeg does not start: {error}"))?;
    ffmpeg::log::set_level(ffmpeg::log::Level::Error);
    match task {
        "mpegts" | "matroska" => remux::remux(open_input()?, task),
        "picture" => picture::first_picture(open_input()?),
        _ => Err(USAGE.to_owned()),
    }
}

/// Standard input, demuxed.
fn open_input() -> Result<ffmpeg::format::context::Input, String> {
    let mut options = ffmpeg::Dictionary::new();
    options.set("protocol_whitelist", "pipe");
    options.set("format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2");
    ffmpeg::format::input_with_dictionary("pipe:0", options)
        .map_err(|error| format!("standard input is not fragmented MP4: {error}"))
}
