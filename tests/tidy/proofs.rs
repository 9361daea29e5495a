//! Each rule of `tests/tidy.rs` complains when it should and is silent when it should be.

use super::*;

fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_string(),
        text: text.to_string(),
    }
}

fn complaints(rule: impl Fn(&[File]) -> Vec<String>, path: &str, text: &str) -> usize {
    rule(&[file(path, text)]).len()
}

#[test]
fn arrows_up_and_sideways_are_found() {
    let up = [
        ("src/store/mod.rs", "use crate::web::routes;"),
        ("src/record.rs", "use crate::play;"),
        (
            "src/camera/session.rs",
            "use crate::{clock, limits::X, store::{a, b}};",
        ),
        ("src/disk.rs", "fn f() { crate::keys::open() }"),
        ("src/limits.rs", "use crate::config::Config;"),
        (
            "src/web/mod.rs",
            "use crate::{\n    play,\n    cli::args,\n};",
        ),
        ("src/attic/mod.rs", ""),
    ];
    for (path, text) in up {
        assert_eq!(complaints(wrong_imports, path, text), 1, "{path}: {text}");
    }
    let down = [
        (
            "src/record/mod.rs",
            "use crate::{camera, store::Catalog, record::live};",
        ),
        (
            "src/store/mod.rs",
            "// use crate::web;\nconst A: &str = \"crate::web::x\";",
        ),
        ("src/main.rs", "use crate::cli;"),
        ("src/clock.rs", "use crate::random::OsRandom;"),
        ("src/format/src/a.rs", "use crate::web;"),
        (
            "src/web/a.rs",
            "use crate::some_macro; let c = '\"'; use crate::play; // \"",
        ),
    ];
    for (path, text) in down {
        assert_eq!(complaints(wrong_imports, path, text), 0, "{path}: {text}");
    }
    let at = wrong_imports(&[file("src/disk.rs", "/* a\n\n*/\nuse crate::web;")]);
    assert!(at[0].starts_with("src/disk.rs:4:"), "{at:?}");
}

#[test]
fn libraries_out_of_their_rooms_are_found() {
    let wrong = [
        ("src/record/mod.rs", "use retina::client::Session;"),
        ("src/store/segments.rs", "let t: sled::Tree = x;"),
        ("src/cli/run.rs", "use actix_web::App;"),
        ("src/web/mod.rs", "#[derive(clap::Parser)] struct A;"),
        ("src/play/mod.rs", "use ffmpeg_next as ffmpeg;"),
        ("src/camera/mod.rs", "use mdns_sd::ServiceDaemon;"),
    ];
    for (path, text) in wrong {
        assert_eq!(complaints(strangers, path, text), 1, "{path}: {text}");
    }
    let right = [
        ("src/camera/rtsp.rs", "use retina::client::Session;"),
        ("src/store/catalog/mod.rs", "use sled::Db;"),
        ("src/cli/remote.rs", "awc::Client::new(); // actix_web::App"),
        (
            "src/record/mod.rs",
            "use crate::camera::retina::Session; let sled = 1;",
        ),
        (
            "src/record/mod.rs",
            "const A: &str = r#\"use sled::Db; \" \"#;",
        ),
    ];
    for (path, text) in right {
        assert_eq!(complaints(strangers, path, text), 0, "{path}: {text}");
    }
}

#[test]
fn io_in_the_format_is_found() {
    let path = "src/format/src/chunk.rs";
    for text in [
        "use std::fs;",
        "use std::{io, net};",
        "std::fs::read(p)",
        "use std::time::{Duration, Instant};",
    ] {
        assert_eq!(complaints(io_in_format, path, text), 1, "{text}");
    }
    for text in [
        "use std::io;",
        "// std::fs",
        "use std::time::Duration;",
        "let fs = 1;",
    ] {
        assert_eq!(complaints(io_in_format, path, text), 0, "{text}");
    }
    assert_eq!(complaints(io_in_format, "src/disk.rs", "use std::fs;"), 0);
}

#[test]
fn dead_paths_are_found() {
    let there = [
        "docs/format.md",
        "src/store",
        "src/store/writer.rs",
        "web-ui/src/api",
        "docs",
    ];
    let rule = |files: &[File]| dead_paths(files, &|path| there.contains(&path));
    let dead = [
        ("src/a.rs", "// see docs/gone.md"),
        ("src/a.rs", "//! As `src/store/{writer,gone}.rs` do."),
        ("README.md", "Read `docs/gone.md`, or [this](docs/gone.md)."),
        ("docs/x.md", "[a](gone.md#part)"),
        ("Makefile", "test: # runs tests/gone"),
        ("web-ui/src/a.ts", " * see web-ui/src/gone/"),
        ("src/a.rs", "/// `src/gone/<camera>.rs`"),
    ];
    for (path, text) in dead {
        assert_eq!(complaints(rule, path, text), 1, "{path}: {text}");
    }
    let alive = [
        (
            "src/a.rs",
            "// see docs/format.md, section 3; src/store/… and src/store/*.rs.",
        ),
        ("src/a.rs", "let a = \"tests/data/x\";"),
        ("web-ui/a.ts", "// in src/api/"),
        ("web-ui/build.sh", "#   into src/wasm"),
        (
            "docs/x.md",
            "[a](format.md#part) <https://example.org/docs/gone> ../tests/gone",
        ),
        (
            "README.md",
            "`web-ui/dist/` is built; target/src/gone is not ours",
        ),
    ];
    for (path, text) in alive {
        assert_eq!(complaints(rule, path, text), 0, "{path}: {text}");
    }
}

#[test]
fn long_files_are_found() {
    let long = "\n".repeat(LINES_MAX + 1);
    assert_eq!(complaints(long_files, "src/a.rs", &long), 1);
    assert_eq!(complaints(long_files, "web-ui/src/a.tsx", &long), 1);
    assert_eq!(
        complaints(long_files, "src/a.rs", &"\n".repeat(LINES_MAX)),
        0
    );
    assert_eq!(complaints(long_files, "docs/format.md", &long), 0);
}

#[test]
fn leftovers_are_found() {
    for (path, text) in [
        ("tests/a.rs", "#[ignore = \"slow\"]"),
        ("src/a.rs", "fn f() { todo!() }"),
        ("web-ui/src/a.test.ts", "test.only('a', f)"),
        ("web-ui/src/a.test.tsx", "describe.skip('a', f)"),
    ] {
        assert_eq!(complaints(leftovers, path, text), 1, "{text}");
    }
    for text in ["a.iter().skip(1)", "// todo!()", "let a = \"todo!()\";"] {
        assert_eq!(complaints(leftovers, "src/a.rs", text), 0, "{text}");
    }
}

#[test]
fn machine_paths_are_found() {
    for folder in ["root", "work", "home"] {
        assert_eq!(
            complaints(machine_paths, "a.sh", &format!("cd /{folder}/me")),
            1,
            "{folder}"
        );
        assert_eq!(
            complaints(machine_paths, "a.md", &format!("`/{folder}/x`")),
            1,
            "{folder}"
        );
        assert_eq!(
            complaints(machine_paths, "a.md", &format!("docs/{folder}/x")),
            0,
            "{folder}"
        );
    }
}
