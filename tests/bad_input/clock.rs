//! A box that does not know the time.

use serde_json::Value;

use super::installation::{CameraEntry, Installation, path};
use super::shifted::ShiftedClock;
use super::{LONG, failed, judge, one_camera, record, recorded_us};

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
    // The time becomes known while the segment is written.
    clock.show_the_time();
    recorder.until("a second segment is recorded", LONG, |list| {
        of_good(list).len() >= 2
    });
    recorder.terminate();

    let list = installation.list(&[]);
    let rows = of_good(&list);
    assert!(
        rows[0]["start"]
            .as_str()
            .unwrap()
            .starts_with("1970-01-01T00:"),
        "{list:#}"
    );
    assert_eq!(
        (&rows[0]["clock_trusted"], &rows[0]["sequence"]),
        (&false.into(), &0.into())
    );
    assert!(rows[1]["start"].as_str().unwrap() > "2026", "{list:#}");
    assert_eq!(
        (&rows[1]["clock_trusted"], &rows[1]["sequence"]),
        (&true.into(), &1.into())
    );
    assert_eq!(rows[1]["gap_before"], Value::Null, "nothing was lost by it");
    let table = installation.run("list", &["--camera", "good"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("the clock was not set"));

    // With the right time it goes on, and what seems to be fifty years old is not deleted.
    record(&installation, recorded_us(&list) + 1_000_000);
    assert_eq!(of_good(&installation.list(&[]))[0], rows[0]);
    let mp4 = installation.folder().join("good.mp4");
    let export = |span: &[&str]| {
        let arguments = [&["--camera", "good", "--out", path(&mp4)], span].concat();
        installation.run("export", &arguments)
    };
    for span in [
        ["--to", "2001-01-01T00:00:00Z"],
        ["--from", "2001-01-01T00:00:00Z"],
    ] {
        let exported = export(&span);
        assert!(exported.status.success(), "{exported:?}");
        let verdict = judge::slices(&mp4, &[&clip], &["--gaps", "--av-ms-max", "40"]);
        assert_eq!(verdict["ok"], true, "{verdict:#}");
    }
    // Both in one film would have a gap of half a century.
    failed(&export(&[]), 1, "this span does not fit one MP4 file");
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
    assert_eq!(list[..good.len()], good);
    let year = |row: &Value| row["start"].as_str().unwrap()[..4].parse::<i32>().unwrap();
    assert!(
        year(list.last().unwrap()) >= year(&good[0]) + 2,
        "{list:#?}"
    );
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
