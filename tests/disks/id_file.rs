//! A bit that flips in the id file of a disk makes no other disk of it: not at a start, and not while it is in use.

use std::path::Path;
use std::time::Duration;

use hearthkeep::config::Config;
use hearthkeep::keys::StateFolder;
use hearthkeep::pool;

use super::commands::{camera, listed, one_camera};
use super::installation::{Installation, await_condition};

const LONG: Duration = Duration::from_secs(60);

/// How many disks there are, and what is wrong with the others.
fn mount(installation: &Installation) -> (usize, Vec<String>) {
    let config = Config::load(&installation.config()).unwrap();
    let mut state = StateFolder::load(&installation.state()).unwrap();
    let disks = pool::mount(&config, &mut state);
    let errors = disks.absent.into_iter().map(|disk| disk.error);
    (disks.mounted.len(), errors.collect())
}

fn flipped(whole: &[u8], bits: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    bits.into_iter()
        .for_each(|bit| bytes[bit / 8] ^= 1 << (bit % 8));
    bytes
}

#[test]
fn a_flipped_bit_in_the_id_file_costs_nothing() {
    let (_cameras, url) = one_camera();
    let installation = Installation::new(&[camera(&url)]);
    let file = installation.footage().join("hearthkeep-disk.json");
    let whole = std::fs::read(&file).unwrap();
    for bit in (0..whole.len()).map(|byte| byte * 8 + byte % 8) {
        std::fs::write(&file, flipped(&whole, [bit])).unwrap();
        assert_eq!(mount(&installation), (1, Vec::new()), "bit {bit}");
        assert_eq!(std::fs::read(&file).unwrap(), whole, "bit {bit}");
    }
    // What has more wrong, and another folder than the one that the disk was in, is left as it is.
    let keyring = installation.footage().join("keyring");
    let aside = installation.folder().join("aside");
    let stays = |why: &str, bytes: Vec<u8>| {
        std::fs::write(&file, &bytes).unwrap();
        let (mounted, errors) = mount(&installation);
        assert_eq!((mounted, errors.len()), (0, 1), "{why}: {errors:?}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{why}");
    };
    stays("three bytes", flipped(&whole, [40, 80, 120]));
    std::fs::rename(&keyring, &aside).unwrap();
    stays("no keyring", flipped(&whole, [8]));
    std::fs::rename(&aside, &keyring).unwrap();

    // While it is in use.
    std::fs::write(&file, &whole).unwrap();
    let mut recorder = installation.start();
    recorder.until("it records", LONG, |list| {
        list[0]["bytes"].as_u64() > Some(20_000)
    });
    // The middle of the store's id, of the disk's id, and of a name.
    for bit in [8 * 30, 8 * (whole.len() - 10), 8 * 14 + 3] {
        // At once, as a bit flips: the recorder may be looking.
        let beside = installation.folder().join("beside");
        std::fs::write(&beside, flipped(&whole, [bit])).unwrap();
        std::fs::rename(&beside, &file).unwrap();
        await_condition("it is written anew", LONG, || {
            std::fs::read(&file).unwrap() == whole
        });
    }
    let row = listed(&installation, Path::new(&installation.footage()));
    assert_eq!(
        (&row["state"], &row["error"]),
        (&"in use".into(), &serde_json::Value::Null)
    );
    recorder.terminate();
    let list = installation.list(&[]);
    assert_eq!(
        list.as_array().unwrap().len(),
        1,
        "one segment, and no gap: {list:#}"
    );
    assert!(installation.log().contains("was written anew"));
}
