//! `Range: bytes=..` (RFC 9110, 14): one range, since a player asks for one chunk after another.

/// Which bytes to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of them: no range was asked for, or none that we serve.
    Whole,
    /// From the first to before the second; never empty.
    Part(u64, u64),
    /// A range that begins beyond the end.
    Unsatisfiable,
}

/// Reads the header's value for a body of `length` bytes. What is not one well-formed range of bytes counts as not asked
/// for, as the RFC says.
pub fn parse(header: &str, length: u64) -> Wanted {
    let Some(range) = header.trim().strip_prefix("bytes=") else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), Some(last)) => part(first, last.saturating_add(1).min(length)),
        (Some(first), None) if last.is_empty() => part(first, length),
        (None, Some(suffix)) if first.is_empty() => part(length.saturating_sub(suffix), length),
        _ => Wanted::Whole,
    }
}

fn part(from: u64, to: u64) -> Wanted {
    if from < to {
        Wanted::Part(from, to)
    } else {
        Wanted::Unsatisfiable
    }
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let cases = [
            ("bytes=0-99", Wanted::Part(0, 100)),
            ("bytes=10-10", Wanted::Part(10, 11)),
            ("bytes=900-", Wanted::Part(900, 1000)),
            ("bytes=900-5000", Wanted::Part(900, 1000)),
            ("bytes=0-18446744073709551615", Wanted::Part(0, 1000)),
            ("bytes=-100", Wanted::Part(900, 1000)),
            ("bytes=-5000", Wanted::Part(0, 1000)),
            ("bytes=1000-", Wanted::Unsatisfiable),
            ("bytes=1000-1001", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=20-10", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=1-18446744073709551616", Wanted::Whole),
            ("chunks=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(parse(header, 1000), expected, "{header}");
        }
        assert_eq!(parse("bytes=0-", 0), Wanted::Unsatisfiable);
    }
}
