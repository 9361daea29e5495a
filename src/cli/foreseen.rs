//! What will be of disks and cameras at the rate of the last week, in words: `disk list` and `status` say it alike.

/// When a disk is full, by what is said of it: `None` where that is not known.
pub(super) fn full_in(days: Option<f64>) -> String {
    match days {
        Some(days) if days <= 0.0 => "full, the oldest goes for the newest".to_owned(),
        Some(days) => format!("full in about {}", days_text(days)),
        None => "when it is full is not known yet".to_owned(),
    }
}

/// For how long a camera's footage is kept that records so many bytes a day. Nothing while that is not known.
pub(super) fn keeps(days: Option<f64>, bytes_per_day: Option<u64>) -> Option<String> {
    let a_day = bytes_per_day? as f64 / 1e9;
    let kept = match days {
        Some(days) => format!("keeps about {}", days_text(days)),
        None => "keeps all, without end".to_owned(),
    };
    Some(format!("{kept}, at {a_day:.1} GB a day"))
}

fn days_text(days: f64) -> String {
    match days {
        days if days < 10.0 => format!("{days:.1} days"),
        days => format!("{} days", days.floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said_to_be_so() {
        assert_eq!(full_in(Some(12.7)), "full in about 12 days");
        assert_eq!(full_in(Some(0.04)), "full in about 0.0 days");
        assert_eq!(full_in(Some(0.0)), "full, the oldest goes for the newest");
        assert_eq!(full_in(None), "when it is full is not known yet");
        let at = Some(2_500_000_000);
        let kept = |days| keeps(days, at).unwrap();
        assert_eq!(kept(Some(30.2)), "keeps about 30 days, at 2.5 GB a day");
        assert_eq!(kept(None), "keeps all, without end, at 2.5 GB a day");
        assert_eq!(keeps(Some(30.2), None), None);
    }
}
