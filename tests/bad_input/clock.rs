//! A box that does not know the time.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::installation::{CameraEntry, HEARTHKEEP, Installation, await_condition, path};
use super::shifted::ShiftedClock;
use super::{LONG, judge, one_camera, record, recorded_us};

#[test]
fn a_clock_at_1970_is_told_and_marked_and_set_right_later() {
    let (_cameras, url, clip) = one_camera();
    // Many streams of one camera: the first one's first segment ends after 5 s.
    let names: Vec<_> = (0..12)
        .map(|i| {
            if i == 0 {
                "good".to_owned()
            } else {
                format!("more{i}")
            }
        })
        .collect();
    let entry = |name: &'_ String| (name.clone(), url.clone());
    let entries: Vec<_> = names.iter().map(entry).collect();
    let more = "keep_days = 1";
    let entries: Vec<_> = entries
        .iter()
        .map(|(name, url)| CameraEntry { name, url, more })
        .collect();
    let installation = Installation::new(&entries);
    let clock = ShiftedClock::make(installation.folder());
    clock.show_1970();

    let mut recorder = installation.start_with(&clock.variables());
    recorder.until("it is recorded", LONG, |list| {
        recorded_us(list) >= 1_000_000
    });
    let log = installation.log();
    assert!(
        log.contains("this box does not know the time: its clock says 1970-01-01T00:"),
        "{log}"
    );
    let status = installation.run("status", &[]);
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(
        status.status.code() == Some(4) && said.contains("this box does not know the time"),
        "{said}"
    );
    let first = of_good(&installation.list(&[]))[0].clone();
    assert!(
        first["start"]
            .as_str()
            .unwrap()
            .starts_with("1970-01-01T00:")
    );
    assert_eq!(first["clock_trusted"], false);
    let table = installation.run("list", &["--camera", "good"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("the clock was not set"));
    // The time becomes known while the segment is written.
    clock.show_the_time();
    recorder.until("a second segment is recorded", LONG, |list| {
        of_good(list).len() >= 2
    });
    let afar = installation.list_from_afar(&mut recorder);
    recorder.terminate();
    let ended = Instant::now();

    // What was recorded before is shown when it was, by the disks, by the box and by the kit alone.
    let list = installation.list(&[]);
    let rows = of_good(&list);
    let by_kit = Command::new(HEARTHKEEP)
        .args(["list", "--json", "--disk"])
        .arg(installation.footage())
        .arg("--kit")
        .arg(installation.kit_file())
        .output();
    let by_kit: Value = serde_json::from_slice(&by_kit.unwrap().stdout).unwrap();
    assert_eq!(of_good(&by_kit), rows);
    let times = |row: &Value| (row["segment"].clone(), row["start_us"].clone());
    assert_eq!(times(&of_good(&afar)[0]), times(&rows[0]));
    for row in &rows[..2] {
        assert!(row["start"].as_str().unwrap() > "2026", "{list:#}");
        assert_eq!(row["clock_trusted"], true);
    }
    assert_eq!(
        (&rows[0]["sequence"], &rows[1]["sequence"]),
        (&0.into(), &1.into())
    );
    assert_eq!(rows[1]["gap_before"], Value::Null, "nothing was lost by it");
    let us = |row: &Value, name: &str| row[name].as_i64().unwrap();
    let end_us = us(&rows[0], "start_us") + us(&rows[0], "duration_us");
    let between_us = us(&rows[1], "start_us") - end_us;
    // Its arrival is known to a turn of ingest only.
    assert!(between_us.abs() < 500_000, "{between_us} us");

    // It goes on, and all of it is one film: a pause
    // that is not longer than a frame would not be one in it.
    await_condition("a second has passed", LONG, || {
        ended.elapsed() > Duration::from_secs(1)
    });
    record(&installation, recorded_us(&list) + 1_000_000);
    assert_eq!(of_good(&installation.list(&[]))[0], rows[0]);
    let mp4 = installation.folder().join("good.mp4");
    let arguments = ["--camera", "good", "--out", path(&mp4)];
    let exported = installation.run("export", &arguments);
    assert!(exported.status.success(), "{exported:?}");
    let verdict = judge::slices(&mp4, &[&clip], &["--gaps", "--av-ms-max", "40"]);
    assert_eq!(verdict["ok"], true, "{verdict:#}");
    assert!(!installation.log().contains("footage was deleted"));
}

#[test]
fn a_clock_that_is_years_ahead_costs_no_footage_also_after_restarts() {
    let (_cameras, url, _) = one_camera();
    let camera = CameraEntry {
        name: "good",
        url: &url,
        more: "keep_days = 1",
    };
    let installation = Installation::new(&[camera]);
    record(&installation, 2_000_000);
    let good = of_good(&installation.list(&[]));
    let clock = ShiftedClock::make(installation.folder());
    clock.show_years_ahead(3);
    // What the first of these records, the second finds: its own footage says that it is three years later.
    for _ in 0..2 {
        let mut recorder = installation.start_with(&clock.variables());
        let before = recorded_us(&installation.list(&[]));
        recorder.until("more is recorded", LONG, |list| {
            recorded_us(list) >= before + 1_000_000
        });
        recorder.terminate();
    }
    let list = of_good(&installation.list(&[]));
    let ids = |rows: &[Value]| {
        rows.iter()
            .map(|row| row["segment"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&list[..good.len()]), ids(&good));
    let year = |row: &Value| row["start"].as_str().unwrap()[..4].parse::<i32>().unwrap();
    assert!(
        year(list.last().unwrap()) >= year(&good[0]) + 2,
        "{list:#?}"
    );
    // The clock is right again, and with it all that this boot recorded.
    clock.show_the_time();
    let recorder = installation.start_with(&clock.variables());
    await_condition("the clock is looked at", LONG, || {
        of_good(&installation.list(&[]))[0]["start"]
            .as_str()
            .unwrap()[..4]
            == good[0]["start"].as_str().unwrap()[..4]
    });
    recorder.terminate();
    let again = of_good(&installation.list(&[]));
    let us = |row: &Value| row["start_us"].as_i64().unwrap();
    assert!(
        (us(&again[0]) - us(&good[0])).abs() < 1_000_000,
        "{again:#?}"
    );
    assert!(again.iter().all(|row| year(row) == year(&good[0])));
    assert!(!installation.log().contains("footage was deleted"));
}

fn of_good(list: &Value) -> Vec<Value> {
    let rows = list
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["camera"] == "good");
    rows.cloned().collect()
}
