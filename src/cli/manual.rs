//! The manual page: one for all subcommands, so that `man hearthkeep` tells everything.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::Arguments;
use super::output::{ExitStatus, Failure, OrFail, line};

/// What a term means.
type Row<'a> = (&'a str, &'a str);

const CONFIGURATION: &[Row<'_>] = &[
    (
        "state_dir = \"/var/lib/hearthkeep\"",
        "The folder of the recorder's own keys and of its catalog; required.",
    ),
    (
        "[server]",
        "What the page is served as; all of it is optional.",
    ),
    ("listen = \"0.0.0.0:8443\"", "Address and port."),
    (
        "names = [\"camera.home.arpa\"]",
        "Further names, with a dot, and addresses that the page is reached by. A new one needs a new certificate authority.",
    ),
    (
        "announce = true",
        "Whether the local network is told where the page is (multicast DNS).",
    ),
    (
        "certificate = \"FILE\", key = \"FILE\"",
        "A certificate of your own with its chain, and its key, in PEM; without them the box makes its own.",
    ),
    (
        "[storage]",
        "How footage is spread over several disks, and looked after; all of it is optional.",
    ),
    (
        "placement = \"most-room\"",
        "Which disk a new segment goes to: the one with the most room; \"round-robin\": one after the other; \"spill-over\": the \
         first, and the next once it is full.",
    ),
    (
        "cold_after_days = 7",
        "Footage older than this moves to the disks whose tier is cold. From a disk that is full the oldest moves there before.",
    ),
    (
        "scrub_days = 30",
        "All footage is read again in the background, to find damage, once in so many days; 0: never.",
    ),
    (
        "[[disk]]",
        "A folder to record to; at least one, and as many as there are.",
    ),
    (
        "path = \"/srv/footage\"",
        "The folder: empty at first, or a disk of this store; required.",
    ),
    (
        "max_bytes = \"500GB\"",
        "The most that footage may take of it, footage that is held included: the oldest that is not held goes first. Without it, all but a reserve. \
         A camera can have it too; there it leaves out what is held, so that holding costs a camera none of its other footage.",
    ),
    (
        "tier = \"cold\"",
        "It is for old footage; new footage goes to it only while no other disk takes it or has room.",
    ),
    ("[[camera]]", "A camera to record."),
    (
        "name = \"front door\"",
        "Its name, which is the only one of that name; required.",
    ),
    (
        "url = \"rtsp://192.168.1.20/stream1\"",
        "Where it is; required. A password in it is read, and never logged.",
    ),
    ("username = \"viewer\"", "Whom it lets in."),
    (
        "password_file = \"FILE\", or password = \"...\"",
        "The password, on the first line of a file, or itself.",
    ),
    ("keep_days = 14", "Footage older than this goes."),
    (
        "disk = \"/srv/footage\"",
        "The disk to record it to while that is there, by its path.",
    ),
];

const FILES: &[Row<'_>] = &[
    (
        "/etc/hearthkeep/hearthkeep.toml",
        "The configuration, unless --config names another.",
    ),
    (
        "STATE_DIR/claim-code",
        "What to type in the page of a box that has no owner yet; renewed every 30 minutes.",
    ),
    (
        "STATE_DIR/machine.key",
        "Opens the other files of this folder, and no footage. Keep it with them: without it they are worth nothing.",
    ),
    (
        "STATE_DIR/store.sealed, people.sealed, keyring, tls",
        "The store, accounts and login sessions, who footage is sealed to, the box's certificates.",
    ),
    (
        "STATE_DIR/catalog",
        "An index of the footage, rebuilt when it is lost.",
    ),
    (
        "DISK/footage, DISK/keyring, DISK/hearthkeep-disk.json",
        "Sealed segments; all that the recovery kit needs to open them; which disk of which store this is.",
    ),
];

const ENVIRONMENT: &[Row<'_>] = &[(
    "HEARTHKEEP_LOG",
    "How much `run` logs to standard error: error, warn, info, debug or trace, also for single parts, such as \
     info,hearthkeep::camera=debug,retina=warn. Without it: info,retina=warn.",
)];

const EXAMPLES: &[Row<'_>] = &[
    ("hearthkeep status --json", "How the box is, for a monitor."),
    (
        "hearthkeep play --camera \"front door\" --from 2026-11-22T18:30:00Z | mpv -",
        "Watches from that time on.",
    ),
    (
        "hearthkeep export --camera \"front door\" --from 2026-11-22T18:30:00Z --to 2026-11-22T18:35:00Z --out visit.mp4",
        "Five minutes as a file.",
    ),
    (
        "hearthkeep export --disk /mnt/old --kit recovery-kit.txt --camera \"front door\" --out all.mp4",
        "From a disk by itself, on any machine, with the recovery kit.",
    ),
];

/// Writes the page to standard output.
pub(super) fn main() -> Result<ExitStatus, Failure> {
    let page = page().or_fail(ExitStatus::Failed)?;
    line(String::from_utf8_lossy(&page).trim_end())?;
    Ok(ExitStatus::Done)
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let mut program = Arguments::command();
    program.build();
    let man = Man::new(program.clone()).manual("Hearthkeep");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([
        bold("hearthkeep"),
        roman(" "),
        italic("COMMAND"),
        roman(" [options]"),
    ]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "Records security cameras so that the recorder itself cannot read back what it has recorded: it holds public keys only, and a \
         passphrase or the printed recovery kit opens the footage, in a browser or by this program. Times are RFC 3339, such as \
         2026-11-22T18:30:00Z. Commands that read (status, list, play, export, check, keys) work beside a running recorder.",
    )]);
    roff.control("SH", ["COMMANDS"]);
    roff.to_writer(&mut page)?;
    for command in visible(&program) {
        describe(command, &mut page)?;
    }
    let mut roff = Roff::new();
    let statuses: Vec<_> = ExitStatus::ALL
        .iter()
        .map(|status| ((*status as u8).to_string(), status.meaning()))
        .collect();
    let statuses: Vec<Row<'_>> = statuses
        .iter()
        .map(|(n, text)| (n.as_str(), *text))
        .collect();
    for (title, rows) in [
        ("EXIT STATUS", &statuses[..]),
        ("CONFIGURATION", CONFIGURATION),
        ("FILES", FILES),
        ("ENVIRONMENT", ENVIRONMENT),
        ("EXAMPLES", EXAMPLES),
    ] {
        roff.control("SH", [title]);
        for (term, meaning) in rows {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*meaning)]);
        }
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// A subcommand's section: what it does, its synopsis and options, and the same of its own subcommands.
fn describe(command: &Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    let mut roff = Roff::new();
    roff.control("SS", [name.as_str()]);
    if let Some(about) = command.get_about() {
        roff.text([roman(format!("{about}."))]);
    }
    roff.to_writer(page)?;
    let man = Man::new(command.clone().display_name(name).disable_help_flag(true));
    let mut section = Vec::new();
    man.render_synopsis_section(&mut section)?;
    man.render_options_section(&mut section)?;
    let text = String::from_utf8_lossy(&section);
    let text = text
        .replace(".SH SYNOPSIS\n", ".PP\n")
        .replace(".SH OPTIONS\n", "");
    page.extend_from_slice(text.as_bytes());
    visible(command).try_for_each(|below| describe(below, page))
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    let is_shown = |below: &&Command| !below.is_hide_set() && below.get_name() != "help";
    command.get_subcommands().filter(is_shown)
}
