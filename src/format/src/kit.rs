//! The recovery kit: an identity on paper.

use std::fmt::Write;

use zeroize::Zeroizing;

use crate::{Error, Identity, Result, StoreId, VerifyingKey};

/// Groups of a kit.
pub const GROUPS: usize = 10;

const PREFIX: &str = "AGE-SECRET-KEY-PQ-1";
const PREFIX_WITHOUT_DASHES: &str = "AGESECRETKEYPQ1";
/// Hyphen, non-breaking hyphen and en dash: what editors make of `-`.
const DASHES: [char; 4] = ['-', '\u{2010}', '\u{2011}', '\u{2013}'];
const GROUP_LEN: usize = 6;
/// 52 characters for 32 bytes, 6 of checksum.
const DATA_LEN: usize = 58;
/// A page has about 2,000 bytes; more is not read.
const TEXT_LEN_MAX: usize = 64 * 1024;
const WHAT: &str = "the recovery kit";

/// The ten groups, in capital letters: six characters each, the last has four.
pub fn groups(kit: &Identity) -> Vec<Zeroizing<String>> {
    let text = kit.to_text();
    text.as_bytes()[PREFIX.len()..]
        .chunks(GROUP_LEN)
        .map(|group| Zeroizing::new(group.iter().copied().map(char::from).collect()))
        .collect()
}

/// Reads a kit: the groups with or without their numbers (`1.`), the line that begins
/// `AGE-SECRET-KEY-PQ-1`, or the whole page. Spaces, line breaks and dashes are ignored, case does
/// not matter.
///
/// Three readings are tried, and the checksum decides: what follows each `AGE-SECRET-KEY-PQ-1`; the
/// words that follow the numbers `1.` to `10.`; and all of the text, without numbers.
///
/// # Errors
/// [`Error::Truncated`] when characters are missing, else [`Error::Mistyped`]. Neither quotes the
/// text.
pub fn parse(text: &str) -> Result<Identity> {
    if text.len() > TEXT_LEN_MAX {
        return Err(Error::Limit {
            what: WHAT,
            limit: TEXT_LEN_MAX as u64,
        });
    }
    let upper = Zeroizing::new(text.to_ascii_uppercase());
    let after_prefixes = upper
        .match_indices(PREFIX)
        .map(|(at, _)| characters(upper[at + PREFIX.len()..].split_whitespace(), DATA_LEN));
    for reading in after_prefixes.chain(std::iter::once_with(|| numbered(&upper))) {
        if let Ok(kit) = read(&reading) {
            return Ok(kit);
        }
    }
    let plain = characters(
        upper
            .split_whitespace()
            .filter(|word| number(word).is_none()),
        PREFIX_WITHOUT_DASHES.len() + DATA_LEN + 1,
    );
    let plain = plain.strip_prefix(PREFIX_WITHOUT_DASHES).unwrap_or(&plain);
    if plain.len() < DATA_LEN {
        return Err(Error::Truncated { what: WHAT });
    }
    read(plain)
}

/// The page that is printed. It holds the secret: whoever has it can watch everything.
pub fn page(kit: &Identity, store: &StoreId, root: &VerifyingKey) -> Zeroizing<String> {
    let groups = groups(kit);
    let fingerprint = root.fingerprint();
    let (first, second) = fingerprint.split_at(fingerprint.len() / 2);
    // Room for all of it, so that no copy of the key is left behind by growing.
    let mut page = Zeroizing::new(String::with_capacity(4096));
    page.push_str(INTRODUCTION);
    append(&mut page, format_args!("  Store        {store}\n"));
    append(&mut page, format_args!("  Signing key  {}\n", first.trim()));
    append(
        &mut page,
        format_args!("               {}\n", second.trim()),
    );
    page.push_str(BEFORE_GROUPS);
    for (index, group) in groups.iter().enumerate() {
        append(
            &mut page,
            format_args!("  {:>2}. {}", index + 1, group.as_str()),
        );
        page.push_str(if (index + 1).is_multiple_of(GROUPS_A_ROW) {
            "\n"
        } else {
            "  "
        });
    }
    page.push_str(BEFORE_LINE);
    append(&mut page, format_args!("{}\n", kit.to_text().as_str()));
    page.push_str(USE);
    page
}

const GROUPS_A_ROW: usize = 5;

const INTRODUCTION: &str = "\
HEARTHKEEP RECOVERY KIT

This page opens all footage of one Hearthkeep box: on its disks, on archive
disks and in copies of them, without a passphrase and without the box.
Whoever holds it can watch everything. If it is lost and every passphrase is
forgotten, the footage is lost too, and nobody can bring it back.

It belongs to

";

const BEFORE_GROUPS: &str = "
The key, in ten groups; spaces and capital letters do not matter

";

const BEFORE_LINE: &str = "
The same key on one line, as age (from 1.3 on) writes it

";

const USE: &str = "
To use it, type the ten groups into a file, one after another, and run

  hearthkeep export --disk FOLDER --kit FILE --camera NAME --out FILE.mp4

where FOLDER is a disk of the box. Compare the signing key above with the one
that is shown: another one means that the disk is not from your box.

