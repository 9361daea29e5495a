//! Sizes as people write them: `500GB`, `1.5 TiB`, `1000000`.

/// Reads a size in bytes. Units are decimal (`GB` = 10⁹) or binary (`GiB` = 2³⁰), in any case, with
/// or without a space. `None` for anything else, and for what does not fit in 64 bits.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit_bytes(unit.trim_start())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || fraction.len() > 6 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?;
    let fraction_millionths = if fraction.is_empty() {
        0
    } else {
        format!("{fraction:0<6}").parse::<u64>().ok()?
    };
    let bytes = u128::from(whole) * u128::from(unit)
        + u128::from(fraction_millionths) * u128::from(unit) / 1_000_000;
    u64::try_from(bytes).ok()
}

/// A size for people, in GB, or in MB where it is less than one of them.
pub fn text(bytes: u64) -> String {
    match bytes {
        0 => "0 MB".to_owned(),
        1..100_000 => "less than 0.1 MB".to_owned(),
        // What would be rounded to a thousand of them is one of the next.
        100_000..999_950_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn unit_bytes(unit: &str) -> Option<u64> {
    let lower = unit.to_ascii_lowercase();
    if lower.is_empty() || lower == "b" {
        return Some(1);
    }
    let mut letters = lower.chars();
    let power = 1 + "kmgtp".find(letters.next()?)?;
    let base: u64 = match letters.as_str() {
        "b" => 1000,
        "ib" => 1024,
        _ => return None,
    };
    base.checked_pow(u32::try_from(power).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{parse, text};

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("500GB", 500_000_000_000),
            ("1.5 TiB", 1_649_267_441_664),
            ("1.5tib", 1_649_267_441_664),
            ("1000000", 1_000_000),
            ("0.000001 MB", 1),
            (" 20 kB ", 20_000),
            ("7 B", 7),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in [
            "", "GB", "500G", "500 GBit", "-1GB", "1,5TB", "1.GB", ".5GB", "1e9", "99999PB",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_small_is_not_told_as_nothing() {
        for (bytes, told) in [
            (0, "0 MB"),
            (99_999, "less than 0.1 MB"),
            (4_210_000, "4.2 MB"),
            (999_000_000, "999.0 MB"),
            (999_949_999, "999.9 MB"),
            (999_999_999, "1.0 GB"),
            (1_000_000_000, "1.0 GB"),
            (2_500_000_000_000, "2500.0 GB"),
        ] {
            assert_eq!(text(bytes), told);
        }
    }
}
