//! The manual page and the tables of `docs/cli.md` tell all that the program has.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use hearthkeep::cli::{Arguments, ExitStatus};
use hearthkeep::config::Config;

/// What `man` would show, in lines that are never broken; groff (Debian's groff-base) must have nothing to complain of.
fn shown() -> String {
    let page = Command::new(env!("CARGO_BIN_EXE_hearthkeep"))
        .arg("man")
        .output()
        .unwrap();
    assert!(page.status.success());
    let mut groff = Command::new("groff")
        .args(["-ww", "-man", "-Tascii", "-P-cbou", "-rLL=2000n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("groff, of Debian's package groff-base");
    groff.stdin.take().unwrap().write_all(&page.stdout).unwrap();
    let output = groff.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines from a heading to the next one.
fn section<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = page.lines().skip_while(|line| line.trim() != heading);
    let first = lines.next();
    let first = first.unwrap_or_else(|| panic!("no section {heading}\n{page}"));
    let is_inside = |line: &&str| line.trim().is_empty() || indent(line) > indent(first);
    lines.take_while(is_inside).collect()
}

#[test]
fn every_subcommand_and_option_is_in_the_manual_page_and_the_table() {
    let page = shown();
    let table = doc("docs/cli.md");
    let mut program = Arguments::command();
    program.build();
    let mut commands: Vec<_> = program.get_subcommands().collect();
    let mut seen = 0;
    while let Some(command) = commands.pop() {
        if command.is_hide_set() || command.get_name() == "help" {
            continue;
        }
        commands.extend(command.get_subcommands());
        let name = command.get_bin_name().unwrap();
        let lines = section(&page, name);
        let short = name.strip_prefix("hearthkeep ").unwrap();
        let row = table
            .lines()
            .find(|line| {
                let row = line.strip_prefix(&format!("| `{short}"));
                row.is_some_and(|rest| rest.starts_with(['`', ' ']))
            })
            .unwrap_or_else(|| panic!("{short} has no row in docs/cli.md"));
        for argument in command.get_arguments().filter(|it| it.get_id() != "help") {
            let Some(option) = argument.get_long().map(|long| format!("--{long}")) else {
                continue;
            };
            seen += 1;
            let is_described = |line: &str| line.trim_start().starts_with(&option);
            assert!(
                lines.iter().any(|line| is_described(line)),
                "{name} {option}\n{page}"
            );
            assert!(
                row.contains(&format!("`{option}")) || option == "--config",
                "{short} {option}"
            );
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn exit_codes_keys_and_the_environment_are_told() {
    let page = shown();
    let (codes, table) = (section(&page, "EXIT STATUS"), doc("docs/cli.md"));
    for status in ExitStatus::ALL {
        let (number, meaning) = (status as u8, status.meaning());
        assert!(codes.iter().any(|line| line.contains(meaning)), "{meaning}");
        assert!(
            table.contains(&format!("| {number} | {meaning} |")),
            "{number}"
        );
    }
    let configuration = section(&page, "CONFIGURATION").join("\n");
    let wrong = "q = 1\nstate_dir = \"s\"\n[server]\nq = 1\n[storage]\nq = 1\n[[disk]]\npath = \"d\"\nq = 1\n[[camera]]\nname = \"c\"\nurl = \"rtsp://c\"\nq = 1\n";
    let told = Config::parse(wrong, Path::new("x.toml"))
        .unwrap_err()
        .to_string();
    let known: Vec<_> = told
        .lines()
        .filter_map(|line| line.split_once("known here: "))
        .collect();
    assert_eq!(known.len(), 5, "{told}");
    for key in known.iter().flat_map(|(_, keys)| keys.split(", ")) {
        assert!(configuration.contains(key), "{key}");
    }
    assert!(
        section(&page, "ENVIRONMENT")
            .join("\n")
            .contains("HEARTHKEEP_LOG")
    );
    assert!(doc("README.md").contains("HEARTHKEEP_LOG"));
}

fn doc(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}
