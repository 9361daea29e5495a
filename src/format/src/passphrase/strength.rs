//! What a new passphrase must be: long, once everything that guessers try first is left out.

use zeroize::Zeroizing;

use super::normalised;

const CHARACTERS_MIN: usize = 12;
/// A run of one character, or of neighbours in the alphabet, counts as one character from this
/// length on.
const RUN_LEN_MIN: usize = 4;
const SHORT: &str = "Use at least 12 characters; four or five words that do not belong \
                     together do well.";
const COMMON: &str = "This is easy to guess: common words, names, repetitions and rows such as 1234 or qwerty do \
                      not count. Add words that do not belong together.";

/// Pieces that head every list of leaked passwords, in lower case.
const PIECES: &[&str] = &[
    "passphrase",
    "password",
    "passwort",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "hearthkeep",
    "letmein",
    "iloveyou",
    "welcome",
    "princess",
    "football",
    "baseball",
    "superman",
    "sunshine",
    "trustno1",
    "changeme",
    "security",
    "camera",
    "dragon",
    "monkey",
    "master",
    "shadow",
    "secret",
    "admin",
    "login",
    "qwertyuiop",
    "qwerty",
    "qwertz",
    "azerty",
    "asdfghjkl",
    "asdf",
    "zxcv",
    "yxcv",
    "1q2w3e4r",
    "q1w2e3r4",
    "1q2w3e",
    "abc123",
    "123123",
    "correct horse battery staple",
    "correcthorsebatterystaple",
];

/// Whether a passphrase may be chosen; if not, a sentence that says what to do.
///
/// # Errors
/// The sentence, for a person.
pub fn check_strength(passphrase: &str) -> Result<(), &'static str> {
    check_strength_for(passphrase, "")
}

/// As [`check_strength`], and the account's name does not count either.
///
/// # Errors
/// The sentence, for a person.
pub fn check_strength_for(passphrase: &str, name: &str) -> Result<(), &'static str> {
    let normal = normalised(passphrase);
    if normal.chars().count() < CHARACTERS_MIN {
        return Err(SHORT);
    }
    let mut rest = Zeroizing::new(normal.to_lowercase());
    let name = normalised(name).to_lowercase();
    for piece in PIECES
        .iter()
        .copied()
        .chain((name.chars().count() >= 3).then_some(&*name))
    {
        // One character stays, so that what stood left and right of it makes no new piece.
        rest = Zeroizing::new(rest.replace(piece, " "));
    }
    let rest: Zeroizing<Vec<char>> = Zeroizing::new(rest.trim().chars().collect());
    if counted(&rest) < CHARACTERS_MIN {
        Err(COMMON)
    } else {
        Ok(())
    }
}

/// Characters that count: runs as one, and of something repeated over and over one turn.
fn counted(text: &[char]) -> usize {
    let period = (1..=text.len())
        .find(|&period| text.iter().skip(period).eq(&text[..text.len() - period]))
        .unwrap_or(0);
    let text = &text[..period];
    let mut count = 0;
    let mut at = 0;
    while at < text.len() {
        let run = run_len(&text[at..]);
        count += if run >= RUN_LEN_MIN { 1 } else { run };
        at += run;
    }
    count
}

/// Length of the run at the start: `aaaa`, `1234` or `dcba`.
fn run_len(text: &[char]) -> usize {
    let step = |pair: &[char]| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0]));
    let Some(first) = text.windows(2).next().map(step) else {
        return text.len();
    };
    if !(-1..=1).contains(&first) {
        return 1;
    }
    let run = 1 + text
        .windows(2)
        .take_while(|pair| step(pair) == first)
        .count();
    // The last of a short run may begin a longer one.
    if run >= RUN_LEN_MIN { run } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ones_are_refused() {
        assert_eq!(check_strength(""), Err(SHORT));
        assert_eq!(check_strength("kettle moss"), Err(SHORT));
        // Twelve code points, eleven characters once composed.
        assert_eq!(check_strength("kettle mos\u{65}\u{301}"), Err(SHORT));
    }

    #[test]
    fn guessable_ones_are_refused() {
        for guessable in [
            "aaaaaaaaaaaaaaaa",
            "abcdefghijklmnop",
            "123456789012345",
            "zyxwvutsrqponml",
            "password12345678",
            "PASSWORDpassword",
            "Password!2024",
            "qwertyuiopasdfghjkl",
            "correct horse battery staple",
            "abcabcabcabcabc",
            "mossmossmossmoss",
            "hearthkeep camera",
            "                  ",
            "letmeinletmein!!",
        ] {
            assert_eq!(check_strength(guessable), Err(COMMON), "{guessable}");
        }
        assert_eq!(
            check_strength_for("margarethe-margarethe1", "Margarethe"),
            Err(COMMON)
        );
    }

    #[test]
    fn good_ones_pass() {
        for good in [
            "kettle moss violin harbour",
            "my password is kept under the moss",
            "Fünf Äpfel rollen heim",
            "xK4-vv9Qm_t2Lp",
            "静かな海の底に眠る青い時計",
        ] {
            assert_eq!(check_strength_for(good, "Jo"), Ok(()), "{good}");
        }
    }
}