Print this page or copy it by hand. Keep it where you keep a passport, away
from the box and from its disks, and delete every file of it.
";

fn append(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text)
        .expect("a String takes all that is written");
}

/// `7` for the word `7.`, which numbers a group.
fn number(word: &str) -> Option<usize> {
    let number = word.strip_suffix('.')?.parse().ok()?;
    (1..=GROUPS).contains(&number).then_some(number)
}

/// The words that follow the numbers 1 to 10, in the order of the numbers.
fn numbered(text: &str) -> Zeroizing<String> {
    let mut found: [Option<&str>; GROUPS] = [None; GROUPS];
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if let (Some(number), Some(&group)) = (number(word), words.peek()) {
            found[number - 1].get_or_insert(group);
        }
    }
    characters(found.into_iter().flatten(), DATA_LEN)
}

/// The first `count` characters of the words joined, without dashes.
fn characters<'a>(words: impl Iterator<Item = &'a str>, count: usize) -> Zeroizing<String> {
    let mut joined = Zeroizing::new(String::with_capacity(count * char::MAX.len_utf8()));
    joined.extend(
        words
            .flat_map(str::chars)
            .filter(|c| !DASHES.contains(c))
            .take(count),
    );
    joined
}

fn read(data: &str) -> Result<Identity> {
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + data.len()));
    text.push_str(PREFIX);
    text.push_str(data);
    Identity::from_text(&text).map_err(|_| Error::Mistyped { what: WHAT })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kit() -> Identity {
        Identity::from_seed(std::array::from_fn(|i| (i * 7) as u8))
    }

    fn sheet() -> Zeroizing<String> {
        let root = Identity::from_seed([3; 32]).signing_key().verifying_key();
        page(&kit(), &StoreId::from_bytes([0x5A; 16]), &root)
    }

    fn assert_reads(text: &str) {
        assert_eq!(
            parse(text).map(|kit| *kit.seed()),
            Ok(*kit().seed()),
            "{text}"
        );
    }

    #[test]
    fn groups_are_read_back_however_they_are_typed() {
        let groups: Vec<String> = groups(&kit())
            .iter()
            .map(|group| group.to_string())
            .collect();
        assert_eq!(groups.len(), GROUPS);
        assert!(groups[..9].iter().all(|group| group.len() == 6));
        assert_eq!(groups[9].len(), 4);
        assert_reads(&groups.join(" "));
        assert_reads(&groups.join("-").to_lowercase());
        assert_reads(&groups.join("\r\n"));
        assert_reads(&groups.concat());
        assert_reads(&kit().to_text());
        assert_reads(&format!("  {}\n", kit().to_text().to_lowercase()));
        let numbered: Vec<String> = groups
            .iter()
            .enumerate()
            .map(|(i, group)| format!("{}. {group}", i + 1))
            .collect();
        assert_reads(&numbered.join("\n"));
        let backwards: Vec<&str> = numbered.iter().rev().map(String::as_str).collect();
        assert_reads(&backwards.join("\n"));
    }

    #[test]
    fn the_page_is_read_back_whole_and_in_part() {
        let page = sheet();
        assert_reads(&page);
        assert_reads(&page.to_lowercase());
        assert_reads(&page.replace('\n', "\r\n"));
        // One of the two copies of the key is enough.
        let without_line = page.replace(PREFIX, "AGE ");
        assert_reads(&without_line);
        let without_groups = page.replace(" 4. ", " 4. X");
        assert_reads(&without_groups);
    }

    #[test]
    fn the_page_fits_paper_and_says_what_it_must() {
        let page = sheet();
        assert!(page.len() < 4096, "the buffer must not grow");
        assert!(page.lines().all(|line| line.len() <= 80), "{}", *page);
        let root = Identity::from_seed([3; 32]).signing_key().verifying_key();
        for part in [
            &"5a".repeat(16),
            &root.fingerprint()[..39],
            "hearthkeep export --disk FOLDER --kit FILE",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for (index, group) in groups(&kit()).iter().enumerate() {
            assert!(page.contains(&format!("{}. {}", index + 1, **group)));
        }
    }

    #[test]
    fn mistakes_are_found_and_not_quoted() {
        let text = groups(&kit())
            .iter()
            .map(|group| group.to_string())
            .collect::<String>();
        assert_eq!(parse("").unwrap_err(), Error::Truncated { what: WHAT });
        assert_eq!(
            parse(&text[..57]).unwrap_err(),
            Error::Truncated { what: WHAT }
        );
        assert_eq!(
            parse(&format!("{text}Q")).unwrap_err(),
            Error::Mistyped { what: WHAT }
        );
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'Q' {
                "P"
            } else {
                "Q"
            };
            let mut wrong = text.clone();
            wrong.replace_range(at..=at, other);
            assert_eq!(parse(&wrong).unwrap_err(), Error::Mistyped { what: WHAT });
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            for text in [text.clone(), format!("{PREFIX}{text}"), format!("1. {text} 2. 3.")] {
                prop_assert!(parse(&text).is_err());
            }
        }
    }
}
