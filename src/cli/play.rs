//! `hearthkeep play`

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

use super::footage::{FootageArguments, tell_skipped};
use super::media::{self, Media};
use super::output::{ExitStatus, Failure};
use crate::archive::{self, Streamed};

/// Bytes that are gathered before they are written: a fragment mostly goes out whole.
const BUFFER_BYTES: usize = 256 << 10;

#[derive(Debug, clap::Args)]
pub struct PlayArguments {
    #[command(flatten)]
    footage: FootageArguments,
    /// What to write; all but fmp4 need the program hearthkeep-media
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "fmp4")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Fragmented MP4, as it was recorded
    Fmp4,
    /// MPEG-TS
    Mpegts,
    /// Matroska
    Matroska,
    /// One picture: the key frame at or before --from
    Png,
}

impl Format {
    /// The child's task; what is recorded needs none.
    fn task(self) -> Option<&'static str> {
        match self {
            Self::Fmp4 => None,
            Self::Mpegts => Some("mpegts"),
            Self::Matroska => Some("matroska"),
            Self::Png => Some("picture"),
        }
    }
}

pub(super) fn main(arguments: PlayArguments) -> Result<ExitStatus, Failure> {
    if io::stdout().is_terminal() {
        let sentence = "this writes bytes that no terminal can show: pipe it into a player, such as \
                        `hearthkeep play --camera NAME | mpv -`, or redirect it into a file";
        return Err(Failure::new(ExitStatus::Failed, sentence));
    }
    let Some(task) = arguments.format.task() else {
        let (played, log) = play(&arguments.footage, &mut io::stdout().lock())?;
        return Ok(tell_skipped(&played.skipped).or(log));
    };
    let mut child = None;
    let played = arguments.footage.with(|export| {
        // Only now: a wrong passphrase is to be heard before the child says that it got nothing.
        let started = match media::start(task) {
            Ok(started) => child.insert(started),
            Err(failure) => return Ok(Err(failure)),
        };
        until_closed(started, |output| archive::stream(export, output)).map(Ok)
    });
    let finished = child.map_or(Ok(()), Media::finish);
    let (played, log) = played?;
    let played = played?;
    finished?;
    Ok(tell_skipped(&played.skipped).or(log))
}

fn play(
    footage: &FootageArguments,
    output: &mut dyn Write,
) -> Result<(Streamed, ExitStatus), Failure> {
    footage.with(|export| until_closed(output, |output| archive::stream(export, output)))
}

/// A reader that closes its end has seen enough: that is an end like any other.
fn until_closed(
    output: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> Result<Streamed, archive::Error>,
) -> Result<Streamed, archive::Error> {
    let mut buffered = BufWriter::with_capacity(BUFFER_BYTES, output);
    let written = write(&mut buffered);
    // What is left after an error has nowhere to go.
    let (_, _) = buffered.into_parts();
    match written {
        Err(archive::Error::Write(error)) if error.kind() == ErrorKind::BrokenPipe => {
            Ok(Streamed::default())
        }
        written => written,
    }
}
