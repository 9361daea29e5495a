//! What a command says and how it ends.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use clap::CommandFactory;

use super::Arguments;

/// How a command ended; `docs/cli.md` has the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done.
    Done = 0,
    /// A file or the network failed.
    Failed = 1,
    /// `status`: the recorder does not run.
    NotRunning = 3,
    /// `status`: the recorder runs, and something is wrong.
    Troubled = 4,
    /// Damaged, changed or foreign data was found.
    Damaged = 65,
    /// Not initialised, or nothing in the span.
    Nothing = 66,
    /// The box or the camera cannot be reached.
    Unreachable = 69,
    /// Another process uses the store.
    Busy = 75,
    /// Wrong passphrase or kit, or not allowed.
    Refused = 77,
    /// A mistake in the configuration.
    Configuration = 78,
}

impl ExitStatus {
    /// All there are, by number.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Failed,
        Self::NotRunning,
        Self::Troubled,
        Self::Damaged,
        Self::Nothing,
        Self::Unreachable,
        Self::Busy,
        Self::Refused,
        Self::Configuration,
    ];

    /// This one, or where all was done the other.
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Done => other,
            status => status,
        }
    }

    /// What it says, as `docs/cli.md` has it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => {
                "something failed: a file, the network, or a part of `run` that it cannot go on without; start it again"
            }
            Self::NotRunning => "status: the recorder does not run",
            Self::Troubled => {
                "status: it runs, and something is wrong: a camera, a disk, damaged footage, the clock, the page; each has its line of trouble"
            }
            Self::Damaged => {
                "damaged, changed or foreign data was found; repair: some of it is left as it is, or --dry-run says what would be done about it"
            }
            Self::Nothing => "nothing there: not initialised, or no footage in the span",
            Self::Unreachable => "the box or the camera cannot be reached",
            Self::Busy => "another process uses this store",
            Self::Refused => "wrong passphrase or kit, or not allowed",
            Self::Configuration => "a mistake in the configuration",
        }
    }
}

/// Why a command could not be done: a sentence for a person, and the exit status for a script.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: ExitStatus,
    /// What is wrong and what to do next.
    pub sentence: String,
}

impl Failure {
    /// A failure with this sentence.
    pub fn new(status: ExitStatus, sentence: impl Display) -> Self {
        Self {
            status,
            sentence: sentence.to_string(),
        }
    }
}

/// Turns an error of a room into a failure with a status; the error's own words are the sentence.
pub(super) trait OrFail<T> {
    fn or_fail(self, status: ExitStatus) -> Result<T, Failure>;
}

impl<T, E: std::error::Error> OrFail<T> for Result<T, E> {
    fn or_fail(self, status: ExitStatus) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(status, with_sources(&error)))
    }
}

/// Writes a line to standard output. A closed pipe (`| head`) ends the output, not in an error.
pub(super) fn line(text: impl Display) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(
            ExitStatus::Failed,
            format_args!("cannot write to standard output: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Writes the completion script.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<ExitStatus, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "hearthkeep", &mut script);
    line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitStatus::Done)
}

/// What a program that runs for long has to say goes to standard error; `HEARTHKEEP_LOG` says how much of it.
pub(super) fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HEARTHKEEP_LOG")
        .unwrap_or_else(|_| "info,retina=warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// An error and what caused it, in one sentence; a cause that repeats the words of its consequence is left out.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !sentence.contains(&text) {
            sentence = format!("{sentence}: {text}");
        }
        source = cause.source();
    }
    sentence
}
